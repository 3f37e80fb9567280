"""Imports against the real architecture with seeded random weights: no download, no network."""

from __future__ import annotations

import copy
import hashlib
import json
import re

import onnxruntime
import pytest
import torch

from inference.training import densenet
from inference.training.densenet import DenseNet
from inference.training.imports import imported, monai_bundle, rsna_hemorrhage, torchxrayvision
from inference.training.imports.__main__ import main

SOURCES = {
    "torchxrayvision": (torchxrayvision, 1, 18),
    "rsna-hemorrhage": (rsna_hemorrhage, 3, 6),
    "monai-bundle": (monai_bundle, 3, 2),
}
METADATA = {
    "name": "Chest demo",
    "license": "Apache-2.0",
    "network_data_format": {
        "inputs": {"image": {"spatial_shape": [128, 128], "value_range": [0, 1], "modality": "XR"}},
        "outputs": {"pred": {"channel_def": {"0": "Normal", "1": "Pneumonia"}}},
    },
}

NETWORK = {"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 3, "out_channels": 2}
MISSING = object()


def seeded(channels, labels):
    torch.manual_seed(5)
    made = DenseNet(channels, labels)
    with torch.no_grad():
        for _ in range(2):
            made(torch.randn(2, channels, 64, 64))
    return made.eval()


def saved(tmp_path, kind, channels, labels):
    state = seeded(channels, labels).state_dict()
    if kind == "monai-bundle":
        state = {k.replace("classifier.", "class_layers.out."): v for k, v in state.items()}
        state = {re.sub(r"(denselayer\d+)\.", r"\1.layers.", k): v for k, v in state.items()}
        folder = tmp_path / "bundle"
        (folder / "configs").mkdir(parents=True)
        (folder / "models").mkdir()
        network = {**NETWORK, "in_channels": channels, "out_channels": labels}
        (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
        (folder / "configs" / "inference.json").write_text(json.dumps({"network_def": network}))
        torch.save(state, folder / "models" / "model.pt")
        return folder, folder / "models" / "model.pt"
    file = tmp_path / "weights.pt"
    torch.save(state, file)
    return file, file


@pytest.mark.parametrize("kind", SOURCES)
def test_the_graph_answers_as_the_network_does(tmp_path, kind):
    _, channels, labels = SOURCES[kind]
    given, weights = saved(tmp_path, kind, channels, labels)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()

    assert main([kind, str(given), "--sha256", digest, "--output", str(tmp_path / "out")]) == 0

    (path,) = (tmp_path / "out").glob("*.onnx")
    told = json.loads(path.with_suffix(".json").read_text())
    outputs = onnxruntime.InferenceSession(str(path)).get_outputs()
    assert told["parity"] <= imported.PARITY == 1e-5
    assert told["imported_from_sha256"] == digest
    assert [each.name for each in outputs] == ["logits", "cam", "embedding", "input_stats"]
    assert len(told["labels"]) == labels
    assert (tmp_path / "out" / "triton" / path.stem / "config.pbtxt").exists()
    assert (tmp_path / "out" / "triton" / path.stem / "1" / "model.onnx").read_bytes() == path.read_bytes()


def test_the_pooled_map_is_the_logit():
    with torch.no_grad():
        logits, cam, _ = seeded(1, 4)(torch.randn(2, 1, 96, 96))

    torch.testing.assert_close(cam.mean(dim=(2, 3)), logits, atol=1e-5, rtol=1e-5)


def test_weights_of_another_digest_are_not_used(tmp_path, capsys):
    given, _ = saved(tmp_path, "torchxrayvision", 1, 18)

    assert main(["torchxrayvision", str(given), "--sha256", "0" * 64, "--output", str(tmp_path / "out")]) == 1
    assert "SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_pickled_module_is_refused_and_no_code_of_it_runs(tmp_path):
    file = tmp_path / "module.pt"
    torch.save(seeded(1, 18), file)

    with pytest.raises(imported.NotImportableError, match="state_dict"):
        imported.state_of(file)


def test_weights_of_another_kind_of_network_are_refused():
    with pytest.raises(ValueError, match="DenseNet"):
        densenet.loaded({"layer1.0.conv1.weight": torch.zeros(1)})


def test_a_bundle_of_another_network_says_what_it_holds():
    with pytest.raises(imported.NotImportableError, match="UNet"):
        monai_bundle.described(
            METADATA, {"network_def": {"_target_": "monai.networks.nets.UNet", "spatial_dims": 3}}
        )


@pytest.mark.parametrize(
    ("of", "key", "value"),
    [
        ("metadata", "network_data_format", None),
        ("metadata", "name", MISSING),
        ("image", "value_range", []),
        ("image", "value_range", [1, 1]),
        ("image", "spatial_shape", ["*", "*"]),
        ("pred", "channel_def", {"first": "Normal"}),
        ("network", "in_channels", MISSING),
    ],
)
def test_a_bundle_that_does_not_describe_itself_is_refused_with_what_is_needed(of, key, value):
    metadata, inference = copy.deepcopy(METADATA), {"network_def": dict(NETWORK)}
    formats = metadata["network_data_format"]
    described = {
        "metadata": metadata, "network": inference["network_def"],
        "image": formats["inputs"]["image"], "pred": formats["outputs"]["pred"],
    }[of]  # fmt: skip
    described[key] = value
    if value is MISSING:
        del described[key]

    with pytest.raises(imported.NotImportableError, match="value_range"):
        monai_bundle.described(metadata, inference)


def test_a_bundle_s_name_becomes_the_name_of_a_folder():
    named = monai_bundle.described({**METADATA, "name": 'Chest "X/Ray" 2-D'}, {"network_def": NETWORK})

    assert named.name == "monai_chest_x_ray_2_d"


def test_the_published_operating_points_are_kept():
    points = torchxrayvision.operating_points({"op_threshs": torch.tensor([0.01] * 17 + [float("nan")])})

    assert points[:2] == (pytest.approx(0.01), pytest.approx(0.01))
    assert points[17] == 0.5
