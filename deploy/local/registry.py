"""Apicurio Registry, which speaks the Confluent API and keeps its schemas in Kafka."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass

from deploy.local import tools
from deploy.local.place import CONNECT_TIMEOUT_S, HOST, Place
from deploy.local.resolve import programs

JAVA_OPTIONS = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
"""Sized for a laptop, quick to start."""


@dataclass(frozen=True, slots=True)
class SchemaRegistry:
    """The schema registry of a place."""

    place: Place
    name: str = "registry"

    @property
    def ports(self) -> tuple[int, ...]:
        """Ports it listens on."""
        return (self.place.ports.registry,)

    @property
    def url(self) -> str:
        """Where its Confluent API begins."""
        return f"http://{HOST}:{self.place.ports.registry}/apis/ccompat/v7"

    def command(self) -> list[str]:
        """Return its command line."""
        (jar,) = programs()[self.name].folder.glob("*-runner.jar")
        self.place.data(self.name).mkdir(parents=True, exist_ok=True)
        return [str(tools.java()), *JAVA_OPTIONS, "-jar", str(jar)]

    def environment(self) -> dict[str, str]:
        """Variables it reads: all of its configuration."""
        return {
            "APICURIO_STORAGE_KIND": "kafkasql",
            "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": f"{HOST}:{self.place.ports.kafka}",
            "QUARKUS_HTTP_HOST": HOST,
            "QUARKUS_HTTP_PORT": str(self.place.ports.registry),
            "QUARKUS_LOG_LEVEL": "WARN",
        }

    def is_ready(self) -> bool:
        """Whether it says that it has read its schemas and takes requests."""
        address = f"http://{HOST}:{self.place.ports.registry}/health/ready"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(address, timeout=CONNECT_TIMEOUT_S) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
