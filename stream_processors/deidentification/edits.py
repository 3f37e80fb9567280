"""What is to be changed in a file: places, and what is put there."""

from __future__ import annotations

from typing import Final

Path = tuple[object, ...]
"""() at top level, else (path of the parent, tag of the sequence, number of the item from 1)."""

RUN: Final = "run"
"""The rule of an edit that stands for several: in place of its path are their tags and rules."""

Edit = tuple[int, int, bytes, Path, int, str]
"""Start, stop, replacement, path, tag, rule: replace the bytes from start to stop. The rule is "" for a length that
had to follow. A plain tuple, since a file has hundreds and a class would double the cost of each."""


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
