"""What fuzzing begins with, and how files are damaged where it matters to a reader of DICOM."""

from __future__ import annotations

import random
from pathlib import Path

from cli.demo_studies import public_file
from tests.support.dicoms import Options, ct_slice, dx_chest, mr_slice, secondary_capture, to_bytes

LARGEST_SEED = 60_000
"""bytes; smaller files are damaged more often in one place that matters."""
PUBLIC = (
    "MR_small.dcm", "rtplan.dcm", "rtdose_1frame.dcm", "image_dfl.dcm", "nested_priv_SQ.dcm", "priv_SQ.dcm",
    "UN_sequence.dcm", "reportsi.dcm", "test-SR.dcm", "waveform_ecg.dcm", "MR_small_RLE.dcm", "ExplVR_BigEnd.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm", "no_meta.dcm", "meta_missing_tsyntax.dcm", "SC_rgb_small_odd.dcm",
    "empty_charset_LEI.dcm", "liver_1frame.dcm", "CT_small.dcm", "zipMR.gz", "eCT_Supplemental.dcm", "parametric_map_float.dcm",
)  # fmt: skip
"""Of pydicom's own test data; those that it does not ship are left out."""
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
TOKENS = (
    b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xff\xff\xff", b"\0\0\0\0", b"SQ\0\0", b"UN\0\0",
    b"\xe0\x7f\x10\0OW\0\0", b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff", b"\x09\0\x10\0LO", b"\x08\0\x05\0CS", b"\\",
    b"\x10\0\x10\0PN",
)  # fmt: skip
"""Bytes that mean something to a reader of DICOM."""


def seeds(folders: list[Path]) -> list[bytes]:
    """Well-formed files of every kind and syntax, small ones."""
    builders = (ct_slice, dx_chest, mr_slice, secondary_capture)
    made = [
        to_bytes(build("a", Options(private=True, nested=True, transfer_syntax=syntax)))
        for build in builders
        for syntax in SYNTAXES
    ]
    for name in PUBLIC:
        try:
            made.append(public_file(name))
        except (OSError, KeyError, ValueError):
            continue
    made += [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [each for each in made if 132 < len(each) <= LARGEST_SEED]


def damaged(seed: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Change a file in a few places: flipped, cut, doubled, crossed with another, or given what means something."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(128, len(data) + 1) if len(data) > 128 else 0
        if chance.random() < 0.6:  # most of what matters stands at the beginning
            at = min(at, 128 + int(chance.expovariate(1 / 900)))
        size = min(int(chance.expovariate(1 / 12)) + 1, len(data) - at)
        kind = chance.randrange(7)
        if kind == 0 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = data[at : at + size * 8]
        elif kind == 3:
            token = chance.choice(TOKENS)
            data[at : at + len(token)] = token
        elif kind == 4:
            data[at:at] = chance.choice(TOKENS)
        elif kind == 5:
            other = chance.choice(others)
            begin = chance.randrange(len(other))
            data[at : at + size] = other[begin : begin + size * 8]
        else:
            del data[at + size * 20 :]
    return bytes(data)


def data_set_at(raw: bytes) -> int:
    """Where the data set begins, by the length that the file meta group gives itself; 0 where it gives none."""
    if raw[128:132] != b"DICM" or raw[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        return 0
    return min(144 + int.from_bytes(raw[140:144], "little"), len(raw))
