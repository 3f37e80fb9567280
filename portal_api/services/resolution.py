"""The way back from a study's key to its accession number, for a system that has to find the study in its own terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from portal_api.identity import Person
from runtime.connections import Connections

MOST_STUDIES = 500
"""Studies in one request: one audit event still names them all, and a reader of rows answers within a second or two."""
STUDY_FORM = r"^st-[0-9a-f]{32}$"
"""What a study's key looks like: anything else, a name for example, must reach neither the audit nor a log."""


class Purpose(StrEnum):
    """What a system may need identity for."""

    TREATMENT = "treatment"
    """The patient's own care: a report, a worklist, an order."""
    QUALITY = "quality-assurance"
    """Comparing findings with reports."""
    RESEARCH = "research"
    """A study that somebody approved."""
    OPERATIONS = "operations"
    """Reconciling what was sent with what came back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedStudy:
    """One study's answer.

    `known`: the accession number is as the sender wrote it, and empty where the sender wrote none. `unknown`: no study of this
    site, whoever else may have it. `unreadable`: there is an entry and it is damaged; asking again gives nothing else.
    """

    study: str
    state: Literal["known", "unknown", "unreadable"]
    accession_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedView:
    """Answers in the order of the question, each study once."""

    studies: tuple[ResolvedStudy, ...]


def resolve(
    connections: Connections, person: Person, purpose: Purpose, studies: Sequence[str]
) -> ResolvedView:
    """Look studies up in the vault of the asker's site, after one audit event for all of them is confirmed.

    Raises
    ------
    RetryError
        The audit event or the vault are not to be had now; nothing is answered.
    """
    asked = tuple(dict.fromkeys(studies))
    found, damaged = connections.vault.read_sound(
        person.site, asked, purpose=purpose.value, actor=person.user, actor_role=person.role
    )

    def answer(study: str) -> ResolvedStudy:
        if study in damaged:
            return ResolvedStudy(study=study, state="unreadable")
        if study not in found:
            return ResolvedStudy(study=study, state="unknown")
        return ResolvedStudy(study=study, state="known", accession_number=found[study].accession_number)

    return ResolvedView(studies=tuple(map(answer, asked)))
