"""What a site's images are held to: learnt once, kept, shared, and told when they change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.drift import LEARNED_FROM, Statistics
from runtime import logs
from runtime.buckets import ALL, RESULTS
from runtime.embedded.objects import EmbeddedObjects
from runtime.errors import OutageError
from runtime.metrics import Metrics
from stream_processors.input_drift import AS_ACCEPTED, DRIFTED, InputDrift, reference_key

SITE, MODEL, DIGEST = "north", "head_ct_demo", "0123456789abcdef"
KEY = reference_key(SITE, MODEL, DIGEST)


async def at_once(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return call(*args, **kwargs)


@pytest.fixture
def objects(tmp_path: Path) -> EmbeddedObjects:
    made = EmbeddedObjects(tmp_path)
    made.create_buckets(ALL)
    return made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    lines: list[dict[str, str]] = []

    class Log:
        def warning(self, _event: str, **values: str) -> None:
            lines.append(values)

    monkeypatch.setattr(logs, "logger", lambda _component: Log())
    return lines


def images(count: int, seed: int, *, offset: float = 0.0, noise: float = 1.0) -> list[Statistics]:
    rng = np.random.default_rng(seed)
    return [
        {
            "level": rng.normal(30 + offset, 2),
            "spread": rng.normal(500, 20),
            "noise": rng.normal(5 * noise, 0.5),
        }
        for _ in range(count)
    ]


async def fed(drift: InputDrift, some: list[Statistics], site: str = SITE) -> None:
    for image in some:
        await drift.seen(site, MODEL, DIGEST, image, at_once)


class Audited:
    """Audit events as they were confirmed; `away` while none is."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.away = False

    def __call__(self, site: str, subjects: Sequence[str], action: str, purpose: str) -> None:
        assert not subjects
        if self.away:
            raise OutageError("away")
        self.events.append((site, action, purpose))


def gauge(metrics: Metrics) -> float:
    lines = metrics.exposition().decode().splitlines()
    (found,) = [each for each in lines if each.startswith("radstream_drifted_statistics{") and SITE in each]
    return float(found.rsplit(" ", 1)[1])


@pytest.mark.parametrize(
    ("change", "within", "which"),
    [({"offset": 5.0}, 50, "level"), ({"noise": 2.0}, 300, "noise")],
    ids=["5 HU within 50", "noise within 300"],
)
async def test_a_change_is_told_once_and_shown(
    objects: EmbeddedObjects, told: list[dict[str, str]], change: dict[str, float], within: int, which: str
) -> None:
    metrics, audited = Metrics("infer"), Audited()
    drift = InputDrift(objects, metrics, audited)
    await fed(drift, images(LEARNED_FROM + 100, 1))
    assert (told, gauge(metrics)) == ([], 0)

    await fed(drift, images(within, 2, **change))

    assert told == [{"site": SITE, "model": MODEL, "state": f"drifted: {which}"}]
    assert audited.events == [(SITE, DRIFTED, f"{MODEL}: {which}")]
    assert gauge(metrics) == 1


async def test_what_is_mended_is_told_as_well(objects: EmbeddedObjects, told: list[dict[str, str]]) -> None:
    audited = Audited()
    drift = InputDrift(objects, Metrics("infer"), audited)
    await fed(drift, images(LEARNED_FROM, 1))
    await fed(drift, images(1000, 2, offset=8.0))

    await fed(drift, images(60, 3))

    assert [line["state"] for line in told] == ["drifted: level", "as accepted"]
    assert [action for _, action, _ in audited.events] == [DRIFTED, AS_ACCEPTED]


async def test_what_could_not_be_audited_is_told_with_a_later_image(
    objects: EmbeddedObjects, told: list[dict[str, str]]
) -> None:
    audited = Audited()
    drift = InputDrift(objects, Metrics("infer"), audited)
    await fed(drift, images(LEARNED_FROM, 1))
    audited.away = True
    await fed(drift, images(100, 2, offset=8.0))
    assert told == []

    audited.away = False
    await fed(drift, images(1, 3, offset=8.0))

    assert [line["state"] for line in told] == ["drifted: level"]
    assert audited.events == [(SITE, DRIFTED, f"{MODEL}: level")]


async def test_the_reference_outlives_the_process_and_is_the_first_ones(
    objects: EmbeddedObjects, told: list[dict[str, str]]
) -> None:
    first, second = (
        InputDrift(objects, Metrics("infer"), Audited()),
        InputDrift(objects, Metrics("infer"), Audited()),
    )
    await fed(second, images(1, 9, offset=40))  # it learns as well, and is slower
    await fed(first, images(LEARNED_FROM, 1))
    kept = objects.get(RESULTS, KEY)
    await fed(second, images(LEARNED_FROM, 2, offset=40))
    assert objects.get(RESULTS, KEY) == kept

    again = InputDrift(objects, Metrics("infer"), Audited())
    await fed(again, images(50, 3, offset=6))
    await fed(second, images(50, 3, offset=6))

    assert [line["state"] for line in told] == ["drifted: level"] * 2


async def test_sites_are_watched_apart(objects: EmbeddedObjects, told: list[dict[str, str]]) -> None:
    drift = InputDrift(objects, Metrics("infer"), Audited())
    await fed(drift, images(LEARNED_FROM, 1))
    await fed(drift, images(LEARNED_FROM, 2, offset=30), "south")
    await fed(drift, images(50, 3, offset=30), "south")

    assert told == []


async def test_a_store_that_is_away_or_a_reference_of_another_make_costs_no_input(
    objects: EmbeddedObjects, told: list[dict[str, str]]
) -> None:
    drift = InputDrift(objects, Metrics("infer"), Audited())

    async def away(*_: Any, **__: Any) -> Any:
        raise OutageError("away")

    await drift.seen(SITE, MODEL, DIGEST, images(1, 1)[0], away)
    for damaged in (b"{", b"{}", b'{"means": {"other": 1}, "deviations": {"other": 1}}'):
        objects.put(RESULTS, KEY, damaged)
        await fed(InputDrift(objects, Metrics("infer"), Audited()), images(2, 1))
    objects.delete(RESULTS, KEY)
    await fed(drift, images(LEARNED_FROM, 1))

    assert told == []
    assert objects.head(RESULTS, KEY) is not None
