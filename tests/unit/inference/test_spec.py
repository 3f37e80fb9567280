from __future__ import annotations

from dataclasses import replace

import pytest

from inference.models.cxr_demo import SPEC
from inference.spec import Code, Label

LABEL = Label(
    "effusion", Code("1", "99TEST", "Effusion", verified=False), temperature=2.0, bias=0.5, threshold=0.6
)


@pytest.mark.parametrize(
    ("logit", "probability"), [(-1.0, 0.5), (1e6, 1.0), (-1e6, 0.0), (1.0, 0.7310585786)]
)
def test_a_logit_becomes_a_calibrated_probability(logit, probability):
    assert LABEL.probability(logit) == pytest.approx(probability)


@pytest.mark.parametrize(("logit", "probability"), [(-1.0, 0.6), (1e6, 1.0), (-1e6, 0.2)])
def test_no_probability_is_below_how_often_a_finding_does_not_show(logit, probability):
    assert replace(LABEL, floor=0.2).probability(logit) == pytest.approx(probability)


@pytest.mark.parametrize(("logit", "present"), [(-0.3, False), (0.0, True), (3.0, True)])
def test_a_finding_is_present_from_its_threshold_on(logit, present):
    assert LABEL.present(logit) is present


def test_weights_are_refused_unless_they_are_the_declared_ones(tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(b"not the weights")

    assert len(SPEC.weights()) > 0
    with pytest.raises(ValueError, match="not the file"):
        replace(SPEC, file=other).weights()


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 2.1},
        {"bias": 0.6},
        {"floor": 0.01},
        {"threshold": 0.7},
        {"code": Code("2", "99TEST", "Effusion", verified=False)},
    ],
)
def test_the_calibration_digest_changes_with_what_an_output_means(change):
    spec = replace(SPEC, labels=(LABEL,))

    assert replace(spec, labels=(replace(LABEL, **change),)).calibration_digest != spec.calibration_digest
    assert replace(spec, labels=(LABEL,)).calibration_digest == spec.calibration_digest


def test_a_label_is_found_by_name():
    assert SPEC.label("effusion").name == "effusion"
    with pytest.raises(KeyError):
        SPEC.label("fracture")
