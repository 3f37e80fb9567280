from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.embedded.groups import LEASE_S, Groups, fair_split
from runtime.errors import StopError

PARTS = [("t", number) for number in range(6)]


def split(members, owners=None):
    return fair_split(dict.fromkeys(members, PARTS), owners or {})


@pytest.mark.parametrize(
    ("members", "loads"),
    [("a", [6]), ("ab", [3, 3]), ("abcd", [1, 1, 2, 2]), ("abcdefgh", [0, 0, 1, 1, 1, 1, 1, 1])],
)
def test_partitions_are_split_evenly(members, loads):
    found = Counter(split(members).values())
    assert sorted(found[member] for member in members) == loads


def test_nobody_reads_what_nobody_subscribes_to():
    assert fair_split({}, {("t", 0): "gone"}) == {}


def test_a_member_gets_only_what_it_reads():
    assert fair_split({"a": [("t", 0), ("u", 0)], "b": [("u", 0)]}, {}) == {("t", 0): "a", ("u", 0): "b"}


@given(
    st.sets(st.sampled_from("abcdef"), min_size=1),
    st.dictionaries(st.sampled_from(PARTS), st.sampled_from("abcdefgone"), max_size=6),
)
def test_a_split_is_whole_even_settled_and_moves_no_more_than_it_must(members, owners):
    found = split(members, owners)
    loads = Counter(found.values())
    assert found.keys() == set(PARTS)
    assert max(loads.values()) - min(loads[member] for member in members) <= 1
    assert split(members, found) == found
    before = Counter(owner for owner in owners.values() if owner in members)
    ceiling = -(-len(PARTS) // len(members))
    kept = sum(found[part] == owner for part, owner in owners.items() if owner in members)
    assert kept >= sum(min(count, len(PARTS) // len(members)) for count in before.values())
    assert max(loads.values()) <= ceiling


@pytest.fixture
def groups(tmp_path):
    return Groups(tmp_path / "groups.db")


def stand(groups, member, incarnation, held=None):
    return groups.stand("g", member, incarnation, PARTS, held or {})


def test_generations_are_never_used_twice(groups):
    seen = []
    for member in "abc":
        incarnation = groups.join("g", member, PARTS)
        seen.append(stand(groups, member, incarnation).owned[PARTS[0]])
        groups.leave("g", member, incarnation)
    assert seen == [1, 2, 3]


def test_a_newcomer_waits_for_what_others_hold_and_they_learn_of_it(groups):
    first = groups.join("g", "a", PARTS)
    held = stand(groups, "a", first).owned
    second = groups.join("g", "b", PARTS)
    assert stand(groups, "b", second).owned == {}
    surplus = stand(groups, "a", first, held).surplus
    assert len(surplus) == 3
    groups.release("g", "a", {part: held[part] for part in surplus})
    assert stand(groups, "b", second).owned.keys() == surplus


def test_a_commit_of_an_old_generation_records_nothing_at_all(groups):
    first = groups.join("g", "a", PARTS)
    held = stand(groups, "a", first).owned
    groups.release("g", "a", {PARTS[1]: held[PARTS[1]]})
    with pytest.raises(StopError):
        groups.commit("g", "a", held, {PARTS[0]: 5, PARTS[1]: 5})
    assert groups.committed("g") == {}


def test_a_commit_never_goes_back(groups):
    first = groups.join("g", "a", PARTS)
    held = stand(groups, "a", first).owned
    groups.commit("g", "a", held, {PARTS[0]: 5})
    groups.commit("g", "a", held, {PARTS[0]: 3})
    assert groups.committed("g") == {PARTS[0]: 5}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("expires_at = 0", id="it did not renew"),
        pytest.param(
            f"expires_at = expires_at + {10 * LEASE_S}", id="it is from before a restart of the machine"
        ),
        pytest.param("pid = 2147483600", id="its process is gone"),
        pytest.param("pid = 1, started = 'never'", id="its number belongs to another process"),
    ],
)
def test_a_member_that_does_not_live_loses_its_partitions_at_the_next_look(groups, change):
    first = groups.join("g", "a", PARTS)
    stand(groups, "a", first)
    with groups._database.transaction():
        groups._database.run(f"UPDATE members SET {change}")
    second = groups.join("g", "b", PARTS)
    assert stand(groups, "b", second).owned == dict.fromkeys(PARTS, 2)


def test_a_member_of_another_machine_is_judged_by_its_lease(groups):
    first = groups.join("g", "a", PARTS)
    stand(groups, "a", first)
    with groups._database.transaction():
        groups._database.run("UPDATE members SET pid = 2147483600, place = 'elsewhere'")
    second = groups.join("g", "b", PARTS)
    assert stand(groups, "b", second).owned == {}


def test_a_member_that_was_buried_enters_again(groups):
    first = groups.join("g", "a", PARTS)
    held = stand(groups, "a", first).owned
    with groups._database.transaction():
        groups._database.run("UPDATE members SET expires_at = 0")
    second = groups.join("g", "b", PARTS)
    stand(groups, "b", second)
    standing = stand(groups, "a", first, held)
    assert standing.owned == {}
