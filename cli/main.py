"""`radstream`: start, feed, watch and check Radstream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli import display, launch, runs
from cli.components import Plan
from cli.demo import demonstrate
from cli.reconcile import GRACE_S, Extent
from cli.reconcile import reconcile as compare
from cli.runs import Run
from cli.status import processes
from cli.trace import trace as hops_of_study
from runtime.connections import Connections, connect
from runtime.settings import load_settings
from schemas.summary import shortfalls

app = typer.Typer(no_args_is_help=True, add_completion=False, help="AI on every imaging study, as a stream.")
console = Console(stderr=False, highlight=False)

UP = "up"
"""Name of the run that `radstream up` starts and takes up again."""
ROLES = ("radiologist", "operator", "gateway", "service")

RunOption = Annotated[
    str, typer.Option("--run", help="Run folder's name; by default the newest that is running.")
]


def _say(text: str) -> None:
    console.print(text, markup=False)


def _fail(text: str) -> typer.Exit:
    Console(stderr=True).print(text, markup=False)
    return typer.Exit(1)


def _chosen(name: str) -> Run:
    """Run of that name, else the newest running one, else the newest."""
    candidates = runs.all_runs()
    if name:
        candidates = [run for run in candidates if run.name == name]
    living = [run for run in candidates if run.supervisor_pid() is not None]
    if not candidates:
        raise _fail("No run here. Start one with: radstream demo, or radstream up")
    return (living or candidates)[-1]


def _connected(run: Run) -> Connections:
    os.environ["RADSTREAM_SETTINGS"] = str(run.settings_file)
    return connect(load_settings(), "cli")


@app.command()
def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="Stop everything at the end.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary to this file.")] = None,
) -> None:
    """Send public and generated studies through every process and show what became of them."""
    try:
        done = demonstrate(exit_after=exit_after, json_file=json_file, say=_say)
    except launch.NotReadyError as error:
        raise _fail(str(error)) from error
    display.demonstration(console, done)
    sent = [study.kind for study in done.sent]
    short = shortfalls(
        done.summary,
        public=sent.count("public"),
        synthetic=sent.count("synthetic"),
        quarantined=sent.count("damaged"),
    )
    if short:
        raise _fail("This run fell short: " + "; ".join(short))


@app.command()
def up(
    profile: Annotated[str, typer.Option(help="Engines to run on: embedded.")] = "embedded",
    site: Annotated[list[str] | None, typer.Option(help="A site; may be given several times.")] = None,
    webhook: Annotated[str, typer.Option(help="Address that takes alerts of all sites.")] = "",
    name: Annotated[str, typer.Option("--run", help="Name of the run folder.")] = UP,
) -> None:
    """Start every process and keep them running; data of an earlier `up` is taken up again."""
    if profile != "embedded":
        raise _fail(f"There is no profile {profile!r} yet; choose embedded.")
    run = Run(runs.home() / name)
    if run.supervisor_pid() is not None:
        raise _fail(f"{name} is running already; see: radstream status")
    environment, why_not = launch.triton_environment()
    if environment is None:
        _say(f"No Triton server here ({why_not}); models run by ONNX Runtime in-process.")
    sites = dict.fromkeys(site or ["main"], webhook)
    run, settings = runs.create(name, sites, triton=environment is not None)
    launch.start(run, settings, Plan(str(environment or ""), runs.free_ports(1)[0]))
    try:
        launch.wait_ready(run, settings)
    except launch.NotReadyError as error:
        runs.stop(run)
        raise _fail(str(error)) from error
    _say(f"STOW-RS  http://{settings.stow.host}:{settings.stow.port}/studies")
    _say(f"Portal   http://{settings.portal.host}:{settings.portal.port}/")
    _say(f"Tokens   radstream token gateway --site {next(iter(sites))}")


@app.command()
def down(
    delete: Annotated[bool, typer.Option("--delete", help="Delete the runs' data as well.")] = False,
) -> None:
    """Stop everything that this checkout started."""
    stopped = [run for run in runs.all_runs() if runs.stop(run)]
    for run in stopped:
        _say(f"stopped {run.name}")
    if not stopped:
        _say("nothing was running")
    if delete:
        for run in runs.all_runs():
            runs.remove(run)


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show processes, addresses and what each has still to read."""
    found = {}
    for run in runs.running():
        connections = _connected(run)
        try:
            settings = connections.settings
            found[run.name] = {
                "portal": f"http://{settings.portal.host}:{settings.portal.port}/",
                "stow": f"http://{settings.stow.host}:{settings.stow.port}/studies",
                "processes": [asdict(process) for process in processes(run, connections.log)],
            }
        finally:
            connections.close()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    if not found:
        _say("nothing is running")
    for name, state in found.items():
        display.status(console, name, state)


@app.command()
def token(
    role: Annotated[str, typer.Argument(help="radiologist, operator, gateway or service.")],
    site: Annotated[str, typer.Option(help="The one site the token is good for.")],
    user: Annotated[str, typer.Option(help="Name that stands in audit and reviews.")] = "dev",
    run_name: RunOption = "",
) -> None:
    """Make a development token; it is shown once and only its digest is kept."""
    if role not in ROLES:
        raise _fail(f"no such role; choose one of {', '.join(ROLES)}")
    run = _chosen(run_name)
    os.environ["RADSTREAM_SETTINGS"] = str(run.settings_file)
    if site not in {known.name for known in load_settings().sites}:
        raise _fail("this run has no such site")
    sys.stdout.write(runs.token(run, site, role, user) + "\n")


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def ingest(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="File or folder.")],
    site: Annotated[str, typer.Option(help="Site the files belong to.")],
    run_name: RunOption = "",
) -> None:
    """Take in a folder: the folder gateway with this run's settings (`--dry-run`, `--json` and others go through to it)."""
    run = _chosen(run_name)
    command = [sys.executable, "-m", "producers", "folder", str(path), "--site", site, *context.args]
    environment = os.environ | {"RADSTREAM_SETTINGS": str(run.settings_file)}
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)


@app.command()
def trace(
    study: Annotated[str, typer.Argument(help="Study key, as st-0123….")], run_name: RunOption = ""
) -> None:
    """Show each hop of a study with its time after receipt."""
    connections = _connected(_chosen(run_name))
    try:
        hops = hops_of_study(connections.tables, [site.name for site in connections.settings.sites], study)
    finally:
        connections.close()
    if not hops:
        raise _fail("no event of that study")
    display.trace(console, hops)


@app.command()
def reconcile(
    days: Annotated[int, typer.Option(help="How many days back, today included.")] = 2,
    grace: Annotated[
        float, typer.Option(help="Seconds after receipt within which something missing counts as pending.")
    ] = GRACE_S,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every raw object whole and compare its digest; slower.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    run_name: RunOption = "",
) -> None:
    """Compare what senders were told with objects, topics, tables and alerts; exit status 1 if anything is lost or doubled."""
    connections = _connected(_chosen(run_name))
    today = datetime.now(UTC).date()
    wanted = [(today - timedelta(days=back)).isoformat() for back in range(days)]
    try:
        report = compare(
            connections, [site.name for site in connections.settings.sites], Extent(wanted, grace, verify)
        )
    finally:
        connections.close()
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), indent=1) + "\n")
    else:
        display.reconciliation(console, report)
    if report.count("lost") or report.count("doubled"):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
