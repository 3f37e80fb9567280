"""The embedded implementations, openable from any process by the name of a function and a folder."""

from __future__ import annotations

from pathlib import Path

from runtime.embedded.log import EmbeddedLog
from runtime.embedded.objects import EmbeddedObjects
from runtime.embedded.registry import EmbeddedRegistry
from runtime.embedded.tables import EmbeddedTables


def log(folder: str) -> EmbeddedLog:
    return EmbeddedLog(Path(folder))


def faulty_log(folder: str) -> EmbeddedLog:
    return EmbeddedLog(Path(folder), redeliver=True, cut_batches=True, seed=20261121)


def tables(folder: str) -> EmbeddedTables:
    return EmbeddedTables(Path(folder))


def objects(folder: str) -> EmbeddedObjects:
    return EmbeddedObjects(Path(folder))


def registry(folder: str) -> EmbeddedRegistry:
    return EmbeddedRegistry(Path(folder))
