"""De-identify one DICOM file, bytes to bytes.

First depth: the header is parsed and written by pydicom, with the whole file in memory. The public names
stay when the header is spliced instead (docs/decisions/0003-first-deidentifier.md).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType
from typing import Final

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from schemas.identifiers import Pseudonyms, is_placeholder_patient_id
from stream_processors.deidentification import rules
from stream_processors.deidentification.codes import LISTED
from stream_processors.deidentification.codestreams import without_text
from stream_processors.deidentification.context import Context, read_context
from stream_processors.deidentification.originals import collect, is_instance_uid, is_uid
from stream_processors.deidentification.pixels_at_risk import pixels_at_risk
from stream_processors.deidentification.profile import (
    DEFAULT,
    EDITION,
    IMPLEMENTATION_VERSION,
    METHOD,
    OPTION_MEANINGS,
    Profile,
)
from stream_processors.deidentification.reading import (
    coded_text,
    items_of,
    parse,
    refusing,
    registered_type,
    text_of,
    texts_of,
    vr_of,
)
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.structure import Layout, read_layout
from stream_processors.deidentification.values import DUMMIES, dummy_sequence, is_number, kept, shift_date
from stream_processors.deidentification.verify import Expected, verify

IMPLEMENTATION_CLASS_UID: Final = "2.25.190713946128407210284659315582012370117"

PIXEL_TAGS: Final = (0x7FE00008, 0x7FE00009, 0x7FE00010)

REQUIRED_UIDS: Final = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
"""SOP Class, SOP Instance, Study and Series Instance UID."""

UNSUPPORTED_CLASSES: Final = (
    "1.2.840.10008.1.3.10",  # DICOMDIR
    "1.2.840.10008.5.1.4.1.1.9.4.",  # audio
    "1.2.840.10008.5.1.4.1.1.66",  # raw data; not its branch, which is segmentation and its kin
    "1.2.840.10008.5.1.4.1.1.88.",  # structured reports, key object selections
    "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated documents
)
"""Classes, by prefix, whose content is text, a document, a voice or unknown. Private classes are unknown, too."""

_SEGMENTATION_AND_KIN = "1.2.840.10008.5.1.4.1.1.66."
_CONTROL = re.compile(r"[\x00-\x1a\x1c-\x1f]")
"""What no CS, LO or SH may hold (PS3.5 §6.1.3; ESC may stand in LO and SH)."""


@dataclass(frozen=True)
class Report:
    """What was done, without a value: counts by action, at every depth."""

    edition: str
    options: tuple[str, ...]
    """CID 7050 codes truly carried out."""
    counts: MappingProxyType[str, int]


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

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process boundary; a mapping proxy cannot."""
        report = (self.report.edition, self.report.options, dict(self.report.counts))
        return _restore, (self.data, report, self.context, self.pixels_at_risk)


def _restore(
    data: bytes, report: tuple[str, tuple[str, ...], dict[str, int]], context: Context, risk: str | None
) -> Deidentified:
    return Deidentified(data, Report(report[0], report[1], MappingProxyType(report[2])), context, risk)


def deidentify(raw: bytes, pseudonyms: Pseudonyms, profile: Profile = DEFAULT) -> Deidentified:
    """De-identify one Part 10 file. The same bytes and key always give the same bytes.

    Raises
    ------
    RefusedError
        With one of `REASONS`; nothing was produced.
    """
    layout = read_layout(raw)
    with refusing("malformed"):
        source = parse(layout.part10)
        _require_uids(source)
        _require_supported(source)
        originals = collect(source)
        context = read_context(source, layout.transfer_syntax_uid)
        risk = pixels_at_risk(source)
        cleaning = _Cleaning(source, pseudonyms, profile, originals.matcher())
        cleaning.data_set(source)
        if risk:
            _drop_pixels(source)
        else:
            _blank_text_in_pixels(source)
        _mark(source, profile)
        data = _written(source, layout)
    expected = Expected(originals, frozenset(cleaning.dates), frozenset(cleaning.patient_ids), bool(risk))
    with refusing("verification-failed"):
        verify(data, profile, expected)
    report = Report(EDITION, profile.codes, MappingProxyType(dict(sorted(cleaning.counts.items()))))
    return Deidentified(data, report, context, risk)


def _require_uids(source: Dataset) -> None:
    """Refuse what cannot be named; a path or any other text in place of a UID never goes further."""
    for tag in REQUIRED_UIDS:
        uid = text_of(source, tag)
        if not uid:
            raise RefusedError("missing-uids")
        if not is_uid(uid):
            raise RefusedError("invalid-uids")


def _require_supported(source: Dataset) -> None:
    sop_class = text_of(source, 0x00080016)
    unsupported = sop_class.startswith(UNSUPPORTED_CLASSES) and not sop_class.startswith(
        _SEGMENTATION_AND_KIN
    )
    if unsupported or not registered_type(sop_class):
        raise RefusedError("unsupported-content")


class _Cleaning:
    """The state of one file's de-identification: who it is about, and what was done so far."""

    def __init__(
        self, source: Dataset, pseudonyms: Pseudonyms, profile: Profile, identity: re.Pattern[str] | None
    ) -> None:
        self.pseudonyms = pseudonyms
        self.profile = profile
        self.identity = identity
        self.issuer = text_of(source, 0x00100021)
        study_uid, patient_id = text_of(source, 0x0020000D), text_of(source, 0x00100020)
        self.patient = pseudonyms.patient_key_for(self.issuer, patient_id, study_uid)
        self.days = pseudonyms.date_shift_days(self.patient)
        self.counts: Counter[str] = Counter()
        self.dates: set[str] = set()
        self.patient_ids: set[str] = set()

    def data_set(self, data_set: Dataset) -> None:
        for tag, item in items_of(data_set):
            vr = vr_of(item)
            action = rules.rule(self.profile, int(tag), vr)
            self._apply(data_set, tag, vr, action)

    def _apply(self, data_set: Dataset, tag: BaseTag, vr: str, action: str) -> None:
        if action == rules.PASS:
            return
        self.counts[action] += 1
        if action == rules.REMOVE:
            del data_set[tag]
        elif action == rules.CLEAN_ITEMS:
            for item in data_set[tag].value:
                self.data_set(item)
        elif vr == "SQ":
            data_set[tag].value = dummy_sequence(int(tag)) if action == rules.DUMMY else Sequence()
        else:
            self._replace(data_set, tag, vr, action)

    def _replace(self, data_set: Dataset, tag: BaseTag, vr: str, action: str) -> None:
        """Write what an action makes of a value; a text that stays as it is is not touched."""
        if action == rules.EMPTY:
            data_set[tag].value = None
            return
        if action == rules.NUMBER:
            if not is_number(coded_text(data_set.get_item(tag))):
                data_set[tag] = DataElement(tag, vr, None)
            return
        if action == rules.DUMMY and vr != "UI":
            data_set[tag].value = self._dummy(data_set, tag, vr)
            return
        before = texts_of(data_set, tag)
        after = [self._text(int(tag), vr, action, text) for text in before]
        if after != before:
            data_set[tag].value = after if len(after) > 1 and any(after) else after[0] or None

    def _text(self, tag: int, vr: str, action: str, text: str) -> str:
        if action in (rules.NEW_UID, rules.MAP_UID, rules.DUMMY):
            return self._uid(tag, text, action)
        if action == rules.SHIFT:
            shifted = shift_date(text, self.days)
            self.dates.add(shifted)
            return shifted
        if action == rules.KEEP:
            return kept(tag, vr, text)
        if tag in LISTED and text not in LISTED[tag]:
            return ""
        return "" if self._is_suspect(text) else text

    def _is_suspect(self, text: str) -> bool:
        """Whether a short text names the patient, or holds what only a wrong length could put there."""
        if _CONTROL.search(text.strip("\0")):
            return True
        return self.identity is not None and self.identity.search(text) is not None

    def _uid(self, tag: int, uid: str, action: str) -> str:
        """Rename a UID that names something of the patient; registered ones (PS3.6 Annex A) stay."""
        if not uid or (action == rules.MAP_UID and not is_instance_uid(tag, uid)):
            return uid
        return uid if registered_type(uid) else self.pseudonyms.uid(uid)

    def _dummy(self, data_set: Dataset, tag: BaseTag, vr: str) -> object:
        """Give a dummy value; for Patient ID the pseudonym, so that clean objects stay together."""
        if int(tag) != 0x00100020:
            return DUMMIES.get(vr, "")
        patient_id = text_of(data_set, int(tag))
        if is_placeholder_patient_id(patient_id):
            pseudonym = self.pseudonyms.patient_id("", self.patient)
        else:
            pseudonym = self.pseudonyms.patient_id(self.issuer, patient_id)
        self.patient_ids.add(pseudonym)
        return pseudonym


def _drop_pixels(data_set: Dataset) -> None:
    for tag in PIXEL_TAGS:
        if tag in data_set:
            del data_set[tag]


def _blank_text_in_pixels(data_set: Dataset) -> None:
    if PIXEL_TAGS[-1] not in data_set:
        return
    pixels = data_set.get_item(PIXEL_TAGS[-1]).value or b""
    if UID(data_set.file_meta.TransferSyntaxUID).is_encapsulated:
        data_set[PIXEL_TAGS[-1]].value = without_text(pixels)
    elif any(pixels[(size := _pixel_bytes(data_set)) :]):
        data_set[PIXEL_TAGS[-1]].value = pixels[:size] + bytes(len(pixels) - size)


def _pixel_bytes(data_set: Dataset) -> int:
    """Bytes that the pixels take (PS3.5 §8.1.1): what stands behind them is seen by nobody, and is not pixels."""
    values = [text_of(data_set, tag) for tag in (0x00280010, 0x00280011, 0x00280002, 0x00280100)]
    rows, columns, samples, bits = (int(value or 1) for value in values)
    return (rows * columns * samples * int(text_of(data_set, 0x00280008) or 1) * bits + 7) // 8


def _mark(data_set: Dataset, profile: Profile) -> None:
    """Say what was done (PS3.15 §E.1.1): only codes of options that were carried out."""
    data_set.PatientIdentityRemoved = "YES"
    data_set.DeidentificationMethod = METHOD
    data_set.DeidentificationMethodCodeSequence = Sequence([_code(code) for code in profile.codes])
    data_set.LongitudinalTemporalInformationModified = "MODIFIED"


def _code(code: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", OPTION_MEANINGS[code][:64]
    return item


def _written(data_set: FileDataset, layout: Layout) -> bytes:
    """Write a Part 10 file with a file meta group and preamble of our own."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(text_of(data_set, 0x00080016))
    meta.MediaStorageSOPInstanceUID = UID(text_of(data_set, 0x00080018))
    meta.TransferSyntaxUID = UID(layout.transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    data_set.file_meta = meta
    data_set.preamble = b"\0" * 128
    written = BytesIO()
    syntax = layout.transfer_syntax_uid
    pydicom.dcmwrite(
        written,
        data_set,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return written.getvalue()
