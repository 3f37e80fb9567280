"""Builds what `docker-compose.yml` names and this machine has not: our image, and stand-ins for images that cannot be pulled.

`python -m tests.containers.build`: each image that an engine has already is left alone; each that can be pulled should be pulled
first (`docker compose pull`). The stand-ins hold the same software and version as the images, from the artefacts that
`deploy.local.resolve` fetches, and take the variables that our composition uses.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.local.resolve import programs, resolve

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
BASE = "debian:bookworm-slim"
"""What every Dockerfile here and the product's own begins with."""
LABEL = "radstream.made-from"
"""Label of a stand-in: what it was made from. The images that it stands in for have none, and are left alone."""
OURS = "sha256:"
"""What the label begins with."""
LAST_LINES = 15
"""Lines of a build that failed which say why."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """How the image of one service is made.

    Parameters
    ----------
    service
        Name in the composition, and of the folder beside this file.
    program
        Program of `deploy.local.resolve` that goes into it, empty for none.
    files
        More files of the repository that its Dockerfile copies.
    """

    service: str
    program: str = ""
    files: tuple[str, ...] = ()


STAND_INS = (
    StandIn("kafka", "kafka"),
    StandIn("registry", "registry"),
    StandIn(
        "cassandra",
        "cassandra",
        ("deploy/local/templates/cassandra-java.options", "deploy/local/templates/cassandra-logback.xml"),
    ),
    StandIn("s3", "objects"),
    StandIn("triton", files=("requirements/triton.txt", "inference/triton_shim.py")),
)


def images() -> dict[str, str]:
    """Image of each service, as the composition names it now."""
    told = subprocess.run(
        ["docker", "compose", "--profile", "*", "config", "--format", "json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    services = json.loads(told.stdout)["services"]
    return {name: service["image"] for name, service in services.items()}


def made_from(image: str) -> str | None:
    """What an image of the engine was made from, empty for one that is not ours; None where there is no such image."""
    look = ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', image]
    told = subprocess.run(look, check=False, capture_output=True, text=True)
    return told.stdout.strip() if told.returncode == 0 else None


def build(context: Path, image: str, digest: str = "") -> None:
    """Build an image; its steps may use the network for packages. The classic builder, which needs no plugin."""
    environment = os.environ | {"DOCKER_BUILDKIT": "0"}
    label = ["--label", f"{LABEL}={digest}"] if digest else []
    command = ["docker", "build", "--network", "host", *label, "--tag", image, str(context)]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-LAST_LINES:])
        raise SystemExit(f"{image} could not be built:\n{last}")


def wanted(known: StandIn) -> str:
    """Digest of all that a stand-in is made from."""
    found = hashlib.sha256(programs()[known.program].stamp.encode() if known.program else b"")
    for file in [*sorted((HERE / known.service).iterdir()), *(ROOT / name for name in known.files)]:
        found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def is_missing(known: StandIn, image: str) -> bool:
    """Whether a stand-in must be built: there is no image of that name, or a stand-in made from something else."""
    found = made_from(image)
    return found is None or (found.startswith(OURS) and found != OURS + wanted(known))


def stand_in(known: StandIn, image: str) -> None:
    """Gather what a stand-in is made of, and build it."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder) / "context"
        shutil.copytree(HERE / known.service, context)
        for file in known.files:
            shutil.copy(ROOT / file, context)
        if known.program:
            shutil.copytree(programs()[known.program].folder, context / "program")
        build(context, image, OURS + wanted(known))


def say(text: str) -> None:
    """Tell the person at the terminal, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Build all that is missing and say how long each took."""
    if made_from(BASE) is None:
        sys.stderr.write(f"{BASE} is missing and everything is made from it: docker pull {BASE}\n")
        return 1
    named = images()
    missing = [known for known in STAND_INS if is_missing(known, named[known.service])]
    resolve([known.program for known in missing if known.program], say)
    for known in missing:
        began = time.monotonic()
        stand_in(known, named[known.service])
        say(f"{named[known.service]:48} stand-in built in {time.monotonic() - began:5.0f} s")
    began = time.monotonic()
    build(ROOT, named["stow"])
    say(f"{named['stow']:48} built in {time.monotonic() - began:5.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
