"""What every implementation of the tables port does, as Cassandra does it. A subclass supplies the fixture `opener`.

Rows are those of `schemas.rows`; every test has a site of its own, so that one server serves all tests.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runtime.ports import Tables
from schemas.rows import (
    ROW_TYPES,
    DeadlineRow,
    FindingRow,
    ReceivedInstanceRow,
    ReviewRow,
    StudyRow,
    VaultEntryRow,
    WorklistItemRow,
)
from schemas.tables import Row
from tests.support.port_driver import Opener, driver

Write = Callable[[Tables, str, str], None]


def put(at: int, columns: Sequence[str] | None = None, **values: Any) -> Write:
    def write(tables: Tables, site: str, study: str) -> None:
        tables.write(StudyRow(site=site, study=study, **values), at=at, columns=columns)

    return write


def remove(at: int) -> Write:
    return lambda tables, site, study: tables.delete(StudyRow, at=at, site=site, study=study)


HISTORIES = [
    pytest.param([put(1, status="old"), put(2, status="new")], {"status": "new"}, id="the later wins"),
    pytest.param(
        [put(1, status="a", revision=1), put(2, revision=2), put(3, status="c")],
        {"status": "c", "revision": 2},
        id="each column by itself",
    ),
    pytest.param(
        [put(-5, status="older"), put(-4, status="newer")], {"status": "newer"}, id="times before 1970"
    ),
    pytest.param([put(1, status="a"), put(1, status="b")], {"status": "b"}, id="a tie: the greater text"),
    pytest.param(
        [put(1, status="a"), put(1, status="aa")], {"status": "aa"}, id="a tie: a prefix is smaller"
    ),
    pytest.param(
        [put(1, status="z"), put(1, status="é")], {"status": "é"}, id="a tie: text by its UTF-8 bytes"
    ),
    pytest.param(
        [put(1, status=""), put(1, status="a")], {"status": "a"}, id="a tie: empty text is smallest"
    ),
    pytest.param([put(1, revision=9), put(1, revision=10)], {"revision": 10}, id="a tie: the greater number"),
    pytest.param(
        [put(1, revision=-1), put(1, revision=1)],
        {"revision": -1},
        id="a tie: negative numbers are greater bytes",
    ),
    pytest.param(
        [put(1, weight=-0.5), put(1, weight=0.5)], {"weight": -0.5}, id="a tie: the sign is the first bit"
    ),
    pytest.param(
        [put(1, synthetic=True), put(1, synthetic=False)], {"synthetic": True}, id="a tie: true is greater"
    ),
    pytest.param([put(1, status="a"), put(1, ["status"])], {}, id="a tie: a null wins over a value"),
    pytest.param([put(1, status="a"), put(2, ["status"])], {}, id="a later null hides the value"),
    pytest.param(
        [put(2, status="a"), put(1, ["status"])], {"status": "a"}, id="an earlier null hides nothing"
    ),
    pytest.param(
        [put(1, ["status", "revision"], revision=3), put(2, status="a")],
        {"revision": 3, "status": "a"},
        id="a null leaves its neighbours",
    ),
    pytest.param([put(1, status="a"), remove(2)], None, id="a row deleted later is gone"),
    pytest.param([put(1, status="a"), remove(1)], None, id="a row deleted at the same time is gone"),
    pytest.param([put(2, status="a"), remove(1)], {"status": "a"}, id="a row deleted earlier stays"),
    pytest.param(
        [put(1, revision=1), remove(2), put(3, status="a")],
        {"status": "a"},
        id="only what came after the deletion",
    ),
    pytest.param(
        [put(1, revision=1), remove(2), put(3, [])], {}, id="a key written after the deletion is a row"
    ),
    pytest.param([remove(5), remove(2), put(3, status="a")], None, id="of two deletions the later counts"),
    pytest.param([remove(3), put(4, ["status"])], {}, id="a null written after the deletion is a row"),
]


def expected(site: str, study: str, columns: dict[str, Any] | None) -> StudyRow | None:
    return None if columns is None else StudyRow(site=site, study=study, **columns)


PLAIN_ROWS: list[tuple[Row, dict[str, Any]]] = [
    (StudyRow(site="s", study="x", revision=-(2**31), weight=0.1, synthetic=False, reason="é\0\n'\""), {}),
    (StudyRow(site="s", study="x", received_at=2**63 - 1, weight=-0.0, demonstration=True, reason=""), {}),
    (VaultEntryRow(site="s", subject="x", key_id="k", ciphertext=bytes(range(256))), {}),
    (VaultEntryRow(site="s", subject="x", ciphertext=b""), {}),
]


class TablesConformance:
    """Run by every implementation."""

    @pytest.fixture
    def tables(self, opener: Opener) -> Tables:
        opened: Tables = opener.open()
        opened.create(ROW_TYPES)
        return opened

    @pytest.fixture
    def site(self) -> str:
        return f"site-{uuid.uuid4().hex}"

    def test_creating_tables_again_keeps_their_rows(self, tables, site):
        tables.write(StudyRow(site=site, study="x", status="a"), at=1)
        tables.create(ROW_TYPES)
        assert tables.get(StudyRow, site=site, study="x") == StudyRow(site=site, study="x", status="a")

    def test_a_row_that_was_never_written_is_none(self, tables, site):
        assert tables.get(StudyRow, site=site, study="x") is None
        assert tables.select(FindingRow, site=site, study="x") == []

    @pytest.mark.parametrize("number", range(len(PLAIN_ROWS)))
    def test_values_come_back_as_they_were(self, tables, site, number):
        template, _ = PLAIN_ROWS[number]
        row = type(template)(
            **{name: getattr(template, name) for name in template.__slots__} | {"site": site}
        )
        tables.write(row, at=1)
        found = tables.get(type(row), **{name: getattr(row, name) for name in row.TABLE.key})
        assert found == row
        assert {name: type(getattr(found, name)) for name in row.__slots__} == {
            name: type(getattr(row, name)) for name in row.__slots__
        }

    @pytest.mark.parametrize(("writes", "columns"), HISTORIES)
    def test_the_order_of_arrival_changes_nothing(self, tables, site, writes, columns):
        for number, order in enumerate(itertools.permutations(writes)):
            for write in order:
                write(tables, site, f"{number}")
            assert tables.get(StudyRow, site=site, study=f"{number}") == expected(site, f"{number}", columns)

    @pytest.mark.parametrize(("writes", "columns"), HISTORIES)
    def test_writing_everything_twice_changes_nothing(self, tables, site, writes, columns):
        for write in [*writes, *writes]:
            write(tables, site, "x")
        assert tables.get(StudyRow, site=site, study="x") == expected(site, "x", columns)

    def test_a_write_leaves_columns_alone_that_it_does_not_name(self, tables, site):
        tables.write(StudyRow(site=site, study="x", status="a", revision=1), at=1)
        tables.write(StudyRow(site=site, study="x", status="b", revision=2), at=2, columns=["revision"])
        assert tables.get(StudyRow, site=site, study="x") == StudyRow(
            site=site, study="x", status="a", revision=2
        )

    def test_a_row_of_nothing_but_its_key_exists(self, tables, site):
        tables.write(FindingRow(site=site, study="x", revision=1, finding="f"), at=1)
        assert tables.select(FindingRow, site=site, study="x") == [
            FindingRow(site=site, study="x", revision=1, finding="f")
        ]

    def test_a_deleted_row_is_in_no_page(self, tables, site):
        for finding in "abc":
            tables.write(FindingRow(site=site, study="x", revision=1, finding=finding), at=1)
        tables.delete(FindingRow, at=2, site=site, study="x", revision=1, finding="b")
        assert [row.finding for row in tables.select(FindingRow, site=site, study="x")] == ["a", "c"]
        assert [row.finding for row in tables.select(FindingRow, site=site, study="x", limit=2)] == ["a", "c"]

    @pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
    def test_pages_follow_each_other_in_clustering_order(self, tables, site, page):
        keys = [(revision, finding) for revision in (3, 10, -1) for finding in ("b", "a", "Z", "é", "")]
        for revision, finding in keys:
            tables.write(FindingRow(site=site, study="x", revision=revision, finding=finding), at=1)
        tables.write(FindingRow(site=site, study="other", revision=5, finding="a"), at=1)
        seen: list[tuple[int, str]] = []
        after = None
        while rows := tables.select(FindingRow, limit=page, after=after, site=site, study="x"):
            assert len(rows) <= page
            after = (rows[-1].revision, rows[-1].finding)
            seen += [(row.revision, row.finding) for row in rows]
        assert seen == sorted(keys, key=lambda key: (-key[0], key[1].encode()))

    def test_a_query_may_name_the_first_clustering_columns(self, tables, site):
        for revision, finding in itertools.product((1, 2), "abc"):
            tables.write(FindingRow(site=site, study="x", revision=revision, finding=finding), at=1)
        rows = tables.select(FindingRow, site=site, study="x", revision=2)
        assert [(row.revision, row.finding) for row in rows] == [(2, "a"), (2, "b"), (2, "c")]
        beyond = tables.select(FindingRow, after=(2, "a"), limit=1, site=site, study="x", revision=2)
        assert [row.finding for row in beyond] == ["b"]

    def test_a_timer_is_found_in_the_order_of_its_time(self, tables, site):
        for due_at, study in ((30, "a"), (10, "b"), (20, "c"), (10, "a")):
            tables.write(
                DeadlineRow(consumer=site, shard=0, due_at=due_at, site="s", study=study, name="n"), at=1
            )
        first = tables.select(DeadlineRow, limit=2, consumer=site, shard=0)
        assert [(row.due_at, row.study) for row in first] == [(10, "a"), (10, "b")]
        last = first[-1]
        later = tables.select(
            DeadlineRow, after=(last.due_at, last.site, last.study, last.name), consumer=site, shard=0
        )
        assert [(row.due_at, row.study) for row in later] == [(20, "c"), (30, "a")]

    def test_partitions_are_apart(self, tables, site):
        for shard in (0, 1, -1):
            tables.write(WorklistItemRow(site=site, shard=shard, study="x", revision=shard), at=1)
        found = [
            row.revision
            for shard in (0, 1, -1)
            for row in tables.select(WorklistItemRow, site=site, shard=shard)
        ]
        assert found == [0, 1, -1]

    @pytest.mark.parametrize(
        ("row_type", "query"),
        [
            pytest.param(FindingRow, {"site": "s"}, id="half a partition key"),
            pytest.param(
                FindingRow, {"site": "s", "study": "x", "finding": "f"}, id="a gap in the clustering"
            ),
            pytest.param(
                FindingRow, {"site": "s", "study": "x", "status": "f"}, id="a column that is no key"
            ),
            pytest.param(
                FindingRow, {"site": "s", "study": "x", "after": (1,)}, id="half a place to go on from"
            ),
        ],
    )
    def test_a_query_that_is_not_one_partition_read_is_refused(self, tables, row_type, query):
        with pytest.raises(ValueError):
            tables.select(row_type, **query)

    @pytest.mark.parametrize("key", [{"site": "s"}, {"site": "s", "study": "x", "revision": 1}])
    def test_a_row_is_read_by_its_whole_key(self, tables, key):
        with pytest.raises(ValueError):
            tables.get(FindingRow, **key)

    @pytest.mark.parametrize("columns", [["site"], ["nonsense"], ["status", "study"]])
    def test_a_write_names_plain_columns_only(self, tables, site, columns):
        with pytest.raises(ValueError):
            tables.write(StudyRow(site=site, study="x", status="a"), at=1, columns=columns)

    def test_a_column_under_compare_and_set_takes_no_plain_write(self, tables, site):
        with pytest.raises(ValueError):
            tables.write(ReviewRow(site=site, study="x", version=1), at=1, columns=["version"])
        assert tables.get(ReviewRow, site=site, study="x") is None

    def test_a_row_under_compare_and_set_cannot_be_deleted(self, tables, site):
        with pytest.raises(ValueError):
            tables.delete(ReviewRow, at=1, site=site, study="x")

    def test_a_value_of_another_type_is_refused(self, tables, site):
        with pytest.raises(TypeError):
            tables.write(StudyRow(site=site, study="x", revision="1"), at=1)  # type: ignore[arg-type]  # on purpose

    def test_only_the_first_insert_is_applied(self, tables, site):
        first, second = (ReviewRow(site=site, study="x", version=number, status="s") for number in (1, 2))
        assert tables.insert_if_absent(first) == type(tables.insert_if_absent(second))(
            applied=True, current=first
        )
        swap = tables.insert_if_absent(second)
        assert (swap.applied, swap.current) == (False, first)
        assert tables.get(ReviewRow, site=site, study="x") == first

    def test_a_swap_needs_the_expected_values(self, tables, site):
        tables.insert_if_absent(ReviewRow(site=site, study="x", version=1, status="a"))
        refused = tables.compare_and_set(
            ReviewRow(site=site, study="x", version=3), expect={"version": 1, "status": "b"}
        )
        assert (refused.applied, refused.current) == (
            False,
            ReviewRow(site=site, study="x", version=1, status="a"),
        )
        wanted = ReviewRow(site=site, study="x", version=2, claimed_by="r")
        swap = tables.compare_and_set(wanted, expect={"version": 1, "claimed_by": None})
        assert (swap.applied, swap.current) == (True, wanted)
        assert tables.get(ReviewRow, site=site, study="x") == wanted

    def test_a_swap_of_a_row_that_is_not_there_is_refused(self, tables, site):
        swap = tables.compare_and_set(ReviewRow(site=site, study="x", version=2), expect={"version": 1})
        assert (swap.applied, swap.current) == (False, None)
        assert tables.get(ReviewRow, site=site, study="x") is None

    @pytest.mark.parametrize("expect", [{}, {"site": "s"}, {"nonsense": 1}])
    def test_a_swap_expects_something_of_its_own_columns(self, tables, site, expect):
        with pytest.raises(ValueError):
            tables.compare_and_set(ReviewRow(site=site, study="x", version=2), expect=expect)

    def test_plain_columns_and_swapped_ones_do_not_disturb_each_other(self, tables, site):
        key = {"site": site, "study": "x", "instance": "i", "raw_digest": "d"}
        tables.write(ReceivedInstanceRow(**key, published_at=7), at=1)
        assert tables.insert_if_absent(ReceivedInstanceRow(**key, series="s", size=3)).applied
        assert tables.get(ReceivedInstanceRow, **key) == ReceivedInstanceRow(
            **key, series="s", size=3, published_at=7
        )
        assert tables.compare_and_set(ReceivedInstanceRow(**key, series="t"), expect={"series": "s"}).applied
        tables.write(ReceivedInstanceRow(**key, published_at=8), at=2)
        assert tables.get(ReceivedInstanceRow, **key) == ReceivedInstanceRow(
            **key, series="t", published_at=8
        )

    def test_of_many_threads_one_creates_a_row(self, tables, site):
        rows = [ReviewRow(site=site, study="x", version=1, claimed_by=f"{number}") for number in range(16)]
        with ThreadPoolExecutor(8) as pool:
            swaps = list(pool.map(tables.insert_if_absent, rows))
        winner = tables.get(ReviewRow, site=site, study="x")
        assert [swap.current for swap in swaps] == [winner] * len(rows)
        assert sum(swap.applied for swap in swaps) == 1

    def test_of_several_processes_no_swap_is_lost(self, opener, tables, site):
        tables.insert_if_absent(ReviewRow(site=site, study="x", version=0))
        with driver(opener) as one, driver(opener) as two, driver(opener) as three:
            children = (one, two, three)
            for child in children:
                child.begin("count", site=site, study="x", times=40)
            told = [child.answer() for child in children]
        done, doubtful = (sum(counts) for counts in zip(*told, strict=True))
        assert done + doubtful == 120
        assert done > 60, "an answer is the rule, a doubt the exception"
        assert done <= tables.get(ReviewRow, site=site, study="x").version <= done + doubtful

    def test_a_killed_process_loses_no_swap_that_was_answered(self, opener, tables, site):
        tables.insert_if_absent(ReviewRow(site=site, study="x", version=0))
        with driver(opener) as child:
            child.begin("count", site=site, study="x", times=None)
            done, doubtful = child.answers_until_killed(25)[-1]
        assert done > doubtful, "an answer is the rule, a doubt the exception"
        version = tables.get(ReviewRow, site=site, study="x").version
        assert done <= version <= done + doubtful + 1
        assert tables.compare_and_set(
            ReviewRow(site=site, study="x", version=-1), expect={"version": version}
        ).applied

    def test_a_killed_process_loses_no_write_that_was_answered(self, opener, tables, site):
        with driver(opener) as child:
            child.begin("write_for_ever", site=site)
            answered = child.answers_until_killed(25)
        found = [tables.get(StudyRow, site=site, study=f"{number}") for number in answered]
        assert found == [StudyRow(site=site, study=f"{number}", revision=number) for number in answered]
