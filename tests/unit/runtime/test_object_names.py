from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from runtime.object_names import MAX_KEY_BYTES, read_back, spelt, spelt_prefix

ODD = st.text(alphabet="ab.!/-_2e\\\n é", min_size=1, max_size=40)
LONG = st.builds(lambda head, count, tail: head + "x" * count + tail, ODD, st.integers(150, 450), ODD)
KEYS = ODD | LONG | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("north/st-1/in-2.dcm", "north/st-1/in-2.dcm"),
        ("north/2026/11/21/0b7e", "north/2026/11/21/0b7e!"),
        ("UPPER/ünï (1)/a b.json", "UPPER/ünï (1)/a b.json"),
        ("a", "a!"),
        ("a/b.c", "a/b.c"),
        ("a.b/c.d", "a!2eb/c.d"),
        ("..", "!2e!2e!"),
        ("a/", "a/!"),
        ("a//b", "a/!_/b!"),
        ("/", "!_/!"),
        ("!", "!21!"),
        ("a\nb", "a!0ab!"),
        ("x" * 201, "x" * 200 + "!-/x!"),
        ("é" * 150, "é" * 100 + "!-/" + "é" * 50 + "!"),
    ],
)
def test_a_key_is_spelt(key, name):
    assert spelt(key) == name
    assert read_back(name) == key


@given(KEYS)
@example("x" * 200 + "/" + "x" * 400)
def test_a_name_reads_back_as_its_key(key):
    assert read_back(spelt(key)) == key


@given(KEYS)
def test_a_name_is_one_that_s3_and_a_file_system_take(key):
    for part in spelt(key).split("/"):
        assert part not in {"", ".", ".."}
        assert len(part.encode()) <= 210
        assert all(sign.isprintable() or not sign.isascii() for sign in part)


@given(KEYS, KEYS)
@example("a", "a/b")
@example("a.b", "a.b/c")
@example("x" * 200, "x" * 300)
@example("x" * 300, "x" * 300 + "/y")
def test_no_object_is_a_folder_of_another(one, other):
    assume(one != other)
    assert spelt(one) != spelt(other)
    assert not spelt(other).startswith(spelt(one) + "/")


@given(KEYS, st.integers(0, 500))
def test_the_names_under_a_prefix_begin_alike(key, length):
    assert spelt(key).startswith(spelt_prefix(key[:length]))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * (MAX_KEY_BYTES + 1), id="too long"),
        pytest.param("é" * (MAX_KEY_BYTES // 2 + 1), id="too long in UTF-8"),
        pytest.param("." * MAX_KEY_BYTES, id="too long as it is spelt"),
        pytest.param("\ud800", id="no text"),
    ],
)
def test_a_key_that_s3_cannot_hold_is_refused(key):
    with pytest.raises(ValueError):
        spelt(key)
