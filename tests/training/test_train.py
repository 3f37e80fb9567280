"""Needs torch: run by ``make test-training`` in the environment for training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from inference.training import train
from inference.training.network import Network, export
from inference.training.recipe import all_recipes

NAMES = sorted(all_recipes())


def network(name):
    torch.manual_seed(3)
    recipe = all_recipes()[name]
    made = Network(recipe)
    with torch.no_grad():
        for _ in range(2):  # so that batch norms are not trivial
            made(torch.rand(4, recipe.channels, recipe.side, recipe.side) * 200)
    return made.eval()


def images(recipe, count=3):
    high = 200 if recipe.dtype == "uint8" else 3000
    shape = (count, recipe.channels, recipe.side, recipe.side)
    return np.random.default_rng(0).integers(0, high, shape).astype(recipe.dtype)


@pytest.mark.parametrize("name", NAMES)
def test_the_exported_graph_gives_what_torch_gives(tmp_path, name):
    made, path = network(name), tmp_path / "made.onnx"
    export(made, path)
    raw = images(made.recipe)
    with torch.no_grad():
        expected = made(torch.from_numpy(raw.astype(np.float32)))
    found = onnxruntime.InferenceSession(str(path)).run(["logits", "cam"], {"image": raw})

    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


def test_the_exported_file_is_small_and_of_the_versions_that_servers_read(tmp_path):
    path = tmp_path / "made.onnx"
    export(network(NAMES[0]), path)
    model = onnx.load(str(path))

    assert path.stat().st_size < 2_000_000
    assert (model.ir_version, model.opset_import[0].version) == (9, 17)


def test_statistics_are_those_of_the_raw_numbers(tmp_path):
    made, path = network("head_ct_demo"), tmp_path / "made.onnx"
    export(made, path)
    raw = images(made.recipe, 1)
    (told,) = onnxruntime.InferenceSession(str(path)).run(["input_stats"], {"image": raw})[0]
    real = raw[0, 0].astype(float)
    off = real - real.mean()

    expected = (
        real.mean(),
        real.std(),
        np.abs(np.diff(real, axis=1)).mean(),
        (off**3).mean() / real.std() ** 3,
    )
    np.testing.assert_allclose(told, expected, rtol=1e-3, atol=1e-3)


def test_two_trainings_of_one_seed_are_the_same(monkeypatch, tmp_path):
    recipe = replace(all_recipes()["brain_mr_demo"], training_images=16, epochs=1)
    monkeypatch.setattr(train, "BATCH", 8)
    for name in ("one", "two"):
        export(train.train(recipe, say=lambda _: None), tmp_path / name)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_augmentation_moves_image_and_mask_together_and_keeps_the_range(name):
    recipe = all_recipes()[name]
    raw = torch.from_numpy(images(recipe, 2).astype(np.float32))
    masks = torch.rand(2, len(recipe.labels), recipe.cells, recipe.cells)
    generator = torch.Generator().manual_seed(1)
    moved, their = train.augmented(recipe, raw, masks, generator)

    assert moved.shape == raw.shape
    assert torch.equal(their.flatten(1).sort(dim=1).values, masks.flatten(1).sort(dim=1).values)
    assert not torch.equal(moved, raw)
