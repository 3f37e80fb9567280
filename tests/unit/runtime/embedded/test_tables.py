from __future__ import annotations

import pytest

from runtime.embedded.tables import EmbeddedTables
from runtime.errors import StopError
from schemas.rows import DeadlineRow, ReviewRow, StudyRow


@pytest.fixture
def tables(tmp_path):
    opened = EmbeddedTables(tmp_path)
    opened.create([DeadlineRow, ReviewRow])
    return opened


def deadline(number):
    return {"consumer": "c", "shard": 0, "due_at": number, "site": "s", "study": "x", "name": "n"}


def test_a_table_that_nobody_created_stops_the_process(tables):
    with pytest.raises(StopError):
        tables.get(StudyRow, site="s", study="x")


def test_purging_forgets_old_deletions_and_nothing_else(tables):
    for number in range(6):
        tables.write(DeadlineRow(**deadline(number)), at=1)
    for number in range(4):
        tables.delete(DeadlineRow, at=number + 2, **deadline(number))

    assert tables.purge([DeadlineRow, ReviewRow], before=4) == 2

    assert [row.due_at for row in tables.select(DeadlineRow, consumer="c", shard=0)] == [4, 5]
    tables.write(DeadlineRow(**deadline(0)), at=1)
    tables.write(DeadlineRow(**deadline(2)), at=1)
    assert [row.due_at for row in tables.select(DeadlineRow, consumer="c", shard=0)] == [0, 4, 5]


def test_a_page_of_a_queue_reads_living_rows_only(tables):
    plan = tables._database.rows(
        'EXPLAIN QUERY PLAN SELECT * FROM "deadlines" INDEXED BY "deadlines_live" WHERE live = 1 AND "consumer" = 1'
        ' AND "shard" = 1 ORDER BY "due_at" ASC, "site" ASC, "study" ASC, "name" ASC LIMIT 1'
    )
    assert "deadlines_live" in plan[0][-1]
    assert len(plan) == 1


def test_a_row_whose_swapped_columns_are_all_null_is_gone(tables):
    tables.insert_if_absent(ReviewRow(site="s", study="x", version=1))
    assert tables.compare_and_set(ReviewRow(site="s", study="x"), expect={"version": 1}).applied
    assert tables.get(ReviewRow, site="s", study="x") is None
    assert tables.insert_if_absent(ReviewRow(site="s", study="x", version=2)).applied


@pytest.mark.parametrize("row", [ReviewRow(site="s", study="x"), DeadlineRow(**deadline(1))])
def test_inserting_nothing_is_refused(tables, row):
    with pytest.raises(ValueError):
        tables.insert_if_absent(row)
