"""The session's real servers made fresh for one system, and hurt while it runs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.local.servers import NAMES
from runtime.settings import ClusterSettings
from schemas.topics import catalogue
from tests.support.processes import wait_until
from tests.support.raw import ANSWER_S
from tests.support.servers import SharedServers

EMBEDDED, CLUSTER = "embedded", "cluster"
PROFILES = (EMBEDDED, CLUSTER)
"""What the tests of the whole system run on."""
SESSION_MS = 6_000
"""milliseconds after which a silent process loses its partitions: the least that brokers allow by default."""


@dataclass(frozen=True)
class Engines:
    """The real servers under one system.

    Parameters
    ----------
    servers
        The session's.
    settings
        How this system reaches them: topics of its own, for the earlier ones are gone, its own keyspace and its own buckets.
    """

    servers: SharedServers
    settings: ClusterSettings

    def pid(self, name: str) -> int:
        """Process id of a server."""
        return self.servers.running.processes[name].pid

    def buckets(self) -> list[Path]:
        """Folders in which the object store keeps this system's buckets."""
        return sorted(self.servers.place.data("objects").glob(f"{self.settings.s3.bucket_prefix}*"))

    def kill(self, name: str) -> None:
        """End a server as a power cut would."""
        self.servers.running.kill(name)

    def start(self, name: str) -> None:
        """Bring a server back, and wait until it answers."""
        self.servers.running.start([name])


def engines(profile: str, servers: SharedServers) -> Engines | None:
    """Engines for a new system of a profile: none but its own in the embedded one."""
    if profile == EMBEDDED:
        return None
    shared = servers.require(*NAMES)
    _forget_topics(shared.kafka.bootstrap)
    name = f"s{uuid.uuid4().hex[:8]}"
    changed = {
        "kafka": shared.kafka.model_copy(update={"session_timeout_ms": SESSION_MS}),
        "cassandra": shared.cassandra.model_copy(update={"keyspace": name}),
        "s3": shared.s3.model_copy(update={"bucket_prefix": f"{name}-"}),
    }
    return Engines(servers, shared.model_copy(update=changed))


def is_ours(topic: str) -> bool:
    """Whether a topic is Radstream's: the registry keeps its schemas in one of its own."""
    return topic in catalogue() or topic.endswith(".dead-letter.v1")


def _forget_topics(bootstrap: str) -> None:
    """Delete what earlier systems wrote, and with it what their groups committed: topics have one name everywhere."""

    def gone() -> bool:
        client = AdminClient(
            {"bootstrap.servers": bootstrap}
        )  # a new one: an old one may have lost the broker for good
        try:
            there = [name for name in client.list_topics(timeout=ANSWER_S).topics if is_ours(name)]
            for future in client.delete_topics(there).values() if there else ():
                future.result(ANSWER_S)
        except (KafkaException, TimeoutError):
            return False
        return not there

    wait_until(gone, "the topics of an earlier system are gone")
