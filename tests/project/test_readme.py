from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.support.repository import PACKAGES, ROOT, committed_files, committed_texts

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

FIRST_SCREEN_LINES = 30
"""What a forge shows before one scrolls."""

PAGES = sorted(path for path in committed_texts() if path.suffix == ".md")


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def make_commands(text: str) -> set[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return {name for block in blocks for name in re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)}


def headings(text: str) -> set[str]:
    """The anchors that a forge gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_first_screen_shows_the_two_commands():
    first_screen = "\n".join(README.splitlines()[:FIRST_SCREEN_LINES])

    assert make_commands(first_screen) == {"demo", "test"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_make_command_of_a_page_exists(page):
    assert make_commands(committed_texts()[page]) <= targets()


def test_make_alone_lists_every_target_that_says_what_it_does():
    # The tests may themselves run under make, which would hand its flags down.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    listed = subprocess.run(
        ["make"], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout

    assert {line.split()[1] for line in listed.splitlines()} == targets() - {"browser", "tools"}


def test_the_build_machine_runs_the_readme_s_test_command(tmp_path):
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    (tmp_path / "README.md").write_text(README.replace("make test\n", "echo the command of the page\n"))

    result = subprocess.run(["bash", tmp_path / ".ci" / "run"], check=True, capture_output=True, text=True)

    assert result.stdout == "the command of the page\n"


def test_the_build_machine_fails_where_the_page_has_no_command(tmp_path):
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    (tmp_path / "README.md").write_text("# Nothing to run\n")

    assert (
        subprocess.run(["bash", tmp_path / ".ci" / "run"], check=False, capture_output=True).returncode == 1
    )


def test_the_map_of_folders_is_the_tree():
    mapped = set(re.findall(r"^\| `(\w+)/` \|", README, re.MULTILINE))
    folders = {path.parts[0] for path in committed_files() if len(path.parts) > 1}

    assert mapped == {folder for folder in folders if not folder.startswith(".")}
    assert set(PACKAGES) <= mapped


def test_files_that_the_readme_names_exist():
    named = re.findall(r"`((?:" + "|".join(PACKAGES) + r")/[\w/.]+)`", README)

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_of_a_page_leads_somewhere(page):
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", committed_texts()[page]):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists() or (anchor and anchor not in headings(file.read_text(encoding="utf-8"))):
            lost.append(target)

    assert lost == []


def test_every_page_of_the_documentation_is_listed():
    index = ROOT / "docs" / "README.md"
    listed = {
        (index.parent / target).resolve()
        for target in re.findall(r"\]\(([^)#]+)\)", index.read_text(encoding="utf-8"))
    }

    assert {ROOT / page for page in PAGES if page.parts[0] == "docs" and page.name != "README.md"} <= listed
