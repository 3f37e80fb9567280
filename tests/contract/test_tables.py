"""`tables.cql`, `rows.py` and `docs/tables.md` say the same."""

from __future__ import annotations

import dataclasses
import re
import typing

import pytest

from schemas import rows
from schemas.rows import ROW_TYPES
from tests.support.avro import SCHEMAS

CQL_TYPES = {"text": str, "int": int, "bigint": int, "double": float, "boolean": bool, "blob": bytes}

TABLE = re.compile(
    r"-- (?P<doc>[^\n]+)\n-- Query: (?P<query>[^\n]+)\n-- Writer: (?P<writer>[^\n]+)\n"
    r"CREATE TABLE IF NOT EXISTS (?P<name>\w+) \(\n(?P<body>.*?)\n\)(?P<order>[^;]*);",
    re.DOTALL,
)
COLUMN = re.compile(
    r"^    (?P<name>\w+) (?P<type>\w+), -- (?P<how>key|timestamp|cas)(?:: (?P<doc>.+))?$", re.MULTILINE
)
CQL = (SCHEMAS / "tables.cql").read_text("utf-8")
TABLES = {match["name"]: match for match in TABLE.finditer(CQL)}


def split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def test_every_table_is_a_row_class_and_the_other_way_round():
    assert CQL.count("CREATE TABLE") == len(TABLES)
    assert [row_type.TABLE.name for row_type in ROW_TYPES] == list(TABLES)
    assert set(ROW_TYPES) == {
        cls for cls in vars(rows).values() if isinstance(cls, type) and hasattr(cls, "TABLE")
    }


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.TABLE.name)
def test_columns_are_the_same_in_order_type_and_way_of_writing(row_type):
    body = TABLES[row_type.TABLE.name]["body"]
    columns = list(COLUMN.finditer(body))
    assert len(columns) == len(body.splitlines()) - 1, (
        "a column without its way of writing, or without its doc"
    )
    hints = typing.get_type_hints(row_type)
    spec = row_type.TABLE
    expected = []
    for column in dataclasses.fields(row_type):
        how = "key" if column.name in spec.key else "cas" if column.name in spec.cas else "timestamp"
        optional = how != "key"
        base = typing.get_args(hints[column.name])[0] if optional else hints[column.name]
        assert (column.default is None) == optional
        expected.append((column.name, base, how))
    assert [(one["name"], CQL_TYPES[one["type"]], one["how"]) for one in columns] == expected
    assert [one["name"] for one in columns if one["how"] != "key" and not one["doc"]] == []


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.TABLE.name)
def test_keys_and_their_order_are_the_same(row_type):
    table = TABLES[row_type.TABLE.name]
    spec = row_type.TABLE
    key = re.search(r"PRIMARY KEY \(\((.*?)\)(.*?)\)$", table["body"], re.MULTILINE)
    assert key is not None
    partition, rest = key.groups()
    assert split(partition) == spec.partition
    assert split(rest) == tuple(one.name for one in spec.clustering)
    order = re.search(r"CLUSTERING ORDER BY \((.*?)\)", table["order"])
    assert split(order[1] if order else "") == tuple(
        f"{one.name} {'DESC' if one.descending else 'ASC'}" for one in spec.clustering
    )


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.TABLE.name)
def test_each_table_has_its_writer(row_type):
    assert TABLES[row_type.TABLE.name]["writer"] == row_type.TABLE.writer


SHARED = {"quarantined_objects": "rows are immutable and each writer has ids of its own"}
"""Tables with more than one writer, and why no column has."""


def test_each_column_has_one_writer():
    several = {row_type.TABLE.name: row_type for row_type in ROW_TYPES if "," in row_type.TABLE.writer}
    assert several.keys() == SHARED.keys()
    for name, reason in SHARED.items():
        assert reason in TABLES[name]["doc"]


def test_the_page_shows_each_table_with_its_query_key_and_writer():
    text = (SCHEMAS.parent / "docs" / "tables.md").read_text("utf-8")
    shown = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines()
             if line.startswith("| ") and "`" in line]  # fmt: skip
    assert shown == [
        (
            TABLES[row_type.TABLE.name]["query"],
            f"`{row_type.TABLE.name}`",
            ", ".join(row_type.TABLE.partition),
            ", ".join(one.name + " ↓" * one.descending for one in row_type.TABLE.clustering) or "–",
            row_type.TABLE.writer,
        )
        for row_type in ROW_TYPES
    ]


@pytest.mark.parametrize("forbidden", ["ALLOW FILTERING", "CREATE INDEX", "MATERIALIZED VIEW", " counter"])
def test_no_table_needs_what_does_not_scale(forbidden):
    assert forbidden.lower() not in CQL.lower()
