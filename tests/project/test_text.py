from __future__ import annotations

import re

import pytest

from tests.support.repository import PACKAGES, committed_texts

# Written in parts, so that this file is clean by its own rules.
REGISTRY_HOSTS = [
    "py" + "pi",
    "pythonhost" + "ed",
    "npm" + "js",
    "ma" + "ven",
    "sona" + "type",
    "deb.deb" + "ian",
    "cra" + "tes",
    "proxy.go" + "lang",
]

RULES = {
    "a package registry's host": re.compile(
        r"\b[\w.-]*(?:" + "|".join(REGISTRY_HOSTS) + r")\.(?:org|com|io|apache)\b"
    ),
    "a path of one machine": re.compile(
        r"(?<![\w.~-])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "Us" + "ers"]) + r")/[\w.]"
    ),
    "a note to do later": re.compile(r"\b(?:TO" + "DO|FIX" + r"ME)\b"),
    "something left to be written": re.compile(r"\braise Not" + "Implemented"),
    "a skipped or excused test": re.compile(
        r"pytest\.(?:mark\.)?(?:" + "|".join(["sk" + "ip", "sk" + "ipif", "x" + "fail"]) + r")\b"
    ),
    "code left out of account": re.compile("pragma: no " + "cover"),
    "an exception from typing without its code": re.compile(r"#\s*type:\s*ignore(?!\[)"),
    "an exception from the linter without its code": re.compile(r"#\s*" + "no" + r"qa(?!:\s?[A-Z])"),
    "a key": re.compile("-----" + "BEGIN [A-Z ]*PRIVATE KEY"),
}

GENERATED = re.compile(r"^(?:LICENSE|requirements/\w+\.txt)$")
"""Not our words; the locks have a test of their own."""


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        pytest.param(
            "a package registry's host", "https://files." + "pythonhost" + "ed.org/x", id="a download"
        ),
        pytest.param("a path of one machine", "open('/" + "wo" + "rk/x')", id="a folder"),
        pytest.param("a note to do later", "# TO" + "DO later", id="a note"),
        pytest.param("a skipped or excused test", "@pytest.mark." + "skipif(True)", id="a skip"),
        pytest.param("something left to be written", "raise Not" + "ImplementedError", id="a stub"),
        pytest.param("an exception from typing without its code", "x = y  # type" + ": ignore", id="no code"),
        pytest.param("an exception from the linter without its code", "x = y  # no" + "qa", id="no rule"),
    ],
)
def test_a_rule_finds_what_it_forbids(rule, text):
    assert RULES[rule].search(text)


@pytest.mark.parametrize("rule", RULES)
def test_no_committed_text_holds(rule):
    found = [
        f"{path}:{number}"
        for path, text in committed_texts().items()
        if not GENERATED.match(path.as_posix())
        for number, line in enumerate(text.splitlines(), start=1)
        if RULES[rule].search(line)
    ]

    assert found == []


def test_every_exception_from_typing_in_the_product_says_why():
    unexplained = [
        f"{path}:{number}"
        for path, text in committed_texts().items()
        if path.parts[0] in PACKAGES
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(r"#\s*type:\s*ignore\[[\w,-]+\]\s*$", line)
    ]

    assert unexplained == []
