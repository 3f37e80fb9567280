from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import faults


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.disarm()


def test_a_process_dies_at_the_point_and_count_it_was_told(tmp_path: Path) -> None:
    kills: list[int] = []
    faults.configure(tmp_path, "stow", lambda: kills.append(1))
    faults.reach("after-publish")
    (tmp_path / "stow").write_text("after-publish 2")
    for point in ("after-store", "after-publish"):
        faults.reach(point)
    assert kills == []
    faults.reach("after-publish")
    assert kills == [1]
    assert (tmp_path / "stow.fired").read_text() == "after-publish 2"
    faults.reach("after-publish")
    assert kills == [1]


def test_an_order_for_another_component_is_not_followed(tmp_path: Path) -> None:
    faults.configure(tmp_path, "stow", pytest.fail)
    (tmp_path / "folder").write_text("after-store 1")
    faults.reach("after-store")


def test_the_kill_is_one_that_no_handler_sees(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("after-effect")
    program = (
        "import sys; from pathlib import Path; from runtime import faults; "
        "faults.configure(Path(sys.argv[1]), 'x'); faults.reach('after-effect')"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
