"""The real implementations, openable from any process by the name of a function and the settings as JSON."""

from __future__ import annotations

from runtime.kafka import KafkaLog
from runtime.registry import ConfluentRegistry
from runtime.settings import KafkaSettings, RegistrySettings


def log(settings: str) -> KafkaLog:
    return KafkaLog(KafkaSettings.model_validate_json(settings))


def registry(settings: str) -> ConfluentRegistry:
    return ConfluentRegistry(RegistrySettings.model_validate_json(settings))
