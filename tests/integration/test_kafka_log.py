from __future__ import annotations

import pytest

from tests.contract.log_conformance import LogConformance, LogCrashConformance
from tests.support.port_driver import Opener


class TestKafkaLog(LogConformance, LogCrashConformance):
    @pytest.fixture
    def opener(self, servers):
        return Opener("tests.support.cluster_ports:log", servers.require("kafka").kafka.model_dump_json())
