from __future__ import annotations

import hashlib
from datetime import date, timedelta
from io import BytesIO

import pydicom
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import REASONS, RefusedError, deidentify
from stream_processors.deidentification.values import shift_date
from tests.support.dicoms import Options, ct_slice, identity_of, to_bytes

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
RAW = to_bytes(ct_slice("a", Options(private=True, nested=True)))
SOMEONE_ELSE = deidentify(RAW, NAMES).data.lower()
FEW = settings(max_examples=40, deadline=None)

ids = st.text("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789-", min_size=8, max_size=16).filter(
    lambda text: any(each.isalpha() for each in text) and text.strip("-") == text
)
names = st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=6, max_size=12), min_size=1, max_size=3)
dates = st.dates(date(1930, 1, 1), date(2025, 12, 31)).map(lambda day: f"{day:%Y%m%d}")


def outcome_of(raw):
    """The clean bytes, or the reason for a refusal."""
    try:
        return deidentify(raw, NAMES).data
    except RefusedError as refused:
        return refused.reason


@FEW
@given(patient_id=ids, accession=ids, name=names, birth_date=dates, study_date=dates)
def test_whoever_the_patient_is_nothing_of_them_survives(patient_id, accession, name, birth_date, study_date):
    options = Options(
        patient_id=patient_id,
        accession=accession,
        patient_name="^".join(name),
        birth_date=birth_date,
        study_date=study_date,
        private=True,
        nested=True,
    )
    source = ct_slice("a", options)
    raw = to_bytes(source)

    data = deidentify(raw, NAMES).data

    header = data[: data.index(b"\xe0\x7f\x10\x00OW")].lower()
    shifted = shift_date(study_date, NAMES.date_shift_days(NAMES.patient("", patient_id)))
    identity = {value.lower() for value in identity_of(source)} - {shifted}
    identity = {value for value in identity if value.encode() not in SOMEONE_ELSE}
    assert [value for value in identity if value.encode() in header] == []
    assert deidentify(raw, NAMES).data == data


@FEW
@given(early=dates, days=st.integers(0, 4000), patient_id=ids)
def test_intervals_are_preserved(early, days, patient_id):
    late = f"{date.fromisoformat(early) + timedelta(days=days):%Y%m%d}"
    outputs = [
        pydicom.dcmread(
            BytesIO(
                deidentify(
                    to_bytes(ct_slice(each, Options(study_date=each, study=each, patient_id=patient_id))),
                    NAMES,
                ).data
            )
        ).StudyDate
        for each in (early, late)
    ]
    assert date.fromisoformat(outputs[1]) - date.fromisoformat(outputs[0]) == timedelta(days=days)
    assert outputs[0] < early


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_ends_clean_or_refused_and_never_leaks(data):
    damaged = bytearray(RAW)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(RAW) - 600))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(RAW))))
    outcome = outcome_of(bytes(damaged[:cut]))
    assert outcome in REASONS or len(pydicom.dcmread(BytesIO(outcome))) > 5
    assert outcome in REASONS or b"ZQFAMILY" not in outcome.upper()


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=400), tail=st.sampled_from([b"", RAW[132:], RAW[340:]]))
def test_any_bytes_behind_a_preamble_end_clean_or_refused(raw, tail):
    outcome = outcome_of(bytes(128) + b"DICM" + raw + tail)
    assert outcome in REASONS or len(pydicom.dcmread(BytesIO(outcome))) > 5
