from __future__ import annotations

from portal_api.services.trace import hop_views, stages
from schemas.rows import TraceHopRow


def hop(event, at, event_id="e"):
    return TraceHopRow(
        site="north", study="st-1", event_id=event_id, recorded_at=at, event=event, producer="p"
    )


def test_times_count_from_receipt():
    views = hop_views([hop("RiskScored", 4_100_000), hop("InstanceReceived", 1_000_000)], 1_000_000)
    assert [(view.stage, view.after_s) for view in views] == [("received", 0.0), ("scored", 3.1)]


def test_without_a_receipt_times_count_from_the_first_hop():
    assert [
        view.after_s
        for view in hop_views([hop("Findings", 5_000_000, "b"), hop("StudyState", 2_000_000)], None)
    ] == [0.0, 3.0]


def test_a_stage_is_the_way_of_the_first_result():
    rows = [
        hop("Findings", 9_000_000, "late"),
        hop("Findings", 2_000_000, "first"),
        hop("AuditEvent", 3_000_000, "audit"),
    ]
    assert [(view.stage, view.event_id) for view in stages(rows, 0)] == [("findings", "first")]


def test_no_hops_are_no_stages():
    assert stages([], None) == ()
