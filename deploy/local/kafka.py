"""One Kafka node, broker and controller at once."""

from __future__ import annotations

import base64
import subprocess
import uuid
from dataclasses import dataclass

from deploy.local import tools
from deploy.local.place import HOST, Place, answers
from deploy.local.resolve import programs

JAVA_OPTIONS = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
"""A broker for one laptop: half a gigabyte, one collector thread, quick to start."""


@dataclass(frozen=True, slots=True)
class Kafka:
    """The Kafka server of a place."""

    place: Place
    name: str = "kafka"

    @property
    def ports(self) -> tuple[int, ...]:
        """Ports it listens on."""
        return (self.place.ports.kafka, self.place.ports.controller)

    @property
    def bootstrap(self) -> str:
        """What clients are given."""
        return f"{HOST}:{self.place.ports.kafka}"

    def command(self) -> list[str]:
        """Write its files, format its folder the first time, and return its command line."""
        data = self.place.data(self.name)
        properties = str(self.place.write("kafka.properties", data=data))
        logging = self.place.write("kafka-log4j2.properties")
        options = [*JAVA_OPTIONS, f"-Dlog4j2.configurationFile={logging}"]
        java = [str(tools.java()), *options, "-cp", f"{programs()[self.name].folder}/*"]
        if not (data / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            form = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", properties]
            subprocess.run([*java, *form], check=True, stdin=subprocess.DEVNULL)
        return [*java, "kafka.Kafka", properties]

    def environment(self) -> dict[str, str]:
        """Variables it reads: none."""
        return {}

    def is_ready(self) -> bool:
        """Whether it takes requests: the port opens once the controller has let the broker in."""
        return answers(self.place.ports.kafka)
