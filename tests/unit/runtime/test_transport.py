from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import faust
import pytest
from confluent_kafka import Producer

from runtime.errors import OutageError, StopError
from runtime.registry import ConfluentRegistry
from runtime.settings import KafkaSettings, RegistrySettings
from runtime.transport import kafka_client, sasl, trust
from stream_processors.app import credentials
from tests.support.certificates import self_signed


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "radstream\n")
    monkeypatch.setenv("PASS", "pässword")


def kafka(**more: object) -> KafkaSettings:
    values = {"bootstrap": "127.0.0.1:1", "replication": 1, "min_in_sync": 1}
    return KafkaSettings.model_validate(values | more)


WHO = {"user": "env:WHO", "password": "env:PASS"}


def test_librdkafka_takes_every_combination(tmp_path: Path) -> None:
    ca, _ = self_signed(tmp_path)
    for more in ({}, {"tls": True, "ca": ca}, WHO, {"tls": True, **WHO, "mechanism": "PLAIN"}):
        Producer(kafka_client(kafka(**more)) | {"log_level": 2})


def test_librdkafka_is_told_who_we_are_and_whom_we_trust(tmp_path: Path) -> None:
    ca, _ = self_signed(tmp_path)
    assert kafka_client(kafka(tls=True, ca=ca, **WHO)) == {
        "bootstrap.servers": "127.0.0.1:1",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(ca),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "radstream",
        "sasl.password": "pässword",
    }


def test_the_stream_engine_is_told_the_same(tmp_path: Path) -> None:
    ca, _ = self_signed(tmp_path)
    assert credentials(kafka()) is None
    encrypted = credentials(kafka(tls=True, ca=ca))
    assert isinstance(encrypted, faust.SSLCredentials)
    assert encrypted.context.verify_mode == ssl.CERT_REQUIRED
    plain, both = credentials(kafka(**WHO)), credentials(kafka(tls=True, ca=ca, **WHO))
    assert isinstance(plain, faust.SASLCredentials)
    assert isinstance(both, faust.SASLCredentials)
    assert (plain.username, plain.password) == ("radstream", "pässword")
    assert plain.protocol.value == "SASL_PLAINTEXT"
    assert (both.protocol.value, both.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert "pässword" not in repr(both)


def test_nobody_signs_in_where_no_user_is_named() -> None:
    assert sasl(kafka()) is None


def test_certificates_and_names_are_always_checked(tmp_path: Path) -> None:
    context = trust(self_signed(tmp_path)[0])
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_file_without_authorities_stops_the_process(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StopError):
        trust(file)
    with pytest.raises(StopError):
        kafka_client(kafka(tls=True, ca=file))


class Registry(ThreadingHTTPServer):
    """Answers one question over TLS, and remembers who asked."""

    asked: list[str]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[Registry, Path]]:
    ca, context = self_signed(tmp_path / "theirs")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.headers.get("authorization", ""))
            body = json.dumps({"id": 7}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

    server = Registry(("127.0.0.1", 0), Handler)
    server.asked = []
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, ca
    server.shutdown()
    server.server_close()


def client(server: Registry, **more: object) -> ConfluentRegistry:
    url = f"https://127.0.0.1:{server.server_address[1]}"
    return ConfluentRegistry(RegistrySettings.model_validate({"url": url, **more}))


def test_a_registry_is_asked_over_tls_by_its_user(registry: tuple[Registry, Path]) -> None:
    server, ca = registry
    assert client(server, ca=ca, **WHO).schema_id("Findings") == 7
    assert server.asked == ["Basic " + base64.b64encode("radstream:pässword".encode()).decode()]


def test_a_registry_that_nobody_vouches_for_is_told_nothing(
    registry: tuple[Registry, Path], tmp_path: Path
) -> None:
    server, _ = registry
    another, _ = self_signed(tmp_path / "ours")
    for more in ({}, {"ca": another}):
        with pytest.raises(OutageError):
            client(server, **WHO, **more).schema_id("Findings")
    assert server.asked == []
