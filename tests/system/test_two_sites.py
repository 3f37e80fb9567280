"""Two sites with equal patient ids, accession numbers and UIDs never meet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from runtime import buckets
from runtime.settings import DeliverySettings
from schemas.events import AlertState, Event, Findings, InstanceReceived, StudyState
from schemas.rows import StudyInstanceRow, WorklistItemRow
from schemas.tables import WORKLIST_SHARDS
from tests.support.cluster import PROFILES, engines
from tests.support.processes import WAIT_S
from tests.support.readers import come_to_rest
from tests.support.senders import Department, Sent, ct, xray
from tests.support.servers import SharedServers
from tests.support.system import System, system
from tests.support.verdict import gather, judge

pytestmark = pytest.mark.timeout(3600)
"""seconds: a machine that does ten other things takes ten times as long."""
SITES = ("north", "south")


@dataclass(frozen=True)
class Both:
    """The same files at two sites, and all that came of it."""

    system: System
    sent: tuple[Sent, ...]
    department: Department

    def studies(self, site: str) -> set[str]:
        """Keys of what a site sent."""
        return {self.system.study_key(site, sent.study_uid) for sent in self.sent if sent.site == site}

    def xray(self, site: str) -> str:
        """Key of a site's X-ray."""
        return next(
            self.system.study_key(site, sent.study_uid)
            for sent in self.sent
            if (sent.site, sent.kind) == (site, "xray")
        )


@pytest.fixture(scope="module", params=PROFILES)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, servers: SharedServers
) -> Iterator[Both]:
    sent = tuple(
        study for site in SITES for study in (xray(1, site, alerting=True), ct(2, site, slices=3, requests=1))
    )
    twice = DeliverySettings(redeliver=True, cut_batches=True, seed=7)
    folder = tmp_path_factory.mktemp("sites")
    with system(
        folder,
        sites=SITES,
        triton=False,
        quiet_window_s=1.0,
        delivery=twice,
        engines=engines(request.param, servers),
    ) as running:
        department = Department(running.stow, {site: running.token(site) for site in SITES}, len(SITES))
        for study in sent:
            department.send(study)
        department.finish()
        found = Both(running, sent, department)
        come_to_rest(running)
        yield found


@contextlib.contextmanager
def person(both: Both, site: str) -> Iterator[httpx.Client]:
    """A radiologist's browser, signed in at a site."""
    token = both.system.token(site, "radiologist", f"dr-{site}")
    with httpx.Client(base_url=both.system.portal, trust_env=False, timeout=WAIT_S) as client:
        assert client.post("/login", data={"token": token}).status_code == httpx.codes.SEE_OTHER
        yield client


def test_the_two_sites_sent_the_same_bytes() -> None:
    for study in (lambda site: xray(1, site, alerting=True), lambda site: ct(2, site, slices=3, requests=1)):
        one, other = (study(site) for site in SITES)
        assert one.site != other.site
        assert one.requests == other.requests


def test_equal_uids_have_no_key_in_common(both: Both) -> None:
    assert not both.studies("north") & both.studies("south")
    assert all(len(both.studies(site)) == 2 for site in SITES)


def test_each_site_has_all_of_its_own_once(both: Both) -> None:
    assert judge(gather(both.system, both.department.ledger)) == []


def test_events_of_a_site_name_nothing_of_the_other(both: Both) -> None:
    topics: dict[str, type[Event]] = {
        "instance.received.v1": InstanceReceived,
        "study.state.v1": StudyState,
        "findings.v1": Findings,
        "alerts.v1": AlertState,
    }
    for topic, kind in topics.items():
        for event in both.system.events(topic, kind):
            assert event.envelope.study in both.studies(event.envelope.site)
    received = both.system.events("instance.received.v1", InstanceReceived)
    named = {
        site: {
            name
            for event in received
            if event.envelope.site == site
            for each in event.instances
            for name in (each.instance, each.series, each.raw_digest, each.object_key)
        }
        for site in SITES
    }
    assert not named["north"] & named["south"]


def test_rows_and_objects_lie_apart(both: Both) -> None:
    for site in SITES:
        listed = {
            row.study
            for shard in range(WORKLIST_SHARDS)
            for row in both.system.rows(WorklistItemRow, site=site, shard=shard)
        }
        assert listed == both.studies(site)
        for bucket in (buckets.CLEAN, buckets.RESULTS):
            keys = both.system.keys(bucket, f"{site}/")
            assert {key.split("/")[1] for key in keys} == (both.studies(site))
    for bucket in buckets.ALL:
        assert {key.split("/")[0] for key in both.system.keys(bucket)} <= set(SITES)


def test_equal_files_are_deidentified_apart(both: Both) -> None:
    digests = [
        {
            row.digest
            for study in both.studies(site)
            for row in both.system.rows(StudyInstanceRow, site=site, study=study)
        }
        for site in SITES
    ]
    assert not digests[0] & digests[1]


def test_each_site_is_paged_for_its_own_study(both: Both) -> None:
    paged = {(delivery["site"], delivery["study"]) for delivery in both.system.deliveries()}
    assert paged == {(site, both.xray(site)) for site in SITES}
    assert len({delivery["key"] for delivery in both.system.deliveries()}) == len(SITES)


@pytest.mark.parametrize(("mine", "other"), [("north", "south"), ("south", "north")])
def test_a_reader_sees_only_their_own_site(both: Both, mine: str, other: str) -> None:
    with person(both, mine) as client:
        listed = {row["study"] for row in client.get("/api/worklist").json()["rows"]}
        assert listed == both.studies(mine)
        alerts = {alert["study"] for alert in client.get("/api/alerts").json()["alerts"]}
        assert alerts == {both.xray(mine)}
        for study in both.studies(mine):
            assert client.get(f"/api/studies/{study}").status_code == httpx.codes.OK


@pytest.mark.parametrize(("mine", "other"), [("north", "south"), ("south", "north")])
def test_the_other_sites_study_is_not_there_under_any_address(both: Both, mine: str, other: str) -> None:
    theirs = both.xray(other)
    instance = both.system.rows(StudyInstanceRow, site=other, study=theirs)[0].instance
    addresses = (
        f"/studies/{theirs}",
        f"/api/studies/{theirs}",
        f"/api/studies/{theirs}/trace",
        f"/api/studies/{theirs}/images/{instance}",
        f"/api/studies/{theirs}/images/{instance}/overlay",
    )
    with person(both, other) as client:
        assert [client.get(address).status_code for address in addresses] == [httpx.codes.OK] * len(addresses)
    with person(both, mine) as client:
        assert [client.get(address).status_code for address in addresses] == [httpx.codes.NOT_FOUND] * len(
            addresses
        )


@pytest.mark.parametrize(("mine", "other"), [("north", "south"), ("south", "north")])
def test_a_reader_cannot_act_on_the_other_sites_study(both: Both, mine: str, other: str) -> None:
    theirs = both.xray(other)
    token = both.system.token(mine, "radiologist", f"dr-{mine}")
    headers = {"Authorization": f"Bearer {token}"}
    alert = next(delivery["alert_id"] for delivery in both.system.deliveries() if delivery["site"] == other)
    with httpx.Client(
        base_url=both.system.portal, trust_env=False, headers=headers, timeout=WAIT_S
    ) as client:
        claim = {"action": "claim", "revision_seen": 1, "version_seen": 0}
        assert client.post(f"/api/studies/{theirs}/reviews", json=claim).status_code == httpx.codes.NOT_FOUND
        seen = {"study": theirs, "version_seen": 1}
        assert client.post(f"/api/alerts/{alert}/acknowledge", json=seen).status_code == httpx.codes.NOT_FOUND
