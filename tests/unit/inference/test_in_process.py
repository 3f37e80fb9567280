from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.backend import InferenceRejectedError, canary
from inference.in_process import InProcess
from inference.models.cxr_demo import SPEC

IMAGES = np.random.default_rng(5).integers(0, 65535, (3, *SPEC.inputs[0].dims), dtype=np.uint16)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"picture": IMAGES},
        {"image": IMAGES[:0]},
        {"image": np.repeat(IMAGES, 6, axis=0)},
        {"image": IMAGES.astype(np.float32)},
        {"image": IMAGES[:, :, :100]},
        {"image": IMAGES[0]},
        {"image": [IMAGES[0], IMAGES[1, :, :100]]},
    ],
    ids=[
        "nothing",
        "another name",
        "an empty batch",
        "too many",
        "another type",
        "another size",
        "no batch axis",
        "one row of another size",
    ],
)
async def test_what_is_not_the_models_input_is_rejected(arrays):
    with pytest.raises(InferenceRejectedError):
        await InProcess().infer(SPEC, arrays)


async def test_a_batch_gives_each_image_what_it_gets_alone():
    backend = InProcess()

    together = await backend.infer(SPEC, {"image": IMAGES})
    rows = await backend.infer(SPEC, {"image": list(IMAGES)})

    for name, value in together.items():
        np.testing.assert_array_equal(rows[name], value)
    for i in range(len(IMAGES)):
        alone = await backend.infer(SPEC, {"image": IMAGES[i : i + 1]})
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][i], value[0], atol=1e-4)
    await backend.close()


async def test_a_canary_notices_other_outputs():
    golden = tuple(v + 0.1 for v in SPEC.golden_logits)

    assert await canary(InProcess(), SPEC)
    assert not await canary(InProcess(), replace(SPEC, golden_logits=golden))


async def test_outputs_are_those_that_the_specification_names():
    outputs = await InProcess().infer(SPEC, {"image": IMAGES})

    assert {n: (v.dtype.name, v.shape[1:]) for n, v in outputs.items()} == {
        t.name: (t.dtype, t.dims) for t in SPEC.outputs
    }
