from __future__ import annotations

from pathlib import Path

import faust
import pytest
from yarl import URL

from runtime.connections import Connections
from runtime.settings import KafkaSettings
from stream_processors.engine_settings import broker_urls, configuration
from tests.support.installation import connections


def kafka(bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap=bootstrap, replication=1, min_in_sync=1)


@pytest.mark.parametrize("bootstrap", ["one:9092,two:9093", "one:9092, two:9093"])
def test_every_broker_has_an_address_of_its_own(bootstrap: str) -> None:
    assert [(each.host, each.port) for each in broker_urls(kafka(bootstrap))] == [
        ("one", 9092),
        ("two", 9093),
    ]


@pytest.fixture
def made(tmp_path: Path) -> Connections:
    cluster = {
        "kafka": {"bootstrap": "127.0.0.1:1", "replication": 1, "min_in_sync": 1},
        "registry": {"url": "http://127.0.0.1:1"},
        "cassandra": {"contact_points": ["127.0.0.1"], "user": "env:A", "password": "env:B"},
        "s3": {"endpoint": "http://127.0.0.1:1", "access_key": "env:A", "secret_key": "env:B"},
    }
    return connections(tmp_path, "deidentify", cluster=cluster)


async def test_a_new_partition_has_a_reader_within_seconds(made: Connections) -> None:
    """Five minutes by default, in which its records lie unread (and a topic that appears late is not noticed)."""
    found = configuration(made, [URL("aiokafka://127.0.0.1:1")])
    assert found["consumer_metadata_max_age_ms"] <= 5_000


def test_the_stock_engine_looks_for_new_partitions_every_five_minutes() -> None:
    assert faust.App("stock").conf.consumer_metadata_max_age_ms == 300_000


async def test_nothing_that_loses_events_is_switched_on(made: Connections) -> None:
    found = configuration(made, [URL("aiokafka://127.0.0.1:1")])
    assert found["processing_guarantee"] == "at_least_once"
    assert found["consumer_group_instance_id"] == made.member
    assert (found["topic_allow_declare"], found["web_enabled"], found["autodiscover"]) == (False,) * 3
