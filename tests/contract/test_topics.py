"""The catalogue of topics is whole, and says who writes what as the components do."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.codec import file_stem
from schemas.events import EVENT_TYPES, Envelope
from schemas.topics import catalogue, dead_letter_topic, subject
from tests.support.avro import SCHEMAS

ROOT = SCHEMAS.parent
FIELDS = {"event", "key", "partitions", "retention_hours", "cleanup", "writers", "reason", "example"}
FILES = sorted((SCHEMAS / "topics").iterdir())
AUDIT = "audit.v1"
AUDITED = re.compile(r"\.(?:vault|sealed)\.read(?:_range)?\(|\.auditor\.|audited_by\(")
"""Calls that leave an audit event: reads of the vault and of the encrypted tier, and whatever else a component records."""


def modules(folder: str) -> dict[str, str]:
    """Source of every module directly in a folder, by name."""
    return {
        path.stem: path.read_text("utf-8")
        for path in sorted((ROOT / folder).glob("*.py"))
        if not path.stem.startswith("__")
    }


def components(folder: str, declaration: str) -> dict[str, Any]:
    """Components of a folder (a module is one if it has the declaration), each with what it declares."""
    found = {}
    for name, source in modules(folder).items():
        assigned = {
            target.id
            for node in ast.parse(source).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if declaration in assigned:
            found[name] = getattr(importlib.import_module(f"{folder.replace('/', '.')}.{name}"), declaration)
    return found


def declared() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Writers and readers of each topic, as the components declare them."""
    writers: dict[str, set[str]] = defaultdict(set)
    readers: dict[str, set[str]] = defaultdict(set)
    engines = (components("stream_processors/steps", "STEP"), components("sinks", "SPEC"),
               components("sinks/notifiers", "SPEC"))  # fmt: skip
    for name, spec in (item for folder in engines for item in folder.items()):
        for topic in spec.emits:
            writers[topic].add(name)
        for topic in spec.reads:
            readers[topic].add(name)
    for gateway in components("producers", "NAME"):
        writers["instance.received.v1"].add(gateway)
        if AUDITED.search("".join(modules("producers").values())):
            writers[AUDIT].add(gateway)
    for component in ("portal_api", "cli"):
        source = "".join(path.read_text("utf-8") for path in sorted((ROOT / component).rglob("*.py")))
        name = component.removesuffix("_api")
        for topic in re.findall(r'"([a-z.]+\.commands\.v\d+)"', source) if name == "portal" else ():
            writers[topic].add(name)
        if AUDITED.search(source):
            writers[AUDIT].add(name)
    return writers, readers


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_topic_is_described_in_full(path: Path):
    described = yaml.safe_load(path.read_text("utf-8"))
    assert set(described) == FIELDS
    topic = catalogue()[path.stem]
    assert re.fullmatch(r"[a-z]+(?:\.[a-z]+)*\.v[1-9]\d*", topic.name)
    assert topic.event in EVENT_TYPES
    assert topic.example == file_stem(topic.event)
    assert topic.key in Envelope.__slots__
    assert topic.partitions >= 1
    assert topic.retention_hours >= 1
    assert topic.cleanup in {"delete", "compact", "compact,delete"}
    assert topic.writers
    assert len(topic.reason.split()) >= 2


def test_every_file_is_a_topic_and_no_name_is_a_consumer_s_dead_letter():
    assert [path.suffix for path in FILES] == [".yaml"] * len(FILES)
    assert [name for name in catalogue() if ".dead-letter." in name] == []
    assert dead_letter_topic("infer") == "infer.dead-letter.v1"
    assert subject("Findings") == "radstream.Findings"


def test_what_a_component_emits_names_it_as_a_writer():
    writers, _ = declared()
    assert writers
    undeclared = {
        topic: sorted(names - set(catalogue()[topic].writers) if topic in catalogue() else names)
        for topic, names in writers.items()
    }
    assert {topic: names for topic, names in undeclared.items() if names} == {}


def test_what_a_component_reads_is_a_topic():
    _, readers = declared()
    assert set(readers) - set(catalogue()) == set()


def test_no_topic_is_an_orphan_every_writer_it_names_writes_it_and_somebody_reads_it():
    writers, readers = declared()
    assert {name: sorted(set(topic.writers) - writers[name]) for name, topic in catalogue().items()
            if set(topic.writers) - writers[name]} == {}  # fmt: skip
    assert [name for name in catalogue() if not readers[name]] == []
