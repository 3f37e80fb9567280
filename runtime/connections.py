"""The one place that builds what a process works with, out of its settings."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cached_property

from runtime.audit import Auditor
from runtime.clock import Clock, SystemClock
from runtime.dead_letters import DeadLetters
from runtime.embedded.log import EmbeddedLog
from runtime.embedded.objects import EmbeddedObjects
from runtime.embedded.registry import EmbeddedRegistry
from runtime.embedded.tables import EmbeddedTables
from runtime.errors import StopError
from runtime.health import Presence
from runtime.keyring import key_ring
from runtime.metrics import Metrics
from runtime.ports import Log, Objects, Registry, Tables
from runtime.publishing import Publisher, register_schemas
from runtime.sealed import SealedObjects
from runtime.settings import ClusterSettings, Settings
from runtime.vault import Vault
from schemas.identifiers import PseudonymKey, Pseudonyms, WeakKeyError, site_key

INSTANCE_VARIABLE = "RADSTREAM_INSTANCE"
"""Environment variable that tells apart several processes of one component; unset for the only one."""
HOSTNAME = "hostname"
"""Value of that variable where each process has a host name of its own, which it keeps when it is restarted: a container."""


@dataclass(frozen=True)
class Engines:
    """The four ports of a profile."""

    log: Log
    objects: Objects
    tables: Tables
    registry: Registry


@dataclass(frozen=True)
class Connections:
    """What a process works with. `member` is unique among the processes of a component and stable across restarts."""

    settings: Settings
    component: str
    member: str
    clock: Clock
    log: Log
    objects: Objects
    tables: Tables
    registry: Registry
    sealed: SealedObjects
    vault: Vault
    publisher: Publisher
    auditor: Auditor
    dead_letters: DeadLetters
    metrics: Metrics
    presence: Presence
    master_key: PseudonymKey

    def pseudonyms(self, site: str) -> Pseudonyms:
        """Keyed pseudonyms of a configured site.

        Raises
        ------
        StopError
            The site is not in the settings.
        """
        known = self._pseudonyms.get(site)
        if known is None:
            self.settings.site(site)
            known = self._pseudonyms[site] = Pseudonyms(site_key(self.master_key, site))
        return known

    @cached_property
    def _pseudonyms(self) -> dict[str, Pseudonyms]:
        return {}

    def close(self) -> None:
        """Give everything back."""
        self.presence.close()
        self.publisher.close()
        for port in (self.log, self.tables, self.objects, self.registry):
            close = getattr(port, "close", None)
            if close is not None:
                close()


def connect(settings: Settings, component: str) -> Connections:
    """Build everything a component works with, and register the schemas of all events.

    Raises
    ------
    StopError
        The settings name something that does not exist, or a key is too weak.
    """
    try:
        master_key = PseudonymKey(settings.keys.pseudonym_key_id, settings.keys.pseudonym.read())
    except WeakKeyError as error:
        raise StopError(str(error)) from error
    return assemble(settings, component, engines(settings), SystemClock(), master_key)


def assemble(
    settings: Settings, component: str, ports: Engines, clock: Clock, master_key: PseudonymKey
) -> Connections:
    """Put what is ours round a profile's engines; tests bring their own engines and clock."""
    register_schemas(ports.registry)
    keys = key_ring(settings.keys)
    publisher = Publisher(
        ports.log.producer(component), ports.registry, clock, component, settings.keys.pseudonym_key_id
    )
    auditor = Auditor(publisher, component)
    sealed = SealedObjects(ports.objects, keys, auditor.component_used)
    instance = os.environ.get(INSTANCE_VARIABLE, "")
    instance = socket.gethostname() if instance == HOSTNAME else instance
    member = f"{component}-{instance}" if instance else component
    metrics = Metrics(component)
    return Connections(
        settings=settings,
        component=component,
        member=member,
        clock=clock,
        log=ports.log,
        objects=ports.objects,
        tables=ports.tables,
        registry=ports.registry,
        sealed=sealed,
        vault=Vault(ports.tables, keys, auditor),
        publisher=publisher,
        auditor=auditor,
        dead_letters=DeadLetters(sealed, publisher, ports.registry, [site.name for site in settings.sites]),
        metrics=metrics,
        presence=Presence(settings.data / "run", member, metrics),
        master_key=master_key,
    )


def engines(settings: Settings) -> Engines:
    """Open the engines of the profile."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.cluster is not None and settings.profile == "cluster":
        return _cluster(settings.cluster)
    delivery = settings.delivery
    return Engines(
        log=EmbeddedLog(
            settings.data / "log",
            redeliver=delivery.redeliver,
            cut_batches=delivery.cut_batches,
            seed=delivery.seed,
        ),
        objects=EmbeddedObjects(settings.data / "objects"),
        tables=EmbeddedTables(settings.data / "tables"),
        registry=EmbeddedRegistry(settings.data / "registry"),
    )


def _cluster(settings: ClusterSettings) -> Engines:
    """Connect to the real engines; their client libraries are loaded by the processes that use them only."""
    from runtime.kafka import KafkaLog
    from runtime.objects import S3Objects
    from runtime.registry import ConfluentRegistry
    from runtime.tables import CassandraTables

    return Engines(
        log=KafkaLog(settings.kafka),
        objects=S3Objects(settings.s3),
        tables=CassandraTables(settings.cassandra),
        registry=ConfluentRegistry(settings.registry),
    )
