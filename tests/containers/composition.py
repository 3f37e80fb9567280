"""Drives `docker compose` on the composition of this repository, as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.runs import CLEANING

ROOT = Path(__file__).parents[2]
EXAMPLE = ".env.example"
"""The variables, as users copy them; those of the process win."""
UP_S = 900
"""Seconds until everything must be well, on a machine that does much else besides."""


def docker(*arguments: str, check: bool = True, timeout_s: float = UP_S) -> subprocess.CompletedProcess[str]:
    """Run docker and return what it said."""
    done = subprocess.run(
        ["docker", *arguments], check=False, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT
    )
    if check and done.returncode:
        raise AssertionError(f"docker {arguments[0]} failed: {(done.stdout + done.stderr)[-2000:]}")
    return done


@dataclass(frozen=True, slots=True)
class Composition:
    """One start of docker-compose.yml.

    Parameters
    ----------
    project
        Name that keeps it apart from others on the same engine.
    variables
        What is set otherwise than in `.env.example`.
    """

    project: str
    variables: dict[str, str]

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run docker compose."""
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, "--env-file", EXAMPLE, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=UP_S,
            cwd=ROOT,
            env=os.environ | self.variables,
        )
        if check and done.returncode:
            said = (done.stdout + done.stderr)[-2000:]
            raise AssertionError(f"docker compose {arguments[0]} failed: {said}\n{self.last_words()}")
        return done

    def last_words(self) -> str:
        """End of the log of every container that is not as it should be."""
        unwell = [row["Service"] for row in self.containers() if _is_unwell(row)]
        return "\n".join(self.compose("logs", "--tail", "5", name, check=False).stdout for name in unwell)

    def containers(self) -> list[dict[str, Any]]:
        """What `docker compose ps` tells of each container."""
        told = self.compose("ps", "--all", "--format", "json", check=False).stdout
        return [json.loads(line) for line in told.splitlines() if line.startswith("{")]

    def up(self) -> float:
        """Start everything and return after how many seconds all was well."""
        began = time.monotonic()
        self.compose("up", "--detach", "--no-build", "--pull", "never")
        wait_for("everything is well", lambda: not any(_is_unwell(row) for row in self.containers()), UP_S)
        return time.monotonic() - began

    def memory(self) -> str:
        """What each container holds of its limit, a line each."""
        names = [row["Name"] for row in self.containers() if row["State"] == "running"]
        return docker("stats", "--no-stream", "--format", "{{.MemUsage}}  {{.Name}}", *names).stdout

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the `radstream` command inside."""
        return self.compose(
            "--profile", "tools", "run", "--rm", "--no-deps", "-T", "cli", *arguments, check=check
        )

    def token(self, role: str, site: str) -> str:
        """Make a token."""
        return self.cli("token", role, "--site", site).stdout.strip().splitlines()[-1]


def _is_unwell(row: dict[str, Any]) -> bool:
    if row["State"] == "exited":
        return bool(row["ExitCode"])
    return (row["State"], row["Health"]) != ("running", "healthy")


def wait_for(what: str, holds: Callable[[], bool], timeout_s: float, pause_s: float = 2.0) -> None:
    """Return once it holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {what}"
        time.sleep(pause_s)


def settings_of_the_test(folder: Path, url: str) -> Path:
    """The composition's settings, with a receiver for its alerts and pixels at risk cleaned."""
    text = (ROOT / "deploy" / "compose" / "settings.toml").read_text("utf-8")
    line = 'webhook_url = ""\n'
    assert text.count(line) == 1
    path = folder / "settings.toml"
    changed = text.replace(line, f'webhook_url = "{url}"\ndeidentification = {json.dumps(CLEANING)}\n')
    path.write_text(changed, "utf-8")
    path.chmod(0o644)  # the process in the container is another user
    return path


def leftovers(project: str) -> Sequence[str]:
    """Containers, networks and volumes of a project that are still there."""
    mine = f"label=com.docker.compose.project={project}"
    found = [
        docker("ps", "--all", "--quiet", "--filter", mine).stdout,
        docker("network", "ls", "--quiet", "--filter", mine).stdout,
        docker("volume", "ls", "--quiet", "--filter", mine).stdout,
    ]
    return " ".join(found).split()
