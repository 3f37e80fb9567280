"""The alert's life: paged once, updated by revisions, acknowledged by people who saw it."""

from __future__ import annotations

import pytest

from schemas.events import AlertState
from schemas.rows import AlertOutcomeRow, AlertRow
from stream_processors.steps.raise_alerts import STEP, alert_id
from tests.support.context import Crash, World, events, timeless
from tests.support.events import SITE, STUDY, alert_command, risk

ALERT = alert_id(STUDY, "pneumothorax", "critical")


def alerts(world: World, cause: object) -> list[AlertState]:
    found = events(world.run("raise_alerts", STEP, cause))  # type: ignore[arg-type]
    assert all(isinstance(each, AlertState) for each in found)
    return found  # type: ignore[return-value]


def outcome(world: World, command_id: str) -> tuple[str | None, int | None]:
    row = world.tables.get(AlertOutcomeRow, site=SITE, command_id=command_id)
    assert row is not None
    return row.outcome, row.version


def test_a_critical_score_raises_one_alert(world: World) -> None:
    (alert,) = alerts(world, risk("e1"))
    assert (alert.alert_id, alert.state, alert.version) == (ALERT, "raised", 1)
    assert (alert.finding, alert.alert_class, alert.raised_at) == (
        "pneumothorax",
        "critical",
        world.clock.now(),
    )


def test_a_score_without_alert_class_raises_none(world: World) -> None:
    assert alerts(world, risk("e1", alert_class="", urgency="high")) == []
    assert world.tables.select(AlertRow, site=SITE, study=STUDY) == []


def test_a_later_revision_updates_the_same_alert(world: World) -> None:
    (first,) = alerts(world, risk("e1"))
    world.clock.advance(60)
    (second,) = alerts(world, risk("e2", revision=2, probability=0.95))
    assert (second.alert_id, second.state, second.version) == (first.alert_id, "updated", 2)
    assert (second.raised_at, second.probability, second.revision) == (first.raised_at, 0.95, 2)


def test_a_revision_that_changes_nothing_says_nothing(world: World) -> None:
    alerts(world, risk("e1"))
    assert alerts(world, risk("e2", revision=2)) == []


def test_an_older_revision_never_overwrites_a_newer_one(world: World) -> None:
    alerts(world, risk("e2", revision=2, probability=0.95))
    assert alerts(world, risk("e1", revision=1, probability=0.8)) == []


def test_the_page_is_sent_again_after_a_crash_even_if_a_revision_came_between(world: World) -> None:
    with pytest.raises(Crash):
        world.run("raise_alerts", STEP, risk("e1"), crash_at=2)
    with pytest.raises(Crash):
        world.run("raise_alerts", STEP, risk("e2", revision=2, probability=0.95), crash_at=2)
    assert [each.state for each in alerts(world, risk("e1"))] == ["raised"]
    assert [each.state for each in alerts(world, risk("e2", revision=2, probability=0.95))] == ["updated"]


def test_a_person_who_saw_the_current_version_acknowledges(world: World) -> None:
    alerts(world, risk("e1"))
    world.clock.advance(30)
    (alert,) = alerts(world, alert_command("c1", ALERT))
    assert (alert.state, alert.version, alert.acknowledged_by) == ("acknowledged", 2, "reader-1")
    assert alert.acknowledged_at == world.clock.now()
    assert outcome(world, "c1") == ("done", 2)


def test_a_revision_of_an_acknowledged_alert_does_not_open_it_again(world: World) -> None:
    alerts(world, risk("e1"))
    (acknowledged,) = alerts(world, alert_command("c1", ALERT))
    (alert,) = alerts(world, risk("e2", revision=2, probability=0.95))
    assert (alert.state, alert.acknowledged_at) == ("acknowledged", acknowledged.acknowledged_at)
    assert alert.version == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version_seen": 7}, ("conflict", 1)),
        ({"actor_role": "service"}, ("refused", 1)),
        ({"action": "delete"}, ("refused", 1)),
        ({"alert_id": "another"}, ("refused", 0)),
    ],
)
def test_a_command_that_may_not_be_carried_out_changes_nothing(
    world: World, changes: dict[str, object], said: tuple[str, int]
) -> None:
    alerts(world, risk("e1"))
    command = alert_command("c1", **{"alert_id": ALERT, **changes})  # type: ignore[arg-type]
    assert alerts(world, command) == []
    assert outcome(world, "c1") == said


def test_two_people_at_once_one_acknowledges_and_one_is_told(world: World) -> None:
    alerts(world, risk("e1"))
    alerts(world, alert_command("c1", ALERT))
    assert alerts(world, alert_command("c2", ALERT, actor="reader-2")) == []
    assert (outcome(world, "c1"), outcome(world, "c2")) == (("done", 2), ("conflict", 2))


def test_the_same_command_again_gives_the_same_outcome_and_event(world: World) -> None:
    alerts(world, risk("e1"))
    first = world.run("raise_alerts", STEP, alert_command("c1", ALERT))
    told = outcome(world, "c1")
    alerts(world, risk("e2", revision=2, probability=0.95))
    world.clock.advance(60)
    assert timeless(world.run("raise_alerts", STEP, alert_command("c1", ALERT))) == timeless(first)
    assert outcome(world, "c1") == told


def test_a_crash_before_the_outcome_was_told_gives_the_outcome_of_what_was_done(world: World) -> None:
    alerts(world, risk("e1"))
    with pytest.raises(Crash):
        world.run("raise_alerts", STEP, alert_command("c1", ALERT), crash_at=3)
    assert world.tables.get(AlertOutcomeRow, site=SITE, command_id="c1") is None
    assert [each.state for each in alerts(world, alert_command("c1", ALERT))] == ["acknowledged"]
    assert outcome(world, "c1") == ("done", 2)
