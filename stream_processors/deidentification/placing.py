"""Set attributes of the top level anew: what cleaned pixels are described by."""

from __future__ import annotations

from collections.abc import Mapping

from stream_processors.deidentification.edits import Edit
from stream_processors.deidentification.encoding import UNDEFINED, Encoding
from stream_processors.deidentification.kinds import PIXELS, kinds
from stream_processors.deidentification.walker import Walker

RULE = "describe-pixels"


def placed(
    attributes: Mapping[int, tuple[str, bytes] | None],
    edits: list[Edit],
    walker: Walker,
    encoding: Encoding,
    at: int,
) -> list[Edit]:
    """Put attributes in the place of what the source has under their tags; None takes one away.

    Parameters
    ----------
    attributes
        VR and value by tag; each tag is smaller than that of Pixel Data.
    edits
        All other changes, of single elements; those of the same attributes are dropped.
    at
        Where the data set begins.
    """
    spots = _spots(sorted(attributes), walker, encoding, at)
    kept = [edit for edit in edits if edit[3] or edit[4] not in attributes]
    ours: list[Edit] = []
    for tag, (start, stop) in spots.items():
        given = attributes[tag]
        element = b"" if given is None else encoding.element(tag, given[0], given[1])
        if element or start < stop:
            ours.append((start, stop, element, (), tag, RULE))
    return kept + ours


def _spots(wanted: list[int], walker: Walker, encoding: Encoding, at: int) -> dict[int, tuple[int, int]]:
    """Find each attribute's bytes, or the empty place where it belongs."""
    table, spots = kinds(walker.profile, encoding), {}
    end = walker.pixels_at if walker.pixels_at >= 0 else walker.size
    while wanted and at < end:
        entry = table.known.get(walker.raw[at : at + encoding.key_width]) or walker.learn(table, at)
        length = entry.length_of(walker.raw, at + entry.length_at)[0]
        stop = at + entry.value_at + length
        if length == UNDEFINED and entry.tag not in PIXELS:
            stop = walker.skipped(entry, encoding, at)
        while wanted and wanted[0] <= entry.tag:
            tag = wanted.pop(0)
            spots[tag] = (at, stop) if tag == entry.tag else (at, at)
        at = stop
    return spots | dict.fromkeys(wanted, (end, end))
