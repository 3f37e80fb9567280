from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from inference.backend import canary
from inference.in_process import InProcess
from inference.models import cxr_demo
from inference.training import seeds
from inference.training.phantoms import LABELS, SyntheticIdentity, generate, to_dicom

WHO = SyntheticIdentity("Probe^Synthetic", "P1", "A1", "19700101", "F", datetime(2026, 1, 2, tzinfo=UTC))
TOLD = json.loads(cxr_demo.SPEC.file.with_suffix(".json").read_text())


async def read(seed, findings):
    phantom = generate(seed, findings=frozenset(findings))
    frame = cxr_demo.preprocess(to_dicom(phantom, WHO))
    outputs = await InProcess().infer(cxr_demo.SPEC, {"image": frame.tensor[None]})
    found = cxr_demo.postprocess({name: value[0] for name, value in outputs.items()}, frame.geometry)
    return phantom, {finding.label: finding for finding in found}


async def test_the_shipped_weights_give_the_outputs_that_training_wrote_down():
    assert await canary(InProcess(), cxr_demo.SPEC)


@pytest.mark.parametrize("label", ["pneumothorax", "effusion", "consolidation", "cardiomegaly"])
async def test_a_finding_is_seen_and_boxed_where_it_is(label):
    phantom, found = await read(seeds.DEMONSTRATION.start + 21, {label})

    assert found[label].present
    x0, y0, x1, y1 = found[label].box
    rows, columns = np.nonzero(phantom.masks[label])
    middle = np.median(columns), np.median(rows)
    assert x0 - 24 <= middle[0] <= x1 + 24
    assert y0 - 24 <= middle[1] <= y1 + 24
    assert found[label].heat.shape == (cxr_demo.SIDE, cxr_demo.SIDE)
    assert 0 <= found[label].heat.min() <= found[label].heat.max() <= 1


async def test_one_clear_chest_in_ten_at_most_is_called_anything_and_only_what_is_called_is_boxed():
    chests = [(await read(seed, set()))[1] for seed in seeds.DEMONSTRATION[40:50]]

    assert sum(any(finding.present for finding in found.values()) for found in chests) <= 1
    assert all((f.box is not None) is f.present for found in chests for f in found.values())


def test_it_is_told_to_be_a_demonstration():
    assert cxr_demo.SPEC.demonstration
    assert "Not for clinical use" in cxr_demo.SPEC.intended_use


def test_labels_are_those_of_the_generator_and_the_graph():
    assert tuple(label.name for label in cxr_demo.SPEC.labels) == LABELS
    assert cxr_demo.SPEC.outputs[0].dims == (len(LABELS),)


def test_no_code_is_called_verified_in_a_private_scheme():
    assert [c for c in cxr_demo.CODES.values() if c.verified == c.scheme.startswith("99")] == []


def test_the_stated_figures_hold_what_the_card_promises():
    areas = {name: TOLD["measured"]["auroc"][name]["value"] for name in LABELS}

    assert all(areas[name] >= 0.75 for name in LABELS)
    assert TOLD["measured"]["auroc_mean"] >= 0.95
    assert all(areas[name] >= 0.93 for name in ("pneumothorax", "effusion", "cardiomegaly"))


def test_outputs_that_do_not_fit_the_labels_are_refused():
    geometry = cxr_demo.preprocess(to_dicom(generate(1), WHO)).geometry
    with pytest.raises(ValueError, match="one row per label"):
        cxr_demo.postprocess({"logits": np.zeros(3), "cam": np.zeros((3, 2, 2))}, geometry)
