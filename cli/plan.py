"""The plan of a run on disk: the command line changes it, the supervisor follows it."""

from __future__ import annotations

import json
from dataclasses import asdict

from cli.components import Plan
from cli.runs import Run


def read_plan(run: Run) -> Plan:
    """What the run has besides our own components, and how many workers, as it stands now; nothing where none was written."""
    try:
        return Plan(**json.loads(run.plan_file.read_text("utf-8")))
    except FileNotFoundError:
        return Plan()


def write_plan(run: Run, plan: Plan) -> None:
    """Change the plan; a running supervisor follows it within a moment."""
    temporary = run.plan_file.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(plan)), "utf-8")
    temporary.replace(run.plan_file)
