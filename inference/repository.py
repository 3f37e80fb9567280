"""Renders the model repository that tritonserver reads: a configuration and a version folder per model."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from inference.spec import PRIORITY_LEVELS, PRIORITY_ROUTINE, ModelSpec, TensorSpec

TRITON_TYPES = {"uint8": "TYPE_UINT8", "uint16": "TYPE_UINT16", "int16": "TYPE_INT16", "float32": "TYPE_FP32"}

INSTANCES = 2
"""Copies of a model in the server. With one, the server's batcher at times misses that it is idle and lets a lone image
wait 500 ms (measured: 1 to 9 in 100 sequential requests; none in 750 with two)."""
QUEUE_DELAY_US = 4000
"""How long the server waits for a batch to fill: about one image's compute time, so a lone image hardly waits."""
QUEUE_SIZE = 256
"""Requests the server holds per priority; beyond it refuses, so that bursts wait in the log and not in its memory."""


def render(specs: Iterable[ModelSpec], folder: Path, *, instances: int = INSTANCES) -> None:
    """Write every model to ``folder``, with ``instances`` copies of each in the server.

    Raises ``ValueError`` where a weights file is not the one its specification declares.
    """
    for spec in specs:
        version = folder / spec.name / str(spec.version)
        version.mkdir(parents=True, exist_ok=True)
        (version / "model.onnx").write_bytes(spec.weights())
        shutil.copyfile(Path(__file__).with_name("triton_shim.py"), version / "model.py")
        (folder / spec.name / "config.pbtxt").write_text(configuration(spec, instances=instances))


def configuration(spec: ModelSpec, *, instances: int = INSTANCES) -> str:
    """``config.pbtxt`` of one model."""
    return f"""\
name: "{spec.name}"
backend: "python"
max_batch_size: {spec.max_batch_size}
{_tensors("input", spec.inputs)}
{_tensors("output", spec.outputs)}
instance_group [ {{ count: {instances} kind: KIND_CPU }} ]
dynamic_batching {{
  max_queue_delay_microseconds: {QUEUE_DELAY_US}
  priority_levels: {PRIORITY_LEVELS}
  default_priority_level: {PRIORITY_ROUTINE}
  default_queue_policy {{ max_queue_size: {QUEUE_SIZE} allow_timeout_override: true timeout_action: REJECT }}
}}
version_policy {{ specific {{ versions: [ {spec.version} ] }} }}
parameters {{ key: "weights_sha256" value {{ string_value: "{spec.digest}" }} }}
parameters {{ key: "demonstration" value {{ string_value: "{str(spec.demonstration).lower()}" }} }}
"""


def _tensors(kind: str, tensors: tuple[TensorSpec, ...]) -> str:
    """One ``input`` or ``output`` block."""
    entries = ",\n".join(
        f'  {{ name: "{t.name}" data_type: {TRITON_TYPES[t.dtype]} dims: [ {", ".join(map(str, t.dims))} ] }}'
        for t in tensors
    )
    return f"{kind} [\n{entries}\n]"
