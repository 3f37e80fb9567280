"""The demonstration and the command line, as a newcomer uses them: subprocesses in a folder of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from cli import launch
from cli.demo_studies import public_file, with_own_uids
from runtime.connections import connect
from runtime.settings import load_settings
from schemas.summary import DemoSummary
from tests.support.processes import alive, wait_until
from tests.support.repository import ROOT

EXPECTED_BACKEND = "triton" if launch.triton_environment()[0] else "onnxruntime-in-process"
"""Where a Triton server is installed, the demonstration must use it."""


@dataclass(frozen=True)
class Checkout:
    """A folder in which commands run, as a checkout of its own."""

    home: Path

    def command(self, *arguments: str) -> list[str]:
        """Command line of `radstream`."""
        return [sys.executable, "-m", "cli", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """What tells the command where its runs are."""
        return os.environ | {"RADSTREAM_HOME": str(self.home), "PYTHONPATH": str(ROOT), "COLUMNS": "160"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            self.command(*arguments), cwd=ROOT, env=self.environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run a command to its end and return what it printed; AssertionError unless it ended with `status`."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=self.environment,
            check=False,
            text=True,
            capture_output=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    def processes(self) -> list[str]:
        """Command lines of what still runs out of this folder."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                told = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(self.home).encode() in told and alive(int(folder.name)):
                found.append(line)
        return found


def summary_of(file: Path) -> dict[str, Any]:
    """Return a demonstration's summary."""
    told: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return told


def study_key(run: Path, site: str, study_uid: str) -> str:
    """Pseudonym of a study in a run."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RADSTREAM_SETTINGS", str(run / "settings.toml"))
        settings = load_settings()
    connections = connect(settings, "cli")
    try:
        return connections.pseudonyms(site).study(settings.site(site).issuer, study_uid)
    finally:
        connections.close()


def test_two_demonstrations_at_once_each_show_everything_and_leave_nothing_running(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "home")
    running = [
        checkout.start("demo", "--exit", "--json", str(tmp_path / f"{name}.json")) for name in ("one", "two")
    ]
    printed = [each.communicate()[0] for each in running]

    assert [each.returncode for each in running] == [0, 0], "\n".join(printed)
    for name, text in zip(("one", "two"), printed, strict=True):
        told = summary_of(tmp_path / f"{name}.json")
        assert list(told) == [field.name for field in fields(DemoSummary)]
        assert told["public_studies"] >= 8
        assert told["synthetic_studies"] >= 4
        assert told["studies"] == told["public_studies"] + told["synthetic_studies"]
        assert told["findings"] >= 1
        assert told["alerts_delivered"] >= 1
        assert sum(told["quarantined"].values()) == 1
        assert all(told["quarantined"])
        assert sum(told["not_analysed"].values()) >= 8
        assert told["inference_backend"] == EXPECTED_BACKEND
        assert next(iter(told["hops"])) == "instance.received.v1"
        assert told["portal_url"] == ""
        assert f"{told['synthetic_studies']} generated" in text
        assert "Token" not in text
    settings = sorted((tmp_path / "home").glob("demo-*/settings.toml"))
    ports = [
        set(re.findall(r"^port = ([1-9]\d*)$", file.read_text("utf-8"), re.MULTILINE)) for file in settings
    ]
    assert len(settings) == 2
    assert all(len(each) == 2 for each in ports)
    assert ports[0].isdisjoint(ports[1])
    assert checkout.processes() == []


def test_a_demonstration_that_falls_short_says_so_and_ends_with_one(tmp_path: Path) -> None:
    """The public files cannot be sent: nothing listens where the sender looks."""
    checkout = Checkout(tmp_path / "home")
    program = (
        "from cli import demo, main, stow_client\n"
        "demo.SETTLE_TIMEOUT_S = 1.0\n"
        "demo.stow_client.store = lambda *arguments: stow_client.Answer(503, (), 0)\n"
        "main.main()\n"
    )
    command = [sys.executable, "-c", program, "demo", "--exit", "--json", str(tmp_path / "short.json")]
    done = subprocess.run(
        command, cwd=ROOT, env=checkout.environment, check=False, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip

    assert done.returncode == 1, done.stdout
    assert "fell short" in done.stdout
    assert summary_of(tmp_path / "short.json")["studies"] == 0
    assert checkout.processes() == []


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path_factory.mktemp("up"))
    checkout("up", "--site", "north", "--site", "south")
    try:
        yield checkout
    finally:
        checkout("down", "--delete")


def test_status_tells_every_process_its_address_and_its_lag(up: Checkout) -> None:
    told = json.loads(up("status", "--json"))["up"]
    processes = {each["name"]: each for each in told["processes"]}
    assert {each["state"] for each in processes.values()} == {"ready"}
    assert processes["stow"]["lag"] is None
    assert processes["deidentify"]["lag"] == 0
    assert processes["deidentify"]["health"].startswith("http://127.0.0.1:")
    assert told["stow"].endswith("/studies")
    assert "deidentify" in up("status")


def test_files_that_are_ingested_can_be_traced_and_reconciled(up: Checkout, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    uid, files = with_own_uids(public_file("CT_small.dcm"), 2, "A1")
    for number, data in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(data)
    dry = json.loads(up("ingest", str(folder), "--site", "north", "--dry-run", "--json"))
    assert (dry["files"], dry["stored"], dry["failed"]) == (2, 2, 0)
    assert "0 studies" in up("reconcile")

    taken = json.loads(up("ingest", str(folder), "--site", "north", "--json"))
    assert (taken["files"], taken["stored"], taken["failed"]) == (2, 2, 0)
    study = study_key(up.home / "up", "north", uid)
    wait_until(lambda: "risk.scored.v1" in up("trace", study), "the study's last hop")
    assert "1 studies, 2 instances acknowledged: 0 lost, 0 doubled" in up("reconcile")
    assert "no event of that study" in up("trace", "st-" + "0" * 32, status=1)


def test_a_token_opens_the_portal_and_an_unknown_role_or_site_is_refused(up: Checkout) -> None:
    token = up("token", "radiologist", "--site", "north", "--user", "reader").strip()
    assert re.fullmatch(r"[A-Za-z0-9_-]{20,}", token)
    assert "no such role" in up("token", "janitor", "--site", "north", status=1)
    assert "no such site" in up("token", "radiologist", "--site", "west", status=1)


def test_a_second_up_of_the_same_name_is_refused(up: Checkout) -> None:
    assert "running already" in up("up", status=1)


def test_down_stops_everything_and_says_so(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "home")
    checkout("up", "--site", "north")
    assert len(checkout.processes()) > 10
    assert "stopped up" in checkout("down")
    assert checkout.processes() == []
    assert json.loads(checkout("status", "--json")) == {}
    assert "nothing was running" in checkout("down")
