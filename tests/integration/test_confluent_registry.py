from __future__ import annotations

import threading
import uuid
from contextlib import suppress

import pytest

from runtime.errors import OutageError
from runtime.registry import ConfluentRegistry
from schemas.topics import subject
from tests.contract.registry_conformance import RegistryConformance, schema
from tests.support.port_driver import Opener
from tests.support.servers import SharedServers


class TestConfluentRegistry(RegistryConformance):
    @pytest.fixture
    def opener(self, servers):
        return Opener(
            "tests.support.cluster_ports:registry", servers.require("registry").registry.model_dump_json()
        )


def test_a_registry_that_comes_back_denies_no_schema(servers: SharedServers) -> None:
    settings = servers.require("registry").registry
    names = [f"E{uuid.uuid4().hex}" for _ in range(60)]
    first = ConfluentRegistry(settings)
    numbers = [first.register(subject(name), schema(name)) for name in names]
    first.close()
    servers.running.kill("registry")
    answers: list[str | None] = []
    is_up = threading.Event()

    def ask() -> None:
        while not is_up.is_set() or not answers:
            asked = ConfluentRegistry(settings)
            for number in reversed(numbers):
                with suppress(OutageError):
                    answers.append(asked.schema_text(number))
            asked.close()

    asking = threading.Thread(target=ask)
    asking.start()
    servers.require("registry")  # not in the thread: a server ends with the thread that started it
    is_up.set()
    asking.join()
    assert None not in answers
