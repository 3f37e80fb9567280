from __future__ import annotations

import pytest

from runtime import cql
from schemas.rows import ROW_TYPES, ClosedStudyRow, DeadlineRow, FindingRow, ReviewRow, StudyRow

PARTITION = {"site": "s", "study": "x"}
KEYS = ('"site" = ?', '"study" = ?')


def test_every_row_class_has_its_definition():
    assert set(cql.definitions()) == {row_type.TABLE.name for row_type in ROW_TYPES}
    assert all(text.startswith("(") and "--" not in text for text in cql.definitions().values())


def test_a_keyspace_has_copies_in_each_datacenter():
    assert cql.create_keyspace("k", {"west": 3, "east": 2}) == (
        "CREATE KEYSPACE IF NOT EXISTS \"k\" WITH replication = {'class': 'NetworkTopologyStrategy', 'east': 2, 'west': 3}"
    )


def test_a_table_keeps_its_clustering_order():
    text = cql.create_table("k", FindingRow)

    assert text.startswith('CREATE TABLE IF NOT EXISTS "k"."findings" (')
    assert text.endswith("WITH CLUSTERING ORDER BY (revision DESC, finding ASC)")


def test_a_plain_write_names_no_column_under_compare_and_set():
    assert not set(ReviewRow.TABLE.cas) & set(cql.insert("k", ReviewRow).replace('"', " ").split())
    assert cql.insert("k", StudyRow).endswith("USING TIMESTAMP ?")


def test_a_compare_and_set_carries_no_time():
    text = cql.update_if("k", ReviewRow, ["version", "status"])

    assert text.startswith('UPDATE "k"."reviews" SET "claimed_by" = ?, ')
    assert text.endswith('WHERE "site" = ? AND "study" = ? IF "version" = ? AND "status" = ?')
    assert "TIMESTAMP" not in text


@pytest.mark.parametrize(
    ("row_type", "named", "place", "parts"),
    [
        pytest.param(FindingRow, PARTITION, None, [(KEYS, ("s", "x"))], id="the first page"),
        pytest.param(
            FindingRow,
            PARTITION,
            {"revision": 3, "finding": "b"},
            [
                ((*KEYS, '"revision" = ?', '("finding") > (?)'), ("s", "x", 3, "b")),
                ((*KEYS, '("revision") < (?)'), ("s", "x", 3)),
            ],
            id="mixed orders: two queries",
        ),
        pytest.param(
            FindingRow,
            PARTITION | {"revision": 3},
            {"revision": 3, "finding": "b"},
            [((*KEYS, '"revision" = ?', '("finding") > (?)'), ("s", "x", 3, "b"))],
            id="in the named revision",
        ),
        pytest.param(
            FindingRow,
            PARTITION | {"revision": 2},
            {"revision": 3, "finding": "b"},
            [((*KEYS, '"revision" = ?'), ("s", "x", 2))],
            id="descending: 3 comes before 2",
        ),
        pytest.param(
            FindingRow,
            PARTITION | {"revision": 3},
            {"revision": 2, "finding": "b"},
            [],
            id="descending: 2 comes after 3",
        ),
        pytest.param(
            DeadlineRow,
            {"consumer": "c", "shard": 0},
            {"due_at": 1, "site": "s", "study": "x", "name": "n"},
            [
                (
                    ('"consumer" = ?', '"shard" = ?', '("due_at", "site", "study", "name") > (?, ?, ?, ?)'),
                    ("c", 0, 1, "s", "x", "n"),
                )
            ],
            id="one order: one comparison of tuples",
        ),
        pytest.param(
            ClosedStudyRow,
            {"site": "s", "day": "d", "signed_at": 1, "study": "é"},
            {"signed_at": 1, "study": "z"},
            [
                (
                    ('"site" = ?', '"day" = ?', '"signed_at" = ?', '"study" = ?'),
                    ("s", "d", 1, "é"),
                )
            ],
            id="text is ordered by its bytes",
        ),
        pytest.param(StudyRow, PARTITION, {}, [], id="behind the only row"),
    ],
)
def test_a_page_is_made_of_queries(row_type, named, place, parts):
    assert cql.page(row_type, named, place) == parts
