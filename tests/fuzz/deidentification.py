"""`python -m tests.fuzz.deidentification --seconds 3600`: damage files for as long as one likes, and say what happened.

What must hold for any bytes: the engine gives a verified file or a documented reason, the second reader its one reason,
a plan of a head the plan of the whole or a wish for more; nothing takes longer than `PATIENCE`. All else is a finding: its
input is kept under `--findings`, and the command ends with status 1.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cli.demo_studies import public_file
from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import (
    DEFAULT,
    REASONS,
    MoreNeededError,
    Profile,
    RefusedError,
    deidentify,
    plan,
)
from stream_processors.deidentification.second_reader import read_again
from tests.support.dicoms import Options, ct_slice, dx_chest, mr_slice, secondary_capture, to_bytes

NAMES = Pseudonyms(PseudonymKey("fuzz", hashlib.sha256(b"a key for fuzzing").digest()))
PATIENCE = 10.0
"""seconds of processor time for one input of some kilobytes: a hundred times what it takes."""
LARGEST_SEED = 60_000
"""bytes; smaller files are damaged more often in one place that matters."""
PUBLIC = (
    "MR_small.dcm", "rtplan.dcm", "rtdose_1frame.dcm", "image_dfl.dcm", "nested_priv_SQ.dcm", "priv_SQ.dcm",
    "UN_sequence.dcm", "reportsi.dcm", "test-SR.dcm", "waveform_ecg.dcm", "MR_small_RLE.dcm", "ExplVR_BigEnd.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm", "no_meta.dcm", "meta_missing_tsyntax.dcm", "SC_rgb_small_odd.dcm",
    "empty_charset_LEI.dcm", "liver_1frame.dcm", "CT_small.dcm", "zipMR.gz", "eCT_Supplemental.dcm", "parametric_map_float.dcm",
)  # fmt: skip
"""Of pydicom's own test data; those that it does not ship are left out."""
TOKENS = (
    b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xff\xff\xff", b"\0\0\0\0", b"SQ\0\0", b"UN\0\0",
    b"\xe0\x7f\x10\0OW\0\0", b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff", b"\x09\0\x10\0LO", b"\x08\0\x05\0CS", b"\\",
    b"\x10\0\x10\0PN",
)  # fmt: skip
"""Bytes that mean something to a reader of DICOM."""
SAFE_PRIVATE = Profile(frozenset({"113111", "113104", "113103"}))


def seeds(folders: list[Path]) -> list[bytes]:
    """Well-formed files of every kind, small ones."""
    full = Options(private=True, nested=True)
    made = [to_bytes(build("a", full)) for build in (ct_slice, dx_chest, mr_slice, secondary_capture)]
    for name in PUBLIC:
        try:
            made.append(public_file(name))
        except (OSError, KeyError, ValueError):
            continue
    made += [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [each for each in made if len(each) <= LARGEST_SEED]


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


def _engine(raw: bytes, profile: Profile) -> str:
    try:
        done = deidentify(raw, NAMES, profile)
    except RefusedError as refused:
        return refused.reason if refused.reason in REASONS else "FINDING reason"
    assert done.data[:132] == bytes(128) + b"DICM"
    again = deidentify(done.data, NAMES, profile)
    assert again.report.own_output
    assert again.data == done.data
    return f"withheld: {done.pixels_at_risk}" if done.pixels_at_risk else "verified"


def _reader(raw: bytes) -> str:
    try:
        read_again(raw)
    except RefusedError as refused:
        return "doubted" if refused.reason == "verification-failed" else "FINDING reason"
    return "read"


def _head(raw: bytes, given: int) -> str:
    outcomes = []
    for head in (raw[:given], raw):
        try:
            outcomes.append(plan(head, len(raw), NAMES).pieces)
        except MoreNeededError as needed:
            return "more" if len(head) < needed.size <= len(raw) else "FINDING size"
        except RefusedError as refused:
            outcomes.append((refused.reason.encode(),))
    assert outcomes[0] == outcomes[1] or isinstance(outcomes[0][0], bytes)
    return "planned"


def fuzz(seconds: float, seed: int, folders: list[Path], findings: Path) -> tuple[Counter[str], int]:
    """Try damaged files; give how each ended, and how many findings there are."""
    chance, ended, found = random.Random(seed), Counter[str](), 0
    whole = seeds(folders)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        raw = damaged(chance.choice(whole), whole, chance)
        given = chance.randrange(len(raw) + 1)
        ways: dict[str, Callable[[], str]] = {
            "engine": partial(_engine, raw, DEFAULT),
            "engine, safe private": partial(_engine, raw, SAFE_PRIVATE),
            "second reader": partial(_reader, bytes(128) + raw[128:]),
            "head": partial(_head, raw, given),
        }
        for name, way in ways.items():
            began = time.process_time()
            try:
                outcome = way()
            except Exception as error:  # noqa: BLE001 - what fuzzing looks for
                outcome = f"FINDING {type(error).__name__}"
            if time.process_time() - began > PATIENCE:
                outcome = "FINDING slow"
            ended[f"{name}: {outcome}"] += 1
            if outcome.startswith("FINDING"):
                found += 1
                findings.mkdir(parents=True, exist_ok=True)
                (findings / f"{name.replace(', ', '-').replace(' ', '-')}-{found}.dcm").write_bytes(raw)
    return ended, found


def main() -> int:
    """Run it, and say how each input ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path(".fuzz-findings"))
    parser.add_argument("folders", type=Path, nargs="*", help="folders with more files to begin with")
    given = parser.parse_args()
    ended, found = fuzz(given.seconds, given.seed, given.folders, given.findings)
    out = io.StringIO()
    for name, count in sorted(ended.items()):
        out.write(f"{count:10} {name}\n")
    out.write(
        f"{ended.total():10} executions, {found} findings, {time.process_time():.0f} s of processor time\n"
    )
    sys.stdout.write(out.getvalue())
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
