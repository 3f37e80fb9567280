from __future__ import annotations

import pytest

from tests.contract.registry_conformance import RegistryConformance
from tests.support.port_driver import Opener


class TestEmbeddedRegistry(RegistryConformance):
    @pytest.fixture
    def opener(self, tmp_path):
        return Opener("tests.support.embedded_ports:registry", str(tmp_path))
