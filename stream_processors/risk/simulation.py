"""How long studies wait when findings order the worklist, against first come first served: a queue in simulated time. Pure.

Arrivals are Poisson with a day's swing, reading times exponential, readers equal. Both orders see the same studies, reading times
and answers, so they differ by the order alone. The order is the product's: the weights of `rules` and `schemas.priority`.
Waits are in minutes from the receipt to the moment a reader begins.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from schemas.alert_budget import ALERTS_PER_READER_HOUR
from schemas.priority import priority_score
from stream_processors.risk.budget import expected_ppv
from stream_processors.risk.rules import CLASS_WEIGHT, ORDERED_WEIGHT

MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is simulated.

    Parameters
    ----------
    load
        Arrivals over what the readers can read; below 1.
    readers
        Readers at work, day and night.
    per_hour
        Studies one reader reads in an hour.
    prevalence
        Share of critical studies.
    sensitivity, specificity
        Of the AI for critical studies.
    ai_minutes
        From receipt until the answer stands in the worklist.
    failures
        Share of studies on which the AI gives no answer: they stay at their order.
    swing
        Amplitude of the day's arrivals round their mean, 0 to 1.
    days
        Length of a run.
    seeds
        One run each.
    """

    load: float = 0.93
    readers: int = 3
    per_hour: float = 8.6
    prevalence: float = 0.03
    sensitivity: float = 0.93
    specificity: float = 0.93
    ai_minutes: float = 1.0
    failures: float = 0.0
    swing: float = 0.0
    days: int = 30
    seeds: tuple[int, ...] = (1, 2, 3, 4)

    def __post_init__(self) -> None:
        """Refuse what no queue can be.

        Raises
        ------
        ValueError
            A share outside 0 to 1, a load of 1 or more, nobody to read, or a time that is none.
        """
        shares = (self.prevalence, self.sensitivity, self.specificity, self.failures, self.swing)
        if not all(0 <= share <= 1 for share in shares) or not 0 < self.load < 1:
            raise ValueError("shares lie between 0 and 1, and the load below 1")
        if self.readers < 1 or self.days < 1 or not self.seeds or not 0 < self.per_hour < math.inf:
            raise ValueError("there must be readers, days and seeds")
        if not 0 <= self.ai_minutes < math.inf:
            raise ValueError("an answer comes with its study or some minutes later")


@dataclass(frozen=True, slots=True)
class Study:
    """One simulated study; times in minutes."""

    arrived: float
    reading: float
    critical: bool
    weight: float
    """Weight once the AI has answered."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Waiting times of one class under one order, minutes."""

    studies: int
    mean: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out, pooled over the seeds.

    Parameters
    ----------
    fifo, ai
        Waits by true class: `critical`, `routine`, and `missed`, the critical ones that the AI did not find.
    alerts_per_reader_hour
        Pages of the AI.
    ppv
        Share of right ones that sensitivity, specificity and prevalence let expect.
    critical_waits
        Sorted waits of critical studies by order, for a plot.
    """

    fifo: dict[str, Waits]
    ai: dict[str, Waits]
    alerts_per_reader_hour: float
    ppv: float
    critical_waits: dict[str, list[float]] = field(repr=False)

    @property
    def within_budget(self) -> bool:
        """Whether readers can take the pages."""
        return self.alerts_per_reader_hour <= ALERTS_PER_READER_HOUR

    def change(self, of: str, measure: str) -> float:
        """Relative change from first come first served to the AI's order; -0.75: three quarters less.

        Where nobody waited before: none, or infinite if somebody does now.
        """
        before, after = (float(getattr(waits[of], measure)) for waits in (self.fifo, self.ai))
        if before == 0:
            return 0.0 if after == 0 else math.inf
        return after / before - 1


def simulate(scenario: Scenario) -> Outcome:
    """Run a scenario under both orders."""
    waits: dict[str, dict[str, list[float]]] = {"fifo": defaultdict(list), "ai": defaultdict(list)}
    pages, hours = 0, scenario.days * 24 * len(scenario.seeds)
    for seed in scenario.seeds:
        studies = list(_studies(scenario, random.Random(seed)))  # noqa: S311 - a simulation, no secret
        pages += sum(study.weight == CLASS_WEIGHT["critical"] for study in studies)
        for order, weigh in (("fifo", _equal), ("ai", _by_finding)):
            for study, wait in zip(studies, _waits(studies, scenario, weigh), strict=True):
                for name in _classes(study):
                    waits[order][name].append(wait)
    return Outcome(
        fifo={name: summary(values) for name, values in waits["fifo"].items()},
        ai={name: summary(values) for name, values in waits["ai"].items()},
        alerts_per_reader_hour=pages / hours / scenario.readers,
        ppv=expected_ppv(scenario.sensitivity, scenario.specificity, scenario.prevalence),
        critical_waits={order: sorted(found["critical"]) for order, found in waits.items()},
    )


def summary(values: Sequence[float]) -> Waits:
    """Mean, percentiles (the value that so many do not exceed) and maximum; at least one value."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1]

    return Waits(len(ordered), sum(ordered) / len(ordered), at(0.95), at(0.99), ordered[-1])


def _studies(scenario: Scenario, dice: random.Random) -> Iterator[Study]:
    """Arrivals by thinning a faster Poisson process; every study takes the same dice whatever the scenario's shares are."""
    mean_reading = 60 / scenario.per_hour
    fastest = scenario.load * scenario.readers / mean_reading * (1 + scenario.swing)
    now = 0.0
    while (now := now + dice.expovariate(fastest)) < scenario.days * MINUTES_PER_DAY:
        rate = 1 + scenario.swing * math.sin(2 * math.pi * now / MINUTES_PER_DAY)
        kept, kind, answer, failure = (dice.random() for _ in range(4))
        reading = dice.expovariate(1 / mean_reading)
        if kept * (1 + scenario.swing) >= rate:
            continue
        critical = kind < scenario.prevalence
        found = answer < (scenario.sensitivity if critical else 1 - scenario.specificity)
        raised = found and failure >= scenario.failures
        yield Study(now, reading, critical, CLASS_WEIGHT["critical"] if raised else ORDERED_WEIGHT["routine"])


def _classes(study: Study) -> tuple[str, ...]:
    if not study.critical:
        return ("routine",)
    return ("critical",) if study.weight == CLASS_WEIGHT["critical"] else ("critical", "missed")


def _equal(study: Study) -> float:
    del study
    return ORDERED_WEIGHT["routine"]


def _by_finding(study: Study) -> float:
    return study.weight


def _waits(studies: Sequence[Study], scenario: Scenario, weigh: Callable[[Study], float]) -> list[float]:
    """Minutes each study waits. Of equal weights the oldest leads, so one queue per weight is enough to find the next."""
    waits = [0.0] * len(studies)
    free = [0.0] * scenario.readers
    queues: dict[float, deque[int]] = defaultdict(deque)
    pending: list[tuple[float, int]] = []
    """Answers on their way: when they come, and for which study. Until then a study stands at its order."""
    arrived, waiting, floor = 0, 0, ORDERED_WEIGHT["routine"]
    taken = [False] * len(studies)
    while arrived < len(studies) or waiting:
        now = heapq.heappop(free)
        if not waiting:
            now = max(now, studies[arrived].arrived)
        while arrived < len(studies) and studies[arrived].arrived <= now:
            queues[floor].append(arrived)
            if weigh(studies[arrived]) != floor:
                heapq.heappush(pending, (studies[arrived].arrived + scenario.ai_minutes, arrived))
            arrived, waiting = arrived + 1, waiting + 1
        while pending and pending[0][0] <= now:
            answered = heapq.heappop(pending)[1]
            if not taken[answered]:
                queues[weigh(studies[answered])].append(answered)
        chosen = _next(queues, studies, taken, now)
        taken[chosen], waiting = True, waiting - 1
        waits[chosen] = now - studies[chosen].arrived
        heapq.heappush(free, now + studies[chosen].reading)
    return waits


def _next(
    queues: dict[float, deque[int]], studies: Sequence[Study], taken: Sequence[bool], now: float
) -> int:
    """Study with the greatest accumulated priority; of equal ones the oldest."""
    heads = []
    for weight, queue in queues.items():
        while queue and taken[queue[0]]:
            queue.popleft()
        if queue:
            waited = now - studies[queue[0]].arrived
            heads.append((priority_score(weight, waited * 60), -queue[0]))
    return -max(heads)[1]
