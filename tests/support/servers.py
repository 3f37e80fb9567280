"""Real servers for tests: one set for all tests of a session, each server started when the first test asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import SkipTest

import pytest

from deploy.local.place import Place, new
from deploy.local.resolve import resolve
from deploy.local.servers import Servers, with_needs
from deploy.local.settings import cluster_settings
from deploy.local.tools import MissingToolError
from runtime.settings import ClusterSettings


def may_install() -> bool:
    """Whether `make` installs what is missing here, so that a missing tool is a fault: Debian and Ubuntu as root."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists()


class SharedServers:
    """The session's servers.

    Parameters
    ----------
    place
        Where they live.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.running = Servers(place)

    def require(self, *names: str) -> ClusterSettings:
        """Start these servers, if they do not run, and say how to reach them."""
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
    shared = SharedServers(new(tmp_path_factory.mktemp("servers")))
    yield shared
    shared.running.stop()
