from __future__ import annotations

from cli.main import app
from cli.reference import page
from tests.support.repository import ROOT


def test_the_page_of_the_command_line_is_the_command_line_s():
    written = (ROOT / "docs" / "cli.md").read_text("utf-8")

    assert written == page(), "make it anew: python -m cli.reference > docs/cli.md"


def test_every_command_and_option_says_what_it_does():
    rows = [line for line in page().splitlines() if line.startswith("| ") and line != "| | | default |"]

    assert len([line for line in page().splitlines() if line.startswith("## ")]) == len(
        app.registered_commands
    )
    assert [row for row in rows if not row.split("|")[2].strip().endswith(".") or "None" in row] == []
