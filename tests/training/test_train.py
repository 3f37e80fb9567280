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
from inference.training.recipes import all_recipes

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


def reached(*columns):
    """A sure map, and a mask, of one label over these columns of the third row."""
    made = torch.zeros(1, 1, 8, 8)
    made[..., 2, list(columns)] = 1
    return made * 12 - 6, made


def test_a_map_that_reaches_a_cell_too_far_is_as_wrong_as_one_that_stops_a_cell_short():
    truth = reached(2, 3, 4)[1]
    right, far, short = (
        float(train.reach_error(reached(*columns)[0], truth)) for columns in ((2, 3, 4), (2, 3, 4, 5), (2, 3))
    )

    assert far == pytest.approx(short)
    assert far > 10 * right


def test_without_a_weight_a_recipe_asks_nothing_of_the_reach():
    masks, cam = reached(2, 3)[1], reached(4, 5)[0]
    recipe = replace(all_recipes()["brain_mr_demo"], reach_weight=0.0)
    plain, asked = (
        train.loss_of(each, torch.zeros(1, 1), cam, torch.ones(1, 1), masks, torch.ones(1))
        for each in (recipe, replace(recipe, reach_weight=1.0))
    )

    assert asked - plain == pytest.approx(float(recipe.map_weight * train.reach_error(cam, masks)))


def resnet_state(colour=True):
    """Weights under torchvision's names: basic units in two stages, one with a bottleneck."""
    torch.manual_seed(0)

    def unit(prefix, inputs, widths, kernels, projected):
        made, before = {}, inputs
        for i, (width, kernel) in enumerate(zip(widths, kernels, strict=True), start=1):
            made[f"{prefix}.conv{i}.weight"] = torch.randn(width, before, kernel, kernel) / 10
            made |= norm(f"{prefix}.bn{i}", width)
            before = width
        if projected:
            made[f"{prefix}.downsample.0.weight"] = torch.randn(widths[-1], inputs, 1, 1) / 10
            made |= norm(f"{prefix}.downsample.1", widths[-1])
        return made

    def norm(prefix, width):
        told = {"weight": torch.ones(width), "bias": torch.zeros(width)}
        told |= {"running_mean": torch.zeros(width), "running_var": torch.ones(width)}
        return {f"{prefix}.{name}": value for name, value in told.items()}

    state = {"conv1.weight": torch.randn(8, 3 if colour else 1, 7, 7) / 10, **norm("bn1", 8)}
    state |= unit("layer1.0", 8, (8, 8), (3, 3), False) | unit("layer2.0", 8, (16, 16), (3, 3), True)
    state |= unit("layer3.0", 16, (8, 8, 32), (1, 3, 1), True)
    return state | {"fc.weight": torch.zeros(5, 32)}


def test_a_backbone_s_weights_are_started_from_held_still_and_exported(tmp_path, monkeypatch):
    file = tmp_path / "resnet.pt"
    torch.save(resnet_state(), file)
    recipe = replace(all_recipes()["brain_mr_demo"], training_images=16, epochs=1)
    monkeypatch.setattr(train, "BATCH", 8)
    made = train.train(recipe, backbone=file, say=lambda _: None)
    made.write(tmp_path / "made.onnx")
    raw = images(recipe)
    with torch.no_grad():
        expected = made(torch.from_numpy(raw.astype(np.float32)))
    found = onnxruntime.InferenceSession(str(tmp_path / "made.onnx")).run(["logits", "cam"], {"image": raw})

    torch.testing.assert_close(
        made.layer2[0].conv1.weight.contiguous(), resnet_state()["layer2.0.conv1.weight"]
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


def test_weights_that_are_no_resnet_s_are_refused(tmp_path):
    file = tmp_path / "other.pt"
    torch.save({"features.0.weight": torch.zeros(1)}, file)

    with pytest.raises(ValueError, match="ResNet"):
        train.train(all_recipes()["brain_mr_demo"], backbone=file)
