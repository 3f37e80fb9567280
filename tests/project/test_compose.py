"""docker-compose.yml, .env.example and the code say the same; that they work is seen by `make test-containers`."""

from __future__ import annotations

import re

import yaml

from cli.components import Plan, components
from runtime.settings import load_settings
from tests.support.repository import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")
COMPOSITION = yaml.safe_load(TEXT)
SERVICES = COMPOSITION["services"]
OURS = {name: service for name, service in SERVICES.items() if str(service["image"]).startswith("radstream:")}
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
        if "=" in line and not line.startswith("#") and not before.startswith("#") and "=" not in before
    ]
    assert alone == []


def test_every_process_of_a_run_has_its_service_and_runs_the_same_command(monkeypatch):
    monkeypatch.setenv("RADSTREAM_SETTINGS", str(ROOT / "deploy" / "compose" / "settings.toml"))
    wanted = {each.name: list(each.command[1:]) for each in components(load_settings(), Plan())}
    helpers = {"init", "prepare", "cli"}
    assert {name: service["command"] for name, service in OURS.items() if name not in helpers} == wanted


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


def test_only_gateway_and_portal_are_published():
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"stow", "portal"}
