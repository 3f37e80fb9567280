"""Tables on SQLite with Cassandra's rules; the rules themselves are in `cells.py`.

A write is like CQL's INSERT: it leaves a row marker, so a row written once exists, all its columns null or not, until it is
deleted. A compare-and-set is like `UPDATE ... IF`: it leaves no marker, so a row whose columns are all null again is gone.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from runtime.columns import (
    Value,
    column_types,
    deleted_key,
    expected_values,
    inserted_values,
    key_values,
    place_values,
    query_values,
    row_key,
    swapped_values,
    written_values,
)
from runtime.embedded.cells import (
    State,
    deleted,
    dump_cells,
    dump_values,
    inserted,
    load_cells,
    load_values,
)
from runtime.embedded.database import Database
from runtime.ports import Swap
from schemas.tables import Row, TableSpec

R = TypeVar("R", bound=Row)

_SQL_TYPES: dict[type[Value], str] = {str: "TEXT", int: "INTEGER", bool: "INTEGER", bytes: "BLOB"}
"""Types of key columns. SQLite orders text by its UTF-8 bytes, as Cassandra does.

Floats make no key: SQLite has no NaN.
"""

_STATE = "marker, deleted, cells, swapped"


class EmbeddedTables:
    """The tables port on one SQLite file, whichever row classes come."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder / "tables.db")

    def create(self, row_types: Sequence[type[Row]]) -> None:
        """Create the tables that do not exist yet."""
        for row_type in row_types:
            spec = row_type.TABLE
            columns = ", ".join(
                f"{_quoted(name)} {_SQL_TYPES[column_types(row_type)[name]]} NOT NULL" for name in spec.key
            )
            key = ", ".join(
                [_quoted(name) for name in spec.partition]
                + [f"{_quoted(one.name)} {'DESC' if one.descending else 'ASC'}" for one in spec.clustering]
            )
            with self._database.transaction():
                self._database.run(
                    f"CREATE TABLE IF NOT EXISTS {_quoted(spec.name)} ({columns}, live INTEGER NOT NULL,"
                    f" marker INTEGER, deleted INTEGER, cells TEXT NOT NULL, swapped TEXT NOT NULL,"
                    f" PRIMARY KEY ({key})) WITHOUT ROWID"
                )
                # Reads step over deleted rows without seeing them, however many an emptied queue left.
                self._database.run(
                    f"CREATE INDEX IF NOT EXISTS {_quoted(spec.name + '_live')} ON {_quoted(spec.name)} ({key})"
                    " WHERE live = 1"
                )

    def get(self, row_type: type[R], **key: Any) -> R | None:
        """Read one row by its whole primary key."""
        values = key_values(row_type, key)
        state = self._load(row_type.TABLE, values)
        return _row(row_type, values, state) if state.exists else None

    def select(
        self, row_type: type[R], *, limit: int = 1000, after: Sequence[Any] | None = None, **prefix: Any
    ) -> list[R]:
        """Read rows of one partition in clustering order."""
        spec = row_type.TABLE
        named = query_values(row_type, prefix)
        where = [f"{_quoted(name)} = ?" for name in named]
        values = list(named.values())
        if after is not None:
            clause, bounds = _beyond(row_type, after)
            where.append(clause)
            values += bounds
        order = ", ".join(
            f"{_quoted(one.name)} {'DESC' if one.descending else 'ASC'}" for one in spec.clustering
        )
        statement = (
            f"SELECT {', '.join(map(_quoted, spec.key))}, {_STATE} FROM {_quoted(spec.name)}"  # noqa: S608 our own names
            f" INDEXED BY {_quoted(spec.name + '_live')} WHERE live = 1 AND {' AND '.join(where)}"
        )
        found = self._database.rows(
            f"{statement} {f'ORDER BY {order}' if order else ''} LIMIT ?", [*values, limit]
        )
        width = len(spec.key)
        return [_row(row_type, row[:width], _state(row[width:])) for row in found]

    def write(self, row: Row, *, at: int, columns: Sequence[str] | None = None) -> None:
        """Write plain columns with the time of the decision.

        Raises
        ------
        ValueError
            A named column is part of the key, unknown, or changes by compare-and-set only.
        """
        key, values = row_key(row), written_values(row, columns)
        with self._database.transaction():
            self._store(row.TABLE, key, inserted(self._load(row.TABLE, key), values, at))

    def delete(self, row_type: type[Row], *, at: int, **key: Any) -> None:
        """Delete a row as of a time.

        Raises
        ------
        ValueError
            The table has columns under compare-and-set.
        """
        values = deleted_key(row_type, key)
        with self._database.transaction():
            self._store(row_type.TABLE, values, deleted(self._load(row_type.TABLE, values), at))

    def insert_if_absent(self, row: R) -> Swap[R]:
        """Set the row's columns under compare-and-set unless one of them has a value; plain columns stay as they are.

        Raises
        ------
        ValueError
            The table has no such columns, or the row gives them no value.
        """
        return self._swap(row, inserted_values(row), None)

    def compare_and_set(self, row: R, *, expect: Mapping[str, Any]) -> Swap[R]:
        """Set all of the row's columns under compare-and-set if the named ones have the expected values (None: none).

        Raises
        ------
        ValueError
            Nothing is expected, or of a column that does not change by compare-and-set.
        """
        return self._swap(row, swapped_values(row), expected_values(row, expect))

    def purge(self, row_types: Sequence[type[Row]], *, before: int) -> int:
        """Forget deleted rows whose deletion is older than a time (UTC microseconds), as compaction does after its grace.

        A plain write older than its row's forgotten deletion would bring it back: keep longer than any redelivery lasts.
        """
        forgotten = 0
        for row_type in row_types:
            with self._database.transaction():
                statement = f"DELETE FROM {_quoted(row_type.TABLE.name)} WHERE live = 0 AND deleted < ?"  # noqa: S608 as above
                forgotten += self._database.run(statement, (before,))
        return forgotten

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def _swap(
        self, row: R, wanted: Mapping[str, Value], expect: Mapping[str, Value | None] | None
    ) -> Swap[R]:
        key = row_key(row)
        with self._database.transaction():
            state = self._load(row.TABLE, key)
            met = (
                not state.swapped
                if expect is None
                else all(state.swapped.get(name) == value for name, value in expect.items())
            )
            if met:
                self._store(row.TABLE, key, State(state.marker, state.deleted, state.cells, wanted))
        if met:
            return Swap(True, row)
        return Swap(False, _row(type(row), key, state) if state.exists else None)

    def _load(self, spec: TableSpec, key: Sequence[Value]) -> State:
        where = " AND ".join(f"{_quoted(name)} = ?" for name in spec.key)
        found = self._database.row(f"SELECT {_STATE} FROM {_quoted(spec.name)} WHERE {where}", key)  # noqa: S608 as above
        return State() if found is None else _state(found)

    def _store(self, spec: TableSpec, key: Sequence[Value], state: State) -> None:
        values = (
            *key, state.exists, state.marker, state.deleted, dump_cells(state.cells), dump_values(state.swapped)
        )  # fmt: skip
        self._database.run(
            f"INSERT OR REPLACE INTO {_quoted(spec.name)}"  # noqa: S608 as above
            f" ({', '.join(map(_quoted, spec.key))}, live, {_STATE})"
            f" VALUES ({', '.join('?' * len(values))})",
            values,
        )


def _quoted(name: str) -> str:
    """Quote a name for SQL; names come from `schemas.rows`, and some are SQL's own words."""
    return f'"{name}"'


def _beyond(row_type: type[Row], after: Sequence[Any]) -> tuple[str, list[Value]]:
    """Condition for rows behind a clustering position, each column in its own direction."""
    clustering = row_type.TABLE.clustering
    values = list(place_values(row_type, after).values())
    clauses, bounds = [], []
    for index, one in enumerate(clustering):
        equal = [f"{_quoted(earlier.name)} = ?" for earlier in clustering[:index]]
        clauses.append(" AND ".join([*equal, f"{_quoted(one.name)} {'<' if one.descending else '>'} ?"]))
        bounds += values[: index + 1]
    return f"({' OR '.join(f'({clause})' for clause in clauses)})", bounds


def _state(stored: Sequence[Any]) -> State:
    marker, removed, cells, swapped = stored
    return State(marker, removed, load_cells(cells), load_values(swapped))


def _row(row_type: type[R], key: Sequence[Any], state: State) -> R:
    """Build a row; stored columns that the class has no more are passed over."""
    hints = column_types(row_type)
    names = row_type.TABLE.key
    values: dict[str, Any] = {
        name: bool(value) if hints[name] is bool else value for name, value in zip(names, key, strict=True)
    }
    values |= {name: value for name, value in state.values().items() if name in hints}
    return typing.cast("Any", row_type)(**values)  # type: ignore[no-any-return]  # typing knows no way from a row class to its fields
