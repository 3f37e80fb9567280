from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from producers import ingest
from producers.ingest import Delivery, Outcome
from runtime import faults
from runtime.buckets import QUARANTINE, RAW
from runtime.connections import Connections
from runtime.errors import RetryError
from schemas.rows import QuarantinedObjectRow, ReceivedInstanceRow, ReceivedStudyRow
from schemas.tables import day_of
from tests.support.gateways import connections_in, dicom, received

STUDY = "1.2.840.4711"


class Died(BaseException):
    """The process ended here; nothing after this point ran."""


@pytest.fixture
def connections(tmp_path) -> Iterator[Connections]:
    opened = connections_in(tmp_path)
    yield opened
    opened.close()


def send(
    connections: Connections, parts: list[bytes], site: str = "north", study_uid: str = ""
) -> tuple[Outcome, ...]:
    delivery = Delivery(connections, "stow", site)
    for part in parts:
        incoming = delivery.begin()
        for start in range(0, len(part), 100):
            incoming.write(part[start : start + 100])
        delivery.accept(incoming, study_uid=study_uid)
    delivery.flush()
    return delivery.outcomes


def rows(connections: Connections, site: str, study_uid: str) -> list[ReceivedInstanceRow]:
    study = connections.pseudonyms(site).study("", study_uid)
    return connections.tables.select(ReceivedInstanceRow, site=site, study=study)


def objects(connections: Connections, bucket: str = RAW) -> list[str]:
    return [each.key for each in connections.objects.keys(bucket)]


def dying_at(point: str, monkeypatch: pytest.MonkeyPatch, turn: int = 1) -> None:
    """Let the process end when it reaches a point for the `turn`-th time, once."""
    left = [turn]

    def reach(name: str) -> None:
        if name == point:
            left[0] -= 1
            if left[0] == 0:
                raise Died

    monkeypatch.setattr(faults, "reach", reach)


def failing(target: Any, name: str, monkeypatch: pytest.MonkeyPatch, turn: int = 1) -> None:
    """Let one call of a method fail as an engine that does not answer."""
    original = getattr(target, name)
    left = [turn]

    def call(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise RetryError("not answering")
        return original(*args, **kwargs)

    monkeypatch.setattr(target, name, call, raising=False)


def test_instances_of_one_study_become_one_event_with_what_was_stored(connections):
    parts = [dicom(STUDY, series="1.2.3", side=side) for side in (8, 12, 16)]
    assert [each.status for each in send(connections, parts)] == ["stored"] * 3
    [event] = received(connections)
    assert sorted(each.size for each in event.instances) == sorted(map(len, parts))
    assert {each.series for each in event.instances} == {
        connections.pseudonyms("north").series(STUDY, "1.2.3")
    }
    assert (event.envelope.site, event.gateway, event.ordered_priority) == ("north", "stow", "unknown")
    plain = {
        connections.sealed.read(RAW, each.object_key, site="north", study="", purpose="test")
        for each in event.instances
    }
    assert plain == set(parts)
    assert all(row.published_at for row in rows(connections, "north", STUDY))


def test_identity_is_in_the_vault_and_nowhere_in_the_event(connections):
    send(connections, [dicom(STUDY, patient="Planted^Name")])
    [event] = received(connections)
    found = connections.vault.read(
        "north", [event.envelope.study], purpose="test", actor="tester", actor_role="service"
    )
    assert found[event.envelope.study].patient_name == "Planted^Name"
    assert found[event.envelope.study].study_instance_uid == STUDY
    for text in ("Planted", STUDY, "ACC-0815", "ID-4711", "20250102"):
        assert text not in str(dataclasses.asdict(event))
        assert text not in str(rows(connections, "north", STUDY))


def test_the_studies_of_a_day_are_listed(connections):
    send(connections, [dicom(STUDY)])
    [event] = received(connections)
    day = day_of(event.received_at)
    listed = connections.tables.select(ReceivedStudyRow, site="north", day=day)
    assert [row.study for row in listed] == [event.envelope.study]


def test_two_sites_with_equal_ids_never_meet(connections):
    part = dicom(STUDY, series="1.2.3", instance="1.2.3.4")
    assert send(connections, [part], "north")[0].status == "stored"
    assert send(connections, [part], "south")[0].status == "stored"
    north, south = sorted(received(connections), key=lambda event: event.envelope.site)
    assert north.envelope.study != south.envelope.study
    for name in ("series", "instance", "raw_digest", "object_key"):
        assert getattr(north.instances[0], name) != getattr(south.instances[0], name)
    assert north.instances[0].object_key.startswith("north/")
    assert south.instances[0].object_key.startswith("south/")


def test_a_duplicate_is_acknowledged_without_a_second_event_or_object(connections):
    part = dicom(STUDY)
    send(connections, [part])
    before = objects(connections)
    assert [each.status for each in send(connections, [part])] == ["duplicate"]
    assert len(received(connections)) == 1
    assert objects(connections) == before


def test_a_duplicate_whose_stored_object_has_vanished_takes_its_place(connections):
    parts = [dicom(STUDY, side=side) for side in (8, 12)]
    send(connections, parts)
    [first] = received(connections)
    connections.objects.delete(RAW, first.instances[0].object_key)
    assert sorted(each.status for each in send(connections, parts)) == ["duplicate", "stored"]
    again = received(connections)[-1]
    assert again.envelope.event_id == first.envelope.event_id
    assert {each.object_key for each in again.instances} == set(objects(connections))
    assert len(objects(connections)) == 2
    assert all(row.published_at for row in rows(connections, "north", STUDY))
    assert [each.status for each in send(connections, parts)] == ["duplicate"] * 2


def test_the_same_part_twice_in_one_delivery_is_one_instance(connections):
    part = dicom(STUDY)
    assert [each.status for each in send(connections, [part, part])] == ["stored", "duplicate"]
    [event] = received(connections)
    assert [each.object_key for each in event.instances] == objects(connections)


def test_other_bytes_under_one_uid_are_another_version(connections):
    parts = [dicom(STUDY, series="1.2.3", instance="1.2.3.4", side=side) for side in (8, 12)]
    assert [each.status for each in send(connections, parts[:1]) + send(connections, parts[1:])] == [
        "stored"
    ] * 2
    assert len(rows(connections, "north", STUDY)) == 2
    assert len(objects(connections)) == 2
    assert len({event.instances[0].instance for event in received(connections)}) == 1


@pytest.mark.parametrize("point", ["after-store", "after-effect", "after-publish"])
def test_a_sender_that_sends_again_after_a_crash_loses_nothing_and_doubles_no_event(
    connections, monkeypatch, point
):
    parts = [dicom(STUDY, side=side) for side in (8, 12)]
    with monkeypatch.context() as patched:
        dying_at(point, patched)
        with pytest.raises(Died):
            send(connections, parts)
    assert all(each.safe for each in send(connections, parts))
    assert len({event.envelope.event_id for event in received(connections)}) == 1
    assert {each.instance for event in received(connections) for each in event.instances} == {
        row.instance for row in rows(connections, "north", STUDY)
    }
    assert all(row.published_at for row in rows(connections, "north", STUDY))
    stored = set(objects(connections))
    assert {row.object_key for row in rows(connections, "north", STUDY)} <= stored


def test_a_duplicate_whose_event_is_not_on_record_publishes_it_again_first(connections, monkeypatch):
    parts = [dicom(STUDY, side=side) for side in (8, 12)]
    with monkeypatch.context() as patched:
        dying_at("after-publish", patched)
        with pytest.raises(Died):
            send(connections, parts)
    [first] = received(connections)
    assert [each.status for each in send(connections, parts[:1])] == ["duplicate"]
    again = received(connections)[1:]
    assert [event.envelope.event_id for event in again] == [first.envelope.event_id]
    assert again[0].instances == first.instances
    assert again[0].envelope.correlation_id == first.envelope.correlation_id


def test_members_whose_rows_were_written_before_a_crash_are_published_with_the_rest(connections, monkeypatch):
    parts = [dicom(STUDY, side=side) for side in (8, 12, 16)]
    with monkeypatch.context() as patched:
        failing(connections.tables, "insert_if_absent", patched, turn=3)
        assert [each.status for each in send(connections, parts)] == ["failed"] * 3
    assert received(connections) == []
    assert [each.status for each in send(connections, parts)] == ["duplicate", "duplicate", "stored"]
    published = {each.instance for event in received(connections) for each in event.instances}
    assert published == {row.instance for row in rows(connections, "north", STUDY)}
    assert len(published) == 3


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        ("sealed", "digest"),
        ("vault", "store"),
        ("tables", "insert_if_absent"),
        ("publisher", "publish"),
        ("tables", "write"),
    ],
)
def test_nothing_is_acknowledged_when_an_engine_does_not_answer(connections, monkeypatch, owner, method):
    part = dicom(STUDY)
    with monkeypatch.context() as patched:
        failing(getattr(connections, owner), method, patched)
        assert [each.status for each in send(connections, [part])] == ["failed"]
    assert all(each.safe for each in send(connections, [part]))
    assert len({event.envelope.event_id for event in received(connections)}) == 1


def test_an_object_that_is_not_stored_as_sent_is_not_acknowledged(connections, monkeypatch):
    monkeypatch.setattr(connections.sealed, "digest", lambda bucket, key: b"another", raising=False)
    assert [each.status for each in send(connections, [dicom(STUDY)])] == ["failed"]
    assert received(connections) == []
    assert objects(connections) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"junk" * 100, "not-dicom"), (dicom()[:-9], "truncated"), (dicom(drop=["StudyInstanceUID"]), "missing-uid"),
     (dicom(changes={"SOPInstanceUID": "../../x"}), "invalid-uid")],
)  # fmt: skip
def test_what_cannot_be_taken_in_is_kept_encrypted_with_its_reason(connections, data, reason):
    good = dicom(STUDY)
    bad, fine = send(connections, [data, good])
    assert (bad.status, bad.reason, fine.status) == ("quarantined", reason, "stored")
    [key] = objects(connections, QUARANTINE)
    assert connections.sealed.read(QUARANTINE, key, site="north", study="", purpose="test") == data
    day = day_of(connections.clock.now())
    [row] = connections.tables.select(QuarantinedObjectRow, site="north", day=day)
    assert (row.component, row.reason, row.object_key, row.size) == ("stow", reason, key, len(data))
    assert len(objects(connections)) == 1


def test_an_object_of_another_study_than_named_is_quarantined(connections):
    [outcome] = send(connections, [dicom(STUDY)], study_uid="1.2.3")
    assert (outcome.status, outcome.reason) == ("quarantined", "study-mismatch")
    assert received(connections) == []


def test_a_header_longer_than_what_is_kept_in_memory_is_read_back(connections, monkeypatch):
    monkeypatch.setattr("producers.incoming.HEAD_BYTES", 300)
    assert [each.status for each in send(connections, [dicom(STUDY)])] == ["stored"]


def test_long_deliveries_are_published_in_chunks(connections, monkeypatch):
    monkeypatch.setattr(ingest, "MAX_CHUNK", 3)
    parts = [dicom(STUDY) for _ in range(7)]
    assert all(each.status == "stored" for each in send(connections, parts))
    assert sorted(len(event.instances) for event in received(connections)) == [1, 3, 3]


def test_what_waits_for_long_is_published_before_the_delivery_ends(connections, monkeypatch):
    monkeypatch.setattr(ingest, "MAX_WAIT_US", 0)
    delivery = Delivery(connections, "stow", "north")
    incoming = delivery.begin()
    incoming.write(dicom(STUDY))
    delivery.accept(incoming)
    assert len(received(connections)) == 1


def test_an_abandoned_delivery_leaves_nothing_behind(connections):
    delivery = Delivery(connections, "stow", "north")
    whole, half = delivery.begin(), delivery.begin()
    whole.write(dicom(STUDY))
    delivery.accept(whole)
    half.write(b"half")
    half.abort()
    delivery.abandon()
    assert objects(connections) == []
    assert rows(connections, "north", STUDY) == []
    assert received(connections) == []


def test_the_ordered_priority_is_the_objects_else_the_sites(connections):
    send(connections, [dicom("1.2.1", changes={"RequestedProcedurePriority": "ROUTINE"})])
    send(connections, [dicom("1.2.2")])
    assert {event.ordered_priority for event in received(connections)} == {"routine", "unknown"}


def test_deliveries_of_several_threads_at_once_lose_and_double_nothing(connections):
    parts = [dicom(STUDY, instance=f"1.2.9.{number}") for number in range(6)]
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda: outcomes.extend(send(connections, parts))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 24
    assert all(each.safe for each in outcomes)
    assert sum(each.status == "stored" for each in outcomes) == 6
    assert len(objects(connections)) == 6
    assert {row.object_key for row in rows(connections, "north", STUDY)} == set(objects(connections))
    assert all(row.published_at for row in rows(connections, "north", STUDY))


def test_outcomes_show_no_identity():
    assert "9.9.9" not in repr(Outcome("stored", "", "1.2.3", "9.9.9"))
