"""Tables in Cassandra; the texts of the statements are in `cql.py`.

A plain write is an INSERT with the decision's own time, so it may be sent any number of times. A compare-and-set is a lightweight
transaction and may not: when its outcome is unknown, a serial read, which finishes what was begun, tells what became of it.
"""

from __future__ import annotations

import re
import ssl
import threading
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    CoordinationFailure,
    DriverException,
    InvalidRequest,
    OperationTimedOut,
    RequestValidationException,
    Timeout,
    Unavailable,
    UnresolvableContactPoints,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.connection import ConnectionBusy, ConnectionException
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    FallthroughRetryPolicy,
    RetryPolicy,
    TokenAwarePolicy,
)
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import ErrorMessage
from cassandra.query import UNSET_VALUE, PreparedStatement, tuple_factory

from runtime import cql
from runtime.columns import (
    Value,
    column_types,
    deleted_key,
    expected_values,
    inserted_values,
    key_values,
    place_values,
    plain_columns,
    query_values,
    row_key,
    swapped_values,
    written_values,
)
from runtime.errors import DeadLetterError, OutageError, RetryError, StopError
from runtime.ports import Swap
from runtime.settings import CassandraSettings
from runtime.transport import trust
from schemas.tables import Row

R = TypeVar("R", bound=Row)

REQUEST_TIMEOUT_S = 10.0
"""Seconds before the driver gives a request up: more than a node gives its slowest kind (5 s by default, 8 s in ours)."""
SCHEMA_TIMEOUT_S = 60.0
"""Seconds for a change of the schema: every node has to agree to it."""
CONNECT_TIMEOUT_S = 5.0
"""Seconds for a connection and its login."""
RECONNECT_S = (0.5, 5.0)
"""Seconds between attempts to reach a lost node, doubling from the first to the second, for ever: it may come back."""
HEARTBEAT_S = 10
"""Seconds without traffic after which a connection is tried: a node that was cut off without a word is found out."""
PAGE_ROWS = 1000
"""Rows that one answer of a node holds; longer results come in several."""
SWAP_ATTEMPTS = 5
"""Times a compare-and-set is made that several processes hindered, or that was lost on its way."""

_SWAP, _LOOK, _SCHEMA = "swap", "look", "schema"
"""Execution profiles beside the default: compare-and-set, serial read, change of the schema."""
_PROTOCOL = 5
"""Cassandra 4.0 and later; named, so that no connection begins by asking for something else."""

_DOUBT = (Timeout, CoordinationFailure, OperationTimedOut, ConnectionException, ErrorMessage)
"""After these a request may have happened or not. The last are answers that the driver has no class for (CAS_WRITE_UNKNOWN)."""

_VALUE = re.compile(r"longer than|too large|too long|exceeds|may not be empty|out of bound", re.IGNORECASE)
"""How Cassandra says that one row's values are at fault; any other refusal is about the schema or the statement."""


class OnceMore(RetryPolicy):  # type: ignore[misc]  # the driver has no types
    """Plain reads and writes, each of which means the same when it is made twice, are made once more.

    After a timeout with the same node, which is not to blame for slow copies; where copies were missing or the connection broke,
    with the next.
    """

    def on_read_timeout(self, *_: Any, retry_num: int, **__: Any) -> tuple[int, None]:
        """Too few copies answered in time."""
        return (self.RETRY if retry_num == 0 else self.RETHROW), None

    def on_write_timeout(self, *_: Any, retry_num: int, **__: Any) -> tuple[int, None]:
        """The time is in the statement: a second write cannot undo a later one."""
        return (self.RETRY if retry_num == 0 else self.RETHROW), None


class CassandraTables:
    """The tables port on Cassandra.

    Parameters
    ----------
    settings
        Where the cluster is. It is asked for at the first call, so a process starts without it.
    """

    def __init__(self, settings: CassandraSettings) -> None:
        self._settings = settings
        self._keyspace = settings.keyspace
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._prepared: dict[str, PreparedStatement] = {}
        self._was_open = False

    def create(self, row_types: Sequence[type[Row]]) -> None:
        """Create the keyspace and the tables that do not exist yet, as `schemas/tables.cql` has them.

        What exists is not asked for: a process that may not change the schema can run this on one that is there.
        """
        with self._decided():
            session = self._connected()
            session.cluster.refresh_schema_metadata(max_schema_agreement_wait=SCHEMA_TIMEOUT_S)
            keyspaces = session.cluster.metadata.keyspaces
            if self._keyspace not in keyspaces:
                statement = cql.create_keyspace(self._keyspace, self._settings.replication)
                session.execute(statement, execution_profile=_SCHEMA)
            there = keyspaces[self._keyspace].tables if self._keyspace in keyspaces else {}
            for row_type in row_types:
                if row_type.TABLE.name not in there:
                    session.execute(cql.create_table(self._keyspace, row_type), execution_profile=_SCHEMA)

    def get(self, row_type: type[R], **key: Any) -> R | None:
        """Read one row by its whole primary key."""
        return self._get(row_type, key_values(row_type, key), EXEC_PROFILE_DEFAULT)

    def select(
        self, row_type: type[R], *, limit: int = 1000, after: Sequence[Any] | None = None, **prefix: Any
    ) -> list[R]:
        """Read rows of one partition in clustering order."""
        named = query_values(row_type, prefix)
        place = None if after is None else place_values(row_type, after)
        found: list[R] = []
        for conditions, values in cql.page(row_type, named, place):
            wanted = limit - len(found)
            if wanted < 1:
                break
            statement = cql.select(self._keyspace, row_type, conditions)
            found += [_row(row_type, row) for row in self._run(statement, (*values, wanted))]
        return found

    def write(self, row: Row, *, at: int, columns: Sequence[str] | None = None) -> None:
        """Write plain columns with the time of the decision.

        Raises
        ------
        ValueError
            A named column is part of the key, unknown, or changes by compare-and-set only.
        """
        key, values = row_key(row), written_values(row, columns)
        # A null is a tombstone, so what is not written is not named: one statement then does for any set of columns.
        bound = [values.get(name, UNSET_VALUE) for name in plain_columns(type(row))]
        self._run(cql.insert(self._keyspace, type(row)), (*key, *bound, at))

    def delete(self, row_type: type[Row], *, at: int, **key: Any) -> None:
        """Delete a row as of a time.

        Raises
        ------
        ValueError
            The table has columns under compare-and-set.
        """
        values = deleted_key(row_type, key)
        self._run(cql.delete(self._keyspace, row_type), (at, *values))

    def insert_if_absent(self, row: R) -> Swap[R]:
        """Set the row's columns under compare-and-set unless one of them has a value; plain columns stay as they are.

        Raises
        ------
        ValueError
            The table has no such columns, or the row gives them no value.
        RetryError
            It may have happened or not.
        """
        wanted = inserted_values(row)
        expect: dict[str, Value | None] = dict.fromkeys(sorted(row.TABLE.cas))
        return self._swap(row, wanted, expect, UNSET_VALUE)

    def compare_and_set(self, row: R, *, expect: Mapping[str, Any]) -> Swap[R]:
        """Set all of the row's columns under compare-and-set if the named ones have the expected values (None: none).

        Raises
        ------
        ValueError
            Nothing is expected, or of a column that does not change by compare-and-set.
        RetryError
            It may have happened or not.
        """
        return self._swap(row, swapped_values(row), expected_values(row, expect), None)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            session, self._session = self._session, None
            self._prepared = {}
        if session is not None:
            session.cluster.shutdown()

    def _swap(
        self, row: R, wanted: Mapping[str, Value], expect: Mapping[str, Value | None], absent: Any
    ) -> Swap[R]:
        """Make a compare-and-set, and find out what became of it where the answer does not say.

        In doubt, a row that is as it was asked for counts as applied. Two callers that ask for the very same row may then both be
        told so; rows under compare-and-set name the command or the input that caused them, so these two would be one.
        """
        key = row_key(row)
        statement = cql.update_if(self._keyspace, type(row), expect)
        values = (*(wanted.get(name, absent) for name in sorted(row.TABLE.cas)), *key, *expect.values())
        doubt = False
        for _ in range(SWAP_ATTEMPTS):
            applied = self._ask(statement, values)
            if applied:
                return Swap(True, row)
            current = self._get(type(row), key, _LOOK)
            if applied is False and not doubt:
                return Swap(False, current)
            now = {} if current is None else swapped_values(current)
            if now == wanted:
                return Swap(True, row)
            if any(now.get(name) != value for name, value in expect.items()):
                raise RetryError("a compare-and-set may have happened and been followed by another")
            doubt = True  # It did not happen, or has not yet: a request given up here may still be on its way there.
        raise RetryError("a compare-and-set was hindered too often")

    def _ask(self, statement: str, values: Sequence[Any]) -> bool | None:
        """Whether a compare-and-set was applied; None where nobody knows."""
        try:
            return bool(self._run(statement, values, _SWAP)[0][0])
        except InDoubtError:
            return None

    def _get(self, row_type: type[R], key: Sequence[Value], profile: Any) -> R | None:
        statement = cql.select(self._keyspace, row_type, [cql.key_condition(row_type)])
        rows = self._run(statement, (*key, 1), profile)
        return _row(row_type, rows[0]) if rows else None

    def _run(
        self, statement: str, values: Sequence[Any], profile: Any = EXEC_PROFILE_DEFAULT
    ) -> list[tuple[Any, ...]]:
        with self._decided():
            session = self._connected()
            prepared = self._prepare(session, statement)
            found: list[tuple[Any, ...]] = session.execute(prepared, values, execution_profile=profile).all()
            return found

    def _prepare(self, session: Session, statement: str) -> PreparedStatement:
        prepared = self._prepared.get(statement)
        if prepared is None:
            try:
                prepared = session.prepare(statement)
            except RequestValidationException as error:
                raise StopError(
                    "the tables are not those of this version, or not open to this user"
                ) from error
            # Two threads may both prepare: the statement is the same.
            self._prepared[statement] = prepared
        return prepared

    def _connected(self) -> Session:
        with self._lock:
            if self._session is None:
                self._prepared = {}
                self._session = _opened(_cluster(self._settings))
                self._was_open = True
            return self._session

    def _drop_if_dead(self) -> None:
        """Open anew at the next call where the driver has stopped trying.

        It does once a login fails, and while a node starts one may.
        """
        with self._lock:
            session = self._session
            if session is None or any(
                host.is_up or host.is_currently_reconnecting()
                for host in session.cluster.metadata.all_hosts()
            ):
                return
            self._session = None
        session.cluster.shutdown()

    @contextmanager
    def _decided(self) -> Iterator[None]:
        """Turn the driver's errors into decisions. Their texts may hold values and are not passed on."""
        try:
            yield
        except NoHostAvailable as error:
            # By address what each node said; only the addresses, where nodes answered and were gone before a session was open.
            said = error.errors.values() if isinstance(error.errors, Mapping) else ()
            if not self._was_open and any(isinstance(one, AuthenticationFailed) for one in said):
                raise StopError("Cassandra refuses the credentials") from error
            self._drop_if_dead()
            raise OutageError("no Cassandra node answers") from error
        except _DOUBT as error:
            raise InDoubtError(f"Cassandra did not finish a request ({type(error).__name__})") from error
        except (Unavailable, UnresolvableContactPoints, ConnectionBusy, NoConnectionsAvailable) as error:
            raise OutageError(f"Cassandra cannot take a request ({type(error).__name__})") from error
        except RequestValidationException as error:
            if isinstance(error, InvalidRequest) and _VALUE.search(str(error)):
                raise DeadLetterError("row-refused") from error
            raise StopError(f"Cassandra refuses ({type(error).__name__})") from error
        except DriverException as error:
            raise RetryError(f"Cassandra failed ({type(error).__name__})") from error


class InDoubtError(RetryError):
    """A request that may have happened or not."""


def _cluster(settings: CassandraSettings) -> Cluster:
    base, longest = RECONNECT_S
    return Cluster(
        settings.contact_points,
        port=settings.port,
        auth_provider=PlainTextAuthProvider(settings.user.text(), settings.password.text()),
        ssl_context=_encryption(settings),
        execution_profiles=_profiles(settings),
        protocol_version=_PROTOCOL,
        # An event loop in C. The driver's own choice depends on what else is installed, and its other one left Python with 3.12.
        connection_class=LibevConnection,
        compression=False,
        connect_timeout=CONNECT_TIMEOUT_S,
        control_connection_timeout=CONNECT_TIMEOUT_S,
        idle_heartbeat_interval=HEARTBEAT_S,
        idle_heartbeat_timeout=CONNECT_TIMEOUT_S,
        reconnection_policy=ExponentialReconnectionPolicy(base, longest, max_attempts=None),
    )


def _opened(cluster: Cluster) -> Session:
    """A session; where there is none, nothing of the cluster's stays behind: the driver lets its threads run then."""
    try:
        return cluster.connect()
    except BaseException:
        cluster.shutdown()
        raise


def _profiles(settings: CassandraSettings) -> dict[Any, ExecutionProfile]:
    levels = ConsistencyLevel.name_to_value
    serial = levels[settings.serial_consistency]

    def profile(level: int, retry: RetryPolicy, timeout_s: float = REQUEST_TIMEOUT_S) -> ExecutionProfile:
        return ExecutionProfile(
            # A node that has the row, of this datacenter only: what is far away is no answer to a slow neighbour.
            load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(settings.datacenter)),
            retry_policy=retry,
            consistency_level=level,
            serial_consistency_level=serial,
            request_timeout=timeout_s,
            row_factory=tuple_factory,
        )

    plain = levels[settings.consistency]
    return {
        EXEC_PROFILE_DEFAULT: profile(plain, OnceMore()),
        # Never made again by the driver: the second time it would meet its own first.
        _SWAP: profile(plain, FallthroughRetryPolicy()),
        _LOOK: profile(serial, OnceMore()),
        _SCHEMA: profile(plain, FallthroughRetryPolicy(), SCHEMA_TIMEOUT_S),
    }


def _encryption(settings: CassandraSettings) -> ssl.SSLContext | None:
    if not settings.tls:
        return None
    context = trust(settings.ca)
    # Nodes tell each other's addresses as numbers, which their certificates seldom name; the authority vouches for them.
    context.check_hostname = False
    return context


def _row(row_type: type[R], values: Sequence[Any]) -> R:
    named = dict(zip(column_types(row_type), values, strict=True))
    return typing.cast("Any", row_type)(**named)  # type: ignore[no-any-return]  # typing knows no way from a row class to its fields
