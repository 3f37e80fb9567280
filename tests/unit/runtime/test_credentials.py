from __future__ import annotations

import base64
from pathlib import Path

import pytest

from runtime.credentials import Credential, Credentials, new_token
from runtime.errors import StopError
from runtime.settings import SecretReference


def basic(user: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "credentials.json"


def reference(file: Path) -> SecretReference:
    return SecretReference(f"file:{file}")


def test_a_token_stands_for_one_site_role_and_user(file: Path) -> None:
    first = new_token(file, "north", "gateway", "ct-1")
    second = new_token(file, "south", "radiologist", "ann")
    found = Credentials(reference(file))
    assert found.verify(f"Bearer {first}") == Credential("north", "gateway", "ct-1")
    assert found.verify(f"bearer  {second} ") == Credential("south", "radiologist", "ann")
    assert found.verify(basic("ct-1", first)) == Credential("north", "gateway", "ct-1")


def test_what_is_no_token_stands_for_nobody(file: Path) -> None:
    token = new_token(file, "north", "gateway", "ct-1")
    found = Credentials(reference(file))
    refused = ["", "Bearer", "Bearer x", token, basic("ct-2", token), basic("ct-1", "x"), "Basic %%%", "Basic /w==",
               f"Digest {token}", f"Bearer {token}x"]  # fmt: skip
    assert [found.verify(header) for header in refused] == [None] * len(refused)


def test_the_file_holds_no_token_and_belongs_to_its_owner(file: Path) -> None:
    token = new_token(file, "north", "gateway", "ct-1")
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_token_made_while_the_process_runs_counts_at_once(file: Path) -> None:
    new_token(file, "north", "gateway", "ct-1")
    found = Credentials(reference(file))
    later = new_token(file, "north", "operator", "bob")
    assert found.verify(f"Bearer {later}") == Credential("north", "operator", "bob")


@pytest.mark.parametrize(
    ("site", "role", "user"), [("north", "admin", "a"), ("", "gateway", "a"), ("n", "gateway", "")]
)
def test_unknown_roles_and_nameless_users_get_no_token(file: Path, site: str, role: str, user: str) -> None:
    with pytest.raises(ValueError, match="token"):
        new_token(file, site, role, user)


@pytest.mark.parametrize("text", [None, "{", '[{"sha256": "x"}]', "3"])
def test_a_file_that_cannot_be_read_stops_the_process(file: Path, text: str | None) -> None:
    if text is not None:
        file.write_text(text)
    with pytest.raises(StopError):
        Credentials(reference(file))
