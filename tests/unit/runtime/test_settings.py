from __future__ import annotations

import base64
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from runtime.errors import StopError
from runtime.settings import DeidentificationOption, KafkaSettings, SecretReference, Settings, load_settings
from stream_processors.deidentification.table import BASIC, MEANINGS
from tests.support.installation import settings

CLUSTER: dict[str, dict[str, object]] = {
    "kafka": {"bootstrap": "127.0.0.1:9092", "replication": 1, "min_in_sync": 1},
    "registry": {"url": "http://127.0.0.1:8081"},
    "cassandra": {
        "contact_points": ["127.0.0.1"],
        "user": "env:CASSANDRA_USER",
        "password": "env:CASSANDRA_PASSWORD",
        "replication": {"datacenter1": 1},
    },
    "s3": {"endpoint": "http://127.0.0.1:9000", "access_key": "env:S3_KEY", "secret_key": "env:S3_SECRET"},
}


TLS = {"tls": True, "ca": "/ca.pem"}
WHO = {"user": "env:WHO", "password": "env:PASS"}


def written(folder: Path, **changes: object) -> dict[str, str]:
    settings(folder, **changes).write(folder / "settings.toml")
    return {"RADSTREAM_SETTINGS": str(folder / "settings.toml")}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    site = {
        "name": 'no"rth \\ ü',
        "issuer": "a\nb",
        "webhook_url": "http://127.0.0.1:1",
        "webhook_secret": "env:HOOK",
        "deidentification": ["113101", "113105"],
    }
    changes = {
        "sites": [site, {"name": "south"}],
        "steps": {"quiet_window_s": 1.5},
        "delivery": {"redeliver": True},
        "profile": "cluster",
        "cluster": CLUSTER,
    }
    assert load_settings(written(tmp_path, **changes)) == settings(tmp_path, **changes)


def test_the_options_of_de_identification_are_those_that_it_offers(tmp_path: Path) -> None:
    assert set(get_args(DeidentificationOption)) == MEANINGS.keys() - {BASIC}
    with pytest.raises(StopError, match="sites"):
        load_settings(written_raw(tmp_path, "113102"))
    assert load_settings(written_raw(tmp_path, "113101")).sites[0].deidentification == ["113101"]


def written_raw(folder: Path, option: str) -> dict[str, str]:
    environment = written(folder, sites=[{"name": "north", "deidentification": ["113101"]}])
    file = folder / "settings.toml"
    file.write_text(file.read_text("utf-8").replace("113101", option), "utf-8")
    return environment


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    environment = written(tmp_path) | {
        "RADSTREAM__STEPS__QUIET_WINDOW_S": "2",
        "RADSTREAM__DELIVERY__REDELIVER": "true",
        "RADSTREAM__LOG_LEVEL": "DEBUG",
    }
    found = load_settings(environment)
    assert (found.steps.quiet_window_s, found.delivery.redeliver, found.log_level) == (2.0, True, "DEBUG")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("RADSTREAM__STEPS__QUIET", "steps.quiet"),
        ("RADSTREAM__STEP__QUIET_WINDOW_S", "step"),
        ("RADSTREAM__LOG_LEVEL", "log_level"),
        ("RADSTREAM__KEYS__VAULT", "keys.vault"),
        ("RADSTREAM__LOG_LEVEL__X", "RADSTREAM__LOG_LEVEL__X"),
        ("RADSTREAM__SITES", "sites"),
    ],
)
def test_wrong_names_and_values_are_refused_by_name_without_the_value(
    tmp_path: Path, name: str, told: str
) -> None:
    with pytest.raises(StopError) as refused:
        load_settings(written(tmp_path) | {name: "hunter2"})
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", [None, "not = [toml", 'unknown = 1\ndata = "x"'])
def test_a_file_that_is_missing_or_wrong_stops_the_process(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(StopError):
        load_settings({"RADSTREAM_SETTINGS": str(tmp_path / "settings.toml")})


def test_no_file_named_stops_the_process() -> None:
    with pytest.raises(StopError, match="RADSTREAM_SETTINGS"):
        load_settings({})


def test_sites_have_names_of_their_own(tmp_path: Path) -> None:
    valid = settings(tmp_path).model_dump(mode="json", exclude_none=True)
    for sites in ([], [{"name": "a"}, {"name": "a"}], [{"name": ""}]):
        with pytest.raises(ValueError, match="sites"):
            Settings.model_validate(valid | {"sites": sites})


@pytest.mark.parametrize(
    ("section", "change", "told"),
    [
        pytest.param("kafka", {"replication": 0}, "replication", id="no copy of a partition"),
        pytest.param("kafka", {"replication": 1, "min_in_sync": 2}, "min_in_sync", id="more than there are"),
        pytest.param("cassandra", {"replication": {}}, "replication", id="no datacenter"),
        pytest.param("cassandra", {"replication": {"elsewhere": 3}}, "datacenter", id="none of its own"),
        pytest.param("cassandra", {"consistency": "ONE"}, "consistency", id="a row one node alone knows"),
        pytest.param("s3", {"secret_key": "hunter2"}, "secret_key", id="a secret itself"),
    ],
)
def test_engines_that_could_lose_what_they_confirmed_are_refused(tmp_path, section, change, told):
    cluster = CLUSTER | {section: CLUSTER[section] | change}
    with pytest.raises(ValueError, match=told):
        settings(tmp_path, profile="cluster", cluster=cluster)


def test_the_profile_cluster_needs_its_section(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the section cluster"):
        settings(tmp_path, profile="cluster")


def test_a_secret_is_the_bytes_it_refers_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = bytes(range(256))
    (tmp_path / "raw").write_bytes(random)
    (tmp_path / "text").write_bytes(b"base64:" + base64.b64encode(random) + b"\n")
    monkeypatch.setenv("PLAIN", "s3cret")
    monkeypatch.setenv("ENCODED", "base64:" + base64.b64encode(random).decode())
    assert SecretReference(f"file:{tmp_path / 'raw'}").read() == random
    assert SecretReference(f"file:{tmp_path / 'text'}").read() == random
    assert SecretReference("env:PLAIN").read() == b"s3cret"
    assert SecretReference("env:ENCODED").read() == random


@pytest.mark.parametrize("reference", ["env:NO_SUCH_VARIABLE", "file:/no/such/file", "env:NO_BASE64"])
def test_a_secret_that_is_not_there_stops_the_process(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_BASE64", "base64:***")
    with pytest.raises(StopError):
        SecretReference(reference).read()


@pytest.mark.parametrize("text", ["hunter2", "env:", "vault:x", ""])
def test_a_secret_itself_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError, match="env:NAME or file:/path"):
        SecretReference(text)


@pytest.mark.parametrize(
    ("more", "protocol"),
    [({}, "PLAINTEXT"), (TLS, "SSL"), (WHO, "SASL_PLAINTEXT"), (TLS | WHO, "SASL_SSL")],
)
def test_kafkas_protocol_follows_from_encryption_and_user(more: dict[str, object], protocol: str) -> None:
    assert KafkaSettings.model_validate(CLUSTER["kafka"] | more).protocol == protocol


@pytest.mark.parametrize(
    ("engine", "more"),
    [
        ("kafka", {"ca": "/ca.pem"}),
        ("kafka", {"user": "env:WHO"}),
        ("kafka", {"password": "env:PASS"}),
        ("kafka", WHO | {"mechanism": "GSSAPI"}),
        ("kafka", WHO | {"password": "in-plain-sight"}),
        ("registry", {"ca": "/ca.pem"}),
        ("registry", {"user": "env:WHO"}),
        ("registry", {"user": "env:WHO", "password": "in-plain-sight"}),
        ("cassandra", {"ca": "/ca.pem"}),
        ("s3", {"secret_key": "in-plain-sight"}),
    ],
)
def test_settings_that_only_look_safe_are_refused_and_never_quoted(
    tmp_path: Path, engine: str, more: dict[str, object]
) -> None:
    described = CLUSTER | {engine: CLUSTER[engine] | more}
    with pytest.raises(ValidationError) as refused:
        settings(tmp_path, cluster=described)
    assert "in-plain-sight" not in str(refused.value)
