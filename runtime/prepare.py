"""Makes what processes expect to find: topics, tables, buckets, schemas. The launcher runs it before anything else.

`python -m runtime.prepare COMPONENT ...`: the components are those that consume, each of which gets a dead-letter topic.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from runtime import buckets, logs
from runtime.connections import Connections, connect
from runtime.errors import StopError
from runtime.patience import until_answered
from runtime.settings import Settings, load_settings
from schemas import rows
from schemas.tables import Row
from schemas.topics import DEAD_LETTER_PARTITIONS, catalogue, dead_letter_topic


def prepare(connections: Connections, components: Sequence[str]) -> None:
    """Create what does not exist yet; doing it again changes nothing."""
    partitions = {topic.name: topic.partitions for topic in catalogue().values()}
    partitions |= {dead_letter_topic(component): DEAD_LETTER_PARTITIONS for component in components}
    connections.log.create_topics(partitions)
    connections.tables.create(row_types())
    connections.objects.create_buckets(buckets.ALL)


def row_types() -> list[type[Row]]:
    """Every table's row class."""
    classes: list[type[Any]] = [each for _, each in inspect.getmembers(rows, inspect.isclass)]
    return [each for each in classes if hasattr(each, "TABLE")]


def require_topics(connections: Connections, topics: Sequence[str]) -> None:
    """Raise StopError when a topic that a process reads or writes is missing: it must not be made by accident."""
    missing = sorted(set(topics) - set(connections.log.topics()))
    if missing:
        raise StopError(f"missing topics: {', '.join(missing)}")


def prepared(settings: Settings, component: str, components: Sequence[str]) -> None:
    """Connect, prepare and let go."""
    connections = connect(settings, component)
    try:
        prepare(connections, components)
    finally:
        connections.close()


def main(components: Sequence[str]) -> None:
    """Prepare what the settings of this process name; engines that do not answer yet are waited for, as every process does."""
    logs.configure("prepare")
    settings = load_settings()
    until_answered(lambda: prepared(settings, "prepare", components), log=logs.logger("prepare"))


if __name__ == "__main__":
    main(sys.argv[1:])
