"""Typed settings: one TOML file, overridden by the environment; unknown names are refused, secrets are references.

The file is named by `RADSTREAM_SETTINGS`. `RADSTREAM__STEPS__QUIET_WINDOW_S=2` overrides `quiet_window_s` of `[steps]`;
an override that names nothing is refused like an unknown name in the file.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    PositiveInt,
    RootModel,
    ValidationError,
    field_validator,
    model_validator,
)

from runtime.errors import StopError

SETTINGS_VARIABLE = "RADSTREAM_SETTINGS"
"""Environment variable with the path of the settings file."""
OVERRIDE_PREFIX = "RADSTREAM__"
"""What an overriding environment variable starts with; `__` again separates the levels."""
ENCODED = b"base64:"
"""What a secret starts with that is stored as text; without it the stored bytes are the secret."""

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
"""TOML keys that need no quotes."""


class SecretReference(RootModel[str]):
    """Where a secret is, never the secret: `env:NAME` or `file:/path`.

    The stored value is taken byte by byte, unless it starts with `base64:`, which is how random bytes get through an
    environment variable.
    """

    model_config = ConfigDict(frozen=True)

    @field_validator("root")
    @classmethod
    def _has_a_known_form(cls, value: str) -> str:
        scheme, _, rest = value.partition(":")
        if scheme not in {"env", "file"} or not rest:
            raise ValueError("a secret is given as env:NAME or file:/path")
        return value

    @property
    def path(self) -> Path | None:
        """File that holds the secret, None for an environment variable."""
        scheme, _, rest = self.root.partition(":")
        return Path(rest) if scheme == "file" else None

    def read(self) -> bytes:
        """Return the secret.

        Raises
        ------
        StopError
            There is no such variable or file, or its text is not base64.
        """
        path = self.path
        try:
            stored = os.environb[self.root.partition(":")[2].encode()] if path is None else path.read_bytes()
        except (KeyError, OSError) as error:
            raise StopError(f"no secret at {self.root}") from error
        if not stored.startswith(ENCODED):
            return stored
        try:
            return base64.b64decode(stored[len(ENCODED) :].strip(), validate=True)
        except binascii.Error as error:
            raise StopError(f"the secret at {self.root} is not base64") from error

    def text(self) -> str:
        """Return the secret as text, without the line end that editors leave in files; StopError where `read` raises it."""
        return self.read().decode().rstrip("\r\n")

    def __str__(self) -> str:
        """Return the reference as it is written in the file."""
        return self.root


class _Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


DeidentificationOption = Literal[
    "113101", "113103", "113104", "113105", "113107", "113108", "113109", "113110", "113111", "113112"
]
"""DCM codes of the options that de-identification offers (`docs/deidentification.md`)."""


class SiteSettings(_Section):
    """One site: what its senders leave unsaid, and where its alerts go."""

    name: str
    ordered_priority: str = "unknown"
    """Priority of orders that name none."""
    issuer: str = ""
    """Assigning authority of the site's ids (Issuer of Patient ID)."""
    webhook_url: str = ""
    webhook_secret: SecretReference | None = None
    archive_url: str = ""
    """Root of the DICOMweb service that takes results under their identity (`https://archive/dicom-web`); empty: none does."""
    archive_token: SecretReference | None = None
    """Bearer token for it."""
    deidentification: list[DeidentificationOption] | None = None
    """Options of the de-identification profile, in place of the default's; Basic is always on. With 113101 pixels at risk of
    burned-in text are cleaned instead of withheld."""
    readers: PositiveInt = 1
    """People who get the site's pages: its alert budget is counted for so many."""


class KeySettings(_Section):
    """Every secret, by reference."""

    pseudonym: SecretReference
    pseudonym_key_id: str
    vault: SecretReference
    vault_key_id: str
    vault_retired: dict[str, SecretReference] = {}
    """Earlier vault keys by id: they open what they sealed, and seal nothing any more."""
    session: SecretReference
    credentials: SecretReference
    """The credentials file (`runtime.credentials`), which holds digests of tokens."""


class HttpSettings(_Section):
    """Where an HTTP server listens; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 0


class TritonSettings(_Section):
    """Triton's gRPC address and metrics URL; without an address models run in the process, in ONNX Runtime."""

    address: str = ""
    metrics: str = ""


class StepsSettings(_Section):
    """What an operator may set for the steps (seconds)."""

    quiet_window_s: float = 10.0
    model_deadline_s: float = 30.0


class DeliverySettings(_Section):
    """Switches of the embedded log that make it behave as badly as at-least-once allows; for tests."""

    redeliver: bool = False
    cut_batches: bool = False
    seed: int = 0


def _together(user: SecretReference | None, password: SecretReference | None) -> None:
    if (user is None) != (password is None):
        raise ValueError("user and password are given together")


def _trusting(ca: Path | None, encrypted: bool) -> None:
    """A file of authorities without encryption is an installation that believes to be safe."""
    if ca is not None and not encrypted:
        raise ValueError("ca is given and nothing is encrypted")


class KafkaSettings(_Section):
    """The brokers, and how safely they keep what was confirmed."""

    bootstrap: str
    """`host:port`, several separated by commas."""
    replication: PositiveInt = 3
    """Copies of every partition of the topics that Radstream creates."""
    min_in_sync: PositiveInt = 2
    """Copies that must hold a record before it is confirmed (`min.insync.replicas`); at most `replication`."""
    session_timeout_ms: PositiveInt = 10_000
    """Milliseconds after which a process that says nothing loses its partitions; brokers allow 6,000 and more."""
    tls: bool = False
    """Whether connections are encrypted, and the brokers' certificates and names checked."""
    ca: Path | None = None
    """File of the authorities (PEM) that are trusted; the system's own by default."""
    user: SecretReference | None = None
    """With `password`: how this installation signs in (SASL)."""
    password: SecretReference | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How it proves the password; PLAIN sends it, so outside one machine only under `tls`."""

    @property
    def protocol(self) -> str:
        """Kafka's word for it (`security.protocol`)."""
        return ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")

    @model_validator(mode="after")
    def _safe(self) -> KafkaSettings:
        _together(self.user, self.password)
        _trusting(self.ca, self.tls)
        return self

    @model_validator(mode="after")
    def _enough_copies(self) -> KafkaSettings:
        if self.min_in_sync > self.replication:
            raise ValueError("min_in_sync is more than there are copies (replication)")
        return self


class RegistrySettings(_Section):
    """The Confluent-compatible schema registry."""

    url: str
    """Where its Confluent API begins, for example `https://registry:8081` or `http://registry:8080/apis/ccompat/v7`."""
    ca: Path | None = None
    """File of the authorities (PEM) that are trusted; the system's own by default."""
    user: SecretReference | None = None
    """With `password`: HTTP Basic (RFC 7617)."""
    password: SecretReference | None = None

    @model_validator(mode="after")
    def _safe(self) -> RegistrySettings:
        _together(self.user, self.password)
        _trusting(self.ca, self.url.startswith("https:"))
        return self


class CassandraSettings(_Section):
    """The Cassandra cluster, and how many nodes answer for a row."""

    contact_points: list[str]
    port: int = 9042
    datacenter: str = "datacenter1"
    """The datacenter this process stands in: its nodes alone are asked (`LOCAL_` consistency)."""
    user: SecretReference
    password: SecretReference
    tls: bool = False
    """Whether connections are encrypted, and the nodes' certificates checked."""
    ca: Path | None = None
    """File of the authorities (PEM) that are trusted; the system's own by default."""
    keyspace: str = "radstream"
    replication: dict[str, PositiveInt] = {"datacenter1": 3}
    """Copies of every row in each datacenter (NetworkTopologyStrategy)."""
    consistency: Literal["LOCAL_QUORUM", "QUORUM", "EACH_QUORUM"] = "LOCAL_QUORUM"
    """Nodes that must answer a plain read or write."""
    serial_consistency: Literal["LOCAL_SERIAL", "SERIAL"] = "LOCAL_SERIAL"
    """Scope of compare-and-set: one datacenter, or all of them."""

    @model_validator(mode="after")
    def _safe(self) -> CassandraSettings:
        _trusting(self.ca, self.tls)
        return self

    @model_validator(mode="after")
    def _copies_where_it_asks(self) -> CassandraSettings:
        if self.datacenter not in self.replication:
            raise ValueError("replication names no copies in the datacenter that is asked")
        return self


class S3Settings(_Section):
    """The object store."""

    endpoint: str
    """URL of the service, `https:` outside one machine; buckets are asked for in the path."""
    region: str = "us-east-1"
    access_key: SecretReference
    secret_key: SecretReference
    bucket_prefix: str = ""
    """What the names of all buckets begin with, where several installations share a service."""


class ClusterSettings(_Section):
    """The engines of the profile `cluster`."""

    kafka: KafkaSettings
    registry: RegistrySettings
    cassandra: CassandraSettings
    s3: S3Settings


class Settings(_Section):
    """Everything that differs between installations."""

    profile: Literal["embedded", "cluster"] = "embedded"
    data: Path
    """Folder of this run: `run/` and `faults/`; in the embedded profile also the engines' own folders."""
    sites: list[SiteSettings]
    keys: KeySettings
    stow: HttpSettings = HttpSettings()
    portal: HttpSettings = HttpSettings()
    health: HttpSettings = HttpSettings()
    """Where every process answers `/livez`, `/readyz` and `/metrics`; a fixed port where each has a host of its own."""
    triton: TritonSettings = TritonSettings()
    steps: StepsSettings = StepsSettings()
    cluster: ClusterSettings | None = None
    """Present in the profile `cluster`."""
    delivery: DeliverySettings = DeliverySettings()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _sites_are_distinct(self) -> Settings:
        names = [site.name for site in self.sites]
        if not names or len(set(names)) != len(names) or "" in names:
            raise ValueError("sites need names, each its own")
        return self

    @model_validator(mode="after")
    def _a_cluster_is_described(self) -> Settings:
        if self.profile == "cluster" and self.cluster is None:
            raise ValueError("the profile cluster needs the section cluster")
        return self

    def site(self, name: str) -> SiteSettings:
        """Return a site's settings; StopError when it is not configured."""
        for site in self.sites:
            if site.name == name:
                return site
        raise StopError("a site is not in the settings")

    def write(self, path: Path) -> None:
        """Write a settings file that `load_settings` reads back as the same settings."""
        path.write_text(
            "\n".join(_toml_table((), self.model_dump(mode="json", exclude_none=True))) + "\n", "utf-8"
        )


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings this process was started with.

    Raises
    ------
    StopError
        No file is named, it cannot be read, or a name or value in it is wrong; says where, never the value.
    """
    path = environment.get(SETTINGS_VARIABLE, "")
    if not path:
        raise StopError(f"{SETTINGS_VARIABLE} names no settings file")
    try:
        values = tomllib.loads(Path(path).read_text("utf-8"))
        return Settings.model_validate(_overridden(values, environment))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StopError(f"the settings file cannot be read: {type(error).__name__}") from error
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)
        )
        raise StopError("settings refused: " + "; ".join(faults)) from None


def _overridden(values: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    for name, text in sorted(environment.items()):
        if not name.startswith(OVERRIDE_PREFIX):
            continue
        *tables, last = name.removeprefix(OVERRIDE_PREFIX).lower().split("__")
        table = values
        for each in tables:
            inner = table.setdefault(each, {})
            if not isinstance(inner, dict):
                raise StopError(f"{name} overrides no setting")
            table = inner
        table[last] = text
    return values


def _toml_table(path: tuple[str, ...], table: Mapping[str, Any]) -> list[str]:
    """Lines of one table: first its values, then its subtables, as TOML wants it."""
    plain = {key: value for key, value in table.items() if not _is_nested(value)}
    lines = [f"{_key(key)} = {_quoted(value)}" for key, value in plain.items()]
    for key, value in table.items():
        name = ".".join(map(_key, (*path, key)))
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *_toml_table((*path, key), value)]
        elif _is_nested(value):
            for each in value:
                lines += ["", f"[[{name}]]", *_toml_table((*path, key), each)]
    return lines


def _is_nested(value: object) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(each, dict) for each in value)
    )


def _key(name: str) -> str:
    """A key in TOML's words: bare where it may be."""
    return name if BARE_KEY.fullmatch(name) else _quoted(name)


def _quoted(value: object) -> str:
    """A value in TOML's words, which for text, numbers, truth values and flat lists are JSON's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
