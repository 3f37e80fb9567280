"""What must hold for any bytes, one way through the code at a time; whatever breaks it is a finding.

The engine gives a verified file or a documented reason, and knows its own output again. A file that comes in ranges ends as
the whole one does, and what was read before decides nothing. The second reader has its one reason, reads a head as it
reads the whole, and finds in an output what pydicom finds. The verifier lets nothing pass that the engine did not make.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Callable
from functools import partial
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import (
    DEFAULT,
    REASONS,
    MoreNeededError,
    Profile,
    RefusedError,
    deidentify,
    plan,
)
from stream_processors.deidentification.identity import Identity
from stream_processors.deidentification.second_reader import Element, Follower, read_again
from stream_processors.deidentification.streaming import followed, verify_header
from stream_processors.deidentification.verify import Expected, verify
from tests.support.memories import forget

NAMES = Pseudonyms(PseudonymKey("fuzz", hashlib.sha256(b"a key for fuzzing").digest()))
FORGETS = 32
"""inputs, of which one is run with cold memory, too: all others fill it."""
MOST_ASKED = 64
"""times that one file may ask for more of itself: each time it asks for twice as much, at least."""
PROFILES = {
    "default": DEFAULT,
    "safe private": Profile(frozenset({"113111", "113104", "113103"})),
    "basic": Profile(frozenset()),
    "retain": Profile(frozenset({"113107", "113109", "113110", "113112"})),
}


class Finding(Exception):  # noqa: N818 - it is no error of ours, it is what is sought
    """Something that must not be."""


def hold(condition: object, what: str) -> None:
    """Make a finding of what does not hold."""
    if not condition:
        raise Finding(what)


def reason_of(refused: RefusedError) -> str:
    """Give a documented reason; any other is a finding."""
    hold(refused.reason in REASONS, "a reason that is not documented")
    return refused.reason


def engine(raw: bytes, profile: Profile) -> str:
    """De-identify whole bytes; and again, which must change nothing."""
    try:
        done = deidentify(raw, NAMES, profile)
    except RefusedError as refused:
        return reason_of(refused)
    hold(done.data[:132] == bytes(128) + b"DICM", "an output without a prefix")
    again = deidentify(done.data, NAMES, profile)
    hold(again.report.own_output and again.data == done.data, "an output that is not known again")
    return "withheld" if done.pixels_at_risk else "verified"


def streamed(raw: bytes, profile: Profile, chance: random.Random) -> str:
    """De-identify from a head that grows as it is asked for, the rest in ranges: as the whole, or refused as it."""
    try:
        whole: bytes | str = deidentify(raw, NAMES, profile).data
    except RefusedError as refused:
        whole = reason_of(refused)
    given = chance.randrange(len(raw) + 1)
    for _ in range(MOST_ASKED):
        try:
            made = plan(raw[:given], len(raw), NAMES, profile)
            verify_header(made, profile)
            ranges = followed(made, lambda at, length: raw[at : at + length], raw[:given])
            out: bytes | str = b"".join(ranges)
            break
        except MoreNeededError as needed:
            hold(given < needed.size <= len(raw), "a wish for more that is none")
            given = needed.size
        except RefusedError as refused:
            out = reason_of(refused)
            break
    else:
        raise Finding("wishes without an end")
    hold(isinstance(out, str) == isinstance(whole, str), "the stream and the whole disagree on refusal")
    hold(isinstance(out, str) or out == whole, "the stream and the whole differ")
    return "refused" if isinstance(out, str) else "as the whole"


def memory(raw: bytes, profile: Profile) -> str:
    """De-identify after all that was read before, and again with every memory emptied: the same, to the byte."""
    warm = _outcome(raw, profile)
    forget()
    hold(_outcome(raw, profile) == warm, "what was read before decides")
    return "the same"


def _outcome(raw: bytes, profile: Profile) -> object:
    try:
        done = deidentify(raw, NAMES, profile)
    except RefusedError as refused:
        return reason_of(refused)
    return done.data, done.context, done.pixels_at_risk


def reader(raw: bytes, chance: random.Random) -> str:
    """Read anything with the second reader: whole, and only what stands before the pixels."""
    try:
        whole = read_again(raw)
    except RefusedError as refused:
        hold(refused.reason == "verification-failed", "a reason that is not the verifier's")
        _fed(raw, chance)
        return "doubted"
    elements = whole.elements
    if whole.pixels_at >= 0:
        for begin in (whole.pixels_at + 8, whole.pixels_at + 12):
            try:
                head = read_again(raw[:begin], len(raw))
            except RefusedError:
                continue
            hold(head.elements == elements, "the head and the whole are read differently")
    return "read"


def _fed(raw: bytes, chance: random.Random) -> None:
    """Feed a follower in any portions: it takes them or has its one reason."""
    follower, at = Follower(), 0
    try:
        while at < len(raw):
            size = chance.randrange(1, 200)
            follower.feed(memoryview(raw)[at : at + size])
            at += size
        follower.end()
    except RefusedError as refused:
        hold(refused.reason == "verification-failed", "a reason that is not the follower's")


def verifier(raw: bytes, profile: Profile) -> str:
    """Ask the verifier about bytes that the engine never saw: it doubts them unless they say all that ours say."""
    expected = Expected(Identity(), 0, False, profile.codes)
    try:
        verify(raw, profile, expected)
    except RefusedError as refused:
        hold(refused.reason == "verification-failed", "a reason that is not the verifier's")
        return "doubted"
    hold(b"Radstream" in raw, "a foreign file that verifies")
    return "passed"


def pydicom_agrees(raw: bytes) -> str:
    """Compare what pydicom finds in an output with what the second reader finds: tags, depths and values."""
    try:
        data = deidentify(raw, NAMES).data
    except RefusedError as refused:
        return reason_of(refused)
    ours = read_again(data).elements
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = _flat(pydicom.dcmread(BytesIO(data)))
    hold(
        [(each.around, each.tag) for each in ours] == [each[:2] for each in theirs],
        "pydicom reads other tags",
    )
    hold(
        all(_same(one, other) for one, other in zip(ours, theirs, strict=True)), "pydicom reads other values"
    )
    return "agreed"


def _flat(data_set: Dataset, around: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], int, bytes | None]]:
    found: list[tuple[tuple[int, ...], int, bytes | None]] = []
    for tag in sorted(data_set.keys()):
        raw = data_set.get_item(tag)
        if raw.VR == "SQ" or (raw.VR in (None, "UN") and data_set[tag].VR == "SQ"):
            found.append((around, int(tag), None))
            for item in data_set[tag].value:
                found.extend(_flat(item, (*around, int(tag))))
        else:
            found.append((around, int(tag), raw.value if isinstance(raw.value, bytes) else None))
    return found


def _same(one: Element, other: tuple[tuple[int, ...], int, bytes | None]) -> bool:
    return other[2] is None or one.tag >> 16 == 0x7FE0 or one.value == other[2]


def ways(raw: bytes) -> dict[str, Callable[[], str]]:
    """Name the ways for one input; what is left to chance follows from its bytes alone."""
    chance = random.Random(raw[-64:])
    name = chance.choice(sorted(PROFILES))
    profile = PROFILES[name]
    clear = bytes(128) + raw[128:]
    forgets: dict[str, Callable[[], str]] = {}
    if chance.randrange(FORGETS) == 0:
        forgets["memory"] = partial(memory, raw, profile)
    return forgets | {
        "engine": partial(engine, raw, profile),
        "streamed": partial(streamed, raw, profile, chance),
        "second reader": partial(reader, clear, chance),
        "verifier": partial(verifier, clear, profile),
        "pydicom": partial(pydicom_agrees, raw),
    }
