"""Rules and waits as Markdown, as `docs/risk.md` shows them (`python -m stream_processors.risk.table`); tests hold it to them."""

from __future__ import annotations

import sys
from math import isinf

from stream_processors.risk.rules import DEMOTED, RULES, STUDY_RULES, Bound, FindingRule
from stream_processors.risk.simulation import Outcome, Scenario, simulate

HEAD = "| rule | finding | certainty | where measured | class | alert |\n|---|---|---|---|---|---|\n"
STUDY_HEAD = "| rule | when | what |\n|---|---|---|\n"
WAITS_HEAD = "| minutes, mean / p95 | first come | by findings | change of mean / p95 / p99 / max |\n|---|---|---|---|\n"
CLASSES = {"critical": "critical", "routine": "routine", "missed": "critical, missed by the AI"}


def table() -> str:
    """Every rule on single findings, in the order they are tried."""
    return HEAD + "".join(_row(rule) for rule in RULES)


def study_table() -> str:
    """Every rule on a study as a whole."""
    return STUDY_HEAD + "".join(f"| {each.name} | {each.when} | {each.what} |\n" for each in STUDY_RULES)


def waits_table(outcome: Outcome) -> str:
    """What the order does to waiting times."""
    rows = []
    for name, words in CLASSES.items():
        first, ours = (f"{w.mean:.1f} / {w.p95:.0f}" for w in (outcome.fifo[name], outcome.ai[name]))
        changes = " / ".join(_percent(outcome.change(name, each)) for each in ("mean", "p95", "p99", "max"))
        rows.append(f"| {words} | {first} | {ours} | {changes} |\n")
    return WAITS_HEAD + "".join(rows)


def _percent(change: float) -> str:
    return f"{change * 100:+.0f} %".replace("-", "−")


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
    sys.stdout.write("\n".join((table(), study_table(), waits_table(simulate(Scenario())))))
