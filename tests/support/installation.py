"""A whole embedded installation in a folder, and synthetic events to send through it."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from importlib import resources
from pathlib import Path

from runtime.connections import Connections, connect
from runtime.prepare import prepare
from runtime.settings import Settings
from schemas.codec import from_record
from schemas.events import InstanceReceived

SITES = ("north", "south")


def settings(folder: Path, **changes: object) -> Settings:
    """Settings of an installation whose secrets lie in the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pseudonym", "vault", "session"):
        if not (folder / name).exists():
            (folder / name).write_bytes(secrets.token_bytes(32))
    credentials = folder / "credentials.json"
    if not credentials.exists():
        credentials.write_text("[]")
    values: dict[str, object] = {
        "data": folder / "data",
        "sites": [{"name": site} for site in SITES],
        "keys": {
            "pseudonym": f"file:{folder / 'pseudonym'}",
            "pseudonym_key_id": "2026-1",
            "vault": f"file:{folder / 'vault'}",
            "vault_key_id": "vault-1",
            "session": f"file:{folder / 'session'}",
            "credentials": f"file:{credentials}",
        },
    }
    return Settings.model_validate(values | changes)


def connections(
    folder: Path, component: str, consumers: tuple[str, ...] = (), **changes: object
) -> Connections:
    """Connections of a component, everything prepared."""
    made = connect(settings(folder, **changes), component)
    prepare(made, (component, *consumers))
    return made


def study(number: int) -> str:
    """Pseudonym of a synthetic study."""
    return f"st-{number:032x}"


def received(number: int, event_id: str, site: str = "north") -> InstanceReceived:
    """A synthetic InstanceReceived of one study."""
    text = (
        resources.files("schemas")
        .joinpath("examples", "instance_received", "typical.json")
        .read_text("utf-8")
    )
    event = from_record(InstanceReceived, json.loads(text))
    envelope = replace(
        event.envelope,
        study=study(number),
        site=site,
        event_id=event_id,
        correlation_id=f"correlation of {event_id}",
    )
    return replace(event, envelope=envelope)
