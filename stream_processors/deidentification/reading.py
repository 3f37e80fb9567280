"""pydicom, kept quiet and kept from throwing anything but a refusal."""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Final

import pydicom
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from stream_processors.deidentification.refusal import RefusedError


def _nothing(_record: logging.LogRecord) -> bool:
    return False


logging.getLogger("pydicom").addFilter(_nothing)
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
# pydicom's warnings quote the values that it finds wrong: for this project that is identity in a log.

_PARSER_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    pydicom.errors.BytesLengthException,
)
"""What pydicom 3 raises on hostile files; InvalidDicomError is named beside these, being of no such kind."""


@contextmanager
def refusing(reason: str) -> Iterator[None]:
    """Turn whatever the parser throws into a refusal that carries no message of the parser's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (*_PARSER_ERRORS, pydicom.errors.InvalidDicomError):
            raise RefusedError(reason) from None


def parse(part10: bytes) -> FileDataset:
    """Parse a file that `structure.read_layout` has passed."""
    data_set: FileDataset = pydicom.dcmread(BytesIO(part10))
    return data_set


def items_of(data_set: Dataset) -> list[tuple[BaseTag, DataElement | RawDataElement]]:
    """List the elements without decoding any, so that an untouched value is written back as it was read."""
    return [(tag, data_set.get_item(tag)) for tag in list(data_set.keys())]


def vr_of(item: DataElement | RawDataElement) -> str:
    """Give the VR that is coded, or the dictionary's where none is or it is UN; "" for an unknown tag."""
    if item.VR not in (None, "UN"):
        return str(item.VR)
    return dictionary_VR(item.tag) if dictionary_has_tag(item.tag) else ""


def coded_text(item: DataElement | RawDataElement) -> str:
    """Give a DS or IS value as it is coded, unconverted: real files hold "1.5" as IS, which no converter takes."""
    coded = item.value
    if isinstance(coded, bytes):
        return coded.decode("latin-1")
    if isinstance(coded, pydicom.multival.MultiValue):
        return "\\".join(str(each) for each in coded)
    return "" if coded is None else str(coded)


def texts_of(data_set: Dataset, tag: int) -> list[str]:
    """Decode the values of one element as text; [] when it is absent or empty."""
    if tag not in data_set:
        return []
    value = data_set[tag].value
    if value is None:
        return []
    values = value if isinstance(value, list | tuple | pydicom.multival.MultiValue) else [value]
    return [each.decode("latin-1") if isinstance(each, bytes) else str(each) for each in values]


def text_of(data_set: Dataset, tag: int) -> str:
    """Decode one element as one text, its values joined as they are coded (PS3.5 §6.4)."""
    return "\\".join(texts_of(data_set, tag)).strip(" \0")


def registered_type(uid: str) -> str:
    """Give what PS3.6 Annex A registers a UID as ("Transfer Syntax", "SOP Class", ...), "" for any other."""
    return UID(uid, IGNORE).type if uid.startswith("1.2.840.10008.") else ""
