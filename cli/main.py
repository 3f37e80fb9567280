"""`radstream`: start, feed, watch and check Radstream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli import display, launch, models, runs
from cli.components import Plan, consumers
from cli.demo import demonstrate
from cli.orphans import orphans
from cli.pages import days_back, judged_pages
from cli.plan import read_plan, write_plan
from cli.reconcile import GRACE_S, Extent
from cli.reconcile import reconcile as compare
from cli.runs import Run
from cli.status import processes
from cli.trace import trace as hops_of_study
from cli.transcode import transcode
from deploy.local.resolve import NotResolvedError, resolve
from deploy.local.servers import NAMES
from deploy.local.tools import MissingToolError
from runtime import prepare
from runtime.connections import Connections, connect
from runtime.errors import StopError
from runtime.free_ports import free_ports
from runtime.settings import load_settings
from schemas.summary import shortfalls

app = typer.Typer(no_args_is_help=True, add_completion=False, help="AI on every imaging study, as a stream.")
console = Console(stderr=False, highlight=False)

UP = "up"
"""Name of the run that `radstream up` starts and takes up again."""
ROLES = ("radiologist", "operator", "gateway", "service")

ProfileOption = Annotated[
    runs.Profile,
    typer.Option(help="Engines: embedded, or cluster (Kafka, Cassandra, S3 as processes of this machine)."),
]
RunOption = Annotated[
    str, typer.Option("--run", help="Run folder's name; by default the newest that is running.")
]


app.command()(models.models)
app.command()(models.evaluate)
app.command()(models.train)
app.command("import-model")(models.import_model)
app.command()(transcode)


def _say(text: str) -> None:
    console.print(text, markup=False)


def _fail(text: str) -> typer.Exit:
    Console(stderr=True).print(text, markup=False, soft_wrap=True)  # one line, however narrow the terminal
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


@contextmanager
def _connected(run: Run) -> Iterator[Connections]:
    os.environ["RADSTREAM_SETTINGS"] = str(run.settings_file)
    connections = connect(load_settings(), "cli")
    try:
        yield connections
    finally:
        connections.close()


def _tell(value: object) -> None:
    """Print JSON."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


@app.command()
def demo(
    profile: ProfileOption = "embedded",
    exit_after: Annotated[bool, typer.Option("--exit", help="Stop everything at the end.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary to this file.")] = None,
) -> None:
    """Send public and generated studies through every process and show what became of them."""
    try:
        _fetch_servers(profile)
        done = demonstrate(exit_after=exit_after, json_file=json_file, say=_say, profile=profile)
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
    profile: ProfileOption = "embedded",
    site: Annotated[list[str] | None, typer.Option(help="A site; may be given several times.")] = None,
    webhook: Annotated[str, typer.Option(help="Address that takes alerts of all sites.")] = "",
    workers: Annotated[
        list[str] | None, typer.Option(help="COMPONENT=N processes of a step or sink; may be repeated.")
    ] = None,
    name: Annotated[
        str, typer.Option("--run", help="Name of the run folder; by default up or up-cluster.")
    ] = "",
) -> None:
    """Start every process and keep them running; data of an earlier `up` is taken up again."""
    wanted = _workers(workers or [])
    name = name or (UP if profile == "embedded" else f"{UP}-{profile}")
    run = Run(runs.home() / name)
    if run.supervisor_pid() is not None:
        raise _fail(f"{name} is running already; see: radstream status")
    _fetch_servers(profile)
    environment, why_not = launch.triton_environment()
    if environment is None:
        _say(f"No Triton server here ({why_not}); models run by ONNX Runtime in-process.")
    sites = dict.fromkeys(site or ["main"], webhook)
    run, settings = runs.create(name, sites, triton=environment is not None, profile=profile)
    plan = Plan(str(environment or ""), free_ports(1)[0], servers=profile == "cluster", workers=wanted)
    try:
        launch.start(run, settings, plan)
        launch.wait_ready(run, settings)
    except launch.NotReadyError as error:
        runs.stop(run)
        raise _fail(str(error)) from error
    _say(f"STOW-RS  http://{settings.stow.host}:{settings.stow.port}/studies")
    _say(f"Portal   http://{settings.portal.host}:{settings.portal.port}/")
    _say(f"Tokens   radstream token gateway --site {next(iter(sites))}")


@app.command(name="prepare")
def prepare_engines() -> None:
    """Create the topics, tables, buckets and schemas that do not exist yet, for the settings in RADSTREAM_SETTINGS."""
    try:
        prepare.main(consumers())
    except StopError as error:
        raise _fail(str(error)) from error


@app.command()
def scale(
    workers: Annotated[list[str], typer.Argument(help="COMPONENT=N, for example infer=3.")],
    run_name: RunOption = "",
) -> None:
    """Change how many processes of a step or sink run; those that go drain first, the others keep working."""
    run = _chosen(run_name)
    if run.supervisor_pid() is None:
        raise _fail(f"{run.name} is not running")
    plan = read_plan(run)
    write_plan(run, replace(plan, workers=plan.workers | _workers(workers)))


def _workers(texts: list[str]) -> dict[str, int]:
    """Number of processes by component."""
    found = {}
    for text in texts:
        component, _, count = text.partition("=")
        if component not in consumers() or not count.isdecimal() or int(count) < 1:
            raise _fail(f"{text!r} is not COMPONENT=N; components are {', '.join(consumers())}")
        found[component] = int(count)
    return found


def _fetch_servers(profile: runs.Profile) -> None:
    """Fetch the programs of the servers that a profile needs, where they are not here yet."""
    if profile == "embedded":
        return
    try:
        resolve(NAMES, _say)
    except (MissingToolError, NotResolvedError) as error:
        raise _fail(str(error)) from error


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
        with _connected(run) as connections:
            settings = connections.settings
            found[run.name] = {
                "portal": f"http://{settings.portal.host}:{settings.portal.port}/",
                "stow": f"http://{settings.stow.host}:{settings.stow.port}/studies",
                "processes": [asdict(process) for process in processes(run, connections.log)],
            }
    if as_json:
        _tell(found)
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
    with _connected(run) as connections:
        if site not in {known.name for known in connections.settings.sites}:
            raise _fail("this run has no such site")
        made = runs.audited_token(run, connections, site, role, user)
    sys.stdout.write(made + "\n")


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
    with _connected(_chosen(run_name)) as connections:
        hops = hops_of_study(connections.tables, [site.name for site in connections.settings.sites], study)
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
    left_over: Annotated[
        bool,
        typer.Option(
            "--orphans",
            help="List raw objects older than a day that no sender was told of, and nothing else.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    run_name: RunOption = "",
) -> None:
    """Compare what senders were told with objects, topics, tables and alerts; exit status 1 if anything is lost or doubled."""
    with _connected(_chosen(run_name)) as connections:
        sites = [site.name for site in connections.settings.sites]
        if left_over:
            _show_orphans(connections, sites, as_json)
            return
        wanted = days_back(connections.clock.now(), days)
        report = compare(connections, sites, Extent(wanted, grace, verify))
    if as_json:
        _tell(asdict(report))
    else:
        display.reconciliation(console, report)
    if report.count("lost") or report.count("doubled"):
        raise typer.Exit(1)


def _show_orphans(connections: Connections, sites: list[str], as_json: bool) -> None:
    found = orphans(connections, sites)
    if as_json:
        _tell([asdict(orphan) for orphan in found])
    else:
        display.orphans(console, found)


@app.command()
def pages(
    site: Annotated[str, typer.Option(help="The site whose pages are counted.")],
    days: Annotated[int, typer.Option(help="How many days back, today included.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    run_name: RunOption = "",
) -> None:
    """Show what readers made of each rule's pages, and which rules are proposed for the worklist only."""
    with _connected(_chosen(run_name)) as connections:
        found = judged_pages(connections.tables, site, days_back(connections.clock.now(), days))
    if as_json:
        _tell([asdict(each) for each in found])
    else:
        display.pages(console, found)


@app.command()
def simulate(
    load: Annotated[float, typer.Option(help="Arrivals over what the readers can read; below 1.")] = 0.93,
    readers: Annotated[int, typer.Option(help="Readers at work.")] = 3,
    prevalence: Annotated[float, typer.Option(help="Share of critical studies.")] = 0.03,
    sensitivity: Annotated[float, typer.Option(help="Of the AI for critical studies.")] = 0.93,
    specificity: Annotated[float, typer.Option(help="Of the AI for critical studies.")] = 0.93,
    ai_minutes: Annotated[float, typer.Option(help="Minutes from receipt to the AI's answer.")] = 1.0,
    failures: Annotated[float, typer.Option(help="Share of studies that the AI gives no answer on.")] = 0.0,
    swing: Annotated[float, typer.Option(help="Amplitude of the day's arrivals round their mean.")] = 0.0,
    days: Annotated[int, typer.Option(help="Days of each run.")] = 30,
    seeds: Annotated[int, typer.Option(help="Number of runs.")] = 4,
    plot: Annotated[Path | None, typer.Option(help="Write a picture (PNG) to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulate the worklist: how long studies wait when findings order it, against first come first served."""
    from cli import simulate as command
    from stream_processors.risk.simulation import Scenario
    from stream_processors.risk.simulation import simulate as run

    try:
        scenario = Scenario(
            load=load, readers=readers, prevalence=prevalence, sensitivity=sensitivity, specificity=specificity,
            ai_minutes=ai_minutes, failures=failures, swing=swing, days=days, seeds=tuple(range(1, seeds + 1)),
        )  # fmt: skip
    except ValueError as error:
        raise _fail(str(error)) from error
    outcome = run(scenario)
    try:
        if plot is not None:
            command.draw(scenario, outcome, plot)
    except OSError as error:
        raise _fail(f"{plot}: {error.strerror}") from error
    if as_json:
        _tell(command.told(scenario, outcome))
    else:
        display.simulation(console, outcome)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
