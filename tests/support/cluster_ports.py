"""The cluster's implementations, openable from any process by the name of a function and their settings as JSON."""

from __future__ import annotations

from runtime.objects import S3Objects
from runtime.settings import CassandraSettings, S3Settings
from runtime.tables import CassandraTables


def tables(settings: str) -> CassandraTables:
    return CassandraTables(CassandraSettings.model_validate_json(settings))


def objects(settings: str) -> S3Objects:
    return S3Objects(S3Settings.model_validate_json(settings))
