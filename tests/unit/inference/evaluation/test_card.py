from __future__ import annotations

import pytest

from inference import demonstration
from inference.catalogue import all_models
from inference.evaluation import card
from tests.support.repository import ROOT

LARGEST_PICTURE = 400_000
"""Bytes: a page with its pictures loads at once."""
NAMES = sorted(all_models())


@pytest.mark.parametrize("name", NAMES)
def test_the_page_states_the_figures_beside_the_weights(name):
    assert (ROOT / card.FOLDER / f"{name}.md").read_text("utf-8") == card.page(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["reliability", "failures"])
def test_its_pictures_are_there_and_small(name, kind):
    picture = ROOT / card.FOLDER / f"{name}-{kind}.png"

    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < LARGEST_PICTURE


def test_labels_that_miss_an_aim_are_named():
    def figures(within, error):
        return {"localisation": {"box_within_a_cell": within}, "ece": error}

    measured = {
        "labels": {"one": figures(0.79, 0.01), "two": figures(0.8, 0.031), "three": figures(0.9, 0.03)}
    }

    boxes, error = card._missed(measured)

    assert "0.80" in boxes
    assert boxes.endswith(": one.")
    assert error.endswith(": two.")
    assert not list(card._missed({"labels": {"three": measured["labels"]["three"]}}))


@pytest.mark.parametrize("name", NAMES)
def test_no_shipped_label_misses_an_aim(name):
    assert list(card._missed(demonstration.read(all_models()[name].SPEC.file)["measured"])) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_pooled_map_is_the_logit(name):
    assert demonstration.read(all_models()[name].SPEC.file)["measured"]["pooled_map_error"] <= 1e-4
