"""The servers that a session of tests shares: they are well, and each brings along what it needs."""

from __future__ import annotations

from deploy.local.cassandra import FIRST_ROLE, lets_in


def test_cassandra_is_well_once_it_takes_its_password_and_no_other(servers):
    port = servers.require("cassandra").cassandra.port

    assert lets_in(port, FIRST_ROLE, FIRST_ROLE)
    assert not lets_in(port, FIRST_ROLE, "wrong")
    assert not lets_in(1, FIRST_ROLE, FIRST_ROLE)


def test_what_needs_another_server_brings_it_along(servers):
    servers.require("registry")

    assert {"kafka", "registry"} <= set(servers.running.processes)
