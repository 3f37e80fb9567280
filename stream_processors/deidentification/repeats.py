"""Walk a file's top level by its runs: what is known of equal bytes of the same patient is done again."""

from __future__ import annotations

from stream_processors.deidentification.encoding import Encoding
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.runs import Done
from stream_processors.deidentification.walker import RUN, Edit, Walker


def walk_by_runs(walker: Walker, encoding: Encoding, at: int, runs: list[tuple[int, bytes]]) -> int:
    """Walk the top level from run to run, and what lies between them as `Walker.data_set`; give its end.

    Raises
    ------
    RefusedError, MoreNeededError
        As the walk itself.
    """
    known, identity = walker.replacing.runs, walker.identity
    for begin, run in runs:
        if begin != at and walker.data_set(encoding, at, begin) != begin:
            raise RefusedError("malformed")
        at = begin + len(run)
        done = known.get((encoding, run)) or _met(walker, encoding, run)
        if done.steps:
            walker.edits.append((begin, at, done.output, done.steps, 0, RUN))
        walker.texts.append(done.texts)
        identity.words |= done.words
        identity.uids |= done.uids
        identity.dates |= done.dates
    return walker.data_set(encoding, at, walker.size)


def _met(walker: Walker, encoding: Encoding, run: bytes) -> Done:
    """Ask what becomes of a run whoever the patient is; else walk it on its own. It is remembered."""
    replacing = walker.replacing
    shared = replacing.anybodys.get((encoding, run))
    if shared is not None:
        replacing.remember(encoding, run, shared)
        return shared
    alone = Walker(run, len(run), walker.profile, replacing)
    alone.data_set(encoding, 0, len(run))
    who = alone.identity
    done = Done(
        output=spliced(run, 0, len(run), alone.edits),
        steps=tuple([(edit[4], edit[5]) for edit in alone.edits]),
        texts=b"\n".join(alone.texts + alone.numbers),
        words=frozenset(who.words),
        uids=frozenset(who.uids),
        dates=frozenset(who.dates),
    )
    replacing.remember(encoding, run, done)
    return done


def spliced(raw: bytes, at: int, stop: int, edits: list[Edit]) -> bytes:
    """Write a range with its edits: the untouched slices between them stay as they are."""
    parts = []
    for edit in edits:
        if edit[0] > at:
            parts.append(raw[at : edit[0]])
        if edit[2]:
            parts.append(edit[2])
        at = max(at, edit[1])
    parts.append(raw[at:stop])
    return b"".join(parts)
