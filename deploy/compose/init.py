"""Before anything else starts: is there memory enough, are the volumes ours, and are there keys?

`python -m deploy.compose.init KEYS S3_KEYS MODELS TARGET`: three folders, and what the models are rendered for. Doing it again
changes nothing. Whatever is wrong is one line, and the exit code 1, on which no other container starts.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path
from typing import cast, get_args

from inference.catalogue import all_models
from inference.repository import Target, render
from runtime.settings import ENCODED

FORMAT = "1"
"""Layout of all volumes together; a release that cannot read the ones before it counts it up."""
STAMP = "volume-format"
"""File in the folder of keys that says by which layout the volumes were made."""
NEEDED_MIB = 6 * 1024
"""Memory of the machine (MiB): what all containers hold at rest, 3.3 GiB, and room for a study in each."""
KEYS = ("pseudonym", "vault", "session", "webhook")
"""Our own secrets: 32 random bytes each (AES-256, HMAC-SHA256)."""
ENGINE_SECRETS = ("s3-access-key", "s3-secret-key")
"""Secrets that the S3 server is given too: text."""
CASSANDRA_ROLE = "cassandra"
"""The role, and its password, that Cassandra makes at its first start; nothing outside the composition's network reaches it."""
KEY_BYTES = 32
ADDRESS_VARIABLE, PROFILES_VARIABLE = "RADSTREAM__TRITON__ADDRESS", "COMPOSE_PROFILES"
"""Environment variables: where workers look for Triton, and what docker compose starts."""
TARGETS = get_args(Target)
PROFILES = frozenset({"cpu", "gpu"})
"""Profiles of the composition that start its Triton,"""
TRITON = "triton"
"""and the name that it has there."""
MEMORY = Path("/proc/meminfo")


class RefusedError(Exception):
    """The composition cannot start; the message is the one line that says why."""


def enough_memory(meminfo: str, needed_mib: int = NEEDED_MIB) -> None:
    """Raise RefusedError when the machine has less memory than everything together needs."""
    total = next(
        int(line.split()[1]) // 1024 for line in meminfo.splitlines() if line.startswith("MemTotal:")
    )
    if total < needed_mib:
        raise RefusedError(f"too little memory: {total} MiB, and {needed_mib} MiB are needed")


def triton_is_asked(address: str, profiles: str) -> None:
    """Raise RefusedError when workers would wait for the composition's Triton, which nothing starts, or it would for them.

    Parameters
    ----------
    address
        `host:port` where workers look for it, empty for models in the workers; another host is somebody else's Triton.
    profiles
        What docker compose was told to start, separated by commas.
    """
    starts = not PROFILES.isdisjoint(profiles.split(","))
    if starts and not address:
        raise RefusedError(
            "COMPOSE_PROFILES starts Triton and nothing asks it: set RADSTREAM_TRITON=triton:8001"
        )
    if not starts and address.partition(":")[0] == TRITON:
        raise RefusedError(
            f"RADSTREAM_TRITON is {address} and nothing starts it: set COMPOSE_PROFILES=cpu, or gpu"
        )


def same_format(keys: Path) -> None:
    """Raise RefusedError when the volumes were made by another layout; stamp empty ones."""
    stamp = keys / STAMP
    if not stamp.exists():
        if any(keys.iterdir()):
            raise RefusedError("the volume of keys has no format stamp: it was made by something else")
        _write(stamp, FORMAT.encode())
        return
    found = stamp.read_text("utf-8").strip()
    if found != FORMAT:
        raise RefusedError(
            f"the volumes have format {found}, this version reads {FORMAT}: start the version that made them, or remove "
            "them and all their data with: docker compose down --volumes"
        )


def make_keys(keys: Path, s3_keys: Path) -> None:
    """Create each secret that is not there yet."""
    for name in KEYS:
        _write(keys / name, ENCODED + base64.b64encode(secrets.token_bytes(KEY_BYTES)))
    for name in ENGINE_SECRETS:
        _write(s3_keys / name, secrets.token_hex(16).encode())
    for name in ("cassandra-user", "cassandra-password"):
        _write(keys / name, CASSANDRA_ROLE.encode())
    _write(keys / "credentials.json", b"[]")


def _write(path: Path, content: bytes) -> None:
    """Write a file whole, readable by its owner alone, unless it is there."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def main(keys: Path, s3_keys: Path, models: Path, target: Target) -> int:
    """Check, make what is missing, and return the exit code."""
    try:
        if target not in TARGETS:
            raise RefusedError(f"RADSTREAM_TRITON_TARGET is none of {', '.join(TARGETS)}")
        triton_is_asked(os.environ.get(ADDRESS_VARIABLE, ""), os.environ.get(PROFILES_VARIABLE, ""))
        enough_memory(MEMORY.read_text("utf-8"))
        same_format(keys)
    except RefusedError as error:
        sys.stderr.write(f"radstream: {error}\n")
        return 1
    make_keys(keys, s3_keys)
    render([model.SPEC for model in all_models().values()], models, target=target)
    return 0


if __name__ == "__main__":
    keys_folder, s3_folder, models_folder, wanted = sys.argv[1:]
    sys.exit(main(Path(keys_folder), Path(s3_folder), Path(models_folder), cast(Target, wanted)))
