from __future__ import annotations

import re

import pytest

from tests.support.repository import ROOT, committed_files, pyproject

LOCKS = sorted(
    path.name for path in committed_files() if path.parts[0] == "requirements" and path.suffix == ".txt"
)

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,-]+\])?==([^ ;\\]+)", re.MULTILINE)


def lock(name: str) -> str:
    return (ROOT / "requirements" / name).read_text(encoding="utf-8")


def pins(name: str) -> set[tuple[str, str]]:
    """(package, version), one for each version that a package has on some platform or Python."""
    return set(PIN.findall(lock(name)))


def normalised(requirement: str) -> str:
    name = re.split(r"[\[<>=; ]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def test_each_environment_has_its_lock():
    assert LOCKS == [
        "bench.txt", "bootstrap.txt", "fuzz.txt", "product.txt", "tests.txt", "training.txt", "triton.txt",
    ]  # fmt: skip


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_is_pinned_with_hashes(name):
    entries = re.split(r"\n(?=[a-z0-9])", "\n" + lock(name))[1:]

    assert entries
    assert [
        entry.splitlines()[0] for entry in entries if not PIN.match(entry) or "--hash=sha256:" not in entry
    ] == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_index_and_no_address(name):
    assert not re.search(r"^--(?!.*hash)|://|index-url|find-links", lock(name), re.MULTILINE)


def test_what_the_product_declares_is_locked():
    declared = {normalised(requirement) for requirement in pyproject()["project"]["dependencies"]}

    assert declared <= {package for package, _ in pins("product.txt")}


def test_the_tests_run_on_the_product_s_own_versions():
    assert pins("product.txt") <= pins("tests.txt")


def test_the_server_s_environment_has_numpy_1_wherever_numpy_1_exists():
    rows = [row for row in lock("triton.txt").splitlines() if row.startswith("numpy==1.")]

    assert [row.split(";")[1].strip(" \\") for row in rows] == ["python_full_version < '3.13'"]
