from __future__ import annotations

import socket
import stat
from dataclasses import astuple

from deploy.local.place import HOST, answers, existing, new


def test_the_ports_of_a_place_differ_and_are_free(tmp_path):
    ports = astuple(new(tmp_path).ports)

    assert len(set(ports)) == len(ports)
    assert not any(answers(port) for port in ports)


def test_a_port_that_somebody_listens_on_answers():
    with socket.create_server((HOST, 0)) as taken:
        assert answers(taken.getsockname()[1])


def test_a_place_is_found_again_as_it_was_made(tmp_path):
    made = new(tmp_path / "place")

    assert existing(tmp_path / "place") == made


def test_a_secret_is_made_once_and_for_its_owner_only(tmp_path):
    place = new(tmp_path)

    file = place.secret("key")

    assert place.secret("key").read_text() == file.read_text()
    assert place.secret("other").read_text() != file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
