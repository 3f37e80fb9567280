from __future__ import annotations

import pytest

from tests.contract.tables_conformance import TablesConformance
from tests.support.port_driver import Opener


class TestEmbeddedTables(TablesConformance):
    @pytest.fixture
    def opener(self, tmp_path):
        return Opener("tests.support.embedded_ports:tables", str(tmp_path))
