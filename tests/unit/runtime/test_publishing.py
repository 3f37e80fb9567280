from __future__ import annotations

from pathlib import Path

from runtime import VERSION
from schemas.codec import decode
from schemas.events import Hop
from tests.support.installation import connections, received, study

SOURCE = "instance.received.v1"


def test_an_event_is_confirmed_under_its_study_with_cloud_event_headers(tmp_path: Path) -> None:
    made = connections(tmp_path, "stow")
    made.publisher.publish([(SOURCE, received(7, "event 7")), (SOURCE, received(7, "event 8"))])
    partitions = made.log.topics()[SOURCE]
    records = [each for number in range(partitions) for each in made.log.read(SOURCE, number, 0, 10)]
    assert [each.key for each in records] == [study(7).encode()] * 2
    assert [decode(each.value, made.registry) for each in records] == [
        received(7, "event 7"),
        received(7, "event 8"),
    ]
    first, second = (dict(each.headers) for each in records)
    traces = {headers.pop("traceparent").split(b"-")[1] for headers in (first, second)}
    assert len(traces) == 2
    assert first == {
        "ce_id": b"event 7",
        "ce_type": b"radstream.InstanceReceived",
        "ce_source": b"/radstream/north/stow",
        "ce_time": b"2026-11-21T02:00:00.000000Z",
        "ce_specversion": b"1.0",
        "content-type": b"application/avro",
    }
    made.close()


def test_an_envelope_names_its_component_and_adds_its_hop(tmp_path: Path) -> None:
    made = connections(tmp_path, "route_study")
    earlier = (Hop(name="stow", at=1),)
    found = made.publisher.envelope(
        "north", study(1), "id", correlation_id="c", causation_id="b", hops=earlier
    )
    assert (found.producer, found.producer_version, found.key_id) == ("route_study", VERSION, "2026-1")
    assert found.hops == (*earlier, Hop(name="route_study", at=found.recorded_at))
    assert found.occurred_at == found.recorded_at
    assert made.publisher.envelope("north", "", "id", correlation_id="c", occurred_at=5).occurred_at == 5
    made.close()
