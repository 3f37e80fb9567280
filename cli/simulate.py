"""`radstream simulate`: what ordering the worklist by findings does to waiting times, as JSON and as a picture."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from schemas.alert_budget import ALERTS_PER_READER_HOUR
from stream_processors.risk.rules import RULE_VERSION
from stream_processors.risk.simulation import Outcome, Scenario

CLASSES = {"critical": "critical", "missed": "critical, missed by the AI", "routine": "routine"}
"""Classes in the order of the picture, with what it calls them."""
MEASURES = ("mean", "p95", "p99", "max")
FIFO_COLOUR, AI_COLOUR = "#9aa5b1", "#0b7285"
INCHES, DOTS = (11.0, 4.6), 130
"""Size of the picture, and dots per inch."""


def told(scenario: Scenario, outcome: Outcome) -> dict[str, Any]:
    """Result as JSON values: waits in minutes, changes as shares of first come first served, None where nobody waited then."""
    return {
        "rule_version": RULE_VERSION,
        "scenario": asdict(scenario),
        "wait_minutes": {
            "fifo": {name: asdict(waits) for name, waits in outcome.fifo.items()},
            "ai": {name: asdict(waits) for name, waits in outcome.ai.items()},
        },
        "change": {
            name: {measure: _share(outcome.change(name, measure)) for measure in MEASURES}
            for name in CLASSES
            if name in outcome.ai
        },
        "alerts_per_reader_hour": round(outcome.alerts_per_reader_hour, 3),
        "alert_budget_per_reader_hour": ALERTS_PER_READER_HOUR,
        "within_alert_budget": outcome.within_budget,
        "expected_ppv": round(outcome.ppv, 4),
    }


def _share(change: float) -> float | None:
    """JSON has no infinity."""
    return round(change, 4) if isfinite(change) else None


def draw(scenario: Scenario, outcome: Outcome, path: Path) -> None:
    """Write a picture (PNG): waits by class under both orders, and how many critical studies are begun by when."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    bars, curve = figure.subplots(1, 2, width_ratios=(1.2, 1.0))
    _bars(bars, outcome)
    _curve(curve, outcome)
    figure.suptitle(
        f"Simulated waiting times: load {scenario.load:g}, {scenario.readers} readers, {scenario.prevalence:.0%} critical, "
        f"sensitivity {scenario.sensitivity:g}, specificity {scenario.specificity:g}, "
        f"{len(scenario.seeds)} × {scenario.days} days",
        fontsize=10,
    )
    figure.savefig(path, format="png", metadata={"Software": None})


def _bars(axes: Any, outcome: Outcome) -> None:
    names = [name for name in CLASSES if name in outcome.ai]
    for place, (order, colour, label) in enumerate(
        (
            (outcome.fifo, FIFO_COLOUR, "first come, first served"),
            (outcome.ai, AI_COLOUR, "ordered by findings"),
        )
    ):
        for row, name in enumerate(names):
            waits = order[name]
            at = row + (place - 0.5) * 0.36
            axes.barh(at, waits.mean, 0.32, color=colour, label=label if row == 0 else None)
            axes.plot([waits.mean, waits.p95], [at, at], color=colour, linewidth=1.6)
            axes.plot(waits.p95, at, marker="|", markersize=11, markeredgewidth=2, color=colour)
            axes.annotate(
                f"{waits.mean:.1f} / {waits.p95:.0f}",
                (waits.p95, at),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
    axes.set_yticks(range(len(names)), [CLASSES[name] for name in names])
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.set_xlim(left=0)
    axes.set_xlabel("minutes from receipt to reading: bar mean, mark p95")
    if names:
        axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    axes.spines[["top", "right"]].set_visible(False)


def _curve(axes: Any, outcome: Outcome) -> None:
    for order, colour, label in (
        ("fifo", FIFO_COLOUR, "first come, first served"),
        ("ai", AI_COLOUR, "ordered by findings"),
    ):
        waits = outcome.critical_waits[order]
        shares = [(place + 1) / len(waits) for place in range(len(waits))]
        axes.step([0, *waits], [0, *shares], where="post", color=colour, linewidth=2, label=label)
    axes.set_ylim(0, 1.01)
    axes.set_xlim(left=0)
    axes.set_xlabel("minutes since receipt")
    axes.set_ylabel("share of critical studies begun")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
