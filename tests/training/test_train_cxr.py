"""Runs in the training environment only (`make test-training`): it needs torch."""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch

from inference.training.train_cxr import SIDE, Network, export


def network_with_a_past() -> Network:
    """An untrained network whose batch norms have seen something, so that folding them changes every weight."""
    torch.manual_seed(7)
    network = Network()
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.rand(2, 1, SIDE, SIDE) * 4095)
    return network.eval()


def test_the_exported_graph_gives_the_numbers_that_torch_gave(tmp_path):
    network = network_with_a_past()
    images = np.random.default_rng(7).integers(0, 4096, (3, 1, SIDE, SIDE), dtype=np.uint16)
    with torch.no_grad():
        logits, cam = network(torch.from_numpy(images.astype(np.float32)))

    export(network, tmp_path / "graph.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "graph.onnx", providers=["CPUExecutionProvider"])
    exported_logits, exported_cam = session.run(["logits", "cam"], {"image": images})

    np.testing.assert_allclose(exported_logits, logits.numpy(), rtol=0, atol=1e-3)
    np.testing.assert_allclose(exported_cam, cam.numpy(), rtol=0, atol=1e-3)


def test_an_exported_graph_is_the_same_bytes_each_time(tmp_path):
    network = network_with_a_past()

    export(network, tmp_path / "first.onnx")
    export(network, tmp_path / "second.onnx")

    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()
