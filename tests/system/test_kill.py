"""Nothing acknowledged is lost and nothing is counted twice, whatever process dies, wherever it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import pytest

from cli.components import SERVER, consumers
from cli.pages import days_back
from cli.reconcile import Extent, reconcile
from deploy.local.servers import NAMES
from portal_api.storage.commands import publish_review
from runtime.connections import Connections, connect
from runtime.errors import RetryError
from runtime.faults import Point
from schemas.events import Findings, InferenceCompleted, ReviewState
from schemas.rows import ReviewOutcomeRow, ReviewRow, StudyRow
from sinks.catalogue import channels, destinations
from stream_processors import catalogue
from tests.support.cluster import EMBEDDED, PROFILES, engines
from tests.support.damage import inject
from tests.support.kills import RANDOM, Kill, Killer, Target, kill_server, kill_stub
from tests.support.outages import ZOMBIE, engine_kills, scale_and_freeze
from tests.support.readers import come_to_rest, topics_read
from tests.support.senders import Department, Ledger, feed, mixed
from tests.support.servers import SharedServers
from tests.support.system import System, system
from tests.support.verdict import Evidence, gather, judge

pytestmark = pytest.mark.timeout(3600)
"""seconds: a machine that does ten other things takes ten times as long."""
SITES = ("north", "south")
STUDIES = 60
"""At least; senders go on while there is something to kill."""
PAUSE_S = 1.4
"""seconds between two studies: 60 of them spread over 84 s."""
CONNECTIONS = 4
"""Senders at the same time."""
AT_ONCE = 4
"""Processes that may be down at the same time."""
SEED = 20261121
SCALED = "assemble_study"
"""The step with the most state: open quiet windows, counted by several workers."""

IN_A_STEP: tuple[Point, ...] = ("after-effect", "after-publish", "before-acknowledge")
IN_THE_GATEWAY: tuple[Point, ...] = ("after-store", "after-effect", "after-publish", "before-acknowledge")
IN_A_SINK: tuple[Point, ...] = ("after-effect", "before-acknowledge")
IN_A_NOTIFIER: tuple[Point, ...] = ("after-effect", "after-publish", "before-acknowledge")


def targets(profile: str) -> list[Target]:
    """Every process of the stream with the points that it has.

    On a cluster, where processes take longer to come back and engines are killed as well, a consumer dies at one of them only:
    when everything is done and nothing acknowledged.
    """
    reads = topics_read()
    every = [
        Target("stow", IN_THE_GATEWAY),
        *(Target(name, IN_A_STEP, reads[name]) for name in catalogue.names()),
        *(Target(name, IN_A_SINK, reads[name]) for name in destinations()),
        *(Target(name, IN_A_NOTIFIER, reads[name]) for name in channels()),
    ]
    if profile == EMBEDDED:
        return every
    return [replace(each, points=each.points[-1:]) if each.reads else each for each in every]


@dataclass
class Reader(threading.Thread):
    """A radiologist who claims every X-ray as soon as it is there, once."""

    system: System
    ledger: Ledger

    def __post_init__(self) -> None:
        threading.Thread.__init__(self, name="reader", daemon=True)
        self.claimed: dict[tuple[str, str], str] = {}
        self.in_doubt: set[tuple[str, str]] = set()
        """Studies of which nobody could say whether the command was taken: an engine was away for too long."""
        self._leaving = threading.Event()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Claim until told to leave."""
        connections = connect(self.system.settings, "portal")
        while not self._leaving.wait(0.5):
            with self.ledger.lock:
                xrays = [(sent.site, sent.study_uid) for sent in self.ledger.sent if sent.kind == "xray"]
            for site, uid in xrays:
                self._claim(connections, site, self.system.study_key(site, uid))
        connections.close()

    def _claim(self, connections: Connections, site: str, study: str) -> None:
        known = (site, study)
        try:
            row = connections.tables.get(StudyRow, site=site, study=study)
        except RetryError:
            return
        if row is None or row.status != "complete" or known in self.claimed or known in self.in_doubt:
            return
        try:
            self.claimed[known] = publish_review(
                connections,
                site=site,
                study=study,
                action="claim",
                finding="",
                revision_seen=row.revision or 0,
                version_seen=0,
                actor="dr-reader",
                actor_role="radiologist",
            )
        except RetryError:
            self.in_doubt.add(known)

    def leave(self) -> None:
        """Go home."""
        self._leaving.set()
        self.join()


@dataclass(frozen=True)
class Outcome:
    """What the test run left."""

    system: System
    killer: Killer
    ledger: Ledger
    evidence: Evidence
    reader: Reader
    seconds: float


@pytest.fixture(scope="module", params=PROFILES)
def outcome(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, servers: SharedServers
) -> Iterator[Outcome]:
    """Send, kill, let everything come to rest, and read."""
    folder, real = tmp_path_factory.mktemp("kill"), engines(request.param, servers)
    with system(folder, sites=SITES, quiet_window_s=2.0, cleaned=SITES, engines=real) as running:
        department = Department(running.stow, {site: running.token(site) for site in SITES}, CONNECTIONS)
        ledger = department.ledger
        killer = Killer(running, ledger, SEED)
        reader = Reader(running, ledger)
        reads = topics_read()["infer"]
        model_server = [
            partial(kill, running, reads) for kill in (kill_stub, kill_server) if running.plan.triton
        ]
        later: list[Callable[[], Kill]] = (
            [partial(scale_and_freeze, running, SCALED), *engine_kills(running)] if real else []
        )

        hurt = threading.Event()
        feeding = threading.Thread(
            target=partial(
                feed,
                department,
                lambda number: mixed(number, SITES),
                least=STUDIES,
                pause_s=PAUSE_S,
                more=lambda: not hurt.is_set(),
            )
        )
        began = time.monotonic()
        for thread in (reader, feeding):
            thread.start()
        try:  # in this thread: an engine that is brought back dies with the thread that started it
            killer.carry_out(targets(request.param), model_server, AT_ONCE)
            killer.one_by_one(later)
        finally:
            hurt.set()
            feeding.join()
        department.finish()
        seconds = time.monotonic() - began
        come_to_rest(running)
        reader.leave()
        come_to_rest(running)
        running.stop()
        yield Outcome(running, killer, ledger, gather(running, ledger), reader, seconds)


def test_every_process_was_killed_once_at_each_point_and_every_engine_and_process_once_at_random(
    outcome: Outcome,
) -> None:
    assert not outcome.killer.failures
    planned: set[tuple[str, str]] = {
        (target.component, moment)
        for target in targets(outcome.system.settings.profile)
        for moment in (*target.points, RANDOM)
    }
    if outcome.system.plan.triton:
        planned |= {("triton-stub", RANDOM), ("triton", RANDOM)}
    if outcome.system.engines:
        planned |= {(SCALED, ZOMBIE), *((f"{SERVER}{name}", RANDOM) for name in NAMES)}
    done = [(kill.component, kill.moment) for kill in outcome.killer.kills]
    assert set(done) == planned
    assert len(done) == len(planned)


def test_every_kill_hit_work_in_flight(outcome: Outcome) -> None:
    idle: list[Kill] = [kill for kill in outcome.killer.kills if not kill.died or not kill.in_flight]
    assert not idle


def test_senders_sent_enough_through_every_crash_of_the_gateway_and_heard_success_at_last(
    outcome: Outcome,
) -> None:
    assert len(outcome.ledger.sent) >= STUDIES
    assert outcome.seconds >= STUDIES * PAUSE_S
    assert not outcome.ledger.failures
    crashes = sum(kill.component == "stow" for kill in outcome.killer.kills)
    assert crashes == len(IN_THE_GATEWAY) + 1
    assert sum(outcome.ledger.broken.values()) >= crashes
    assert outcome.ledger.recovered == {name for name, times in outcome.ledger.broken.items() if times}


def test_nothing_acknowledged_is_lost_and_nothing_is_doubled(outcome: Outcome) -> None:
    sent = {
        (each.site, image.sop_instance_uid)
        for each in outcome.ledger.sent
        for images in each.requests
        for image in images
    }
    assert outcome.evidence.acknowledged.keys() == sent
    assert judge(outcome.evidence) == []


def test_reconcile_comes_to_the_same_verdict(outcome: Outcome) -> None:
    days = days_back(outcome.system.connections.clock.now(), 2)
    report = reconcile(outcome.system.connections, SITES, Extent(days, grace_s=0, verify=True))
    assert report.problems == ()
    assert report.studies == len(outcome.ledger.sent)
    assert report.instances == len(outcome.evidence.acknowledged)


def test_every_command_of_a_reader_is_carried_out_once(outcome: Outcome) -> None:
    tables = outcome.system.connections.tables
    states = {event.envelope.event_id: event for event in outcome.system.events("reviews.v1", ReviewState)}
    reader = outcome.reader
    told = sorted(
        event.command_id
        for event in states.values()
        if (event.envelope.site, event.envelope.study) not in reader.in_doubt
    )
    assert told == sorted(reader.claimed.values())
    for (site, study), command in reader.claimed.items():
        answer = tables.get(ReviewOutcomeRow, site=site, command_id=command)
        review = tables.get(ReviewRow, site=site, study=study)
        assert answer is not None
        assert answer.outcome == "done"
        assert review is not None
        assert review.version == 1


def test_a_killed_model_process_makes_nothing_undetermined(outcome: Outcome) -> None:
    statuses = {event.status for event in outcome.evidence.of("findings.v1", Findings)}
    assert statuses == {"analysed", "not-analysed"}
    backends = {event.backend for event in outcome.evidence.of("inference.completed.v1", InferenceCompleted)}
    assert backends == ({"triton"} if outcome.system.plan.triton else {"onnxruntime-in-process"})


def test_reconcile_finds_each_damage_that_is_done_to_what_is_left(outcome: Outcome) -> None:
    done = inject(outcome.system, outcome.ledger)
    days = days_back(outcome.system.connections.clock.now(), 2)
    report = reconcile(outcome.system.connections, SITES, Extent(days, grace_s=0))
    assert {(each.kind, each.what, each.site, each.study) for each in report.problems} == done


@pytest.mark.parametrize("profile", PROFILES)
def test_the_plan_names_every_consumer(profile: str) -> None:
    assert {target.component for target in targets(profile)} == {"stow", *consumers()}
