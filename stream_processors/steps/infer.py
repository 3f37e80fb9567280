"""Turn requested images into raw model outputs; one image that fails never fails the others of its request."""

from __future__ import annotations

import asyncio
import io
import math
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference import placement
from inference.catalogue import Model, all_models
from inference.drift import Statistics, image_statistics
from inference.localisation import Finding
from inference.pixels import Geometry, PixelFrame
from inference.spec import PRIORITY_ROUTINE, PRIORITY_STAT, ModelSpec, NotAcceptableError
from runtime.buckets import RESULTS
from runtime.errors import DeadLetterError, RetryError
from runtime.ports import ObjectMissingError
from schemas.events import (
    Box,
    InferenceCompleted,
    InferenceRequested,
    InstanceReference,
    InstanceResult,
    LabelOutput,
    Measurement,
    Outline,
)
from stream_processors.bounded import in_order
from stream_processors.step import ImageMeasures, Output, Step, StepContext

AT_ONCE = 8
"""Images of one request in work: enough to fill a micro-batch with a neighbour's, few enough to hold in memory (10 MB each)."""
LOGIT_DIGITS = 6
"""Decimals of a published logit: hides the last-bit differences between batch sizes, so that a repeat gives equal bytes."""
MAP_DIGITS = 4
"""Decimals of a stored class-activation map, for the same reason; finer than any colour scale."""


@dataclass(frozen=True, slots=True)
class Read:
    """A model's answer on one image."""

    outputs: tuple[LabelOutput, ...]
    activation: bytes


async def run(request: InferenceRequested, context: StepContext) -> AsyncIterator[Output]:
    """Read every image of a request; the results come in its order."""
    model = all_models().get(request.model)
    if model is None:
        raise DeadLetterError("unknown-model")

    watched = request.instances[len(request.instances) // 2] if request.instances else None

    def one(instance: InstanceReference) -> Awaitable[InstanceResult]:
        return _result(request, instance, model, context, watched=instance is watched)

    results = await in_order(one, request.instances, AT_ONCE)
    yield _completed(request, model.SPEC, results, context)


def give_up(request: InferenceRequested, reason: str, context: StepContext) -> list[InferenceCompleted]:
    """Say of every image that it was not read, so that the study ends as "undetermined" and does not stay pending."""
    model = all_models().get(request.model)
    results = [_described(instance, "failed", reason) for instance in request.instances]
    return [
        _completed(request, model.SPEC if model is not None else None, results, context, "given-up", reason)
    ]


def _completed(
    request: InferenceRequested,
    spec: ModelSpec | None,
    results: Sequence[InstanceResult],
    context: StepContext,
    *identity: str,
) -> InferenceCompleted:
    """Outcome of a request; of a model that this release does not know, what the request said."""
    name, digest = (spec.name, spec.digest) if spec is not None else (request.model, "")
    return InferenceCompleted(
        envelope=context.envelope(
            request, "InferenceCompleted", str(request.revision), name, digest, *identity
        ),
        revision=request.revision,
        received_at=request.received_at,
        ordered_priority=request.ordered_priority,
        model=name,
        model_version=str(spec.version) if spec is not None else request.model_version,
        model_digest=digest,
        backend=context.inference_backend,
        modality=request.modality,
        body_part=request.body_part,
        synthetic=request.synthetic,
        demonstration=spec is not None and spec.demonstration,
        results=tuple(results),
    )


async def _result(
    request: InferenceRequested,
    instance: InstanceReference,
    model: Model,
    context: StepContext,
    *,
    watched: bool,
) -> InstanceResult:
    """Read one image. What fails for good becomes a result that says so; RetryError passes on."""
    try:
        read = await _read(request, instance, model, context, watched=watched)
    except NotAcceptableError as refused:
        return _described(instance, "not-acceptable", refused.reason)
    except DeadLetterError as failed:
        return _described(instance, "failed", failed.reason)
    except ObjectMissingError:
        return _described(instance, "failed", "image-missing")
    key = activation_key(request, instance, model.SPEC)
    await context.io(context.objects.put, RESULTS, key, read.activation)
    return _described(instance, "ok", "", outputs=read.outputs, activation_bucket=RESULTS, activation_key=key)


async def _read(
    request: InferenceRequested,
    instance: InstanceReference,
    model: Model,
    context: StepContext,
    *,
    watched: bool,
) -> Read:
    priority = PRIORITY_ROUTINE if request.ordered_priority == "routine" else PRIORITY_STAT
    with context.announce(model.SPEC.name, priority=priority):
        data = await context.io(context.objects.get, instance.bucket, instance.object_key)
        prepared = await context.cpu(_prepared, model, data, watched=watched)
    try:
        async with asyncio.timeout(context.settings.model_deadline_s):
            outputs = await context.infer(model.SPEC.name, prepared.frame.tensor, priority=priority)
    except TimeoutError as late:
        # Retried, not failed: how long a server takes is no property of the image, and a repeat must give the same event.
        raise RetryError("the model did not answer in time") from late
    read, after_s = await context.cpu(_answer, model, outputs, prepared.frame)
    measures = ImageMeasures(
        model=model.SPEC.name,
        digest=model.SPEC.digest,
        decode_s=prepared.decode_s,
        tensor_s=prepared.tensor_s,
        after_s=after_s,
        statistics=prepared.statistics,
    )
    await context.measured(request.envelope.site, measures)
    return read


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model's input, and what it took."""

    frame: PixelFrame
    decode_s: float
    tensor_s: float
    statistics: Statistics | None


def _prepared(model: Model, data: bytes, *, watched: bool) -> Prepared:
    began = time.perf_counter()
    frame = model.preprocess(data)
    ended = time.perf_counter()
    decoded = began if frame.decoded_at is None else frame.decoded_at
    return Prepared(
        frame, decoded - began, ended - decoded, image_statistics(frame.tensor) if watched else None
    )


def _answer(
    model: Model, outputs: Mapping[str, NDArray[np.float32]], frame: PixelFrame
) -> tuple[Read, float]:
    """What the model said, and the seconds that took."""
    began = time.perf_counter()
    findings = model.postprocess(outputs, frame.geometry)
    if not all(math.isfinite(each.logit) for each in findings):
        raise DeadLetterError("not-a-number")
    told = tuple(label_output(each, frame) for each in findings)
    read = Read(told, activation_file(outputs["cam"], [each.label for each in findings], frame.geometry))
    return read, time.perf_counter() - began


def label_output(finding: Finding, frame: PixelFrame) -> LabelOutput:
    """A finding as it is published: where it is in the image's pixels and, where the image says so, in the patient."""
    box, where = _box(finding), frame.patient
    measured = placement.measured(finding.contours, where, frame.spacing_mm)
    return LabelOutput(
        label=finding.label,
        logit=round(finding.logit, LOGIT_DIGITS),
        box=box,
        box_patient=_box_in_patient(box, frame),
        outlines=tuple(
            Outline(
                pixels=placement.rounded(line),
                patient=() if where is None else placement.rounded(placement.contour_in_patient(line, where)),
            )
            for line in finding.contours
        ),
        measurements=tuple(Measurement(name=m.name, value=m.value, unit=m.unit) for m in measured),
    )


def _box_in_patient(box: Box | None, frame: PixelFrame) -> tuple[float, ...]:
    if box is None or frame.patient is None:
        return ()
    edges = (float(box.x), float(box.y), float(box.x + box.width), float(box.y + box.height))
    return placement.rounded(placement.box_in_patient(edges, frame.patient))


def activation_file(cams: NDArray[np.float32], labels: Sequence[str], geometry: Geometry) -> bytes:
    """Pack class-activation maps as an .npz whose bytes depend on nothing but its content.

    Arrays: `cam` float32 (label, row, column), raw logits per cell; `labels`; `geometry` float64
    (rows, columns, side, scale, left, top) as `inference.pixels.Geometry` names them.
    """
    placed = [geometry.rows, geometry.columns, geometry.side, geometry.scale, geometry.left, geometry.top]
    arrays = {
        "cam": np.round(cams.astype(np.float32), MAP_DIGITS),
        "labels": np.array(list(labels), dtype=np.str_),
        "geometry": np.array(placed, dtype=np.float64),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            written = io.BytesIO()
            np.lib.format.write_array(written, np.ascontiguousarray(array), allow_pickle=False)
            # A bare ZipInfo carries the fixed time 1980-01-01.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), written.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def activation_key(request: InferenceRequested, instance: InstanceReference, spec: ModelSpec) -> str:
    """Object key of an image's activation maps."""
    envelope = request.envelope
    name = f"activation-{instance.instance}-{spec.digest[:12]}.npz"
    return f"{envelope.site}/{envelope.study}/{request.revision}/{name}"


def _box(finding: Finding) -> Box | None:
    """Whole pixels round the finding's box."""
    if finding.box is None:
        return None
    left, top, right, bottom = finding.box
    x, y = math.floor(left), math.floor(top)
    return Box(x=x, y=y, width=math.ceil(right) - x, height=math.ceil(bottom) - y)


def _described(
    instance: InstanceReference,
    status: str,
    reason: str,
    *,
    outputs: tuple[LabelOutput, ...] = (),
    activation_bucket: str = "",
    activation_key: str = "",
) -> InstanceResult:
    return InstanceResult(
        series=instance.series,
        instance=instance.instance,
        bucket=instance.bucket,
        object_key=instance.object_key,
        digest=instance.digest,
        status=status,
        reason=reason,
        outputs=outputs,
        activation_bucket=activation_bucket,
        activation_key=activation_key,
    )


STEP = Step(
    summary="Run the requested model on each image, batched across studies.",
    reads=("inference.requested.stat.v1", "inference.requested.routine.v1", "inference.requested.replay.v1"),
    emits=("inference.completed.v1",),
    run=run,
    uses_inference=True,
    give_up=give_up,
)
