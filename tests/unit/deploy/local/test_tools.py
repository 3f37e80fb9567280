from __future__ import annotations

import pytest

from deploy.local import tools


def tool(folder, name, says):
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{says}' >&{2 if name == 'java' else 1}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


@pytest.mark.parametrize("version", ["17.0.15", "21", "25.0.1"])
def test_a_java_that_is_new_enough_is_taken(path, version):
    found = tool(path, "java", f'openjdk version "{version}" 2025-04-15')

    assert tools.java() == found


@pytest.mark.parametrize("said", ['java version "1.8.0_402"', 'openjdk version "11.0.2"', "no such thing"])
def test_an_old_java_is_refused_by_its_path(path, said):
    tool(path, "java", said)

    with pytest.raises(tools.MissingToolError, match=f"{path}/java is older than Java 17"):
        tools.java()


def test_java_home_goes_before_the_path(path, tmp_path, monkeypatch):
    tool(path, "java", 'openjdk version "11.0.2"')
    (tmp_path / "jdk" / "bin").mkdir(parents=True)
    named = tool(tmp_path / "jdk" / "bin", "java", 'openjdk version "17.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))

    assert tools.java() == named


@pytest.mark.parametrize(
    ("said", "new"),
    [
        ("go version go1.19.8 linux/amd64", False),
        ("go version go1.20 linux/amd64", False),
        ("go version go1.21.0 linux/amd64", True),
        ("go version go1.26.8 linux/arm64", True),
    ],
)
def test_a_go_that_fetches_toolchains_by_itself_is_told_from_one_that_does_not(path, monkeypatch, said, new):
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")

    assert tools.is_new(tool(path, "go", said)) is new
