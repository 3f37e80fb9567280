"""De-identify one DICOM file: bytes in, a list of buffers out, the pixels untouched and uncopied."""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import itemgetter
from typing import Final

from schemas.identifiers import Pseudonyms
from stream_processors.deidentification.codestreams import without_text
from stream_processors.deidentification.context import Context, read_context
from stream_processors.deidentification.dictionary import registered_type
from stream_processors.deidentification.encoding import Encoding
from stream_processors.deidentification.facts import Facts, read_facts
from stream_processors.deidentification.identity import Identity, is_uid, matcher
from stream_processors.deidentification.part10 import Part10, read_part10, write_meta
from stream_processors.deidentification.pixels_at_risk import pixels_at_risk
from stream_processors.deidentification.profile import DEFAULT, EDITION, METHOD, Profile
from stream_processors.deidentification.refusal import MoreNeededError, RefusedError
from stream_processors.deidentification.replacing import Replacing, nobody, replacing_for
from stream_processors.deidentification.report import Report
from stream_processors.deidentification.table import OPTION_MEANINGS
from stream_processors.deidentification.verify import Expected, verify
from stream_processors.deidentification.walker import Edit, Walker

REQUIRED_UIDS: Final = (0x00080016, 0x00080018)
"""SOP Class and SOP Instance UID: without them nothing can be written that is a DICOM file."""

FILED_UNDER: Final = (0x0020000D, 0x0020000E)
"""Study and Series Instance UID: a path or any other text in their place never goes further; a gateway asks for
them, this library does not."""

UNSUPPORTED_CLASSES: Final = (
    "1.2.840.10008.1.3.10",  # DICOMDIR
    "1.2.840.10008.5.1.4.1.1.9.4.",  # audio
    "1.2.840.10008.5.1.4.1.1.66",  # raw data; not its branch, which is segmentation and its kin
)
"""Classes, by prefix, whose content is a voice or unknown. Private classes are unknown, too."""

_SEGMENTATION_AND_KIN = "1.2.840.10008.5.1.4.1.1.66."
_MARK_RULE = "mark"


@dataclass(frozen=True)
class Plan:
    """What to send: pieces of our own, and ranges of the source to be copied as they are.

    Parameters
    ----------
    pieces
        In order; `bytes` of ours, or (start, stop) of the source (of the inflated file, when `inflated` is set).
    """

    pieces: tuple[bytes | tuple[int, int], ...]
    inflated: bytes | None
    header_size: int
    """Bytes of the output before the pixels' value, or all of it."""
    report: Report
    context: Context
    pixels_at_risk: str | None
    identity: Identity = field(repr=False)
    days: int = field(repr=False)
    """The patient's date shift."""

    def buffers(self, source: bytes) -> Iterator[bytes | memoryview]:
        """Give the output's buffers over a source, without a copy."""
        view = memoryview(source if self.inflated is None else self.inflated)
        for piece in self.pieces:
            yield piece if isinstance(piece, bytes) else view[piece[0] : piece[1]]


@dataclass(frozen=True)
class Deidentified:
    """The clean file.

    Parameters
    ----------
    data
        A Part 10 file. Header only where `pixels_at_risk` gives a reason: such pixels stay raw.
    report, context
        What was done; what routing may know.
    pixels_at_risk
        `burned-in-annotation`, `ultrasound`, `secondary-capture`, or None.
    """

    data: bytes
    report: Report
    context: Context
    pixels_at_risk: str | None


def deidentify(raw: bytes, pseudonyms: Pseudonyms, profile: Profile = DEFAULT) -> Deidentified:
    """De-identify one Part 10 file. The same bytes and key always give the same bytes.

    Raises
    ------
    RefusedError
        With one of `REASONS`; nothing was produced.
    """
    made = plan(raw, len(raw), pseudonyms, profile)
    data = b"".join(made.buffers(raw))
    if data != raw or not made.report.own_output:
        verify(data, profile, Expected(made.identity, made.days, bool(made.pixels_at_risk)))
    return Deidentified(data, made.report, made.context, made.pixels_at_risk)


def plan(head: bytes, size: int, pseudonyms: Pseudonyms, profile: Profile = DEFAULT) -> Plan:
    """Decide about a file from its first bytes; what lies behind them is copied as it is, or cut.

    Parameters
    ----------
    head
        The file's first bytes, at least up to its pixels; all of it when it is deflated or its pixels are
        encapsulated.
    size
        Bytes of the whole file.

    Raises
    ------
    MoreNeededError
        When the header does not end within `head`; it says how much to read.
    RefusedError
        With one of `REASONS`.
    """
    try:
        return _plan(read_part10(head, size), pseudonyms, profile, head)
    except struct.error:
        raise (MoreNeededError(size) if len(head) < size else RefusedError("truncated")) from None


def _plan(source: Part10, pseudonyms: Pseudonyms, profile: Profile, head: bytes) -> Plan:
    at, encoding = source.data_set_at, source.encoding
    facts = read_facts(Walker(source.raw, source.size, profile, nobody(pseudonyms, profile)), encoding, at)
    _require(facts)
    context, risk = read_context(facts, source.transfer_syntax_uid), pixels_at_risk(facts)
    issuer, patient_id, study = (facts.text(tag) for tag in (0x00100021, 0x00100020, 0x0020000D))
    patient = pseudonyms.patient_key_for(issuer, patient_id, study or facts.text(0x00080018))
    replacing = replacing_for(pseudonyms, profile, patient, issuer, facts.values.get(0x00080005, b""))
    walker, end = _walked(source, profile, replacing)
    edits = _with_marks(walker.edits, facts, encoding, profile)
    if risk and walker.pixels_at >= 0:
        edits.append((walker.pixels_at, end, b"", (), 0x7FE00010, "withhold"))
    ours = _own_pieces(source, walker, facts, end, pseudonyms, profile)
    report = Report.of(EDITION, profile.codes, edits, ours is not None)
    inflated = None if source.raw is head else source.raw
    if ours is not None:
        return Plan(ours, inflated, source.size, report, context, risk, walker.identity, replacing.days)
    pixels_from = end if risk or walker.pixels_at < 0 else walker.pixels_value_at
    pieces, header_size = _pieces(source, edits, facts, end, pixels_from, pseudonyms, profile)
    if pixels_from < end:
        pieces = (*pieces[:-1], *_pixels(source, walker, facts, end))
    return Plan(pieces, inflated, header_size, report, context, risk, walker.identity, replacing.days)


def _walked(source: Part10, profile: Profile, replacing: Replacing) -> tuple[Walker, int]:
    """Walk; and walk again, with the patient's words, when one of them stands in a text that stays."""
    walker = Walker(source.raw, source.size, profile, replacing)
    end = walker.data_set(source.encoding, source.data_set_at, source.size)
    pattern = walker.identity.found_in(walker.texts + walker.numbers)
    if pattern is not None:
        replacing = replace(replacing, pattern=matcher(walker.identity.sought()), known={})
        walker = Walker(source.raw, source.size, profile, replacing)
        end = walker.data_set(source.encoding, source.data_set_at, source.size)
    if end != source.size and walker.pixels_at < 0:  # a delimiter that delimits nothing
        raise RefusedError("malformed")
    return walker, end


def _require(facts: Facts) -> None:
    """Refuse what cannot be named, and classes whose content is a voice or unknown."""
    sop_class = facts.text(0x00080016)
    if not all(facts.text(tag) for tag in REQUIRED_UIDS):
        raise RefusedError("missing-uids")
    kin = sop_class.startswith(_SEGMENTATION_AND_KIN)
    if not registered_type(sop_class) or (sop_class.startswith(UNSUPPORTED_CLASSES) and not kin):
        raise RefusedError("unsupported-content")
    uids = [facts.text(tag) for tag in (*REQUIRED_UIDS, *FILED_UNDER)]
    if not all(is_uid(uid) for uid in uids if uid):
        raise RefusedError("invalid-uids")


def _with_marks(edits: list[Edit], facts: Facts, encoding: Encoding, profile: Profile) -> list[Edit]:
    """Say what was done (PS3.15 §E.1.1): only codes of options that were carried out."""
    marks, temporal = _marks(encoding, profile)
    ours: list[Edit] = [
        (facts.marks_at, facts.marks_at, marks, (), 0x00120062, _MARK_RULE),
        (facts.temporal_at, facts.temporal_at, temporal, (), 0x00280303, _MARK_RULE),
    ]
    return sorted(ours + edits, key=itemgetter(0))


@lru_cache(maxsize=64)
def _marks(encoding: Encoding, profile: Profile) -> tuple[bytes, bytes]:
    element = encoding.element
    codes = b"".join(
        encoding.item(
            element(0x00080100, "SH", code.encode("ascii"))
            + element(0x00080102, "SH", b"DCM")
            + element(0x00080104, "LO", OPTION_MEANINGS[code].encode("ascii")[:64])
        )
        for code in profile.codes
    )
    marks = (
        element(0x00120062, "CS", b"YES")
        + element(0x00120063, "LO", METHOD.encode("ascii"))
        + element(0x00120064, "SQ", codes)
    )
    temporal = element(0x00280303, "CS", b"MODIFIED" if profile.shifts_dates else b"REMOVED")
    return marks, temporal


def _pieces(
    source: Part10, edits: list[Edit], facts: Facts, end: int, pixels_from: int,
    pseudonyms: Pseudonyms, profile: Profile,
) -> tuple[tuple[bytes | tuple[int, int], ...], int]:  # fmt: skip
    """Splice: the untouched slices between the edits, and behind them the pixels as one range."""
    parts, at = [], source.data_set_at
    raw = source.raw
    for start, stop, replacement, _path, _tag, _rule in edits:
        if start > at:
            parts.append(raw[at:start])
        if replacement:
            parts.append(replacement)
        at = max(at, stop)
    parts.append(source.raw[at:pixels_from])
    header = b"".join(parts)
    tail = end - max(at, pixels_from)
    instance = pseudonyms.uid(facts.text(0x00080018))
    if profile.keeps_uids:
        instance = facts.text(0x00080018)
    seal = _seal(pseudonyms, profile, source.transfer_syntax_uid, header, tail)
    meta = write_meta(facts.text(0x00080016), instance, source.transfer_syntax_uid, seal)
    pieces: tuple[bytes | tuple[int, int], ...] = (meta, header)
    if tail > 0:
        pieces += ((pixels_from, end),)
    return pieces, len(meta) + len(header)


def _pixels(source: Part10, walker: Walker, facts: Facts, end: int) -> tuple[bytes | tuple[int, int], ...]:
    """Give the pixels' range; comments in compressed ones, and bytes behind native ones, are blanked."""
    begin = walker.pixels_value_at
    if walker.encapsulated:
        pixels = source.raw[begin:end]
        blanked = without_text(pixels)
        return ((begin, end),) if blanked == pixels else (blanked,)
    if source.raw[walker.pixels_at : walker.pixels_at + 4] not in (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10"):
        return ((begin, end),)
    rows, columns, samples, bits = (
        facts.count(tag, 1) for tag in (0x00280010, 0x00280011, 0x00280002, 0x00280100)
    )
    size = (rows * columns * samples * max(facts.count(0x00280008, 1), 1) * bits + 7) // 8
    if begin + size >= end:
        return ((begin, end),)
    return (begin, begin + size), bytes(end - begin - size)


def _own_pieces(
    source: Part10, walker: Walker, facts: Facts, end: int, pseudonyms: Pseudonyms, profile: Profile
) -> tuple[tuple[int, int], ...] | None:
    """Recognise our own output, whole, by the keyed authenticator over its header and by nothing else."""
    if len(source.authenticator) != 32 or end != source.size:
        return None
    pixels_from = walker.pixels_value_at if walker.pixels_at >= 0 else end
    header = source.raw[source.data_set_at : pixels_from]
    seal = _seal(pseudonyms, profile, source.transfer_syntax_uid, header, end - pixels_from)
    if not hmac.compare_digest(seal, source.authenticator):
        return None
    meta = write_meta(facts.text(0x00080016), facts.text(0x00080018), source.transfer_syntax_uid, seal)
    return ((0, source.size),) if source.raw[: source.data_set_at] == meta else None


def _seal(pseudonyms: Pseudonyms, profile: Profile, syntax: str, header: bytes, tail: int) -> bytes:
    """Authenticate a header under a profile, with the syntax and the length of what follows it."""
    bound = f"{METHOD}/{','.join(profile.codes)}/{syntax}/{tail}\n".encode("ascii")
    return bytes.fromhex(pseudonyms.authenticator(bound + header))
