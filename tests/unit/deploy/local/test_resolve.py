from __future__ import annotations

import pytest

from deploy.local import resolve as resolver
from deploy.local.resolve import NotResolvedError, Program, resolve
from deploy.local.tools import MissingToolError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RADSTREAM_SERVERS", str(tmp_path / "servers"))
    return tmp_path / "servers"


@pytest.fixture
def made(home, monkeypatch):
    """Programs that are made of one file each; returns the list of those that were made."""
    made = []

    def make(name):
        def into(folder):
            made.append(name)
            (folder / "program").write_text(name)

        return into

    found = {name: Program(name, f"{name} 1", make(name)) for name in ("kafka", "objects")}
    monkeypatch.setattr(resolver, "programs", lambda: found)
    return made


def test_a_program_is_made_once(home, made):
    for _ in range(2):
        resolve(["kafka"], lambda _: None)

    assert made == ["kafka"]
    assert (home / "kafka" / "program").read_text() == "kafka"


def test_each_program_has_a_stamp_of_its_own(home, made):
    resolve(["kafka"], lambda _: None)
    resolve(["kafka", "objects"], lambda _: None)

    assert made == ["kafka", "objects"]


def test_another_version_is_made_anew_and_leaves_nothing_of_the_old(home, made, monkeypatch):
    resolve(["kafka"], lambda _: None)
    (home / "kafka" / "old.jar").touch()
    newer = Program("kafka", "kafka 2", resolver.programs()["kafka"].make)
    monkeypatch.setattr(resolver, "programs", lambda: {"kafka": newer})

    resolve(["kafka"], lambda _: None)

    assert made == ["kafka", "kafka"]
    assert not (home / "kafka" / "old.jar").exists()


def test_what_broke_off_is_made_again(home, made, monkeypatch):
    def breaks(folder):
        (folder / "half").touch()
        raise NotResolvedError("the line went dead")

    whole = resolver.programs()
    monkeypatch.setattr(resolver, "programs", lambda: {"kafka": Program("kafka", "kafka 1", breaks)})
    with pytest.raises(NotResolvedError):
        resolve(["kafka"], lambda _: None)
    monkeypatch.setattr(resolver, "programs", lambda: whole)

    resolve(["kafka"], lambda _: None)

    assert sorted(file.name for file in (home / "kafka").iterdir()) == ["made-from", "program"]


@pytest.mark.parametrize(
    ("server", "tool"), [("kafka", "Maven"), ("cassandra", "Maven"), ("registry", "Maven"), ("objects", "Go")]
)
def test_a_missing_tool_is_named_with_the_package_that_brings_it(home, tmp_path, monkeypatch, server, tool):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingToolError, match=f"{tool} is missing.*Debian"):
        resolve([server], lambda _: None)


def test_a_tool_that_fails_has_the_last_word(home, tmp_path, monkeypatch):
    program = tmp_path / "mvn"
    program.write_text("#!/bin/sh\necho no such artifact >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotResolvedError, match="no such artifact"):
        resolve(["kafka"], lambda _: None)
