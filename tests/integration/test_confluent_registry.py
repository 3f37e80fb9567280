from __future__ import annotations

import pytest

from tests.contract.registry_conformance import RegistryConformance
from tests.support.port_driver import Opener


class TestConfluentRegistry(RegistryConformance):
    @pytest.fixture
    def opener(self, servers):
        return Opener(
            "tests.support.cluster_ports:registry", servers.require("registry").registry.model_dump_json()
        )
