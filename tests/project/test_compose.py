"""docker-compose.yml, .env.example and the code say the same; that they work is seen by `make test-containers`."""

from __future__ import annotations

import re
import tomllib

import yaml

from cli.components import Plan, components
from runtime.settings import load_settings
from tests.support.repository import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")
COMPOSITION = yaml.safe_load(TEXT)
SERVICES = COMPOSITION["services"]
OURS = {name: service for name, service in SERVICES.items() if str(service["image"]).startswith("radstream:")}
ONCE = {"init", "prepare", "cli"}
"""Services that do one thing and end."""
SECRETS = {
    "pseudonym",
    "vault",
    "session",
    "credentials",
    "user",
    "password",
    "access_key",
    "secret_key",
    "webhook_secret",
}
"""Settings that must never be written down themselves."""
READ_BY_COMPOSE = {"COMPOSE_PROFILES"}
"""Variables of docker compose itself."""
CHOSEN = {"RADSTREAM_TRITON": "triton:8001", "COMPOSE_PROFILES": "cpu"}
"""What the example sets to something else than what holds without it."""


def test_every_variable_is_explained_and_every_explained_one_is_read():
    read = set(re.findall(r"\$\{(\w+)", TEXT)) | READ_BY_COMPOSE
    explained = re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE)
    assert sorted(explained) == sorted(read)


def test_every_variable_has_a_default_and_the_example_shows_it():
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    shown = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert len(re.findall(r"\$\{", TEXT)) == len(re.findall(r"\$\{\w+:-[^}]*\}", TEXT))
    assert shown == defaults | CHOSEN


def test_each_variable_stands_under_words_about_it():
    paragraphs = [block for block in EXAMPLE.split("\n") if block]
    alone = [
        line
        for line, before in zip(paragraphs[1:], paragraphs, strict=False)
        if "=" in line and not line.startswith("#") and not before.startswith("# ")
    ]
    assert alone == []


def test_every_process_of_a_run_has_its_service_and_runs_the_same_command(monkeypatch):
    monkeypatch.setenv("RADSTREAM_SETTINGS", str(ROOT / "deploy" / "compose" / "settings.toml"))
    wanted = {each.name: list(each.command[1:]) for each in components(load_settings(), Plan())}
    assert {name: service["command"] for name, service in OURS.items() if name not in ONCE} == wanted


def test_images_are_pinned_by_tag():
    tags = {name: re.search(r":\$\{\w+:-([^}]+)\}$", service["image"]) for name, service in SERVICES.items()}
    assert [name for name, tag in tags.items() if tag is None or tag[1] == "latest"] == []


def test_every_container_has_a_limit_and_all_of_ours_may_do_little():
    assert [name for name, service in SERVICES.items() if "mem_limit" not in service] == []
    assert [
        name
        for name, service in OURS.items()
        if not service["read_only"] or service["cap_drop"] != ["ALL"] or not service["init"]
    ] == []


def test_what_ends_is_started_again_and_says_how_it_is_unless_it_is_done_once():
    kept = {name: service for name, service in SERVICES.items() if name not in ONCE}
    assert {service["restart"] for service in kept.values()} == {"unless-stopped"}
    assert [name for name, service in kept.items() if not service["healthcheck"].get("test")] == []
    assert {SERVICES[name]["restart"] for name in ONCE} == {"no"}


def test_nothing_starts_before_what_it_needs_is_well():
    waited = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    assert {name for name, needs in waited.items() if not needs} == {"init", "cli"}
    kinds = {other: needs["condition"] for each in waited.values() for other, needs in each.items()}
    assert {name: kinds.pop(name) for name in ("init", "prepare")} == dict.fromkeys(
        ("init", "prepare"), "service_completed_successfully"
    )
    assert set(kinds.values()) == {"service_healthy"}


def test_secrets_are_files_and_no_variable():
    named = [key for service in SERVICES.values() for key in service.get("environment", {})]
    assert [key for key in named if re.search(r"(?i)key|secret|password|token|credential", key)] == []
    settings = tomllib.loads((ROOT / "deploy" / "compose" / "settings.toml").read_text("utf-8"))
    secret = [
        *settings["keys"].items(),
        *settings["cluster"]["cassandra"].items(),
        *settings["cluster"]["s3"].items(),
    ]
    secret += [item for site in settings["sites"] for item in site.items()]
    held = {name: value for name, value in secret if name in SECRETS}
    assert held.keys() == SECRETS
    assert [name for name, value in held.items() if not value.startswith("file:")] == []


def test_triton_on_a_gpu_is_the_same_but_for_the_gpu():
    cpu, gpu = dict(SERVICES["triton"]), dict(SERVICES["triton-gpu"])
    assert (cpu.pop("profiles"), gpu.pop("profiles")) == (["cpu"], ["gpu"])
    (device,) = gpu.pop("deploy")["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert cpu == gpu


def test_every_service_may_be_scaled_but_those_of_which_there_is_one():
    """Two containers of a service cannot have one name, one port of the machine or one volume to write into."""
    named = {
        name for name, service in SERVICES.items() if "container_name" in service or "hostname" in service
    }
    assert named == {"cassandra"}
    written = {
        name
        for name, service in OURS.items()
        if name not in ONCE and any(not mount.endswith(":ro") for mount in service["volumes"])
    }
    assert written == set()


def test_only_gateway_and_portal_are_published():
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"stow", "portal"}
