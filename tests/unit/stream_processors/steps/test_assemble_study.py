"""The study's set of instances: revisions, completeness, and what a repeat of an input gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.events import StudyState
from schemas.rows import StudyInstanceRow
from stream_processors.step import DeadlineReached
from stream_processors.steps.assemble_study import STEP
from tests.support.context import START, Crash, World, deadlines, events, timeless
from tests.support.events import SITE, STUDY, deidentified, image

WINDOW_S = 10.0


def states(world: World, cause: object) -> list[StudyState]:
    found = events(world.run("assemble_study", STEP, cause))  # type: ignore[arg-type]
    assert all(isinstance(each, StudyState) for each in found)
    return found  # type: ignore[return-value]


def quiet(at: int = START, after_s: float = WINDOW_S) -> DeadlineReached:
    return DeadlineReached(site=SITE, study=STUDY, name="quiet-window", due_at=at + round(after_s * 1e6))


def test_first_instances_make_a_provisional_revision_and_open_one_quiet_window(world: World) -> None:
    outputs = world.run("assemble_study", STEP, deidentified("e1", image("a"), image("b")))
    (state,) = events(outputs)
    assert isinstance(state, StudyState)
    assert (state.revision, state.status, state.instance_count) == (1, "provisional", 2)
    assert [each.instance for each in state.added] == ["in-a", "in-b"]
    assert deadlines(outputs) == [quiet()]
    later = world.run("assemble_study", STEP, deidentified("e2", image("c")))
    assert deadlines(later) == []


def test_only_a_changed_set_makes_a_new_revision(world: World) -> None:
    states(world, deidentified("e1", image("a")))
    assert states(world, deidentified("e2", image("a"))) == []
    (state,) = states(world, deidentified("e3", image("a"), image("b")))
    assert state.revision == 2
    assert [each.instance for each in state.added] == ["in-b"]
    assert len(world.tables.select(StudyInstanceRow, site=SITE, study=STUDY)) == 2


def test_other_bytes_of_an_instance_are_counted_and_the_first_stay_current(world: World) -> None:
    states(world, deidentified("e1", image("a")))
    other = replace(image("a"), digest=image("z").digest)
    (state,) = states(world, deidentified("e2", other))
    assert (state.revision, state.instance_count, state.conflict_count, state.added) == (1, 1, 1, ())
    assert states(world, deidentified("e3", other)) == []
    (row,) = world.tables.select(StudyInstanceRow, site=SITE, study=STUDY)
    assert row.digest == image("a").digest


def test_quiet_window_completes_the_same_revision_with_evidence(world: World) -> None:
    (first,) = states(world, deidentified("e1", image("a")))
    world.clock.advance(WINDOW_S)
    (state,) = states(world, quiet())
    assert (state.revision, state.status, state.evidence) == (1, "complete", "quiet-window 10 s")
    assert (state.added, state.instances_digest) == ((), first.instances_digest)


def test_an_image_within_the_window_moves_the_deadline(world: World) -> None:
    states(world, deidentified("e1", image("a")))
    world.clock.advance(4)
    states(world, deidentified("e2", image("b")))
    world.clock.advance(6)
    outputs = world.run("assemble_study", STEP, quiet())
    assert events(outputs) == []
    assert deadlines(outputs) == [quiet(after_s=14)]
    world.clock.advance(4)
    (state,) = states(world, quiet(after_s=14))
    assert (state.revision, state.status) == (2, "complete")


def test_a_late_image_makes_a_linked_revision_that_completes_again(world: World) -> None:
    states(world, deidentified("e1", image("a")))
    world.clock.advance(WINDOW_S)
    states(world, quiet())
    world.clock.advance(50)
    outputs = world.run("assemble_study", STEP, deidentified("e2", image("b")))
    (state,) = events(outputs)
    assert isinstance(state, StudyState)
    assert (state.revision, state.status, state.evidence) == (2, "revised", "")
    assert deadlines(outputs) == [quiet(after_s=70)]
    world.clock.advance(WINDOW_S)
    (closed,) = states(world, quiet(after_s=70))
    assert (closed.revision, closed.status) == (2, "complete")


def test_a_deadline_that_is_seen_late_decides_as_if_on_time(world: World) -> None:
    states(world, deidentified("e1", image("a")))
    world.clock.advance(4)
    states(world, deidentified("e2", image("b")))
    world.clock.advance(1000)
    assert deadlines(world.run("assemble_study", STEP, quiet())) == [quiet(after_s=14)]


def test_a_study_whose_every_instance_was_refused_is_a_study(world: World) -> None:
    (state,) = states(world, deidentified("e1", refused=("x", "y")))
    assert (state.revision, state.instance_count, state.quarantined_count) == (1, 0, 2)
    world.clock.advance(WINDOW_S)
    (closed,) = states(world, quiet())
    assert (closed.status, closed.quarantined_count) == ("complete", 2)


@pytest.mark.parametrize(
    ("seen", "strictest"),
    [
        (("routine", "routine"), "routine"),
        (("routine", "unknown"), "unknown"),
        (("unknown", "stat"), "stat"),
        (("stat", "routine"), "stat"),
    ],
)
def test_strictest_ordered_priority_counts(world: World, seen: tuple[str, str], strictest: str) -> None:
    states(world, deidentified("e1", image("a"), priority=seen[0]))
    (state,) = states(world, deidentified("e2", image("b"), priority=seen[1]))
    assert state.ordered_priority == strictest


def test_an_older_input_comes_again_and_gives_what_it_gave_although_the_study_went_on(world: World) -> None:
    inputs: list[Any] = [deidentified("e1", image("a")), deidentified("e2", image("a"), image("b")), quiet()]
    first = [world.run("assemble_study", STEP, inputs[0]), world.run("assemble_study", STEP, inputs[1])]
    world.clock.advance(WINDOW_S)
    first.append(world.run("assemble_study", STEP, inputs[2]))
    states(world, deidentified("e3", image("c"), refused=("x",), priority="stat"))
    world.clock.advance(1000)
    again = [world.run("assemble_study", STEP, each) for each in inputs]
    assert [timeless(each) for each in again] == [timeless(each) for each in first]
    decided = [[event.envelope.occurred_at for event in events(each)] for each in (*first, *again)]
    assert decided[:3] == decided[3:]


def test_a_crash_after_the_decision_loses_no_state_even_if_the_study_went_on(world: World) -> None:
    with pytest.raises(Crash):
        world.run("assemble_study", STEP, deidentified("e1", image("a")), crash_at=2)
    again = world.run("assemble_study", STEP, deidentified("e1", image("a")))
    assert [event.added for event in events(again) if isinstance(event, StudyState)] == [(image("a"),)]
    assert deadlines(again) == [quiet()]
