"""Renders the model repository that tritonserver reads: a configuration and a version folder per model."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from inference.spec import PRIORITY_LEVELS, PRIORITY_ROUTINE, PRIORITY_STAT, ModelSpec, TensorSpec

TRITON_TYPES = {
    "bool": "TYPE_BOOL", "float16": "TYPE_FP16", "float32": "TYPE_FP32", "float64": "TYPE_FP64",
    **{f"{sign}int{bits}": f"TYPE_{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
"""Triton's names of numpy's types."""

Target = Literal["shim", "cpu", "gpu", "tensorrt"]
"""How the server runs a model: ``shim`` by the Python backend (a server without the ONNX Runtime one), ``cpu`` and ``gpu`` by
ONNX Runtime's own backend, ``tensorrt`` by that one's TensorRT provider in 16 bits, with its engines cached."""

FOLDER_NAME = re.compile(r"\w[\w .+-]*")
"""What a model may be called: the server finds it in a folder of that name, which is to lie in the repository."""
ENGINE_CACHE = "/var/cache/radstream/tensorrt"
"""Folder of built engines on the server: without it the first request after a start waits for minutes."""
URGENT_QUEUE_SIZE = 1024
"""Urgent requests the server holds: they wait rather than being refused."""
INSTANCES = 2
"""Copies of a model in the server. With one, the server's batcher at times misses that it is idle and lets requests wait
500 ms (measured: 1 to 9 in 100 sequential requests, and a third of the throughput; none in 750 with two): a single copy is
therefore rendered without that batcher, and its requests are taken as they come."""
QUEUE_DELAY_US = 4000
"""How long the server waits for a batch to fill: about one image's compute time, so a lone image hardly waits. Our own clients'
full batches never do (with 1 ms as many images per second, measured)."""
QUEUE_SIZE = 256
"""Requests the server holds per priority; beyond it refuses, so that bursts wait in the log and not in its memory."""


def render(
    specs: Iterable[ModelSpec], folder: Path, *, instances: int = INSTANCES, target: Target = "shim"
) -> None:
    """Write every model to ``folder``, with ``instances`` copies of each in the server (per GPU, where there are).

    Specifications of one name are versions of one model: all are served, and the newest says how. Raises ``ValueError``
    where a weights file is not the one its specification declares, or a name is none of a folder.
    """
    versions: dict[str, list[ModelSpec]] = {}
    for spec in specs:
        if not FOLDER_NAME.fullmatch(spec.name):
            raise ValueError(f"a model's name is the name of its folder, and {spec.name!r} cannot be one")
        versions.setdefault(spec.name, []).append(spec)
        version = folder / spec.name / str(spec.version)
        version.mkdir(parents=True, exist_ok=True)
        (version / "model.onnx").write_bytes(spec.weights())
        if target == "shim":
            shutil.copyfile(Path(__file__).with_name("triton_shim.py"), version / "model.py")
    for name, found in versions.items():
        newest = max(found, key=lambda spec: spec.version)
        numbers = tuple(sorted(spec.version for spec in found))
        text = configuration(newest, instances=instances, target=target, versions=numbers)
        (folder / name / "config.pbtxt").write_text(text)


def configuration(
    spec: ModelSpec,
    *,
    instances: int = INSTANCES,
    target: Target = "shim",
    versions: tuple[int, ...] = (),
) -> str:
    """``config.pbtxt`` of one model; a single copy has neither batcher nor priorities (:data:`INSTANCES`)."""
    served = ", ".join(map(str, versions or (spec.version,)))
    kind = "KIND_GPU" if target in {"gpu", "tensorrt"} else "KIND_CPU"
    return f"""\
name: {_quoted(spec.name)}
backend: "{"python" if target == "shim" else "onnxruntime"}"
max_batch_size: {spec.max_batch_size}
{_tensors("input", spec.inputs)}
{_tensors("output", spec.outputs)}
instance_group [ {{ count: {instances} kind: {kind} }} ]
{_batching() if instances > 1 else ""}version_policy {{ specific {{ versions: [ {served} ] }} }}
{_warmup(spec)}
{_runtime(target)}parameters {{ key: "weights_sha256" value {{ string_value: {_quoted(spec.digest)} }} }}
parameters {{ key: "demonstration" value {{ string_value: "{str(spec.demonstration).lower()}" }} }}
"""


def _quoted(text: str) -> str:
    """A string of protobuf's text format: ONNX lets a tensor be called anything."""
    return json.dumps(text, ensure_ascii=False)


def _batching() -> str:
    """The server's batcher: requests of several clients are joined, urgent ones first."""
    return f"""\
dynamic_batching {{
  max_queue_delay_microseconds: {QUEUE_DELAY_US}
  priority_levels: {PRIORITY_LEVELS}
  default_priority_level: {PRIORITY_ROUTINE}
  default_queue_policy {{ max_queue_size: {QUEUE_SIZE} allow_timeout_override: true timeout_action: REJECT }}
  priority_queue_policy [
    {{ key: {PRIORITY_STAT} value {{ max_queue_size: {URGENT_QUEUE_SIZE} allow_timeout_override: true timeout_action: DELAY }} }}
  ]
}}
"""


def _warmup(spec: ModelSpec) -> str:
    """One image, and a full batch, before the model is ready: memory is taken and engines are built by then."""
    entries = []
    for batch in sorted({1, spec.max_batch_size}):
        inputs = " ".join(
            f"inputs {{ key: {_quoted(t.name)} value {{ data_type: {TRITON_TYPES[t.dtype]} "
            f"dims: [ {', '.join(map(str, t.dims))} ] zero_data: true }} }}"
            for t in spec.inputs
        )
        entries.append(f'  {{ name: "batch {batch}" batch_size: {batch} {inputs} }}')
    return "model_warmup [\n" + ",\n".join(entries) + "\n]"


def _runtime(target: Target) -> str:
    """Settings of ONNX Runtime's backend: a thread per copy on processors, TensorRT on GPUs where it is asked for."""
    if target == "cpu":
        return (
            'parameters { key: "intra_op_thread_count" value { string_value: "1" } }\n'
            'parameters { key: "session.intra_op.allow_spinning" value { string_value: "0" } }\n'
        )
    if target == "tensorrt":
        return (
            "optimization { execution_accelerators { gpu_execution_accelerator [ {\n"
            '  name: "tensorrt"\n'
            '  parameters { key: "precision_mode" value: "FP16" }\n'
            '  parameters { key: "trt_engine_cache_enable" value: "true" }\n'
            f'  parameters {{ key: "trt_engine_cache_path" value: "{ENGINE_CACHE}" }}\n'
            "} ] } }\n"
        )
    return ""


def _tensors(kind: str, tensors: tuple[TensorSpec, ...]) -> str:
    """One ``input`` or ``output`` block."""
    entries = ",\n".join(
        f"  {{ name: {_quoted(t.name)} data_type: {TRITON_TYPES[t.dtype]} dims: [ {', '.join(map(str, t.dims))} ] }}"
        for t in tensors
    )
    return f"{kind} [\n{entries}\n]"
