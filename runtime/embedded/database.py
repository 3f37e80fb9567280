"""One SQLite file, used by many processes and threads at once."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.errors import RetryError, StopError

BUSY_TIMEOUT_S = 10.0
"""Seconds a call waits for another process's write, which lasts milliseconds; then it raises RetryError."""

_WAL_PAUSE_S = 0.02
"""Seconds between attempts to open a file that another process is opening for the first time."""

_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""Failures that may be over at the next call: another writer, a full disk."""


class Database:
    """A connection to one SQLite file; safe to share between threads, never to be carried through a fork.

    Write-ahead log with `synchronous=NORMAL`: a committed transaction is in the operating system's hands, so it survives
    the death of every process. After a loss of power the file is whole, but the last transactions may be missing
    (docs/decisions/0005-embedded-profile.md).

    Parameters
    ----------
    path
        The file; its folder is created.
    schema
        Statements that create what does not exist yet.
    """

    def __init__(self, path: Path, schema: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        with _decided():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA synchronous=NORMAL")
        self._enter_wal()
        for statement in filter(str.strip, schema.split(";")):
            with self.transaction():
                self.run(statement)

    def _enter_wal(self) -> None:
        """Switch the file to its write-ahead log; SQLite does not wait by itself when two processes do so at once."""
        for _ in range(int(BUSY_TIMEOUT_S / _WAL_PAUSE_S)):
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                time.sleep(_WAL_PAUSE_S)
            else:
                return
        raise RetryError("SQLite's write-ahead log is not available")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the file's one write lock; commit at the end, or nothing of it if the block raises.

        Raises
        ------
        RetryError
            Another process held the lock too long, or the disk is full. Whether a failed commit happened is unknown.
        StopError
            The file is damaged or lacks a table.
        """
        with self._lock, _decided():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Change something and return the number of rows changed; call it inside `transaction`."""
        return self._connection.execute(statement, values).rowcount

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Read all rows of a query; outside a transaction it sees the last committed state."""
        with self._lock, _decided():
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """Read the first row of a query, or None."""
        with self._lock, _decided():
            cursor = self._connection.execute(statement, values)
            first = cursor.fetchone()
            cursor.close()
            return first

    def version(self) -> int:
        """A number that changes whenever another connection has committed; costs no query."""
        found: int = self.row("PRAGMA data_version")[0]
        return found

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()


@contextmanager
def _decided() -> Iterator[None]:
    """Turn SQLite's errors into decisions."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _PASSING:
            raise RetryError(f"SQLite is busy or out of room (code {code})") from error
        raise StopError(f"SQLite refuses the statement (code {code}): is a table missing?") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError):
            raise
        raise StopError("the SQLite file is damaged") from error
