"""How a row class describes its table; the words are Cassandra's."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Protocol

MICROSECONDS = 1_000_000
"""Microseconds in a second."""
WORKLIST_SHARDS = 4
"""Partitions of a site's open worklist and open alerts: a page reads them all, a write one of them."""


def day_of(time_us: int) -> str:
    """UTC day of a time in microseconds, as tables are bucketed by it: `2026-11-21`. Writers and readers share it."""
    return datetime.fromtimestamp(time_us // MICROSECONDS, UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class Clustering:
    """One clustering column and its order inside the partition."""

    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table's keys and the way its columns are written.

    Parameters
    ----------
    name
        Table name in `tables.cql`.
    partition
        Partition key columns; every query names all of them.
    clustering
        Clustering columns, in order.
    writer
        Component that writes the table.
    cas
        Columns that change by compare-and-set only. They take no client timestamp and no plain write: Cassandra
        refuses the first and loses updates with the second.
    """

    name: str
    partition: tuple[str, ...]
    clustering: tuple[Clustering, ...]
    writer: str
    cas: frozenset[str] = field(default_factory=frozenset)

    @property
    def key(self) -> tuple[str, ...]:
        """Primary key columns: partition first, then clustering."""
        return self.partition + tuple(column.name for column in self.clustering)


class Row(Protocol):
    """What every class in `rows.py` is."""

    TABLE: ClassVar[TableSpec]
