"""What every implementation of the tables port asks of a row, a key and a query before it touches its engine."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from schemas.tables import Row

Value = str | int | float | bool | bytes
"""What a column may hold."""

INT64 = range(-(2**63), 2**63)
"""What a bigint holds."""


@cache
def column_types(row_type: type[Row]) -> dict[str, type[Value]]:
    """Type of each column, None left aside."""
    found = {}
    for name, hint in typing.get_type_hints(row_type).items():
        if typing.get_origin(hint) is typing.ClassVar:
            continue
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        found[name] = next(option for option in options if option is not type(None))
    return found


@cache
def plain_columns(row_type: type[Row]) -> tuple[str, ...]:
    """Columns that take plain writes."""
    spec = row_type.TABLE
    return tuple(name for name in column_types(row_type) if name not in spec.key and name not in spec.cas)


def checked(row_type: type[Row], name: str, value: Any) -> Value | None:
    """Return the value in the column's own type.

    Raises
    ------
    TypeError
        It has another type, or an integer is wider than 64 bits.
    """
    expected = column_types(row_type)[name]
    if value is None:
        return None
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected or (type(value) is int and value not in INT64):
        raise TypeError(f"{row_type.TABLE.name}.{name} takes {expected.__name__}, not {type(value).__name__}")
    found: Value = value
    return found


def key_part(row_type: type[Row], name: str, value: Any) -> Value:
    """One key value; Cassandra knows no null in a key, so None raises ValueError."""
    found = checked(row_type, name, value)
    if found is None:
        raise ValueError(f"{row_type.TABLE.name}.{name} is part of the key and cannot be null")
    return found


def key_values(row_type: type[Row], key: Mapping[str, Any]) -> tuple[Value, ...]:
    """Values of a whole primary key, in order; ValueError for any other set of names."""
    names = row_type.TABLE.key
    if key.keys() != set(names):
        raise ValueError(f"the key of {row_type.TABLE.name} is {', '.join(names)}")
    return tuple(key_part(row_type, name, key[name]) for name in names)


def row_key(row: Row) -> tuple[Value, ...]:
    """Values of a row's primary key, in order."""
    return key_values(type(row), {name: getattr(row, name) for name in row.TABLE.key})


def query_values(row_type: type[Row], prefix: Mapping[str, Any]) -> dict[str, Value]:
    """Values of a query's columns, in the key's order; ValueError unless they make one partition read."""
    spec = row_type.TABLE
    names = spec.key[: len(prefix)]
    if set(names) != prefix.keys() or not set(spec.partition) <= prefix.keys():
        raise ValueError(
            f"a query of {spec.name} names its whole partition key, then clustering columns in order"
        )
    return {name: key_part(row_type, name, prefix[name]) for name in names}


def place_values(row_type: type[Row], after: Sequence[Any]) -> dict[str, Value]:
    """Clustering values of the place a page begins after; ValueError unless they are all there."""
    clustering = row_type.TABLE.clustering
    if len(after) != len(clustering):
        raise ValueError(f"a page of {row_type.TABLE.name} begins after a whole clustering key")
    return {
        one.name: key_part(row_type, one.name, value) for one, value in zip(clustering, after, strict=True)
    }


def written_values(row: Row, columns: Sequence[str] | None) -> dict[str, Value | None]:
    """What a plain write sets: the named columns, by default all plain ones that are not None.

    Raises
    ------
    ValueError
        A named column is part of the key, unknown, or changes by compare-and-set only.
    """
    row_type = type(row)
    if columns is None:
        columns = [name for name in plain_columns(row_type) if getattr(row, name) is not None]
    refused = sorted(set(columns) - set(plain_columns(row_type)))
    if refused:
        raise ValueError(f"{row.TABLE.name} takes no plain write of {', '.join(refused)}")
    return {name: checked(row_type, name, getattr(row, name)) for name in columns}


def swapped_values(row: Row) -> dict[str, Value]:
    """Values of the row's columns under compare-and-set that are not null."""
    values = {name: checked(type(row), name, getattr(row, name)) for name in sorted(row.TABLE.cas)}
    return {name: value for name, value in values.items() if value is not None}


def inserted_values(row: Row) -> dict[str, Value]:
    """The same for a row to be created; ValueError where that would be nothing."""
    values = swapped_values(row)
    if not values:
        raise ValueError(f"{row.TABLE.name}: nothing to insert under compare-and-set")
    return values


def expected_values(row: Row, expect: Mapping[str, Any]) -> dict[str, Value | None]:
    """What a compare-and-set expects; ValueError if that is nothing, or of a column that does not change so."""
    if not expect or not expect.keys() <= row.TABLE.cas:
        raise ValueError(f"{row.TABLE.name}: expectations name columns that change by compare-and-set")
    return {name: checked(type(row), name, expect[name]) for name in expect}


def deleted_key(row_type: type[Row], key: Mapping[str, Any]) -> tuple[Value, ...]:
    """Key of a row to be deleted; ValueError where the table has columns under compare-and-set."""
    if row_type.TABLE.cas:
        raise ValueError(f"{row_type.TABLE.name} changes by compare-and-set")
    return key_values(row_type, key)
