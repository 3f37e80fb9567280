"""The tables port in Cassandra's words: every statement's text, and which queries make one page. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources

from runtime.columns import Value, column_types, plain_columns
from schemas.tables import Clustering, Row

Part = tuple[tuple[str, ...], tuple[Value, ...]]
"""Conditions of one query, to be joined by AND, and the values of their question marks."""

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")


@cache
def definitions() -> dict[str, str]:
    """Each table's name and what follows `CREATE TABLE IF NOT EXISTS name` in `schemas/tables.cql`."""
    text = re.sub(r"--[^\n]*", "", resources.files("schemas").joinpath("tables.cql").read_text("utf-8"))
    found = {}
    for statement in text.split(";"):
        start = _TABLE.search(statement)
        if start is not None:
            found[start[1]] = statement[start.end() :].strip()
    return found


def create_keyspace(keyspace: str, replication: Mapping[str, int]) -> str:
    """Each datacenter keeps so many copies of every row."""
    copies = "".join(f", '{name}': {count}" for name, count in sorted(replication.items()))
    return (
        f"CREATE KEYSPACE IF NOT EXISTS {quoted(keyspace)}"
        f" WITH replication = {{'class': 'NetworkTopologyStrategy'{copies}}}"
    )


def create_table(keyspace: str, row_type: type[Row]) -> str:
    """The table as `tables.cql` has it, in a keyspace."""
    return f"CREATE TABLE IF NOT EXISTS {_table(keyspace, row_type)} {definitions()[row_type.TABLE.name]}"


def select(keyspace: str, row_type: type[Row], conditions: Iterable[str]) -> str:
    """Read whole rows in clustering order; the last value is the limit."""
    columns = ", ".join(map(quoted, column_types(row_type)))
    return f"SELECT {columns} FROM {_table(keyspace, row_type)} WHERE {' AND '.join(conditions)} LIMIT ?"  # noqa: S608 our own names


def insert(keyspace: str, row_type: type[Row]) -> str:
    """Write the key and every plain column (those left unset stay as they are); the last value is the time."""
    names = [*row_type.TABLE.key, *plain_columns(row_type)]
    return (
        f"INSERT INTO {_table(keyspace, row_type)} ({', '.join(map(quoted, names))})"  # noqa: S608 as above
        f" VALUES ({', '.join('?' * len(names))}) USING TIMESTAMP ?"
    )


def delete(keyspace: str, row_type: type[Row]) -> str:
    """Delete a row; the first value is the time."""
    return f"DELETE FROM {_table(keyspace, row_type)} USING TIMESTAMP ? WHERE {key_condition(row_type)}"  # noqa: S608 as above


def update_if(keyspace: str, row_type: type[Row], expected: Iterable[str]) -> str:
    """Set every column under compare-and-set if the named ones have the values that come last, in that order.

    `UPDATE`, not `INSERT ... IF NOT EXISTS`: a plain write that came first must not stand in the way.
    """
    columns = ", ".join(f"{quoted(name)} = ?" for name in sorted(row_type.TABLE.cas))
    conditions = " AND ".join(f"{quoted(name)} = ?" for name in expected)
    return (
        f"UPDATE {_table(keyspace, row_type)} SET {columns} WHERE {key_condition(row_type)} IF {conditions}"  # noqa: S608 as above
    )


def key_condition(row_type: type[Row]) -> str:
    """One row."""
    return " AND ".join(f"{quoted(name)} = ?" for name in row_type.TABLE.key)


def page(row_type: type[Row], named: Mapping[str, Value], place: Mapping[str, Value] | None) -> list[Part]:
    """Queries whose rows, one query after the other, are those behind a place in clustering order.

    A comparison of tuples follows values, not the clustering's direction, so it serves columns of one direction only. With
    `revision DESC, finding ASC` the rows behind (3, b) are first those of revision 3 behind b, then those below revision 3.

    Parameters
    ----------
    row_type
        The table.
    named
        Columns that the query names, in the key's order.
    place
        Clustering values to go on after; None for the first page.
    """
    fixed = (tuple(f"{quoted(name)} = ?" for name in named), tuple(named.values()))
    if place is None:
        return [fixed]
    rest = []
    for one in row_type.TABLE.clustering:
        if one.name not in named:
            rest.append(one)
        elif named[one.name] != place[one.name]:
            return [fixed] if _is_before(place[one.name], named[one.name]) != one.descending else []
    runs = [list(run) for _, run in itertools.groupby(rest, key=lambda one: one.descending)]
    return [_behind(fixed, runs[: last + 1], place) for last in reversed(range(len(runs)))]


def quoted(name: str) -> str:
    """A name in CQL; names come from `schemas.rows` and the settings."""
    return f'"{name}"'


def _behind(fixed: Part, runs: Sequence[Sequence[Clustering]], place: Mapping[str, Value]) -> Part:
    """Rows that equal the place in all runs but the last, and are behind it there."""
    *equal, last = runs
    conditions = [f"{quoted(one.name)} = ?" for run in equal for one in run]
    names = ", ".join(quoted(one.name) for one in last)
    sign = "<" if last[0].descending else ">"
    conditions.append(f"({names}) {sign} ({', '.join('?' * len(last))})")
    values = [place[one.name] for run in runs for one in run]
    return (*fixed[0], *conditions), (*fixed[1], *values)


def _is_before(one: Value, other: Value) -> bool:
    """Whether Cassandra sorts a clustering value before another of its column: text by its UTF-8 bytes, all else by value."""
    if isinstance(one, str) and isinstance(other, str):
        return one.encode() < other.encode()
    return bool(one < other)  # type: ignore[operator]  # values of one column are of one type


def _table(keyspace: str, row_type: type[Row]) -> str:
    return f"{quoted(keyspace)}.{quoted(row_type.TABLE.name)}"
