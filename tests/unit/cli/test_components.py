from __future__ import annotations

import pytest

from cli.components import SERVER, Component, Plan, components, consumers, topics_of, workers
from deploy.local.servers import NAMES
from schemas.topics import catalogue
from tests.support.installation import settings


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [("infer", "")]),
        (3, [("infer", ""), ("infer-2", "2"), ("infer-3", "3")]),
    ],
)
def test_the_first_worker_keeps_the_bare_name(count, expected):
    found = workers(Component("infer", ("-m", "stream_processors", "infer")), count)

    assert [(each.name, each.instance) for each in found] == expected
    assert {each.component for each in found} == {"infer"}
    assert len({each.command for each in found}) == 1


def test_a_plan_has_its_servers_first_and_no_two_processes_of_one_name(tmp_path):
    found = components(settings(tmp_path), Plan(servers=True, workers={"infer": 2, "tables": 3}))

    names = [each.name for each in found]
    assert names[: len(NAMES)] == [f"{SERVER}{name}" for name in NAMES]
    assert [each.is_server for each in found].count(True) == len(NAMES)
    assert len(names) == len(set(names))
    assert {"infer-2", "tables-2", "tables-3"} <= set(names)


def test_every_reader_s_topics_are_known():
    topics = {name: topics_of(name) for name in consumers()}

    assert all(topics.values())
    assert {topic for read in topics.values() for topic in read} <= set(catalogue())
