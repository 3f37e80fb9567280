from __future__ import annotations

from portal_api.services.operations import LagView, audit_views, component_view, groups, lags, reasons
from schemas.rows import AuditEntryRow, QuarantinedObjectRow


def test_lag_is_what_is_written_and_not_committed():
    ends = {("t", 0): 10, ("t", 1): 4, ("u", 0): 9}
    committed = {"infer": {("t", 0): 7, ("t", 1): 4, ("u", 0): 0}}
    assert lags(ends, committed) == (LagView(group="infer", topic="t", records=3),)


def test_a_group_that_never_committed_a_topic_does_not_lag_behind_it():
    assert lags({("t", 0): 10}, {"stow": {("t", 0): 0}}) == ()


def test_a_commit_ahead_of_a_stale_end_is_no_negative_lag():
    assert lags({("t", 0): 3}, {"infer": {("t", 0): 5}})[0].records == 0


def test_refused_objects_are_counted_by_reason_commonest_first():
    rows = [
        QuarantinedObjectRow(
            site="n", day="d", quarantined_at=at, object_id=str(at), reason=reason, component="stow"
        )
        for at, reason in enumerate(["truncated", "not-dicom", "not-dicom"])
    ]
    assert [(each.reason, each.count, each.newest_at) for each in reasons(rows)] == [
        ("not-dicom", 2, 2),
        ("truncated", 1, 0),
    ]


def test_the_audit_counts_subjects_and_shows_the_newest_first():
    rows = [
        AuditEntryRow(
            site="n", day="d", event_id=str(at), recorded_at=at, action="vault.read", subjects='["a","b"]'
        )
        for at in (1, 2)
    ]
    assert [(each.at, each.subjects) for each in audit_views(rows)] == [(2, 2), (1, 2)]


def test_a_process_without_a_health_address_does_not_answer():
    assert component_view("infer", {"pid": 7}).state == "no answer"


def test_instances_of_a_component_are_one_group():
    assert groups(["infer-1", "infer-2", "route_study"]) == ["infer", "route_study"]
