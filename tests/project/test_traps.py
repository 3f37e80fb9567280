"""Decision 0012 says of every trap of the stock idiom which test shows it and which holds it here: those tests exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "decisions" / "0012-faust-binding.md"
ROW = re.compile(r"^\| (?!trap|---)([^|]+)\|[^|]+\|([^|]+)\|([^|]+)\|$", re.MULTILINE)
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
SAME = "the same"
"""Stands where one test shows both."""


def rows() -> list[tuple[str, str, str]]:
    """Trap, what shows it, what holds it here."""
    return [(a.strip(), b.strip(), c.strip()) for a, b, c in ROW.findall(PAGE.read_text("utf-8"))]


def names_in(file_name: str) -> set[str]:
    """Names of the tests in every file of that name."""
    return {
        node.name
        for path in (ROOT / "tests").rglob(file_name)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_the_table_has_the_five_losses_and_the_other_traps() -> None:
    assert len(rows()) >= 11


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_each_trap_is_shown_by_a_test_and_held_by_a_test(row: tuple[str, str, str]) -> None:
    _, shown, held = row
    assert NAMED.findall(shown)
    assert NAMED.findall(held) or held == SAME
    for file_name, name in NAMED.findall(shown + held):
        assert name in names_in(file_name)


def test_what_the_page_names_besides_exists() -> None:
    besides = re.findall(r"`(test_\w+)`", PAGE.read_text("utf-8"))
    assert besides
    assert set(besides) <= names_in("test_faust_*.py")
