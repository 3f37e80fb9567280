"""What the log holds of each study: read whole, every event once, however often it was published."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from inference.catalogue import all_models
from runtime.connections import Connections
from runtime.ports import Log, Record
from schemas import events
from schemas.codec import UndecodableError, decode
from schemas.events import Event

TOPICS = (
    "instance.received.v1",
    "instance.deidentified.v1",
    "instance.cleaned.v1",
    "findings.v1",
    "risk.scored.v1",
    "alerts.v1",
)
"""Topics that say what must be in objects and tables."""
PAGE = 1000
"""Records read at once."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a result leads to.

    Parameters
    ----------
    revision, result_id
        Which.
    drawn
        Instances that must have an overlay.
    """

    revision: int
    result_id: str
    drawn: tuple[str, ...]


@dataclass(slots=True)
class Published:
    """What the log holds of one study."""

    received: Counter[str] = field(default_factory=Counter)
    """Events that name each raw digest."""
    deidentified: set[str] = field(default_factory=set)
    """Instances."""
    refused: set[str] = field(default_factory=set)
    """Raw digests."""
    results: list[Result] = field(default_factory=list)
    repeated: Counter[tuple[int, str, str, str, str]] = field(default_factory=Counter)
    """Results by what makes them the same one: revision, model, its digest, calibration, inputs."""
    due: set[tuple[str, str]] = field(default_factory=set)
    """Alerts that a score asks for, by finding and class."""
    raised: dict[tuple[str, str], str] = field(default_factory=dict)
    """Id of each raised alert, by finding and class."""


def records(log: Log, topic: str) -> Iterable[Record]:
    """Every record of a topic, partition by partition."""
    for partition, end in log.end_offsets(topic).items():
        start = 0
        while start < end:
            page = log.read(topic, partition, start, PAGE)
            if not page:
                break
            yield from page
            start = page[-1].offset + 1


def gather(connections: Connections) -> dict[tuple[str, str], Published]:
    """Read the whole log and sort what it says by site and study; a repeated event counts once."""
    found: dict[tuple[str, str], Published] = defaultdict(Published)
    for topic in TOPICS:
        seen: set[str] = set()
        for record in records(connections.log, topic):
            try:
                event = decode(record.value, connections.registry)
            except UndecodableError:
                continue
            if event.envelope.event_id in seen:
                continue
            seen.add(event.envelope.event_id)
            note(found[event.envelope.site, event.envelope.study], event)
    return dict(found)


def note(published: Published, event: Event) -> None:
    """Add what an event says of its study."""
    if isinstance(event, events.InstanceReceived):
        published.received.update(instance.raw_digest for instance in event.instances)
    elif isinstance(event, events.InstanceDeidentified):
        published.deidentified.update(instance.instance for instance in event.instances)
        published.refused.update(instance.raw_digest for instance in event.quarantined)
    elif isinstance(event, events.Findings):
        _note_result(published, event)
    elif isinstance(event, events.RiskScored) and event.alert_class:
        published.due.add((event.finding, event.alert_class))
    elif isinstance(event, events.AlertState) and event.state == "raised":
        published.raised[event.finding, event.alert_class] = event.alert_id


def _note_result(published: Published, event: events.Findings) -> None:
    model = all_models().get(event.model)
    # As `sinks.objects` decides: only this release's own model can be drawn.
    known = model is not None and model.SPEC.digest == event.model_digest
    drawn = tuple(image.instance for image in event.images) if known else ()
    same = (event.revision, event.model, event.model_digest, event.calibration_version, event.inputs_digest)
    published.repeated[same] += 1
    if published.repeated[same] == 1:
        published.results.append(Result(event.revision, event.result_id, drawn))
