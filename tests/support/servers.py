"""Real servers for tests: one set for all tests of a session, each server started when the first test asks for it.

They are containers where a Docker engine of this machine answers and has the images of the composition, else processes of
`deploy.local`. `RADSTREAM_TEST_SERVERS` set to `containers` or `local` says which it must be. What they are is told first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args
from unittest import SkipTest

import pytest

from deploy.local.place import Place, new
from deploy.local.resolve import resolve
from deploy.local.servers import Servers, with_needs
from deploy.local.settings import cluster_settings
from deploy.local.tools import MissingToolError
from runtime.settings import ClusterSettings
from tests.support.containers import ContainerServers, why_not

KIND_VARIABLE = "RADSTREAM_TEST_SERVERS"
"""Environment variable that decides how tests get their servers."""
Kind = Literal["containers", "local"]


def may_install() -> bool:
    """Whether `make` installs what is missing here, so that a missing tool is a fault: Debian and Ubuntu as root."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists()


def wanted() -> str:
    """What the person at the terminal said that servers must be, empty where nothing."""
    return os.environ.get(KIND_VARIABLE, "")


def kind(told: str) -> tuple[Kind, str]:
    """How tests get their servers on this machine, and why; pytest.UsageError where what is wanted is not there."""
    if told not in ("", *get_args(Kind)):
        raise pytest.UsageError(f"{KIND_VARIABLE} is {told}, and none of {', '.join(get_args(Kind))}")
    if told == "local":
        return "local", f"{KIND_VARIABLE} says so"
    reason = why_not(here=not told)
    if not told:
        return ("local", reason) if reason else ("containers", "a Docker engine answers and has the images")
    if reason:
        raise pytest.UsageError(f"{KIND_VARIABLE} says containers, and {reason}")
    return "containers", f"{KIND_VARIABLE} says so"


class SharedServers:
    """The session's servers.

    Parameters
    ----------
    place
        Where they live.
    how
        As what they run.
    """

    def __init__(self, place: Place, how: Kind = "local") -> None:
        self.place = place
        self.how = how
        self.running = Servers(place) if how == "local" else ContainerServers(place)

    def require(self, *names: str) -> ClusterSettings:
        """Start these servers, if they do not run, and say how to reach them."""
        if self.how == "local":
            try:
                resolve(with_needs(names), print)
            except MissingToolError as error:
                if may_install():
                    pytest.fail(str(error))
                raise SkipTest(str(error)) from error
        self.running.start(names)
        return cluster_settings(self.place)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServers]:
    """Servers of this session: `servers.require("kafka", "registry")`; they end with it."""
    place = new(tmp_path_factory.mktemp("servers"))
    shared = SharedServers(place, kind(wanted())[0])
    yield shared
    shared.running.stop()
