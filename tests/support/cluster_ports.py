"""The cluster's implementations, openable from any process by the name of a function and their settings as JSON."""

from __future__ import annotations

from runtime.kafka import KafkaLog
from runtime.objects import S3Objects
from runtime.registry import ConfluentRegistry
from runtime.settings import CassandraSettings, KafkaSettings, RegistrySettings, S3Settings
from runtime.tables import CassandraTables


def log(settings: str) -> KafkaLog:
    return KafkaLog(KafkaSettings.model_validate_json(settings))


def registry(settings: str) -> ConfluentRegistry:
    return ConfluentRegistry(RegistrySettings.model_validate_json(settings))


def tables(settings: str) -> CassandraTables:
    return CassandraTables(CassandraSettings.model_validate_json(settings))


def objects(settings: str) -> S3Objects:
    return S3Objects(S3Settings.model_validate_json(settings))
