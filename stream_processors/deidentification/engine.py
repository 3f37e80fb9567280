"""De-identify one DICOM file: bytes in, a list of buffers out, the pixels untouched and uncopied."""

from __future__ import annotations

import hashlib
import hmac
import struct
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple

from schemas.identifiers import Pseudonyms
from stream_processors.deidentification.context import read_context
from stream_processors.deidentification.dictionary import registered_type
from stream_processors.deidentification.edits import Edit, spliced
from stream_processors.deidentification.encoding import UNDEFINED, Encoding
from stream_processors.deidentification.facts import Facts, read_facts
from stream_processors.deidentification.identity import is_uid
from stream_processors.deidentification.output import BLANK, FRAGMENTS, Deidentified, Plan, Range
from stream_processors.deidentification.part10 import NATIVE, Part10, read_part10, write_meta
from stream_processors.deidentification.pixels_at_risk import PASSED, PixelPolicy, Pixels, Verdict, withhold
from stream_processors.deidentification.placing import placed
from stream_processors.deidentification.profile import DEFAULT, EDITION, METHOD, Profile
from stream_processors.deidentification.refusal import MoreNeededError, RefusedError
from stream_processors.deidentification.repeats import walk_by_runs
from stream_processors.deidentification.replacing import Replacing, nobody, replacing_for
from stream_processors.deidentification.report import Report
from stream_processors.deidentification.rules import SCRUB
from stream_processors.deidentification.table import CLEAN_PIXELS, MEANINGS
from stream_processors.deidentification.verify import Expected, verify
from stream_processors.deidentification.walker import METHODS, Walker

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

MAX_CLEANED: Final = 1 << 30
"""bytes of a file with cleaned pixels at most, twice what is ever decoded: a larger one is none of ours."""

_SEGMENTATION_AND_KIN = "1.2.840.10008.5.1.4.1.1.66."
METHOD_TAG: Final = 0x00120063
CLEANINGS: Final = ("113101", "113102", "113103", "113104", "113105")
"""Codes of what was cleaned (PS3.16 CID 7050): who reads one relies on it. The others say what was kept, which harms nobody."""
_MOST_METHOD_BYTES = 4096
"""of what earlier steps wrote of themselves; a value with a 16-bit length must hold ours, too."""
_MARK_RULE = "mark"
_PIXEL_DATA = (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10")
"""The tag, little and big endian; floating-point pixels have tags of their own."""


class _File(NamedTuple):
    """One file on its way: what was read of it, and whose it is."""

    source: Part10
    facts: Facts
    walker: Walker
    end: int
    """Of the data set; of encapsulated pixels, whose end is not known yet, the end of the file."""
    pseudonyms: Pseudonyms
    profile: Profile


def deidentify(
    raw: bytes, pseudonyms: Pseudonyms, profile: Profile = DEFAULT, policy: PixelPolicy = withhold
) -> Deidentified:
    """De-identify one Part 10 file. The same bytes and key always give the same bytes.

    Raises
    ------
    RefusedError
        With one of `REASONS`; nothing was produced.
    """
    made = plan(raw, len(raw), pseudonyms, profile, policy)
    data = b"".join(made.buffers(raw))
    if not made.report.own_output:
        verify(data, profile, Expected(made.identity, made.days, bool(made.pixels_at_risk), made.codes))
    return Deidentified(data, made.report, made.context, made.pixels_at_risk)


def plan(
    head: bytes,
    size: int,
    pseudonyms: Pseudonyms,
    profile: Profile = DEFAULT,
    policy: PixelPolicy = withhold,
) -> Plan:
    """Decide about a file from its first bytes; what lies behind them is copied as it is, or cut.

    Parameters
    ----------
    head
        The file's first bytes, at least up to its pixels; all of it when it is deflated.
    size
        Bytes of the whole file.
    policy
        What is done about pixels that may carry identity.

    Raises
    ------
    MoreNeededError
        When the header does not end within `head`; it says how much to read.
    RefusedError
        With one of `REASONS`.
    """
    try:
        return _plan(read_part10(head, size), pseudonyms, profile, policy, head)
    except struct.error:
        raise (MoreNeededError(size) if len(head) < size else RefusedError("truncated")) from None


def _plan(source: Part10, pseudonyms: Pseudonyms, profile: Profile, policy: PixelPolicy, head: bytes) -> Plan:
    facts = read_facts(
        Walker(source.raw, source.size, profile, nobody(pseudonyms, profile)),
        source.encoding,
        source.data_set_at,
    )
    _require(facts)
    issuer, patient_id, study = (facts.text(tag) for tag in (0x00100021, 0x00100020, 0x0020000D))
    scope = study or facts.text(0x00080018)
    character_set = facts.values.get(0x00080005, b"")
    replacing = replacing_for(pseudonyms, profile, issuer, patient_id, scope, character_set)
    walker, end = _walked(source, profile, replacing, facts)
    file = _File(source, facts, walker, end, pseudonyms, profile)
    ours = _own_pieces(file)
    verdict = PASSED if ours is not None and walker.pixels_at >= 0 else _judged(file, policy)
    syntax = verdict.transfer_syntax_uid or source.transfer_syntax_uid
    codes = tuple(sorted({*profile.codes, *verdict.codes})) if verdict.codes else profile.codes
    edits: list[Edit] = []
    pieces: tuple[bytes | Range, ...]
    if ours is not None:
        pieces, header_size = ours, ours[0].stop
    else:
        edits = _edits(file, verdict, syntax, codes)
        pieces, header_size = _pieces(file, edits, verdict, syntax, codes)
    return Plan(
        pieces=pieces,
        inflated=None if source.raw is head else source.raw,
        header_size=header_size,
        size=_size(pieces),
        report=Report(EDITION, codes, tuple(edits), ours is not None, verdict.blanked),
        context=read_context(facts, syntax),
        pixels_at_risk=verdict.at_risk,
        codes=codes,
        identity=walker.identity,
        days=replacing.days,
    )


def _judged(file: _File, policy: PixelPolicy) -> Verdict:
    walker, source = file.walker, file.source
    return policy(
        Pixels(
            facts=file.facts,
            profile=file.profile,
            transfer_syntax_uid=source.transfer_syntax_uid,
            source=source.raw,
            data_set_at=source.data_set_at,
            size=source.size,
            value_at=walker.pixels_value_at,
            end=file.end,
            encapsulated=walker.encapsulated,
            identity=walker.identity,
        )
    )


def _walked(source: Part10, profile: Profile, replacing: Replacing, facts: Facts) -> tuple[Walker, int]:
    """Walk; and walk again, with the patient's words, when one of them stands in a text that stays."""
    runs = facts.runs
    walker = Walker(source.raw, source.size, profile, replacing)
    end = walk_by_runs(walker, source.encoding, source.data_set_at, runs)
    walker.texts.append(facts.values.get(METHOD_TAG, b""))
    if walker.identity.found_in(walker.texts + walker.numbers):
        walker = Walker(source.raw, source.size, profile, replacing.seeking(walker.identity.sought()))
        end = walk_by_runs(walker, source.encoding, source.data_set_at, runs)
    if end != source.size and walker.pixels_at < 0:  # a delimiter that delimits nothing
        raise RefusedError("malformed")
    return walker, end


def _require(facts: Facts) -> None:
    """Refuse what cannot be named, and classes whose content is a voice or unknown."""
    sop_class = facts.text(0x00080016)
    uids = [facts.text(tag) for tag in (*REQUIRED_UIDS, *FILED_UNDER)]
    if not all(uids[: len(REQUIRED_UIDS)]):
        raise RefusedError("missing-uids")
    if not _is_supported(sop_class):
        raise RefusedError("unsupported-content")
    if not all(is_uid(uid) for uid in uids if uid):
        raise RefusedError("invalid-uids")


@lru_cache(maxsize=512)
def _is_supported(sop_class: str) -> bool:
    kin = sop_class.startswith(_SEGMENTATION_AND_KIN)
    return bool(registered_type(sop_class)) and (kin or not sop_class.startswith(UNSUPPORTED_CLASSES))


def _edits(file: _File, verdict: Verdict, syntax: str, codes: tuple[str, ...]) -> list[Edit]:
    """Gather all changes in order: the walk's, the policy's, and what says what was done (PS3.15 §E.1.1)."""
    walker, encoding = file.walker, file.source.encoding
    edits = _marked(file, walker.edits, codes)
    if verdict.attributes and not verdict.at_risk:
        alone = Walker(walker.raw, walker.size, walker.profile, walker.replacing)  # element by element
        alone.data_set(encoding, file.source.data_set_at, file.source.size)
        edits = _marked(file, alone.edits, codes)
        walker.budget.resume()
        edits = placed(verdict.attributes, edits, walker, encoding, file.source.data_set_at)
        edits.sort(key=itemgetter(4))  # in places where several are put
    edits.sort(key=itemgetter(0))
    if walker.pixels_at >= 0:
        if verdict.at_risk:
            edits.append((walker.pixels_at, file.end, b"", (), 0x7FE00010, "withhold"))
        elif verdict.value is not None:
            length = len(verdict.value) if syntax in NATIVE else UNDEFINED
            head = encoding.pixels_head(verdict.vr, length)
            edits.append((walker.pixels_at, file.end, head, (), 0x7FE00010, "clean-pixels"))
    return edits


def _marked(file: _File, edits: list[Edit], codes: tuple[str, ...]) -> list[Edit]:
    """Add what was done, behind what the source says of earlier steps: methods and codes are added (PS3.15 §E.1.1)."""
    encoding, source, replacing = file.source.encoding, file.source, file.walker.replacing
    place, temporal = file.facts.marks[:2]
    start, begin, stop, end = file.walker.methods
    earlier = b""
    if start >= 0:
        if source.raw[start + 4 : start + 6] != b"UN":  # whose items are coded otherwise than ours
            inside = [edit for edit in edits if begin <= edit[0] < stop]
            earlier = _vouched(spliced(source.raw, begin, stop, inside), encoding, codes)
        edits = [edit for edit in edits if not start <= edit[0] < end]
    else:
        start = end = place
    before = file.facts.values.get(METHOD_TAG, b"")
    cleaned = replacing.value(METHOD_TAG, "LO", SCRUB, before, encoding)
    method = (before if cleaned is None else cleaned).strip(b" \0\\")[:_MOST_METHOD_BYTES]
    text = b"\\".join([*([method] if method else []), METHOD.encode("ascii")])
    marks = encoding.element(0x00120062, "CS", b"YES") + encoding.element(METHOD_TAG, "LO", text)
    marks += encoding.element(METHODS, "SQ", earlier + _method_items(encoding, codes))
    return [
        (start, end, marks, (), 0x00120062, _MARK_RULE),
        (temporal, temporal, _temporal(encoding, file.profile), (), 0x00280303, _MARK_RULE),
        *edits,
    ]


def _vouched(items: bytes, encoding: Encoding, codes: tuple[str, ...]) -> bytes:
    """Drop earlier items that promise a cleaning which was not done here; all, where they cannot be told apart."""
    claims = [code.encode("ascii") for code in CLEANINGS if code not in codes]
    if not any(claim in items for claim in claims):
        return items
    start, end = (struct.pack(encoding.endian + "HH", 0xFFFE, element) for element in (0xE000, 0xE00D))
    kept, at = b"", 0
    while at < len(items):
        (length,) = struct.unpack_from(encoding.endian + "I", items, at + 4)
        stop = items.find(end, at + 8) + 8 if length == UNDEFINED else at + 8 + length
        if items[at : at + 4] != start or stop < at + 8:  # no item begins here, or it has no delimiter
            return b""
        item = items[at:stop]
        if start in item[8:]:
            return b""
        if not any(claim in item for claim in claims):
            kept += item
        at = stop
    return kept


@lru_cache(maxsize=64)
def _method_items(encoding: Encoding, codes: tuple[str, ...]) -> bytes:
    element = encoding.element
    return b"".join(
        encoding.item(
            element(0x00080100, "SH", code.encode("ascii"))
            + element(0x00080102, "SH", b"DCM")
            + element(0x00080104, "LO", MEANINGS[code].encode("ascii")[:64])
        )
        for code in codes
    )


@lru_cache(maxsize=64)
def _temporal(encoding: Encoding, profile: Profile) -> bytes:
    return encoding.element(0x00280303, "CS", b"MODIFIED" if profile.shifts_dates else b"REMOVED")


def _pieces(
    file: _File, edits: list[Edit], verdict: Verdict, syntax: str, codes: tuple[str, ...]
) -> tuple[tuple[bytes | Range, ...], int]:
    """Splice: the untouched slices between the edits, and behind them the pixels."""
    pixels = _pixels(file, verdict)
    handed_on = file.walker.pixels_at >= 0 and not verdict.at_risk
    stop = file.walker.pixels_value_at if handed_on else file.end
    header = spliced(file.source.raw, file.source.data_set_at, stop, edits)
    instance = file.facts.text(0x00080018)
    if not file.profile.keeps_uids:
        instance = file.walker.replacing.uid(instance)
    tail = _size(pixels) if syntax in NATIVE else -1
    digest = hashlib.sha256(verdict.value or b"").digest() if CLEAN_PIXELS in codes else b""
    seal = _seal(file.pseudonyms, codes, syntax, header, tail, digest)
    meta = write_meta(file.facts.text(0x00080016), instance, syntax, seal)
    return (meta, header, *pixels), len(meta) + len(header)


def _size(pieces: tuple[bytes | Range, ...]) -> int:
    """Give the bytes of pieces, -1 where only their fragments know."""
    size = 0
    for each in pieces:
        if isinstance(each, bytes):
            size += len(each)
        elif each.how == FRAGMENTS:
            return -1
        else:
            size += each.stop - each.start
    return size


def _pixels(file: _File, verdict: Verdict) -> tuple[bytes | Range, ...]:
    """Give the pixels' value: ranges of the source, with bytes behind native pixels blanked, or the policy's."""
    begin, end = file.walker.pixels_value_at, file.end
    if verdict.at_risk or file.walker.pixels_at < 0 or verdict.value is not None:
        return (verdict.value,) if verdict.value and not verdict.at_risk else ()
    if file.walker.encapsulated:
        return (Range(begin, end, FRAGMENTS),)
    if begin == end:
        return ()
    if file.source.raw[file.walker.pixels_at : file.walker.pixels_at + 4] not in _PIXEL_DATA:
        return (Range(begin, end),)
    size = file.facts.pixel_bytes(end - begin)
    if begin + size >= end:
        return (Range(begin, end),)
    return Range(begin, begin + size), Range(begin + size, end, BLANK)


def _own_pieces(file: _File) -> tuple[Range, ...] | None:
    """Recognise our own output by the keyed authenticator over its header and by nothing else.

    What is authentic is the header, and pixels that were cleaned: under such a header others would pass unseen. Native
    pixels have to have the length they had; fragments are followed to their end again, so that nothing behind them
    comes along.
    """
    source, walker = file.source, file.walker
    if len(source.authenticator) != 32 or file.end != source.size:
        return None
    pixels_from = walker.pixels_value_at if walker.pixels_at >= 0 else file.end
    fragments = walker.encapsulated or source.transfer_syntax_uid not in NATIVE
    tail = -1 if fragments else file.end - pixels_from
    header = source.raw[source.data_set_at : pixels_from]
    for codes in (file.profile.codes, tuple(sorted((*file.profile.codes, CLEAN_PIXELS)))):
        digest = _digest(source, header, pixels_from) if CLEAN_PIXELS in codes else b""
        seal = _seal(file.pseudonyms, codes, source.transfer_syntax_uid, header, tail, digest)
        if hmac.compare_digest(seal, source.authenticator):
            break
    else:
        return None
    facts = file.facts
    meta = write_meta(facts.text(0x00080016), facts.text(0x00080018), source.transfer_syntax_uid, seal)
    if source.raw[: source.data_set_at] != meta:
        return None
    if walker.encapsulated:
        return Range(0, pixels_from), Range(pixels_from, file.end, FRAGMENTS)
    return (Range(0, source.size),)


def _digest(source: Part10, header: bytes, pixels_from: int) -> bytes:
    """Digest pixels whose header says that they were cleaned; only those are read for it.

    Raises
    ------
    MoreNeededError
        When they are not all there.
    """
    if CLEAN_PIXELS.encode("ascii") not in header or source.size > MAX_CLEANED:
        return b""
    if len(source.raw) < source.size:
        raise MoreNeededError(source.size)
    return hashlib.sha256(memoryview(source.raw)[pixels_from:]).digest()


def _seal(
    pseudonyms: Pseudonyms, codes: tuple[str, ...], syntax: str, header: bytes, tail: int, digest: bytes
) -> bytes:
    """Authenticate a header under what was done, with the syntax, the length of what follows it, and cleaned pixels' digest."""
    bound = f"{METHOD}/{','.join(codes)}/{syntax}/{tail}/{digest.hex()}\n".encode("ascii")
    return bytes.fromhex(pseudonyms.authenticator(bound + header))
