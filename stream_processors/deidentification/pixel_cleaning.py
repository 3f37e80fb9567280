"""Clean the pixels of one file, all of it in this process: decode, blank, look again, write, verify."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from stream_processors.deidentification.blanking import Detector, Found, blank_all
from stream_processors.deidentification.frames import (
    BIG_ENDIAN,
    DAMAGE,
    LOSSY,
    Form,
    coded,
    decoded,
    form_of,
)
from stream_processors.deidentification.pixel_verifier import verify_pixels
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.regions import Box

Attributes = dict[int, tuple[str, bytes] | None]
"""VR and value by tag; None takes one away."""

IMPLICIT = "1.2.840.10008.1.2"


@dataclass(frozen=True, slots=True)
class Task:
    """One file's data set, and where its pixels lie.

    Parameters
    ----------
    data
        The data set's bytes, file meta left out, not deflated.
    value_at, end
        Of Pixel Data's value in `data`; of fragments, the end may lie behind them.
    device
        Boxes of the region table.
    """

    syntax: str
    data: bytes = field(repr=False)
    value_at: int
    end: int
    device: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Pixel Data anew, and what the header has to say of it."""

    value: bytes = field(repr=False)
    syntax: str
    vr: str
    attributes: Attributes
    found: Found
    frames: int

    def told(self) -> dict[str, object]:
        """Describe it as JSON takes it, all but the value."""
        attributes = {
            tag: None if given is None else [given[0], given[1].decode("latin-1")]
            for tag, given in self.attributes.items()
        }
        return {
            "syntax": self.syntax, "vr": self.vr, "attributes": attributes, "found": asdict(self.found), "frames": self.frames,
        }  # fmt: skip


def clean(task: Task, detector: Detector) -> Cleaned:
    """Clean one file's pixels.

    Raises
    ------
    RefusedError
        pixels-unreadable, pixels-too-large, pixels-text-remains or verification-failed.
    """
    dataset = _header(task)
    form = form_of(dataset, task.syntax)
    source = task.data[task.value_at : task.end]
    values, shown = decoded(source, form)
    found, fill = blank_all(values, shown, dataset, task.device, detector)
    value, written = coded(values, shown)
    verify_pixels((source, form), (value, written), found.boxes, fill)
    return Cleaned(value, written.syntax, written.vr, _attributes(dataset, form, written), found, form.frames)


def _header(task: Task) -> Dataset:
    try:
        return read_dataset(BytesIO(task.data), task.syntax == IMPLICIT, task.syntax != BIG_ENDIAN)
    except DAMAGE:
        raise RefusedError("pixels-unreadable") from None


def _attributes(dataset: Dataset, before: Form, after: Form) -> Attributes:
    """Describe the pixels as they now are; Burned In Annotation is NO, because nothing is burned in any more."""
    changed: Attributes = {0x00280301: ("CS", b"NO")}
    if after.photometric != before.photometric:
        changed[0x00280004] = ("CS", _even(after.photometric.encode("ascii")))
    if after.planar != before.planar and after.samples > 1:
        changed[0x00280006] = ("US", after.planar.to_bytes(2, "little"))
    if before.syntax in LOSSY and str(dataset.get("LossyImageCompression") or "") != "01":
        changed[0x00282110] = ("CS", b"01")
        changed[0x00282114] = ("CS", _even(LOSSY[before.syntax]))
    changed.update({tag: None for tag in (0x7FE00001, 0x7FE00002) if tag in dataset})
    return changed


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)
