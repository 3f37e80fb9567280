"""Real servers for tests: one set for all tests of a session, each server started when the first test asks for it.

They are containers where a Docker engine answers and has the images, else processes of `deploy.local`. `RADSTREAM_TEST_SERVERS`
set to `containers` or `local` says which it must be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
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


def kind(wanted: str) -> Kind:
    """How tests get their servers on this machine; a failure where what is wanted is not there."""
    if wanted == "local":
        return "local"
    reason = why_not()
    if wanted == "containers" and reason:
        pytest.fail(f"{KIND_VARIABLE} says containers, and {reason}")
    return "local" if reason else "containers"


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
    shared = SharedServers(place, kind(os.environ.get(KIND_VARIABLE, "")))
    yield shared
    shared.running.stop()
