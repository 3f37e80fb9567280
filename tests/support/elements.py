"""Data sets written by hand, and read as the engine reads them: the facts first, then from run to run."""

from __future__ import annotations

import hashlib
import struct

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT
from stream_processors.deidentification.encoding import EXPLICIT_LITTLE, Encoding
from stream_processors.deidentification.facts import Facts, read_facts
from stream_processors.deidentification.repeats import walk_by_runs
from stream_processors.deidentification.replacing import nobody, replacing_for
from stream_processors.deidentification.walker import Walker

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
LONG = ("OB", "OF", "OW", "SQ", "UN", "UT")
"""VRs with a length of 32 bits."""


def element(tag: int, vr: str, value: bytes, encoding: Encoding = EXPLICIT_LITTLE, length: int = -1) -> bytes:
    """One element, its value as it is given: nothing is padded; `length` where another is claimed."""
    head = struct.pack(encoding.endian + "HH", tag >> 16, tag & 0xFFFF)
    length = len(value) if length < 0 else length
    if not encoding.explicit:
        return head + struct.pack(encoding.endian + "I", length) + value
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(encoding.endian + "I", length) + value
    return head + vr.encode() + struct.pack(encoding.endian + "H", length) + value


def item(content: bytes, encoding: Encoding = EXPLICIT_LITTLE) -> bytes:
    """One item of defined length."""
    return struct.pack(encoding.endian + "HHI", 0xFFFE, 0xE000, len(content)) + content


def endless(tag: int, content: bytes) -> bytes:
    """A sequence of undefined length with one item of undefined length, in explicit little endian."""
    begin, end, last = (struct.pack("<HH", 0xFFFE, each) for each in (0xE000, 0xE00D, 0xE0DD))
    marked = begin + b"\xff\xff\xff\xff" + content + end + bytes(4) + last + bytes(4)
    return element(tag, "SQ", marked, length=0xFFFFFFFF)


def look(raw: bytes, size: int = -1, encoding: Encoding = EXPLICIT_LITTLE) -> Facts:
    """Take the first look at a data set of `size` bytes, of which `raw` are the first."""
    size = len(raw) if size < 0 else size
    return read_facts(Walker(raw, size, DEFAULT, nobody(NAMES, DEFAULT)), encoding, 0)


def read(raw: bytes, patient: str = "ZQPID") -> tuple[Facts, Walker]:
    """Read a whole data set of a patient: the first look, and the walk from run to run."""
    facts = look(raw)
    walker = Walker(raw, len(raw), DEFAULT, replacing_for(NAMES, DEFAULT, "", patient, "1.2.3", b""))
    assert walk_by_runs(walker, EXPLICIT_LITTLE, 0, facts.runs) == len(raw)
    return facts, walker
