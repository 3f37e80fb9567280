from __future__ import annotations

from pathlib import Path

from stream_processors.deidentification import REASONS, rules
from stream_processors.deidentification.document import ACTIONS, PAGE, page
from stream_processors.deidentification.table import load_table

ROOT = Path(__file__).parents[4]


def test_the_page_says_what_the_code_does() -> None:
    assert (ROOT / PAGE).read_text("utf-8") == page()


def test_the_page_has_every_row_reason_and_action() -> None:
    text = page()
    assert [
        row.tag for row in load_table()[1] if not row.is_pattern and f"| {row.keyword} |" not in text
    ] == []
    assert [reason for reason in REASONS if f"`{reason}`" not in text] == []
    names = {value for name, value in vars(rules).items() if name.isupper() and isinstance(value, str)}
    assert names == set(ACTIONS)
