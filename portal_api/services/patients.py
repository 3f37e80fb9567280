"""Names behind pseudonyms: one audited vault read per request, for all studies on the page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from portal_api.identity import Person
from runtime.clock import MICROSECONDS
from runtime.connections import Connections
from runtime.vault import Identity

PURPOSE = "treatment"
"""Why a reader sees a name; goes into the audit event of the read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientView:
    """A patient as a page names them; every field may be empty."""

    name: str = ""
    patient_id: str = ""
    sex: str = ""
    age: str = ""
    accession_number: str = ""
    description: str = ""
    source: str = ""


OLDEST_YEARS = 130
"""A birth date further back is a mistake of whoever typed it, and no age at all."""

UNKNOWN = PatientView()


def identify(connections: Connections, person: Person, studies: Sequence[str]) -> dict[str, PatientView]:
    """Return the patient behind each study that the vault knows."""
    if not studies:
        return {}
    # A damaged entry hides its own name and no other.
    identities, _ = connections.vault.read_sound(
        person.site, studies, purpose=PURPOSE, actor=person.user, actor_role=person.role
    )
    today = dt.datetime.fromtimestamp(connections.clock.now() / MICROSECONDS, dt.UTC).date()
    return {study: patient_view(identity, today) for study, identity in identities.items()}


def patient_view(identity: Identity, today: dt.date) -> PatientView:
    """Turn DICOM values into what a person reads."""
    return PatientView(
        name=readable_name(identity.patient_name),
        patient_id=identity.patient_id,
        sex=identity.patient_sex,
        age=age(identity.patient_birth_date, today),
        accession_number=identity.accession_number,
        description=identity.study_description,
        source=" · ".join(part for part in (identity.institution_name, identity.station) if part),
    )


def readable_name(person_name: str) -> str:
    """Turn a DICOM person name (PS3.5 §6.2.1: family^given^middle^prefix^suffix, groups by `=`) into `FAMILY, Given`."""
    groups = [group for group in person_name.split("=") if group.strip(" ^")]
    if not groups:
        return ""
    family, *others = (part.strip() for part in groups[0].split("^"))
    given = " ".join(part for part in others[:2] if part)
    return ", ".join(part for part in (family, given) if part)


def age(birth_date: str, today: dt.date) -> str:
    """Return the age on a day from a DICOM date (`YYYYMMDD`): years, below two years months; empty if not a date."""
    try:
        born = (
            dt.datetime.strptime(birth_date.replace("-", "").strip(), "%Y%m%d").replace(tzinfo=dt.UTC).date()
        )
    except ValueError:
        return ""
    months = (today.year - born.year) * 12 + today.month - born.month - (today.day < born.day)
    if not 0 <= months // 12 <= OLDEST_YEARS:
        return ""
    return f"{months} mo" if months < 24 else f"{months // 12}"
