"""What the containers need before the first of them starts."""

from __future__ import annotations

import pytest

from deploy.compose import init


def test_a_machine_with_too_little_memory_is_told_how_much_is_needed():
    with pytest.raises(init.RefusedError, match="too little memory: 2000 MiB, and 6144 MiB are needed"):
        init.enough_memory("MemTotal:        2048000 kB\nMemFree: 1 kB\n")


@pytest.mark.parametrize(
    ("address", "profiles"),
    [("", ""), ("triton:8001", "cpu"), ("triton:8001", "tools,gpu"), ("elsewhere:8001", ""), ("", "tools")],
)
def test_a_triton_that_is_started_and_asked_or_neither_is_well(address, profiles):
    init.triton_is_asked(address, profiles)


@pytest.mark.parametrize(
    ("address", "profiles", "said"),
    [
        ("", "cpu", "nothing asks it: set RADSTREAM_TRITON=triton:8001"),
        ("triton:8001", "", "nothing starts it: set COMPOSE_PROFILES=cpu, or gpu"),
        ("triton:8001", "tools", "nothing starts it"),
    ],
)
def test_a_triton_that_nothing_starts_or_nothing_asks_is_refused(address, profiles, said):
    with pytest.raises(init.RefusedError, match=said):
        init.triton_is_asked(address, profiles)


def test_keys_are_made_once_readable_by_their_owner_alone(tmp_path):
    keys, s3_keys = tmp_path / "keys", tmp_path / "s3"
    keys.mkdir()
    s3_keys.mkdir()
    init.same_format(keys)
    init.make_keys(keys, s3_keys)
    made = {path.name: path.read_bytes() for path in [*keys.iterdir(), *s3_keys.iterdir()]}
    assert all(path.stat().st_mode & 0o077 == 0 for path in [*keys.iterdir(), *s3_keys.iterdir()])
    assert len({made[name] for name in init.KEYS}) == len(init.KEYS)
    init.same_format(keys)
    init.make_keys(keys, s3_keys)
    assert {path.name: path.read_bytes() for path in [*keys.iterdir(), *s3_keys.iterdir()]} == made


@pytest.mark.parametrize(
    ("stamp", "said"), [("0", "format 0, this version reads"), (None, "made by something else")]
)
def test_volumes_that_something_else_made_are_refused(tmp_path, stamp, said):
    (tmp_path / "pseudonym").write_bytes(b"older")
    if stamp is not None:
        (tmp_path / init.STAMP).write_text(stamp, "utf-8")
    with pytest.raises(init.RefusedError, match=said):
        init.same_format(tmp_path)
