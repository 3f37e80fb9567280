"""Consumer groups: who owns which partition, and up to where it is done.

Members hold leases. A member that leaves, dies (its process is gone) or stops renewing loses its partitions; every change of
owner gives the partition a new generation, and only the generation that owns a partition may commit for it.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.embedded.database import Database
from runtime.embedded.liveness import alive, place, started
from runtime.errors import StopError
from runtime.ports import Partition

LEASE_S = 5.0
"""Seconds without renewal after which a member counts as dead where its process cannot be looked at, or is stopped."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS members (
    grp TEXT, member TEXT, incarnation TEXT, place TEXT, pid INTEGER, started TEXT, topics TEXT, expires_at REAL,
    PRIMARY KEY (grp, member)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owners (
    grp TEXT, topic TEXT, number INTEGER, member TEXT, generation INTEGER, PRIMARY KEY (grp, topic, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commits (
    grp TEXT, topic TEXT, number INTEGER, next_offset INTEGER, PRIMARY KEY (grp, topic, number)) WITHOUT ROWID
"""
"""`owners.member` is null while nobody owns a partition; its generation stays, so that none is ever used twice."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A partition that this member has got: its generation, and the offset to start at."""

    generation: int
    start: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member holds after a look at its group."""

    owned: dict[Partition, int]
    """Generation of each partition."""
    gained: dict[Partition, Owned]
    surplus: frozenset[Partition]
    """Partitions to hand over as soon as nothing of them is in flight."""


def fair_split(
    subscriptions: Mapping[str, Iterable[Partition]], owners: Mapping[Partition, str]
) -> dict[Partition, str]:
    """Decide who shall own each partition: loads differ by at most one, and as few as possible change hands.

    Parameters
    ----------
    subscriptions
        Partitions that each member reads.
    owners
        Present owners; those that are no members any more are ignored.
    """
    readers: dict[Partition, list[str]] = {}
    for member in sorted(subscriptions):
        for partition in subscriptions[member]:
            readers.setdefault(partition, []).append(member)
    split = {part: owners[part] for part in sorted(readers) if owners.get(part) in readers[part]}
    load = Counter(split.values())
    for partition in sorted(readers.keys() - split.keys()):
        split[partition] = min(readers[partition], key=lambda member: (load[member], member))
        load[split[partition]] += 1
    moved = True
    while moved:
        moved = False
        for partition in sorted(split, reverse=True):
            lightest = min(readers[partition], key=lambda member: (load[member], member))
            if load[split[partition]] - load[lightest] > 1:
                load[split[partition]] -= 1
                load[lightest] += 1
                split[partition] = lightest
                moved = True
    return split


class Groups:
    """The groups' file."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA)
        self._place = place()

    def join(self, group: str, member: str, partitions: Sequence[Partition]) -> str:
        """Enter a group and return this incarnation's id; an earlier incarnation of the same member is fenced."""
        incarnation = uuid.uuid4().hex
        self._enter(group, member, incarnation, partitions, take_over=True)
        return incarnation

    def _enter(
        self, group: str, member: str, incarnation: str, partitions: Sequence[Partition], *, take_over: bool
    ) -> None:
        with self._database.transaction():
            there = self._database.row(
                "SELECT incarnation FROM members WHERE grp = ? AND member = ?", (group, member)
            )
            if there is not None and there[0] == incarnation:
                return
            if there is not None and not take_over:
                raise StopError(f"another process has taken member {member} of group {group}")
            self._release(group, member)
            self._database.run(
                "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (group, member, incarnation, self._place, os.getpid(), started(os.getpid()),
                 json.dumps(list(partitions)), time.monotonic() + LEASE_S),
            )  # fmt: skip

    def renew(self, group: str, member: str, incarnation: str) -> None:
        """Prolong the lease; nothing happens where it is lost already."""
        with self._database.transaction():
            self._prolong(group, member, incarnation)

    def stand(
        self,
        group: str,
        member: str,
        incarnation: str,
        partitions: Sequence[Partition],
        held: Mapping[Partition, int],
    ) -> Standing:
        """Look at the group, bury the dead, take what is free and due to this member.

        Parameters
        ----------
        held
            Generations under which the member holds partitions, to its own knowledge.

        Raises
        ------
        StopError
            Another process runs under this member's name.
        """
        living, dead = self._members(group)
        if dead or living.get(member) != incarnation or self._due(group, member, living):
            self._enter(group, member, incarnation, partitions, take_over=False)
            with self._database.transaction():
                self._prolong(group, member, incarnation)
                living, dead = self._members(group)
                self._bury(group, dead)
                self._claim(group, member, self._due(group, member, living))
        owned = self._owned(group, member)
        committed = dict.fromkeys(owned, 0) | self.committed(group)
        gained = {
            part: Owned(generation, committed[part])
            for part, generation in owned.items()
            if held.get(part) != generation
        }
        split = self._split(group, living)
        return Standing(owned, gained, frozenset(part for part in owned if split.get(part) != member))

    def release(self, group: str, member: str, held: Mapping[Partition, int]) -> None:
        """Hand partitions over: whoever they are due to takes them at its next look."""
        with self._database.transaction():
            for (topic, number), generation in held.items():
                self._database.run(
                    "UPDATE owners SET member = NULL WHERE grp = ? AND topic = ? AND number = ? AND member = ?"
                    " AND generation = ?",
                    (group, topic, number, member, generation),
                )

    def leave(self, group: str, member: str, incarnation: str) -> None:
        """Leave the group, unless a later incarnation has the name already."""
        with self._database.transaction():
            if self._database.run(
                "DELETE FROM members WHERE grp = ? AND member = ? AND incarnation = ?",
                (group, member, incarnation),
            ):
                self._release(group, member)

    def commit(
        self, group: str, member: str, held: Mapping[Partition, int], offsets: Mapping[Partition, int]
    ) -> None:
        """Record offsets, all or none; an offset below the committed one changes nothing.

        Raises
        ------
        StopError
            A partition has another owner or generation now.
        """
        with self._database.transaction():
            owned = self._owned(group, member)
            for partition, offset in offsets.items():
                generation = owned.get(partition)
                if generation is None or generation != held.get(partition):
                    raise StopError(
                        f"{partition[0]}[{partition[1]}] of group {group} has gone to another owner"
                    )
                self._database.run(
                    "INSERT INTO commits VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET next_offset = max(next_offset, excluded.next_offset)",
                    (group, *partition, offset),
                )

    def committed(self, group: str) -> dict[Partition, int]:
        """Every offset that the group ever committed."""
        found = self._database.rows("SELECT topic, number, next_offset FROM commits WHERE grp = ?", (group,))
        return {(topic, number): offset for topic, number, offset in found}

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def _prolong(self, group: str, member: str, incarnation: str) -> None:
        self._database.run(
            "UPDATE members SET expires_at = ? WHERE grp = ? AND member = ? AND incarnation = ?",
            (time.monotonic() + LEASE_S, group, member, incarnation),
        )

    def _members(self, group: str) -> tuple[dict[str, str], set[str]]:
        """Living members with their incarnations, and the names of the dead."""
        found = self._database.rows(
            "SELECT member, incarnation, place, pid, started, expires_at FROM members WHERE grp = ?", (group,)
        )
        living = {name: incarnation for name, incarnation, *rest in found if self._lives(*rest)}
        return living, {name for name, *_ in found} - living.keys()

    def _lives(self, where: str, pid: int, start: str, expires_at: float) -> bool:
        """Whether a member counts as alive. A lease longer than any is one from before the machine's restart."""
        left = expires_at - time.monotonic()
        return 0 < left <= LEASE_S and (where != self._place or pid == os.getpid() or alive(pid, start))

    def _owned(self, group: str, member: str) -> dict[Partition, int]:
        found = self._database.rows(
            "SELECT topic, number, generation FROM owners WHERE grp = ? AND member = ?", (group, member)
        )
        return {(topic, number): generation for topic, number, generation in found}

    def _release(self, group: str, member: str) -> None:
        self._database.run("UPDATE owners SET member = NULL WHERE grp = ? AND member = ?", (group, member))

    def _bury(self, group: str, dead: Iterable[str]) -> None:
        for member in dead:
            self._release(group, member)
            self._database.run("DELETE FROM members WHERE grp = ? AND member = ?", (group, member))

    def _owners(self, group: str) -> dict[Partition, str]:
        found = self._database.rows(
            "SELECT topic, number, member FROM owners WHERE grp = ? AND member IS NOT NULL", (group,)
        )
        return {(topic, number): member for topic, number, member in found}

    def _split(self, group: str, living: Iterable[str]) -> dict[Partition, str]:
        """Who shall own what, if only these members count."""
        members = self._database.rows("SELECT member, topics FROM members WHERE grp = ?", (group,))
        subscriptions = {
            member: [(topic, number) for topic, number in json.loads(parts)]
            for member, parts in members
            if member in living
        }
        return fair_split(subscriptions, self._owners(group))

    def _due(self, group: str, member: str, living: Iterable[str]) -> list[Partition]:
        """Partitions that nobody owns and this member shall."""
        owners = self._owners(group)
        return [
            part
            for part, owner in self._split(group, living).items()
            if owner == member and part not in owners
        ]

    def _claim(self, group: str, member: str, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._database.run(
                "INSERT INTO owners VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE"
                " SET member = excluded.member, generation = generation + 1 WHERE member IS NULL",
                (group, *partition, member),
            )
