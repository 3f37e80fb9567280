"""What a process must be told to use the servers of a place."""

from __future__ import annotations

from pathlib import Path

from deploy.local.cassandra import FIRST_ROLE
from deploy.local.kafka import Kafka
from deploy.local.objects import REGION, ObjectStore
from deploy.local.place import HOST, Place
from deploy.local.registry import SchemaRegistry
from runtime.settings import (
    CassandraSettings,
    ClusterSettings,
    KafkaSettings,
    RegistrySettings,
    S3Settings,
    SecretReference,
)


def cluster_settings(place: Place) -> ClusterSettings:
    """Addresses and secrets of a place: one node of each, so one copy of everything."""
    return ClusterSettings(
        kafka=KafkaSettings(bootstrap=Kafka(place).bootstrap, replication=1, min_in_sync=1),
        registry=RegistrySettings(url=SchemaRegistry(place).url),
        cassandra=CassandraSettings(
            contact_points=[HOST],
            port=place.ports.cql,
            user=_reference(place.secret("cassandra-user", FIRST_ROLE)),
            password=_reference(place.secret("cassandra-password", FIRST_ROLE)),
            replication={"datacenter1": 1},
        ),
        s3=S3Settings(
            endpoint=ObjectStore(place).endpoint,
            region=REGION,
            access_key=_reference(place.secret("s3-access-key")),
            secret_key=_reference(place.secret("s3-secret-key")),
        ),
    )


def _reference(file: Path) -> SecretReference:
    return SecretReference(f"file:{file}")
