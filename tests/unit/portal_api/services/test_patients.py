from __future__ import annotations

import datetime as dt

import pytest

from portal_api.identity import Person
from portal_api.services.patients import age, identify, patient_view, readable_name
from runtime.vault import Identity
from schemas.rows import VaultEntryRow

TODAY = dt.date(2026, 11, 21)


@pytest.mark.parametrize(
    ("dicom", "shown"),
    [
        ("DOE^Jane", "DOE, Jane"),
        ("DOE^Jane^Q^Dr^MD", "DOE, Jane Q"),
        ("DOE", "DOE"),
        ("^Jane", "Jane"),
        ("", ""),
        ("^^^^", ""),
        ("=山田^太郎", "山田, 太郎"),
        ("Yamada^Tarou=山田^太郎", "Yamada, Tarou"),
    ],
)
def test_a_dicom_name_reads_as_a_person_writes_it(dicom, shown):
    assert readable_name(dicom) == shown


@pytest.mark.parametrize(
    ("born", "shown"),
    [
        ("19641121", "62"),
        ("19641122", "61"),
        ("20251201", "11 mo"),
        ("20261121", "0 mo"),
        ("20241121", "2"),
        ("1964", ""),
        ("", ""),
        ("20991231", ""),
        ("11111111", ""),
        ("not-a-date", ""),
    ],
)
def test_an_age_counts_whole_years_and_below_two_months(born, shown):
    assert age(born, TODAY) == shown


def test_a_view_joins_where_the_study_comes_from():
    view = patient_view(Identity(institution_name="North", station="ICU 3"), TODAY)
    assert view.source == "North · ICU 3"


def test_a_damaged_vault_entry_hides_its_own_name_and_no_other(system):
    vault, tables = system.connections.vault, system.connections.tables
    for study in ("st-a", "st-b"):
        vault.store("north", study, Identity(patient_name=f"{study}^X"), at=1)
    tables.write(VaultEntryRow(site="north", subject="st-a", ciphertext=b"damaged"), at=2)
    reader = Person(user="r", role="radiologist", site="north", csrf="")
    assert [*identify(system.connections, reader, ["st-a", "st-b"])] == ["st-b"]
