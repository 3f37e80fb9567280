"""How Cassandra decides between writes, as pure functions over one row's state."""

from __future__ import annotations

import base64
import dataclasses
import json
import struct
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.columns import Value


@dataclass(frozen=True, slots=True)
class Cell:
    """A column's last write; a value of None is a deletion."""

    at: int
    value: Value | None


@dataclass(frozen=True, slots=True)
class State:
    """Everything known of one row.

    Parameters
    ----------
    marker
        Time of the last insertion: the row exists although all its columns may be null.
    deleted
        Time of the last deletion of the row; hides what was written at or before it.
    cells
        Plain columns.
    swapped
        Columns under compare-and-set that are not null.
    """

    marker: int | None = None
    deleted: int | None = None
    cells: Mapping[str, Cell] = field(default_factory=dict)
    swapped: Mapping[str, Value] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether a read finds the row."""
        return (
            self.marker is not None
            or bool(self.swapped)
            or any(cell.value is not None for cell in self.cells.values())
        )

    def values(self) -> dict[str, Value]:
        """Columns that are not null, key apart."""
        plain = {name: cell.value for name, cell in self.cells.items() if cell.value is not None}
        return plain | dict(self.swapped)


def inserted(state: State, values: Mapping[str, Value | None], at: int) -> State:
    """Apply a plain write, as CQL's INSERT: each column, and the row's marker."""
    if state.deleted is not None and at <= state.deleted:
        return state
    cells = dict(state.cells)
    for name, value in values.items():
        cells[name] = _later(cells.get(name), Cell(at, value))
    marker = at if state.marker is None else max(state.marker, at)
    return dataclasses.replace(state, marker=marker, cells=cells)


def deleted(state: State, at: int) -> State:
    """Apply a deletion of the row."""
    moment = at if state.deleted is None else max(state.deleted, at)
    return State(
        marker=state.marker if state.marker is not None and state.marker > moment else None,
        deleted=moment,
        cells={name: cell for name, cell in state.cells.items() if cell.at > moment},
        swapped=state.swapped,
    )


def _later(old: Cell | None, new: Cell) -> Cell:
    """Which of two writes counts: the later; at one time a deletion, else the greater encoded value."""
    if old is None or new.at != old.at:
        return new if old is None or new.at > old.at else old
    if old.value is None or new.value is None:
        return old if old.value is None else new
    return new if encoded(new.value) > encoded(old.value) else old


def encoded(value: Value) -> bytes:
    """Bytes that Cassandra stores for a value; two of one type compare as unsigned bytes, so -1 is above 1."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, float):
        return struct.pack(">d", value)
    return struct.pack(">q", value)


def dump_cells(cells: Mapping[str, Cell]) -> str:
    """Cells as JSON: name to [time, value]."""
    return json.dumps({name: [cell.at, _plain(cell.value)] for name, cell in cells.items()})


def load_cells(text: str) -> dict[str, Cell]:
    """Read what `dump_cells` wrote."""
    return {name: Cell(at, _unplain(value)) for name, (at, value) in json.loads(text).items()}


def dump_values(values: Mapping[str, Value]) -> str:
    """Values as JSON."""
    return json.dumps({name: _plain(value) for name, value in values.items()})


def load_values(text: str) -> dict[str, Value]:
    """Read what `dump_values` wrote."""
    loaded = {name: _unplain(value) for name, value in json.loads(text).items()}
    return {name: value for name, value in loaded.items() if value is not None}


def _plain(value: Value | None) -> Any:
    """Turn bytes into an object with base64, the rest stays; floats keep every bit but a NaN's payload."""
    return {"b": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _unplain(value: Any) -> Value | None:
    return base64.b64decode(value["b"]) if isinstance(value, dict) else typing.cast("Value | None", value)
