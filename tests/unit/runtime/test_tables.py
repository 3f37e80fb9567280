from __future__ import annotations

from types import SimpleNamespace

import pytest
from cassandra import (
    InvalidRequest,
    OperationTimedOut,
    Unauthorized,
    Unavailable,
    UnresolvableContactPoints,
    WriteTimeout,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.policies import RetryPolicy
from cassandra.protocol import ServerError

from runtime.errors import DeadLetterError, OutageError, RetryError, StopError
from runtime.settings import CassandraSettings
from runtime.tables import SWAP_ATTEMPTS, CassandraTables, InDoubtError, OnceMore
from schemas.rows import ReviewRow

OLD = ReviewRow(site="s", study="x", version=1, claimed_by="a")
NEW = ReviewRow(site="s", study="x", version=2, claimed_by="b")
OTHER = ReviewRow(site="s", study="x", version=2, claimed_by="c")


class Scripted(CassandraTables):
    """Answers of a cluster, one after the other."""

    def __init__(self, answers, rows):
        super().__init__(settings())
        self.answers, self.rows = list(answers), list(rows)

    def _ask(self, statement, values):
        return self.answers.pop(0)

    def _get(self, row_type, key, profile):
        return self.rows.pop(0)


def settings(**changes):
    return CassandraSettings.model_validate(
        {"contact_points": ["127.0.0.1"], "user": "env:U", "password": "env:P"} | changes
    )


@pytest.mark.parametrize(
    ("answers", "rows", "outcome"),
    [
        pytest.param([True], [], (True, NEW), id="applied"),
        pytest.param([False], [OTHER], (False, OTHER), id="refused"),
        pytest.param([False], [NEW], (False, NEW), id="refused by a row that is the same"),
        pytest.param([None], [NEW], (True, NEW), id="in doubt, and it is there"),
        pytest.param([None, True], [OLD], (True, NEW), id="in doubt, not there, made again"),
        pytest.param([None, False], [OLD, NEW], (True, NEW), id="the lost request arrived before the second"),
        pytest.param([None, None, True], [OLD, OLD], (True, NEW), id="in doubt twice"),
        pytest.param([None], [OTHER], None, id="in doubt, and another has followed or was quicker"),
        pytest.param([None], [None], None, id="in doubt, and the row is gone"),
        pytest.param([None, False], [OLD, OTHER], None, id="in doubt, then refused by another"),
        pytest.param([None] * SWAP_ATTEMPTS, [OLD] * SWAP_ATTEMPTS, None, id="always in doubt"),
    ],
)
def test_a_swap_in_doubt_is_looked_after(answers, rows, outcome):
    tables = Scripted(answers, rows)
    if outcome is None:
        with pytest.raises(RetryError):
            tables.compare_and_set(NEW, expect={"version": 1})
    else:
        swap = tables.compare_and_set(NEW, expect={"version": 1})
        assert (swap.applied, swap.current) == outcome
    assert (tables.answers, tables.rows) == ([], [])


@pytest.mark.parametrize(
    ("raised", "decision"),
    [
        (NoHostAvailable("none", {}), OutageError),
        (NoHostAvailable("none", ["127.0.0.1"]), OutageError),
        (Unavailable("too few", consistency=6, required_replicas=2, alive_replicas=1), OutageError),
        (UnresolvableContactPoints({}), OutageError),
        (WriteTimeout("late", write_type=5), InDoubtError),
        (OperationTimedOut(), InDoubtError),
        (ConnectionShutdown("gone"), InDoubtError),
        (ServerError(0, "broken", None), InDoubtError),
        (InvalidRequest("Key length of 70000 is longer than maximum of 65535"), DeadLetterError),
        (InvalidRequest("CQL Message of size 9 bytes exceeds allowed maximum of 8 bytes"), DeadLetterError),
        (InvalidRequest("unconfigured table findings"), StopError),
        (Unauthorized("not yours"), StopError),
    ],
)
def test_an_error_of_the_driver_becomes_a_decision_without_its_words(raised, decision):
    tables = CassandraTables(settings())
    with pytest.raises(decision) as caught, tables._decided():
        raise raised

    assert type(caught.value) is decision
    assert all(word not in str(caught.value) for word in ("70000", "findings", "yours", "late"))


@pytest.mark.parametrize(
    ("is_up", "is_sought", "kept"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_a_connection_that_nobody_restores_is_opened_anew(is_up, is_sought, kept):
    closed = []
    host = SimpleNamespace(is_up=is_up, is_currently_reconnecting=lambda: is_sought)
    cluster = SimpleNamespace(
        metadata=SimpleNamespace(all_hosts=lambda: [host]), shutdown=lambda: closed.append(True)
    )
    tables = CassandraTables(settings())
    tables._session = SimpleNamespace(cluster=cluster)

    with pytest.raises(OutageError), tables._decided():
        raise NoHostAvailable("none", {})

    assert (tables._session is not None, closed) == (kept, [] if kept else [True])


def test_where_no_session_opens_nothing_of_the_cluster_stays(monkeypatch):
    closed = []

    def refused():
        raise NoHostAvailable("none", ["127.0.0.1"])

    cluster = SimpleNamespace(connect=refused, shutdown=lambda: closed.append(True))
    monkeypatch.setattr("runtime.tables._cluster", lambda settings: cluster)

    with pytest.raises(OutageError):
        CassandraTables(settings()).get(ReviewRow, site="s", study="x")

    assert closed == [True]


@pytest.mark.parametrize("ask", ["on_read_timeout", "on_write_timeout"])
def test_a_plain_request_is_made_once_more_after_a_timeout(ask):
    policy = OnceMore()

    assert getattr(policy, ask)(None, retry_num=0, consistency=6) == (RetryPolicy.RETRY, None)
    assert getattr(policy, ask)(None, retry_num=1, consistency=6) == (RetryPolicy.RETHROW, None)
