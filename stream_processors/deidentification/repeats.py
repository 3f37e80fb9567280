"""Walk a file's top level by its runs: what is known of equal bytes of the same patient is done again."""

from __future__ import annotations

import struct

from stream_processors.deidentification.edits import RUN, spliced
from stream_processors.deidentification.encoding import Encoding
from stream_processors.deidentification.refusal import MoreNeededError, RefusedError
from stream_processors.deidentification.replacing import Replacing
from stream_processors.deidentification.runs import Done
from stream_processors.deidentification.walker import Walker


def walk_by_runs(walker: Walker, encoding: Encoding, at: int, runs: list[tuple[int, bytes]]) -> int:
    """Walk the top level from run to run, and what lies between them as `Walker.data_set`; give its end.

    Raises
    ------
    RefusedError, MoreNeededError
        As the walk itself.
    """
    everybodys, own = walker.replacing.anybodys, walker.replacing.runs
    identity, edits = walker.identity, walker.edits
    for begin, run in runs:
        key = encoding, run
        done = everybodys.get(key) or own.get(key)
        if done is None:
            done = _met(walker, encoding, run)
            if done is None:
                continue  # walked with what lies between
        if begin != at and walker.data_set(encoding, at, begin) != begin:
            raise RefusedError("malformed")
        at = begin + len(run)
        output, steps, texts, words, uids, dates = done
        if steps:
            edits.append((begin, at, output, steps, 0, RUN))
        if texts:
            walker.texts.append(texts)
        if uids:
            identity.uids |= uids
        if words:
            identity.words |= words
        if dates:
            identity.dates |= dates
    return walker.data_set(encoding, at, walker.size)


def _met(walker: Walker, encoding: Encoding, run: bytes) -> Done | None:
    """Walk a run on its own, and remember what becomes of it: for everybody if another patient's would become the same.

    None is for what may be met only once, and for what is refused: the walk over the file says why.
    """
    replacing = walker.replacing
    if replacing.is_first((encoding, run)):
        return None
    try:
        done = _walked(walker, encoding, run, replacing)
    except (RefusedError, MoreNeededError, struct.error):
        return None
    is_anybodys = done.names_nobody and done == _walked(walker, encoding, run, replacing.of_another)
    replacing.remember(encoding, run, done, is_anybodys=is_anybodys)
    return done


def _walked(walker: Walker, encoding: Encoding, run: bytes, replacing: Replacing) -> Done:
    alone = Walker(run, len(run), walker.profile, replacing)
    alone.data_set(encoding, 0, len(run))
    who = alone.identity
    return Done(
        output=spliced(run, 0, len(run), alone.edits),
        steps=tuple([(edit[4], edit[5]) for edit in alone.edits]),
        texts=b"\n".join(alone.texts + alone.numbers),
        words=frozenset(who.words),
        uids=frozenset(who.uids),
        dates=frozenset(who.dates),
    )
