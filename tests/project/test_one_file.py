"""A new sink, notifier or step is one product file: found, listed, started and tested without another line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT, committed_files

SINK = '''"""Takes results and keeps nothing."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.connections import Connections
from schemas.events import Event
from sinks.sink import Outputs, SinkSpec

SPEC = SinkSpec(summary="Takes results and keeps nothing.", reads=("findings.v1", "alerts.v1"))


@dataclass(frozen=True, slots=True)
class NoOp:
    """Does nothing."""

    def write(self, topic: str, event: Event) -> Outputs:
        """Take an event."""
        del topic, event
        return ()


def open_sink(connections: Connections) -> NoOp:
    """Open it on a process's connections."""
    del connections
    return NoOp()
'''
STEP = '''"""Takes results and says nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

from schemas.events import Findings
from stream_processors.step import Output, Step, StepContext


async def run(result: Findings, context: StepContext) -> AsyncIterator[Output]:
    """Take an event."""
    del result, context
    for output in ():
        yield output


STEP = Step(summary="Takes results and says nothing.", reads=("findings.v1",), emits=(), run=run)
'''
pytestmark = pytest.mark.timeout(300)
"""seconds: each test starts a Python, or a pytest, of its own."""
FILES = {
    "sinks/noop_sink.py": SINK,
    "sinks/notifiers/noop_notifier.py": SINK,
    "stream_processors/steps/noop_step.py": STEP,
}
HELD_TO = (
    "tests/contract/test_sinks.py",
    "tests/contract/test_steps.py",
    "tests/contract/test_topics.py",
    "tests/unit/cli/test_components.py",
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with three files more."""
    folder = tmp_path_factory.mktemp("copy")
    for path in committed_files():
        (folder / path.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    for name, text in FILES.items():
        assert not (folder / name).exists()
        (folder / name).write_text(text, "utf-8")
    return folder


def python(copy: Path, *arguments: str) -> str:
    """Run Python in the copy, on the copy; AssertionError with what it said unless it ends well."""
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("package", "names"), [("sinks", ["noop_sink", "noop_notifier"]), ("stream_processors", ["noop_step"])]
)
def test_it_is_listed(copy: Path, package: str, names: list[str]) -> None:
    printed = python(copy, "-m", package, "--list")
    assert all(name in printed for name in names)


def test_it_is_a_process_with_dead_letters_of_its_own(copy: Path) -> None:
    printed = python(copy, "-c", "import cli.components as c; print(c.__file__, *c.consumers())").split()
    assert Path(printed[0]) == copy / "cli" / "components.py"
    assert {"noop_sink", "noop_notifier", "noop_step"} < set(printed)


def test_the_conformance_tests_test_it(copy: Path) -> None:
    printed = python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "-k", "noop", *HELD_TO)
    for name in ("noop_sink", "noop_notifier", "noop_step"):
        assert f"[{name}]" in printed


@pytest.mark.parametrize(
    ("file", "good", "bad"),
    [
        ("sinks/noop_sink.py", '"alerts.v1"', '"alarms.v1"'),
        ("stream_processors/steps/noop_step.py", "says nothing.", ""),
    ],
)
def test_one_that_breaks_the_contract_is_caught(copy: Path, file: str, good: str, bad: str) -> None:
    path = copy / file
    text = path.read_text("utf-8")
    path.write_text(text.replace(good, bad), "utf-8")
    try:
        with pytest.raises(AssertionError, match="failed"):
            python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", path.stem, *HELD_TO[:2])
    finally:
        path.write_text(text, "utf-8")


def test_the_import_contracts_cover_it_without_naming_it(copy: Path) -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=copy, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
