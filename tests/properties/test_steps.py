"""For every step: a repeat, also after a crash at any point, gives the same events; commands in any order keep the rules."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import AlertState, Findings, InferenceSkipped, ReviewState, RiskScored, StudyState
from schemas.rows import ReviewOutcomeRow, StudyAssemblyRow
from stream_processors.step import Step
from stream_processors.steps import (
    assemble_study,
    deidentify,
    infer,
    publish_findings,
    raise_alerts,
    review_study,
    route_study,
    score_risk,
)
from tests.support import scripted_model
from tests.support.context import Crash, World, deadlines, event_of, events, timeless
from tests.support.events import (
    SITE,
    STUDY,
    alert_command,
    completed,
    deidentified,
    finding,
    findings,
    image,
    received,
    received_instance,
    requested,
    result,
    review_command,
    risk,
    skipped,
    study_state,
)
from tests.support.xray import xray

EXAMPLES = 50
"""Per property: each makes tables and objects on disk, so that a hundred would take longer than they teach."""
ALERT = raise_alerts.alert_id(STUDY, "pneumothorax", "critical")


@contextmanager
def a_world() -> Iterator[World]:
    """A world of its own per example, with one scripted model and some files."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(infer, "all_models", _models),
        mock.patch.object(publish_findings, "all_models", _models),
        mock.patch.object(route_study, "all_models", _models),
    ):
        world = World(Path(folder))
        world.answer = lambda model, tensor: scripted_model.outputs(-1.0, float(tensor.flat[0]))
        world.objects.put("clean", f"{SITE}/a", b"\x02")
        world.objects.put("clean", f"{SITE}/b", scripted_model.REFUSED)
        world.raw.files = {("raw", f"{SITE}/a"): xray(), ("raw", f"{SITE}/b"): b"broken"}
        yield world


def _models() -> dict[str, Any]:
    return {"scripted": scripted_model}


INPUTS: list[tuple[str, Step, list[Any]]] = [
    ("deidentify", deidentify.STEP, [received("e1", received_instance("a"), received_instance("b"))]),
    (
        "assemble_study",
        assemble_study.STEP,
        [deidentified("e1", image("a"), refused=("x",)), deidentified("e2", image("b"), priority="stat")],
    ),
    (
        "route_study",
        route_study.STEP,
        [study_state("e1", image("a"), image("b", modality="CT")), study_state("e2", status="complete")],
    ),
    ("infer", infer.STEP, [requested("e1", "a", "b", "missing")]),
    (
        "publish_findings",
        publish_findings.STEP,
        [completed("e1", result("a", {"pneumothorax": 2.0})), skipped("e2", revision=2)],
    ),
    ("score_risk", score_risk.STEP, [findings("e1", finding("pneumothorax"))]),
    (
        "raise_alerts",
        raise_alerts.STEP,
        [risk("e1"), alert_command("c1", ALERT), risk("e2", revision=2, probability=0.99)],
    ),
    (
        "review_study",
        review_study.STEP,
        [review_command("c1", "claim"), review_command("c2", "sign", version_seen=1)],
    ),
]


def prepared(world: World, name: str) -> None:
    """What a step's input says was there before."""
    if name == "review_study":
        world.tables.insert_if_absent(StudyAssemblyRow(site=SITE, study=STUDY, version=1, revision=1))


@pytest.mark.parametrize(("name", "step", "inputs"), INPUTS, ids=[name for name, _, _ in INPUTS])
def test_a_crash_after_any_call_and_a_repeat_give_the_same_events(
    name: str, step: Step, inputs: list[Any]
) -> None:
    with a_world() as world:
        prepared(world, name)
        expected = [timeless(world.run(name, step, cause)) for cause in inputs]
        assert any(expected)
    crashed, crash_at = True, 0
    while crashed:
        crashed, crash_at = False, crash_at + 1
        with a_world() as world:
            prepared(world, name)
            for cause in inputs:
                try:
                    world.run(name, step, cause, crash_at=crash_at)
                except Crash:
                    crashed = True
                world.clock.advance(0.5)
                world.run(name, step, cause)
            world.clock.advance(100)
            again = [timeless(world.run(name, step, cause)) for cause in inputs]
            assert [_undated(each) for each in again] == [_undated(each) for each in expected]
    assert crash_at > 1 or name == "score_risk"


def _undated(outputs: list[object]) -> list[object]:
    """Outputs without the times that were decided, which a world of its own decides at its own time."""
    return [_without(each[1]) if isinstance(each, tuple) else type(each) for each in outputs]


def _without_deadlines(outputs: list[object]) -> list[object]:
    return [each for each in outputs if isinstance(each, tuple)]


def _without(event: Any) -> Any:
    if isinstance(event, AlertState):
        return replace(event, raised_at=0, acknowledged_at=None)
    if isinstance(event, ReviewState):
        return replace(event, signed_at=None, decisions=())
    return event


arrivals = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "-other"])), max_size=4),
        st.lists(st.sampled_from("xyz"), max_size=2),
        st.floats(0, 15),
    ).filter(lambda arrival: bool(arrival[0] or arrival[1])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=EXAMPLES)
@given(arrivals, st.data())
def test_any_arrivals_end_complete_with_every_instance_added_once_and_repeats_change_nothing(
    chunks: list[Any], data: st.DataObject
) -> None:
    with a_world() as world:
        due: list[Any] = []
        told: dict[str, StudyState] = {}
        done: list[tuple[Any, list[object]]] = []

        def take(cause: Any) -> None:
            outputs = world.run("assemble_study", assemble_study.STEP, cause)
            due.extend(each for each in deadlines(outputs) if each not in due)
            for state in events(outputs):
                assert isinstance(state, StudyState)
                told.setdefault(state.envelope.event_id, state)
            done.append((cause, timeless(outputs)))

        def reach_deadlines() -> None:
            while due and min(each.due_at for each in due) <= world.clock.now():
                take(due.pop(due.index(min(due, key=lambda each: each.due_at))))

        for number, (names, refused, pause) in enumerate(chunks):
            instances = [replace(image(name), digest=image(name + other).digest) for name, other in names]
            take(deidentified(f"e{number}", *instances, refused=tuple(refused)))
            if data.draw(st.booleans()):
                cause, before = data.draw(st.sampled_from(done))
                after = timeless(world.run("assemble_study", assemble_study.STEP, cause))
                # A repeat may ask for a further look at the clock, never for another event.
                assert _without_deadlines(after) == _without_deadlines(before)
            world.clock.advance(pause)
            reach_deadlines()
        world.clock.advance(100)
        reach_deadlines()
        states = list(told.values())
        assert states[-1].status == "complete"
        assert due == []
        added = [each.instance for state in states for each in state.added]
        assert sorted(added) == sorted({f"in-{name}" for names, _, _ in chunks for name, _ in names})
        assert states[-1].instance_count == len(added)
        assert states[-1].quarantined_count == len({name for _, refused, _ in chunks for name in refused})
        revisions = [state.revision for state in states]
        assert revisions == sorted(revisions)
        assert len({state.revision for state in states if state.status == "complete"}) <= len(set(revisions))


review_actions = st.lists(
    st.tuples(
        st.sampled_from(["claim", "release", "accept", "reject", "sign"]),
        st.sampled_from(["reader-1", "reader-2"]),
        st.sampled_from(["radiologist", "radiologist", "operator"]),
        st.integers(-1, 0),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=EXAMPLES)
@given(review_actions)
def test_commands_in_any_order_leave_one_outcome_each_and_at_most_one_signature(commands: list[Any]) -> None:
    with a_world() as world:
        prepared(world, "review_study")
        version, signed = 0, 0
        for number, (action, actor, role, behind, twice) in enumerate(commands):
            command = review_command(
                f"c{number}", action, actor=actor, actor_role=role, version_seen=max(version + behind, 0)
            )
            outputs = world.run("review_study", review_study.STEP, command)
            if twice:
                assert timeless(world.run("review_study", review_study.STEP, command)) == timeless(outputs)
            row = world.tables.get(ReviewOutcomeRow, site=SITE, command_id=f"c{number}")
            assert row is not None
            assert (row.outcome == "done") is bool(outputs)
            for event in events(outputs):
                assert isinstance(event, ReviewState)
                assert event.version == version + 1
                assert signed == 0
                version, signed = event.version, signed + (event.status == "signed")
                assert event.status != "signed" or role == "radiologist"
        assert signed <= 1


scores = st.tuples(st.just("score"), st.integers(1, 4), st.sampled_from([0.8, 0.9, 0.95]))
acknowledgements = st.tuples(
    st.just("command"), st.integers(0, 1), st.sampled_from(["radiologist", "service"])
)


@settings(max_examples=EXAMPLES)
@given(st.lists(scores | acknowledgements, max_size=12))
def test_scores_and_commands_in_any_order_page_at_most_once(inputs: list[Any]) -> None:
    with a_world() as world:
        states: list[AlertState] = []
        for number, (kind, value, more) in enumerate(inputs):
            version = states[-1].version if states else 0
            cause: Any = (
                risk(f"e{number}", revision=value, probability=more)
                if kind == "score"
                else alert_command(f"c{number}", ALERT, version_seen=version - value, actor_role=more)
            )
            outputs = world.run("raise_alerts", raise_alerts.STEP, cause)
            assert timeless(world.run("raise_alerts", raise_alerts.STEP, cause)) == timeless(outputs)
            for event in events(outputs):
                assert isinstance(event, AlertState)
                states.append(event)
        assert [state.version for state in states] == list(range(1, len(states) + 1))
        assert [state.state for state in states].count("raised") == min(1, len(states))
        assert len({state.acknowledged_at for state in states if state.state == "acknowledged"}) <= 1
        acknowledged = [state.state == "acknowledged" for state in states]
        assert acknowledged == sorted(acknowledged)


def chain(world: World, state: StudyState) -> list[Findings]:
    """From a study's state to its findings."""
    published: list[Findings] = []
    for output in world.run("route_study", route_study.STEP, state):
        request = event_of(output)
        if isinstance(request, InferenceSkipped):
            answers: list[Any] = [request]
        else:
            answers = events(world.run("infer", infer.STEP, request))
        for answer in answers:
            found = events(world.run("publish_findings", publish_findings.STEP, answer))
            published.extend(each for each in found if isinstance(each, Findings))
    return published


def stored_image(world: World, name: str, value: int, **changes: Any) -> Any:
    instance = image(name, **changes)
    world.objects.put(instance.bucket, instance.object_key, bytes([value]))
    return instance


def test_a_late_image_joins_the_result_raises_the_priority_and_pages_once() -> None:
    with a_world() as world:
        weak, strong = stored_image(world, "weak", 0), stored_image(world, "strong", 5)
        outputs = world.run(
            "assemble_study", assemble_study.STEP, deidentified("e1", weak, priority="routine")
        )
        (state,) = events(outputs)
        assert isinstance(state, StudyState)
        (first,) = chain(world, state)
        world.clock.advance(10)
        (closed,) = events(world.run("assemble_study", assemble_study.STEP, deadlines(outputs)[0]))
        assert isinstance(closed, StudyState)
        assert (closed.status, chain(world, closed)) == ("complete", [])
        (late,) = events(world.run("assemble_study", assemble_study.STEP, deidentified("e2", strong)))
        assert isinstance(late, StudyState)
        assert (late.revision, late.status) == (2, "revised")
        (second,) = chain(world, late)
        assert (second.revision, len(second.images), second.findings[0].instance) == (2, 2, "in-strong")
        weights, states = [], []
        for published in (first, second, second):
            (score,) = events(world.run("score_risk", score_risk.STEP, published))
            assert isinstance(score, RiskScored)
            weights.append(score.weight)
            states.extend(events(world.run("raise_alerts", raise_alerts.STEP, score)))
        assert weights[0] < weights[1] == weights[2]
        assert [each.state for each in states if isinstance(each, AlertState)] == ["raised", "raised"]
        assert len({each.envelope.event_id for each in states}) == 1


def test_a_study_that_was_refused_whole_ends_as_not_analysed() -> None:
    with a_world() as world:
        outputs = world.run("assemble_study", assemble_study.STEP, deidentified("e1", refused=("x",)))
        world.clock.advance(10)
        (state,) = events(world.run("assemble_study", assemble_study.STEP, deadlines(outputs)[0]))
        assert isinstance(state, StudyState)
        (published,) = chain(world, state)
        assert (published.status, published.reason_code) == ("not-analysed", "not-de-identified")
