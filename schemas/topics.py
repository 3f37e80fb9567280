"""The catalogue of topics: one YAML file each, in `topics/`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

DEAD_LETTER_PARTITIONS = 1
"""Dead letters are few and read by people."""
DEAD_LETTER_RETENTION_HOURS = 90 * 24
"""Hours: long enough to mend the cause and replay."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as its file describes it.

    Parameters
    ----------
    name
        Topic name; ends in a version.
    event
        Name of the event class.
    key
        Envelope field that is the record key.
    partitions
        Number of partitions; a key's order holds within one.
    retention_hours
        How long the log keeps a record.
    cleanup
        Kafka's cleanup policy.
    writers
        Components that write it; held equal to what the components declare.
    reason
        Why it exists.
    example
        Folder in `examples/` with valid synthetic records.
    """

    name: str
    event: str
    key: str
    partitions: int
    retention_hours: int
    cleanup: str
    writers: tuple[str, ...]
    reason: str
    example: str


@cache
def catalogue() -> dict[str, Topic]:
    """Return every topic by name, dead-letter topics apart."""
    topics = {}
    for file in resources.files("schemas").joinpath("topics").iterdir():
        name = file.name.removesuffix(".yaml")
        described = yaml.safe_load(file.read_text("utf-8"))
        described["writers"] = tuple(described["writers"])
        topics[name] = Topic(name=name, **described)
    return dict(sorted(topics.items()))


def dead_letter_topic(consumer: str) -> str:
    """Return the topic that takes what a consumer could not handle."""
    return f"{consumer}.dead-letter.v1"


def subject(event: str) -> str:
    """Return the registry subject of an event: one schema, whichever topic carries it (RecordNameStrategy)."""
    return f"radstream.{event}"
