"""What holds for every test: its folder decides its marker, its worker and how long it may take."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.support.cluster import CLUSTER
from tests.support.quick_files import quick_place
from tests.support.servers import kind, servers, wanted

__all__ = ["servers"]

FOLDER = Path(__file__).parent

SERVER_FOLDERS = ("integration", "system")
"""Tests in these folders start servers or processes of their own, so they run one after the other, on one worker or two."""

ON_THEIR_OWN = frozenset(
    f"tests/integration/test_{name}.py"
    for name in ("documents", "local_servers", "portal", "step_killed", "triton")
)
"""Files of these folders that need none of the session's servers: any worker takes one, so that none works long alone."""

SERVER_TIMEOUT_S = 1800
"""seconds; a test that spreads its studies over minutes and restarts what it kills still ends well before this."""

QUICK_FOLDERS = ("unit", "contract", "properties", "models")
"""Tests in these folders write small files by the thousand, and none is about the disk that they lie on."""

# No deadline: how long an example takes depends on who else uses the machine.
# The same examples each time: a commit passes, or it does not.
settings.register_profile("radstream", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("radstream")


class ServersOnOneWorker(LoadScopeScheduling):
    """Tests on the session's real servers on one worker, whole systems that bring their own engines on one; others anywhere,
    by file where they start processes.

    pytest-xdist has `xdist_group` for this, which does nothing under pytest 9.2: the group never reaches the scheduler.
    """

    def _split_scope(self, nodeid: str) -> str:
        path, _, name = nodeid.partition("::")
        folder = path.split("/")[1]
        if folder not in SERVER_FOLDERS:
            return nodeid
        if path in ON_THEIR_OWN:
            return path
        profile = name.partition("[")[2].rstrip("]").split("-")[0]
        return "systems" if folder == "system" and profile != CLUSTER else "servers"


def pytest_report_header() -> str:
    """Say how the tests get their servers, so that nobody wonders what an engine that happens to run has to do with them."""
    how, why = kind(wanted())
    return f"servers: {how} ({why})"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ServersOnOneWorker:
    return ServersOnOneWorker(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(FOLDER).parts[0]
        if folder not in SERVER_FOLDERS:
            continue
        item.add_marker(folder)
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker("servers")
            if item.nodeid.partition("::")[0] in ON_THEIR_OWN:
                raise pytest.UsageError(
                    f"{item.nodeid} needs the session's servers, and its file is said to need none"
                )
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SERVER_TIMEOUT_S))


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """pytest's own; for tests of many small files one that is gone with the test."""
    if request.path.relative_to(FOLDER).parts[0] not in QUICK_FOLDERS:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(
        dir=quick_place(), prefix="radstream-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
