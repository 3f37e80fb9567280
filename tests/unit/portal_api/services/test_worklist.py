from __future__ import annotations

from dataclasses import replace

import pytest

from portal_api.identity import Person
from portal_api.services import worklist
from portal_api.services.worklist import chips, matches, read_worklist, with_names
from runtime.vault import Vault
from schemas.rows import WorklistItemRow
from tests.support.portal import CASES, OTHER_SITE, Case, seed, seed_case

READER = Person(user="dr.reader", role="radiologist", site="north", csrf="")


def item(**values):
    return WorklistItemRow(site="north", shard=0, study="st-1", **values)


@pytest.mark.parametrize(
    ("row", "view", "belongs"),
    [
        (item(), "unread", True),
        (item(claimed_by="dr.reader"), "mine", True),
        (item(claimed_by="dr.second"), "mine", False),
        (item(), "mine", False),
        (item(urgency="not-analysed"), "not-analysed", True),
        (item(urgency="undetermined"), "not-analysed", True),
        (item(urgency="routine"), "not-analysed", False),
        (item(), "not-analysed", False),
        (item(modality="CT/SR"), "SR", True),
        (item(modality="CT"), "DX", False),
        (item(), "nonsense", False),
    ],
)
def test_a_view_takes_its_own_rows(row, view, belongs):
    assert matches(row, view, "dr.reader") is belongs


def test_chips_count_what_is_behind_them():
    rows = [
        item(modality="DX", claimed_by="dr.reader"),
        item(modality="CT", urgency="not-analysed"),
        item(modality="CT"),
    ]
    assert [(chip.view, chip.count, chip.chosen) for chip in chips(rows, "CT", "dr.reader")] == [
        ("unread", 3, False), ("mine", 1, False), ("not-analysed", 1, False), ("CT", 2, True), ("DX", 1, False),
    ]  # fmt: skip


def test_the_page_reads_the_vault_once_for_all_rows(seeded, monkeypatch):
    reads, inner = [], Vault.read_sound

    def counted(self, site, subjects, **why):
        reads.append(why)
        return inner(self, site, subjects, **why)

    monkeypatch.setattr(Vault, "read_sound", counted)
    page = with_names(seeded.connections, READER, read_worklist(seeded.connections, READER, "unread"))
    assert {row.patient.name for row in page.rows} >= {"DOE, Jane", "ROE, Max"}
    assert reads == [{"purpose": "treatment", "actor": "dr.reader", "actor_role": "radiologist"}]


def test_another_sites_studies_are_not_there(system):
    seed(system, [CASES[0], replace(CASES[1], site=OTHER_SITE)])
    page = read_worklist(system.connections, READER, "unread")
    assert [row.study for row in page.rows] == [CASES[0].study]


def test_the_validator_stays_while_nothing_changes_and_changes_with_a_row(seeded):
    before = read_worklist(seeded.connections, READER, "unread").etag
    assert read_worklist(seeded.connections, READER, "unread").etag == before
    seed_case(seeded, Case(number=99, name="NEW^One"))
    assert read_worklist(seeded.connections, READER, "unread").etag != before


def test_a_page_is_bounded_and_counts_the_rest(seeded, monkeypatch):
    monkeypatch.setattr(worklist, "SHOWN", 3)
    page = read_worklist(seeded.connections, READER, "unread")
    assert (len(page.rows), page.matching) == (3, len(CASES))
