"""Makes a data set that a library built into one that depends on nothing but its input: no time of day, no drawn UID. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from pydicom import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

REGISTERED = "1.2.840.10008."
"""Root of the UIDs that PS3.6 registers: classes and syntaxes, which name nobody."""
NO_DATE, NO_TIME = "19000101", "000000"
"""Content date and time of a study that names none: the attributes may not be empty (PS3.3 §C.17.2)."""

CLINICAL_TRIAL = 0x0012
"""Group of the clinical trial modules (PS3.3 §C.7.1.3), and of the marks of de-identification."""
DEIDENTIFIED = frozenset(
    {"PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"}
)
SPECIMEN = (0x00400512, 0x00400620)
"""First and last tag of the specimen module (PS3.3 §C.7.6.22)."""
DIAGNOSES = frozenset(
    {"AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "ReferencedStudySequence"}
)

POSITIVE = frozenset({"SpecificCharacterSet", "WindowWidth", "PixelSpacing", "ImagerPixelSpacing"})
"""What is left out where it is empty or not above zero."""


def elements(data_set: Dataset) -> Iterator[DataElement]:
    """Every element but sequences, at every depth, in order."""
    for element in data_set:
        if element.VR == "SQ":
            for item in element.value:
                yield from elements(item)
        else:
            yield element


def uids(data_set: Dataset) -> set[str]:
    """Every UID that names something, at every depth; registered ones are left out."""
    found = {
        str(each.value) for each in elements(data_set) if each.VR == "UI" and each.value and each.VM == 1
    }
    return {uid for uid in found if not uid.startswith(REGISTERED)}


def lean(header: Dataset) -> Dataset:
    """Copy of an image's header without what says nothing of a finding and is often half there: trials, specimens, diagnoses.

    A document repeats what its source says of patient and study, and would repeat its faults as well. An empty character set, a
    window without a width and a spacing of zero are said by real files, and none of them says anything.
    """
    kept = Dataset()
    void = {keyword for keyword in POSITIVE if _has_nothing(header, keyword)}
    void |= {"WindowCenter", "WindowCenterWidthExplanation"} if "WindowWidth" in void else set()
    for element in header:
        tag = int(element.tag)
        is_trial = tag >> 16 == CLINICAL_TRIAL and element.keyword not in DEIDENTIFIED
        if not (is_trial or SPECIMEN[0] <= tag <= SPECIMEN[1] or element.keyword in DIAGNOSES | void):
            kept.add(element)
    return kept


def _has_nothing(header: Dataset, keyword: str) -> bool:
    """Whether an attribute is there and empty, or has a number that is not above zero."""
    if keyword not in header:
        return False
    found = header[keyword].value
    values = found if isinstance(found, MultiValue) else [found]
    return all(value in {None, ""} for value in values) or any(
        isinstance(value, float) and value <= 0 for value in values
    )


def settle(made: Dataset, header: Dataset, known: AbstractSet[str], drawn: Iterator[str]) -> None:
    """Take out of a de-identified document what the library took from clock and dice.

    Parameters
    ----------
    made
        The document, changed in place.
    header
        Its source image: its study date becomes the content date, its marks of de-identification are repeated.
    known
        UIDs that stay.
    drawn
        UIDs for those that the library drew, in the order of their first use.
    """
    for name in ("Content", "PresentationCreation"):
        if f"{name}Date" in made:
            setattr(made, f"{name}Date", str(header.get("StudyDate") or NO_DATE))
            setattr(made, f"{name}Time", str(header.get("StudyTime") or NO_TIME))
    for name in ("InstanceCreationDate", "InstanceCreationTime", "TimezoneOffsetFromUTC"):
        if name in made:
            delattr(made, name)
    for element in elements(made):
        if element.VR == "DT":
            element.value = ""
    _settle_uids(made, known, drawn)
    made.PatientIdentityRemoved = "YES"
    made.LongitudinalTemporalInformationModified = "MODIFIED"
    for name in ("DeidentificationMethod", "DeidentificationMethodCodeSequence"):
        if name in header:
            setattr(made, name, header[name].value)


def _settle_uids(made: Dataset, known: AbstractSet[str], drawn: Iterator[str]) -> None:
    settled: dict[str, str] = {}
    for element in elements(made):
        value = str(element.value) if element.VR == "UI" and element.VM == 1 else REGISTERED
        if value in known or value.startswith(REGISTERED):
            continue
        if value not in settled:
            settled[value] = next(drawn)
        element.value = settled[value]
