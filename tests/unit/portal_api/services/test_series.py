from __future__ import annotations

import pytest

from portal_api.services.series import obstacle, series_views
from schemas.rows import ResultImageRow, StudyInstanceRow


def image(instance, *, series="se-1", digest="d1", received=1, **more):
    values = {"rows": 512, "columns": 512, "pixels_at_risk": "", **more}
    return StudyInstanceRow(
        site="north",
        study="st-1",
        instance=instance,
        digest=digest,
        series=series,
        received_at=received,
        **values,
    )


def test_series_and_images_stand_in_order_of_arrival():
    rows = [image("c", received=9), image("b", series="se-2", received=2), image("a", received=1)]
    views = series_views(rows, [])
    assert [(view.number, [each.instance for each in view.images]) for view in views] == [
        (1, ["a", "c"]),
        (2, ["b"]),
    ]


def test_the_first_version_of_an_instance_stays_current():
    (view,) = series_views(
        [image("a", digest="late", received=5), image("a", digest="first", received=1)], []
    )
    assert [each.digest for each in view.images] == ["first"]


def test_an_image_knows_how_many_boxes_were_blanked():
    (view,) = series_views([image("a", boxes_blanked=3), image("b")], [])
    assert [each.boxes_blanked for each in view.images] == [3, 0]


def test_an_image_knows_whether_it_has_an_overlay():
    overlay = ResultImageRow(site="north", study="st-1", revision=1, instance="a", overlay_key="k")
    (view,) = series_views([image("a"), image("b")], [overlay])
    assert [each.overlay for each in view.images] == [True, False]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, ""),
        ({"pixels_at_risk": "ultrasound"}, "ultrasound"),
        ({"pixels_at_risk": "a-reason-of-tomorrow"}, "a-reason-of-tomorrow"),
        ({"rows": 0}, "no image"),
        ({"columns": None}, "no image"),
    ],
)
def test_what_cannot_be_shown_says_why(more, told):
    said = obstacle(image("a", **more))
    assert told in said
    assert bool(said) is bool(told)
