from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.multipart import (
    MAX_PART_HEADERS,
    MAX_PREAMBLE,
    MultipartError,
    MultipartReader,
    PartBegin,
    PartEnd,
    content_type,
)


def parts_of(
    body: bytes, sizes: list[int] | None = None, boundary: str = "b"
) -> list[tuple[dict[str, str], bytes]]:
    """Read a body cut into pieces of the given sizes (repeated); whole parts only."""
    reader = MultipartReader(boundary)
    found: list[tuple[dict[str, str], bytes]] = []
    headers: dict[str, str] = {}
    data = bytearray()
    at, turn = 0, 0
    sizes = sizes or [len(body) or 1]
    while at < len(body):
        piece = body[at : at + sizes[turn % len(sizes)]]
        at, turn = at + len(piece), turn + 1
        for token in reader.feed(piece):
            if isinstance(token, PartBegin):
                headers, data = token.headers, bytearray()
            elif isinstance(token, PartEnd):
                found.append((headers, bytes(data)))
            else:
                data += token
    reader.close()
    return found


def holds_boundary(part: bytes) -> bool:
    """Whether a sender may not write this content with this boundary."""
    return re.search(rb"\r\n--b(--|[ \t]*\r?\n)", b"\r\n" + part + b"\r\n") is not None


@settings(deadline=None)
@given(
    contents=st.lists(
        st.lists(
            st.sampled_from(
                [b"\r", b"\n", b"\r\n", b"--", b"--b", b"\r\n--", b"\r\n--bx", b"-", b"b", b"xyz", b"\0"]
            ),
            max_size=12,
        ).map(b"".join),
        min_size=1,
        max_size=4,
    ).filter(lambda parts: not any(holds_boundary(part) for part in parts)),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_any_content_comes_out_as_it_went_in_however_the_body_is_cut(contents, sizes):
    body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in contents)
    read = parts_of(body + b"--b--\r\n", sizes)
    assert [data for _, data in read] == contents


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"--b\r\nA: 1\r\n\r\nx\r\n--b--", [b"x"], id="no line end after the last boundary"),
        pytest.param(b"--b\nA: 1\n\nx\n--b--\n", [b"x"], id="line feeds only"),
        pytest.param(b"\r\n--b\r\n\r\nx\r\n--b--", [b"x"], id="an empty line first"),
        pytest.param(b"hello\r\n-- b\r\n--b\r\n\r\nx\r\n--b--", [b"x"], id="preamble text"),
        pytest.param(
            b"--b\r\n\r\nx\r\n--b--\r\nbye\r\n--b\r\n\r\ny", [b"x"], id="epilogue, a boundary in it"
        ),
        pytest.param(
            b"--b \t\r\n\r\nx\r\n--b  \r\n\r\ny\r\n--b--", [b"x", b"y"], id="white space after boundaries"
        ),
        pytest.param(b"--b\r\n\r\n\r\n--b--", [b""], id="an empty part"),
        pytest.param(b"--b\r\n\r\nx\r\n--bb\r\n--b--", [b"x\r\n--bb"], id="a longer boundary is content"),
        pytest.param(
            b"--b\r\n\r\nx\n--b\r\n--b--", [b"x\n--b"], id="a lone line feed where lines end in two"
        ),
        pytest.param(b"--b--\r\n", [], id="no parts"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_forms_that_senders_write_are_read(body, expected, size):
    assert [data for _, data in parts_of(body, [size])] == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "truncated", id="nothing"),
        pytest.param(b"--b\r\n\r\nx", "truncated", id="ends inside a part"),
        pytest.param(b"--b\r\n\r\nx\r\n--b", "truncated", id="ends inside a boundary"),
        pytest.param(b"--bogus\r\n\r\n", "boundary", id="another boundary"),
        pytest.param(b"x" * (MAX_PREAMBLE + 1), "preamble", id="endless preamble"),
        pytest.param(b"--b\r\n" + b"A: 1\r\n" * MAX_PART_HEADERS, "part-headers", id="header bomb"),
        pytest.param(b"--b\r\nno colon\r\n\r\nx", "part-headers", id="a header without colon"),
    ],
)
def test_what_is_no_multipart_is_refused_with_its_class(body, reason):
    with pytest.raises(MultipartError) as caught:
        parts_of(body)
    assert caught.value.reason == reason


@pytest.mark.parametrize("boundary", ["", "x" * 71, "ü"])
def test_a_boundary_outside_the_standard_is_refused(boundary):
    with pytest.raises(MultipartError):
        MultipartReader(boundary)


def test_part_headers_come_in_lower_case_and_unfolded():
    [(headers, _)] = parts_of(
        b"--b\r\nContent-TYPE: application/dicom;\r\n transfer-syntax=1.2\r\n\r\nx\r\n--b--"
    )
    assert headers == {"content-type": "application/dicom; transfer-syntax=1.2"}


def test_memory_held_does_not_grow_with_a_part():
    reader = MultipartReader("b")
    list(reader.feed(b"--b\r\n\r\n"))
    for _ in range(8):
        read = sum(len(token) for token in reader.feed(b"\r\n-" * 50_000) if isinstance(token, bytes))
        assert read > 149_000
    assert len(reader._held) < 100


@pytest.mark.parametrize(
    "value",
    [
        'multipart/related; type="application/dicom"; boundary="a b"',
        'Multipart/Related; Type=application/dicom; Boundary="a b"',
        'multipart/related;boundary="a b";type="application/dicom"',
        'multipart/related ; start="<1@x>" ; type="application/dicom" ; boundary="a b"',
    ],
)
def test_content_types_are_read_quoted_or_not(value):
    parsed = content_type(value)
    assert parsed.media_type == "multipart/related"
    assert parsed.parameters["type"] == "application/dicom"
    assert parsed.parameters["boundary"] == "a b"


@pytest.mark.parametrize("value", ["", ";", ";;boundary=", "a/b; c", "\x00"])
def test_a_broken_content_type_is_no_error(value):
    assert (
        "boundary" not in content_type(value).parameters or content_type(value).parameters["boundary"] == ""
    )
