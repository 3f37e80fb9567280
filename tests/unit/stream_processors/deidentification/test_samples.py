"""Real files: those of pydicom's wheel, and the samples beside the repository where there are any."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, Deidentified, Profile, RefusedError, deidentify
from stream_processors.deidentification.table import load_table, safe_private

ROOT = Path(__file__).parents[4]
SAMPLES = ROOT.parent / "shared" / "dicom-samples"
WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
NOT_WELL_FORMED = ("malformed", "canary-dev", "tables")
MOST_BYTES = 600_000
REWRITTEN = {0x00120062, 0x00120063, 0x00120064, 0x00280303}
"""What says what was done: the standard has it replaced, or added to (PS3.15 §E.1.1)."""
LEAST_OF_THE_WHEEL = 0.985
"""pydicom's own files are few, and one of them has an overlay, which goes whole."""
PLAIN = {int(row.tag, 16) for row in load_table()[1] if not row.is_pattern}
Place = tuple[int, ...]
Argued = dict[str, str]

pytestmark = pytest.mark.filterwarnings("ignore")  # what pydicom thinks of real files


@cache
def argued(heading: str) -> Argued:
    """File and reason of a table of the documentation."""
    text = (ROOT / "docs" / "deidentification-checks.md").read_text("utf-8")
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `([^`|]+)` \| `([^`|]+)` \|", section, re.MULTILINE))


def samples(*, malformed: bool) -> dict[str, Path]:
    """The samples by their path, well-formed ones or the others."""
    found = (path for path in sorted(SAMPLES.glob("*/*")) if path.is_file())
    return {
        str(path.relative_to(SAMPLES)): path
        for path in found
        if (path.parent.name == "malformed" if malformed else path.parent.name not in NOT_WELL_FORMED)
    }


def ending(raw: bytes, profile: Profile = DEFAULT) -> Deidentified | str:
    """The clean file, or why there is none."""
    try:
        done = deidentify(raw, NAMES, profile)
    except RefusedError as refused:
        return refused.reason
    return done.pixels_at_risk or done


def flat(data_set: Dataset, around: Place = ()) -> Iterator[tuple[Place, DataElement]]:
    for element in data_set:
        yield (*around, int(element.tag)), element
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from flat(item, (*around, int(element.tag), -1 - number))


def read(raw: bytes) -> dict[Place, DataElement]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(flat(pydicom.dcmread(BytesIO(raw), force=True)))


def handed_on(
    profile: Profile = DEFAULT,
) -> Iterator[tuple[dict[Place, DataElement], dict[Place, DataElement]]]:
    """Elements before and after, of each real file that is handed on."""
    paths = [*samples(malformed=False).values(), *sorted(WHEEL.glob("*.dcm"))]
    for path in paths:
        raw = path.read_bytes() if path.stat().st_size < MOST_BYTES else b""
        done = ending(raw, profile)
        if isinstance(done, Deidentified):
            yield read(raw), read(done.data)


def test_of_the_well_formed_samples_those_that_are_argued_are_quarantined_and_no_other() -> None:
    found = {name: ending(path.read_bytes()) for name, path in samples(malformed=False).items()}
    quarantined = {name: reason for name, reason in found.items() if isinstance(reason, str)}
    listed = argued("Well-formed samples that are set aside")
    assert len(listed) > 10
    assert quarantined == (listed if found else {})


def test_every_malformed_sample_ends_as_the_documentation_says() -> None:
    found = {name: ending(path.read_bytes()) for name, path in samples(malformed=True).items()}
    reasons = {name: reason if isinstance(reason, str) else "verified" for name, reason in found.items()}
    listed = argued("Malformed samples")
    assert "verified" in listed.values()
    assert reasons == (listed if found else {})


def _is_listed(tag: int) -> bool:
    """Whether the table speaks of an attribute; pixels have tests of their own."""
    return bool(tag >> 16 & 1) or tag >> 16 & 0xFF00 == 0x5000 or tag in PLAIN or tag == 0x7FE00010


def test_real_files_keep_what_the_table_does_not_list() -> None:
    kept: list[bool] = []
    for before, after in handed_on():
        for place, element in before.items():
            tags = [tag for tag in place if tag >= 0]
            if any(map(_is_listed, tags)) or tags[-1] & 0xFFFF == 0 or REWRITTEN.intersection(tags):
                continue
            other = after.get(place)
            same = other is not None and (element.VR == "SQ" or str(other.value) == str(element.value))
            kept.append(same)
    assert len(kept) > 1000
    assert sum(kept) / len(kept) >= (0.995 if samples(malformed=False) else LEAST_OF_THE_WHEEL)


def test_real_files_keep_every_safe_private_attribute_when_its_option_is_on() -> None:
    kept: list[bool] = []
    for before, after in handed_on(Profile(DEFAULT.options | {"113111"})):
        for place, element in before.items():
            tag = place[-1]
            if tag >> 16 & 1 and (element.private_creator, tag >> 16, tag & 0xFF) in safe_private():
                kept.append(place in after and str(after[place].value) == str(element.value))
    assert len(kept) >= 5
    assert all(kept)
