"""The rules as Markdown, as `docs/risk.md` shows them: `python -m stream_processors.risk.table`; a test holds the page to it."""

from __future__ import annotations

import sys
from math import isinf

from stream_processors.risk.rules import DEMOTED, RULES, Bound, FindingRule

HEAD = "| rule | finding | certainty | where measured | class | alert |\n|---|---|---|---|---|---|\n"


def table() -> str:
    """Every rule on single findings, in the order they are tried."""
    return HEAD + "".join(_row(rule) for rule in RULES)


def _row(rule: FindingRule) -> str:
    where = " and ".join(_words(bound) for bound in rule.where) or "–"
    alert = "worklist only" if not rule.alert_class or rule.name in DEMOTED else "page"
    findings = ", ".join(sorted(rule.findings))
    return f"| {rule.name} | {findings} | {rule.certainty} | {where} | {rule.urgency} | {alert} |\n"


def _words(bound: Bound) -> str:
    above = "" if isinf(bound.at_least) else f" ≥ {bound.at_least:g}"
    below = "" if isinf(bound.below) else f" < {bound.below:g}"
    absent = "" if bound.otherwise is None else f" (not measured: {bound.otherwise:g})"
    return f"`{bound.quantity}`{above}{below}{absent}"


if __name__ == "__main__":
    sys.stdout.write(table())
