"""Needs torch: run by ``make test-training`` in the environment for training."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import torch

from inference.golden import golden_image
from inference.training import train_cxr
from inference.training.phantoms import LABELS, generate


def network():
    torch.manual_seed(3)
    made = train_cxr.Network()
    with torch.no_grad():
        for _ in range(2):
            made(
                torch.rand(4, 1, train_cxr.SIDE, train_cxr.SIDE) * 65535
            )  # so that batch norms are not trivial
    return made.eval()


def test_the_exported_graph_gives_what_torch_gives(tmp_path):
    made, path = network(), tmp_path / "made.onnx"
    train_cxr.export(made, path)
    images = np.random.default_rng(0).integers(
        0, 65535, (3, 1, train_cxr.SIDE, train_cxr.SIDE), dtype=np.uint16
    )

    with torch.no_grad():
        expected = made(torch.from_numpy(images.astype(np.float32)))
    found = onnxruntime.InferenceSession(str(path)).run(["logits", "cam"], {"image": images})

    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


def test_the_exported_file_is_small_and_of_the_versions_that_servers_read(tmp_path):
    path = tmp_path / "made.onnx"
    train_cxr.export(network(), path)

    model = onnx.load(str(path))
    assert path.stat().st_size < 2_000_000
    assert (model.ir_version, model.opset_import[0].version) == (9, 17)


def test_the_result_does_not_depend_on_the_grey_scale_of_the_detector():
    made = network()
    image = torch.from_numpy(golden_image(train_cxr.SIDE)[None].astype(np.float32)) / 2

    with torch.no_grad():
        one, other = made(image)[0], made(image * 1.5 + 900)[0]

    torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-3)


def test_an_example_has_its_masks_where_its_labels_are():
    for seed in range(1_000_000, 1_000_008):
        image, masks, truth = train_cxr.example(seed)

        assert image.shape == (train_cxr.SIDE, train_cxr.SIDE)
        assert masks.shape == (len(LABELS), train_cxr.CELLS, train_cxr.CELLS)
        assert [bool(v) for v in masks.reshape(len(LABELS), -1).any(axis=1)] == truth.tolist()
        assert truth.tolist() == [name in generate(seed, rows=64, columns=64).labels for name in LABELS]


def test_two_trainings_of_one_seed_are_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(train_cxr.seeds, "TRAINING", range(1_000_000, 1_000_016))
    monkeypatch.setattr(train_cxr, "BATCH", 8)
    monkeypatch.setattr(train_cxr, "EPOCHS", 1)

    for name in ("one", "two"):
        train_cxr.export(train_cxr.train(None), tmp_path / name)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_is_written_down_is_what_the_product_reads(monkeypatch, tmp_path):
    for purpose, first in (("CALIBRATION", 2_000_000), ("TEST", 3_000_000)):
        monkeypatch.setattr(train_cxr.seeds, purpose, range(first, first + 24))
    path = tmp_path / "cxr_demo.onnx"
    train_cxr.export(network(), path)

    told = json.loads(json.dumps(train_cxr.describe(path, 1.0)))

    assert set(told["labels"]) == set(LABELS)
    assert all(v["temperature"] > 0 and 0.3 <= v["threshold"] <= 1.01 for v in told["labels"].values())
    assert len(told["golden"]["logits"]) == len(LABELS)
    assert len(told["sha256"]) == 64
