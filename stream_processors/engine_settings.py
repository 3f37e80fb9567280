"""How the stream engine is set up, and its messages in the log port's words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from mode import CrashingSupervisor
from yarl import URL

from runtime.connections import Connections
from runtime.errors import StopError
from runtime.ports import Record
from runtime.settings import KafkaSettings

EVENTS_BUFFERED = 131_072
"""Events Faust may buffer: so many that bytes are the limit. When its own buffer is full it sleeps one second."""
EVENTS_FETCHED = 5_000
"""Records taken from the client's buffer at once: each taking costs about as much as handling 50 records."""
COMMIT_S = 0.5
"""Seconds between commits: what was resolved in them is delivered again after a kill."""
HEARTBEATS = 3
"""Heartbeats in one session: as many may be lost."""
METADATA_S = 5
"""Seconds after which topics are looked up anew: five minutes by default, in which a new partition has no reader."""
GIVE_UP_S = 5.0
"""Seconds the batch in work may take when partitions are taken away: the others wait meanwhile. After that they start over it."""


def as_record(message: Any) -> Record:
    """Faust's message in the log port's words."""
    headers = message.headers or ()
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key or b"",
        value=message.value,
        headers=tuple(headers.items() if isinstance(headers, Mapping) else headers),
        timestamp=int(message.timestamp * 1000) * 1000,
    )


def kafka(connections: Connections) -> KafkaSettings:
    """Where the brokers are; StopError in a profile without."""
    if connections.settings.cluster is None:
        raise StopError("the settings describe no cluster")
    return connections.settings.cluster.kafka


def broker_urls(settings: KafkaSettings) -> list[URL]:
    """Faust's address of each broker; it takes no list in one."""
    return [URL(f"aiokafka://{each.strip()}") for each in settings.bootstrap.split(",")]


def configuration(connections: Connections, urls: list[URL]) -> dict[str, Any]:
    """Settings of the stream engine, each against a loss or a delay that its own default brings."""
    session_s = kafka(connections).session_timeout_ms / 1000
    return {
        "broker": urls,
        "broker_client_id": connections.member,
        "consumer_group_instance_id": connections.member,
        "broker_session_timeout": session_s,
        "broker_heartbeat_interval": session_s / HEARTBEATS,
        "broker_rebalance_timeout": session_s + GIVE_UP_S,
        "broker_request_timeout": 2 * session_s + GIVE_UP_S,
        "broker_commit_interval": COMMIT_S,
        "broker_max_poll_records": EVENTS_FETCHED,
        "consumer_auto_offset_reset": "earliest",
        "consumer_metadata_max_age_ms": METADATA_S * 1000,
        "stream_buffer_maxsize": EVENTS_BUFFERED,
        "stream_wait_empty": True,
        "agent_supervisor": CrashingSupervisor,
        "cython_optimizations": True,
        "processing_guarantee": "at_least_once",
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": 0,
        "web_enabled": False,
        "autodiscover": False,
        "datadir": connections.settings.data / "faust",
        "loop": asyncio.get_running_loop(),
    }
