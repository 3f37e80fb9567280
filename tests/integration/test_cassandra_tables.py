from __future__ import annotations

import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from runtime.errors import OutageError, RetryError, StopError
from runtime.free_ports import free_ports
from runtime.settings import SecretReference
from runtime.tables import CassandraTables
from schemas.rows import ROW_TYPES, FindingRow, ReviewRow, StudyRow
from tests.contract.tables_conformance import TablesConformance
from tests.support.port_driver import ROOT, Opener


@pytest.fixture(scope="module")
def settings(servers):
    return servers.require("cassandra").cassandra.model_copy(update={"keyspace": "conformance"})


@pytest.fixture(scope="module")
def tables(settings):
    opened = CassandraTables(settings)
    opened.create(ROW_TYPES)
    yield opened
    opened.close()


@pytest.fixture
def site():
    return uuid.uuid4().hex


class TestCassandraTables(TablesConformance):
    @pytest.fixture
    def opener(self, settings):
        return Opener("tests.support.cluster_ports:tables", settings.model_dump_json())

    @pytest.fixture
    def tables(self, tables):
        return tables


@pytest.mark.parametrize(
    ("after", "named", "found"),
    [
        pytest.param((3, "b"), {}, ["3c", "2a", "2b", "2c", "1a", "1b", "1c"], id="inside a revision"),
        pytest.param((2, "c"), {}, ["1a", "1b", "1c"], id="at a revision's end"),
        pytest.param((3, "a"), {"revision": 2}, ["2a", "2b", "2c"], id="a place before the named revision"),
        pytest.param((1, "a"), {"revision": 2}, [], id="a place behind the named revision"),
        pytest.param((2, "b"), {"revision": 2, "finding": "b"}, [], id="the named row is the place"),
    ],
)
def test_a_page_begins_behind_a_place_where_orders_are_mixed(tables, site, after, named, found):
    for revision in (1, 2, 3):
        for finding in "abc":
            tables.write(FindingRow(site=site, study="x", revision=revision, finding=finding), at=1)

    rows = tables.select(FindingRow, after=after, site=site, study="x", **named)

    assert [f"{row.revision}{row.finding}" for row in rows] == found


def test_a_result_of_several_answers_is_whole(tables, site):
    for number in range(1200):
        tables.write(FindingRow(site=site, study="x", revision=1, finding=f"{number:04}"), at=1)

    rows = tables.select(FindingRow, site=site, study="x", limit=1100)

    assert [row.finding for row in rows] == [f"{number:04}" for number in range(1100)]


def test_a_number_that_the_column_cannot_hold_is_refused(tables, site):
    with pytest.raises(TypeError):
        tables.write(StudyRow(site=site, study="x", revision=2**31), at=1)


def test_nothing_is_created_anew_by_who_may_not(settings, tables):
    tables.create(ROW_TYPES)

    assert tables.get(StudyRow, site="nobody", study="x") is None


def test_a_wrong_password_stops(settings, tmp_path):
    (tmp_path / "secret").write_text("wrong")
    wrong = SecretReference(f"file:{tmp_path / 'secret'}")
    with pytest.raises(StopError):
        CassandraTables(settings.model_copy(update={"password": wrong})).get(StudyRow, site="s", study="x")


def test_a_missing_table_stops(settings):
    elsewhere = CassandraTables(settings.model_copy(update={"keyspace": "nobody_created_this"}))
    with pytest.raises(StopError):
        elsewhere.get(StudyRow, site="s", study="x")
    elsewhere.close()


def test_a_cluster_that_is_not_there_is_an_outage(settings):
    with pytest.raises(OutageError):
        CassandraTables(settings.model_copy(update={"port": free_ports(1)[0]})).get(
            StudyRow, site="s", study="x"
        )


def test_a_killed_server_is_an_outage_and_loses_nothing_that_was_answered(servers, settings, tables, site):
    tables.write(StudyRow(site=site, study="x", revision=1), at=1)
    first = ReviewRow(site=site, study="x", version=1, claimed_by="r")
    assert tables.insert_if_absent(first).applied

    servers.running.kill("cassandra")
    for call in (
        lambda: tables.get(StudyRow, site=site, study="x"),
        lambda: tables.write(StudyRow(site=site, study="y"), at=1),
        lambda: tables.compare_and_set(ReviewRow(site=site, study="x", version=2), expect={"version": 1}),
    ):
        with pytest.raises(OutageError):
            until_outage(call)
    servers.require("cassandra")

    assert until_answered(lambda: tables.get(StudyRow, site=site, study="x")) == StudyRow(
        site=site, study="x", revision=1
    )
    assert tables.get(ReviewRow, site=site, study="x") == first
    assert tables.compare_and_set(ReviewRow(site=site, study="x", version=2), expect={"version": 1}).applied


def test_a_killed_server_loses_no_swap_and_makes_none_twice(servers, tables, site):
    until_answered(lambda: tables.insert_if_absent(ReviewRow(site=site, study="x", version=0, history="")))

    def append(word):
        """Add a word to the history once, as a step does: in doubt, read what is there."""
        while True:
            row = until_answered(lambda: tables.get(ReviewRow, site=site, study="x"))
            if word in row.history.split():
                return
            wanted = ReviewRow(site=site, study="x", version=row.version + 1, history=f"{row.history} {word}")
            try:
                tables.compare_and_set(wanted, expect={"version": row.version})
            except RetryError:
                time.sleep(0.1)

    words = [f"w{number}" for number in range(80)]
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(append, word) for word in words]
        done[20].result()
        servers.running.kill("cassandra")
        servers.require("cassandra")
        for each in done:
            each.result()

    row = tables.get(ReviewRow, site=site, study="x")
    assert sorted(row.history.split()) == sorted(words)
    assert row.version == len(words)


def until_outage(call):
    """Call until the driver has noticed: a connection that breaks under a request leaves that one in doubt."""
    while True:
        try:
            call()
        except OutageError:
            raise
        except RetryError:
            time.sleep(0.1)


def until_answered(call):
    while True:
        try:
            return call()
        except RetryError:
            time.sleep(0.1)


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "left open"])
def test_a_process_ends_cleanly(settings, tables, closed):
    script = (
        "import sys\n"
        "from tests.support.cluster_ports import tables\n"
        "from schemas.rows import StudyRow\n"
        "opened = tables(sys.argv[1])\n"
        "opened.get(StudyRow, site='s', study='x')\n" + ("opened.close()\n" if closed else "")
    )
    ended = [
        subprocess.run(
            [sys.executable, "-c", script, settings.model_dump_json()],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        for _ in range(3)
    ]

    assert [(one.returncode, one.stderr) for one in ended] == [(0, b"")] * 3
