"""Documents as other people's software reads them: DCMTK opens each, and dicom3tools' validator finds no error."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import SkipTest

import pydicom
import pytest

from runtime.connections import Connections
from schemas.events import DocumentsStored, Findings
from sinks import documents
from sinks.dicom import original_uids, restored
from tests.support import dicoms, events, results
from tests.support.installation import connections
from tests.support.servers import may_install

NEEDED = ("dsrdump", "dcmdump", "dciodvfy")


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing and may_install():
        pytest.fail(f"{', '.join(missing)}: run sh deploy/local/prepare.sh dicom")
    if missing:
        raise SkipTest(f"there is no {', '.join(missing)} here (Debian, Ubuntu: dcmtk, dicom3tools)")


XRAY = results.result(
    results.present("pneumothorax"),
    results.present(
        "consolidation", box=None, outlines=(), code_verified=False, code_meaning="Consolidation of lung"
    ),
)
CT = results.result(
    results.present(
        "intracranial-hemorrhage", "in-1", code_value="1386000", code_meaning="Intracranial hemorrhage"
    ),
    results.present("fracture", "in-2", code_verified=False, code_meaning="Fracture"),
    images=2,
    modality="CT",
    result_id="r2",
)
MR = results.result(
    results.present("mass", code_value="4147007", code_meaning="Mass"), modality="MR", result_id="r3"
)
NOTHING = results.result(
    results.present("nodule", box=None, outlines=(), probability=0.01), result_id="r4", demonstration=False
)


def mr_in_space() -> bytes:
    """A head slice that says where it lies."""
    made = dicoms.mr_slice()
    made.ImagePositionPatient, made.PixelSpacing = [0, 0, 0], [1, 1]
    made.ImageOrientationPatient, made.SliceThickness = [1, 0, 0, 0, 1, 0], "5"
    return results.other(made)


CASES: list[tuple[str, Callable[[], list[bytes]], Findings, int]] = [
    ("a chest X-ray", lambda: [results.chest_xray()], XRAY, 512),
    (
        "a partial result",
        lambda: [results.chest_xray()],
        replace(XRAY, reason_code="partial", result_id="r5"),
        512,
    ),
    ("two slices", results.ct_slices, CT, 16),
    ("an MR slice", lambda: [mr_in_space()], MR, 16),
    ("nothing found", lambda: [results.chest_xray()], NOTHING, 512),
]


def report(command: list[str]) -> str:
    """What a tool says; it must end well."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def errors(path: Path) -> list[str]:
    """What the validator calls an error in a file."""
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    found = [line for line in lines if line.startswith("Error")]
    assert found or done.returncode == 0
    return found


def stored(made: Connections, raw: list[bytes], result: Findings, side: int) -> DocumentsStored:
    """Documents of a result, after those of an earlier one."""
    clean = [results.clean(each, made.pseudonyms(events.SITE)) for each in raw]
    results.stored(made.objects, clean, [finding.finding for finding in result.findings], side, side)
    sink = documents.open_sink(made)
    sink.write("findings.v1", replace(result, result_id="earlier"))
    ((_, event),) = sink.write("findings.v1", result)
    assert isinstance(event, DocumentsStored)
    return event


@pytest.mark.parametrize(
    ("raw", "result", "side"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_every_document_inside_and_outside_is_without_errors(tmp_path, raw, result, side) -> None:
    made = connections(tmp_path, "documents")
    event = stored(made, raw(), result, side)
    originals = {
        key: value
        for each in raw()
        for key, value in original_uids(each, made.pseudonyms(events.SITE)).items()
    }
    who = results.identity_of(raw()[0])
    found = []
    for each in event.documents:
        inside = made.objects.get(each.bucket, each.object_key)
        outside = restored(inside, who, originals, made.pseudonyms(events.SITE).uid, event.made_at)
        for place, data in (("inside", inside), ("outside", outside)):
            path = tmp_path / f"{place}-{each.kind}-{each.instance}.dcm"
            path.write_bytes(data)
            assert str(pydicom.dcmread(path).SOPInstanceUID) in report(["dcmdump", "--quiet", str(path)])
            found += [f"{path.name}: {line}" for line in errors(path)]
            if each.kind == "sr":
                told = report(["dsrdump", "--verbose", str(path)])
                assert "Verification Flag   : UNVERIFIED" in told
                assert "Predecessor Docs    : 1" in told
                for finding in result.findings:
                    assert finding.code_meaning in told
    made.close()
    assert found == []


def test_the_validator_finds_an_error_where_there_is_one(tmp_path) -> None:
    path = tmp_path / "broken.dcm"
    broken = dicoms.dx_chest()
    del broken.Rows
    path.write_bytes(results.other(broken))
    assert errors(path) != []
