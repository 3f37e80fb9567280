from __future__ import annotations

import sqlite3

import pytest

from runtime.embedded import database
from runtime.embedded.database import Database
from runtime.errors import RetryError, StopError

SCHEMA = "CREATE TABLE IF NOT EXISTS t (a INTEGER)"


def test_a_block_that_raises_leaves_nothing(tmp_path):
    one = Database(tmp_path / "x.db", SCHEMA)
    with pytest.raises(KeyError), one.transaction():  # noqa: PT012 the block is what is tested
        one.run("INSERT INTO t VALUES (1)")
        raise KeyError
    assert one.rows("SELECT * FROM t") == []


def test_a_writer_that_waits_too_long_is_told_to_try_again(tmp_path, monkeypatch):
    one = Database(tmp_path / "x.db", SCHEMA)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    two = Database(tmp_path / "x.db")
    with one.transaction(), pytest.raises(RetryError), two.transaction():
        two.run("INSERT INTO t VALUES (1)")
    with two.transaction():
        two.run("INSERT INTO t VALUES (2)")
    assert one.rows("SELECT * FROM t") == [(2,)]


def test_readers_do_not_wait_for_a_writer(tmp_path):
    one, two = Database(tmp_path / "x.db", SCHEMA), Database(tmp_path / "x.db")
    with one.transaction():
        one.run("INSERT INTO t VALUES (1)")
        assert two.rows("SELECT * FROM t") == []
    assert two.rows("SELECT * FROM t") == [(1,)]


def test_a_full_disk_is_told_to_try_again(tmp_path):
    one = Database(tmp_path / "x.db", SCHEMA)
    one.rows("PRAGMA max_page_count = 3")
    with pytest.raises(RetryError), one.transaction():  # noqa: PT012 as above
        one.run("CREATE TABLE big (a BLOB)")
        one.run("INSERT INTO big VALUES (zeroblob(100000))")
    assert one.rows("SELECT * FROM t") == []


def test_a_missing_table_stops_the_process(tmp_path):
    with pytest.raises(StopError):
        Database(tmp_path / "x.db").rows("SELECT * FROM nobody")


def test_a_damaged_file_stops_the_process(tmp_path):
    (tmp_path / "x.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(StopError):
        Database(tmp_path / "x.db", SCHEMA)


def test_a_statement_that_breaks_a_rule_says_so(tmp_path):
    one = Database(tmp_path / "x.db", "CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY)")
    with pytest.raises(sqlite3.IntegrityError), one.transaction():
        one.run("INSERT INTO t VALUES (1), (1)")


def test_the_version_changes_when_another_has_committed(tmp_path):
    one, two = Database(tmp_path / "x.db", SCHEMA), Database(tmp_path / "x.db")
    before = one.version()
    assert one.version() == before
    with two.transaction():
        two.run("INSERT INTO t VALUES (1)")
    assert one.version() != before
