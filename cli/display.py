"""How the terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.demo import Demonstration
from cli.orphans import Orphan
from cli.outcome import StudyOutcome
from cli.pages import JudgedRule
from cli.reconcile import Report
from cli.trace import TracedHop
from stream_processors.risk.simulation import Outcome

MARKS = {
    "critical": "[bold red]▲ critical[/]",
    "high": "[yellow]△ high[/]",
    "undetermined": "[magenta]? undetermined[/]",
    "not-analysed": "[dim]○ not analysed[/]",
    "routine": "· routine",
}
"""Priority by shape and word, not by colour alone."""


def _result(outcome: StudyOutcome) -> str:
    row = outcome.row
    if row is None or row.result_status is None:
        return "no result"
    if row.result_status != "analysed":
        return row.result_reason or row.result_status
    strongest = sorted(outcome.findings, key=lambda finding: -(finding.probability or 0))[:2]
    named = [
        f"{finding.finding} {finding.probability:.2f}"
        for finding in strongest
        if (finding.probability or 0) >= (finding.threshold or 1)
    ]
    return ", ".join(named) or "nothing above threshold"


def _received_to_result(outcome: StudyOutcome) -> str:
    row = outcome.row
    scored = [hop.recorded_at or 0 for hop in outcome.hops if hop.topic == "risk.scored.v1"]
    if row is None or row.received_at is None or not scored:
        return ""
    return f"{(min(scored) - row.received_at) / 1e6:.1f} s"


def demonstration(console: Console, done: Demonstration) -> None:
    """Show each study, then the figures, then where to look."""
    table = Table(title="What became of each study", title_justify="left", expand=False)
    for heading in ("study", "priority", "result", "alert", "after"):
        table.add_column(heading)
    studies = [sent for sent in done.sent if sent.kind != "damaged"]
    for sent, outcome in zip(studies, done.outcomes, strict=True):
        urgency = (outcome.row.urgency if outcome.row else None) or ""
        alert = "[bold red]paged[/]" if outcome.alerts else ""
        table.add_row(
            sent.title, MARKS.get(urgency, urgency), _result(outcome), alert, _received_to_result(outcome)
        )
    console.print(table)
    summary = done.summary
    console.print(
        f"{summary.studies} studies: {summary.public_studies} of public samples, "
        f"{summary.synthetic_studies} generated; {summary.instances} instances; "
        f"{summary.findings} findings above threshold; {summary.alerts_delivered} alerts delivered"
    )
    for reason, count in summary.quarantined.items():
        console.print(f"{count} file quarantined: {reason}")
    console.print(f"inference: {summary.inference_backend} (demonstration model, not for clinical use)")
    console.print(f"finished after {summary.seconds} s")
    if summary.portal_url:
        console.print(f"\nPortal   [bold]{summary.portal_url}[/]")
        console.print(f"Token    {done.reader_token}  (radiologist at {done.sent[0].site})", soft_wrap=True)
        console.print("Stop     make down")


def status(console: Console, name: str, state: dict[str, Any]) -> None:
    """Show one run's processes."""
    table = Table(title=f"{name}   portal {state['portal']}   stow {state['stow']}", title_justify="left")
    for heading in ("process", "state", "pid", "starts", "lag", "health"):
        table.add_column(heading)
    for process in state["processes"]:
        lag = "" if process["lag"] is None else str(process["lag"])
        table.add_row(
            process["name"],
            process["state"],
            str(process["pid"] or ""),
            str(process["starts"]),
            lag,
            process["health"],
        )
    console.print(table)


def trace(console: Console, hops: Sequence[TracedHop]) -> None:
    """Show a study's hops."""
    table = Table()
    for heading in ("after", "event", "topic", "by", "revision"):
        table.add_column(heading)
    for hop in hops:
        table.add_row(f"{hop.after_s:.3f} s", hop.event, hop.topic, hop.producer, str(hop.revision or ""))
    console.print(table)


def reconciliation(console: Console, report: Report) -> None:
    """Show what is lost, doubled or pending."""
    for problem in report.problems:
        console.print(f"{problem.kind:8} {problem.what:30} {problem.site} {problem.study} {problem.subject}")
    counts = ", ".join(f"{report.count(kind)} {kind}" for kind in ("lost", "doubled", "pending"))
    console.print(f"{report.studies} studies, {report.instances} instances acknowledged: {counts}")


def orphans(console: Console, found: Sequence[Orphan]) -> None:
    """Show raw objects that nothing refers to."""
    for orphan in found:
        console.print(f"orphan   {orphan.day} {orphan.size:>12} bytes  {orphan.object_key}", soft_wrap=True)
    console.print(f"{len(found)} orphans; nobody was told that they are stored")


def pages(console: Console, found: Sequence[JudgedRule]) -> None:
    """Show what readers made of each rule's pages."""
    table = Table("rule", "pages", "judged", "right", "right at least", "proposal")
    for each in found:
        share = f"{each.at_least:.0%}" if each.judged else "–"
        proposal = "worklist only" if each.worklist_only_proposed else ""
        table.add_row(each.rule, str(each.pages), str(each.judged), str(each.right), share, proposal)
    console.print(table)


def simulation(console: Console, outcome: Outcome) -> None:
    """Show waits by class under both orders."""
    table = Table(title="minutes of waiting: first come first served, then ordered by findings")
    for name in ("class", "studies", "mean", "p95", "p99", "max"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for name, waits in sorted(outcome.ai.items()):
        cells = [
            f"{getattr(outcome.fifo[name], measure):.1f} → {getattr(waits, measure):.1f} ({outcome.change(name, measure):+.0%})"
            for measure in ("mean", "p95", "p99", "max")
        ]
        table.add_row(name, str(waits.studies), *cells)
    console.print(table)
    console.print(
        f"{outcome.alerts_per_reader_hour:.2f} alerts per reader and hour, {outcome.ppv:.0%} of them right "
        f"({'within' if outcome.within_budget else 'OVER'} the budget)"
    )
