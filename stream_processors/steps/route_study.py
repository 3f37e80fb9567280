"""Choose models for a study's images by coded, allow-listed context; what is unknown is treated by the stricter rule, and said.

What a model can read is requested as soon as it is there; a model that answers for a whole series waits until the study is
complete. A study in which no image can be read is said to be skipped, with
the reason, once it is complete.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from inference.catalogue import all_models
from inference.spec import ModelSpec
from schemas.events import InferenceRequested, InferenceSkipped, InstanceReference, StudyInstance, StudyState
from schemas.rows import StudyAssemblyRow, StudyInstanceRow
from stream_processors.decisions import entries
from stream_processors.step import GIVEN_UP, Output, Step, StepContext, To

STAT = "inference.requested.stat.v1"
ROUTINE = "inference.requested.routine.v1"
REPLAY = "inference.requested.replay.v1"

ADULT_YEARS = 18
"""Years; what the age band `adult` begins with."""
PAGE = 1000
"""Rows per read of a study's images."""
AT_RISK = {
    "ultrasound": "ultrasound may carry burned-in text",
    "secondary-capture": "secondary captures may carry burned-in text",
    "device-region": "the device writes text into its images",
    "burned-in-annotation": "the images carry burned-in text",
    "radiograph": "computed radiographs may carry burned-in text",
}
"""Reasons of `pixels_at_risk` as a person reads them."""
PLAIN_XRAY = frozenset({"CR", "DX"})
"""Modalities that a person calls an X-ray."""


@dataclass(frozen=True, slots=True)
class Request:
    """One model shall read these images."""

    model: ModelSpec
    instances: tuple[StudyInstance, ...]


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """Why an image, or a whole study, is not read."""

    code: str
    text: str


async def run(state: StudyState, context: StepContext) -> AsyncIterator[Output]:
    """Request inference for what a revision added, or say that a complete study is not read."""
    envelope = state.envelope
    if state.status != "complete":
        for request in route(state.added, [model for model in _available() if model.unit == "image"]):
            yield _requested(state, request, context)
        return
    instances, before = await context.io(_instances, context, envelope.site, envelope.study, state.revision)
    whole = tuple(each for each, _ in instances)
    fresh = tuple(each for each, added in instances if added > before)
    earlier = tuple(each for each, added in instances if added <= before)
    for request in _of_series(whole, fresh, earlier):
        yield _requested(state, request, context)
    reason = skip(whole, state.quarantined_count, _available())
    if reason is not None:
        yield InferenceSkipped(
            envelope=context.envelope(state, "InferenceSkipped", str(state.revision)),
            revision=state.revision,
            received_at=state.received_at,
            ordered_priority=state.ordered_priority,
            reason_code=reason.code,
            reason=reason.text,
            modality="/".join(state.modalities),
            body_part=state.body_part,
            instance_count=state.instance_count,
            synthetic=bool(whole) and all(each.synthetic for each in whole),
        )


def _of_series(
    whole: Sequence[StudyInstance], fresh: Sequence[StudyInstance], earlier: Sequence[StudyInstance]
) -> tuple[Request, ...]:
    """Late slices for a model that has read the earlier ones; everything for one that had too few until now."""
    able = enough(whole, [model for model in _available() if model.unit == "series"])
    knows = enough(earlier, able)
    return (*route(fresh, knows), *route(whole, [model for model in able if model not in knows]))


def _requested(state: StudyState, request: Request, context: StepContext) -> To:
    """A request, addressed by its order's priority."""
    identity = (str(state.revision), request.model.name, request.model.digest)
    event = InferenceRequested(
        envelope=context.envelope(state, "InferenceRequested", *identity),
        revision=state.revision,
        received_at=state.received_at,
        ordered_priority=state.ordered_priority,
        model=request.model.name,
        model_version=str(request.model.version),
        modality=request.instances[0].modality,
        body_part=request.instances[0].body_part,
        synthetic=all(each.synthetic for each in request.instances),
        instances=tuple(_reference(each) for each in request.instances),
    )
    return To(ROUTINE if state.ordered_priority == "routine" else STAT, event)


def give_up(state: StudyState, reason: str, context: StepContext) -> list[InferenceSkipped]:
    """Say that no one could choose, so that the study ends as "undetermined" and does not stay pending."""
    return [
        InferenceSkipped(
            envelope=context.envelope(state, "InferenceSkipped", str(state.revision), state.status, GIVEN_UP),
            revision=state.revision,
            received_at=state.received_at,
            ordered_priority=state.ordered_priority,
            reason_code=GIVEN_UP,
            reason=f"models could not be chosen: {reason}",
            modality="/".join(state.modalities),
            body_part=state.body_part,
            instance_count=state.instance_count,
            synthetic=False,
        )
    ]


def _available() -> tuple[ModelSpec, ...]:
    return tuple(model.SPEC for model in all_models().values())


def route(instances: Sequence[StudyInstance], available: Sequence[ModelSpec]) -> tuple[Request, ...]:
    """Return what each model may read of the instances; models that may read nothing are left out."""
    chosen = (
        (model, tuple(each for each in instances if refusal(each, model) is None)) for model in available
    )
    return tuple(Request(model, readable) for model, readable in chosen if readable)


def enough(instances: Sequence[StudyInstance], available: Sequence[ModelSpec]) -> tuple[ModelSpec, ...]:
    """Return the models for which a whole study has images enough."""
    return tuple(
        model
        for model in available
        if sum(refusal(each, model) is None for each in instances) >= model.fewest
    )


def skip(
    instances: Sequence[StudyInstance], quarantined: int, available: Sequence[ModelSpec]
) -> Reason | None:
    """Return why nothing of a whole study is read, None where something is.

    The reason that holds for most images speaks for the study; among equals the first in alphabetical order, so that the same
    study always gives the same one.
    """
    if not instances:
        images = "1 image was" if quarantined == 1 else f"{quarantined} images were"
        return Reason("not-de-identified", f"not de-identified: {images} refused")
    if route(instances, enough(instances, available)):
        return None
    if route(instances, available):
        return Reason("too-few-images", "too few images of a series")
    counted = Counter(unread(each, available) for each in instances)
    most = max(counted.values())
    return min(reason for reason, count in counted.items() if count == most)


def unread(instance: StudyInstance, available: Sequence[ModelSpec]) -> Reason:
    """Return why no model reads an image: of all models' reasons, that of the one which came closest."""
    if instance.pixels_at_risk:
        said = AT_RISK.get(instance.pixels_at_risk, "the pixels may identify the patient")
        return Reason("pixels-at-risk", f"kept from inference: {said}")
    refusals = [refused for model in available if (refused := refusal(instance, model)) is not None]
    if not refusals:
        return Reason("no-model", f"no model for {instance.modality or 'unknown modality'}")
    return max(refusals, key=lambda refused: refused[0])[1]


def refusal(instance: StudyInstance, model: ModelSpec) -> tuple[int, Reason] | None:
    """Return why a model may not read an image and how far the image came through the checks; None where it may."""
    what = _what(instance)
    checks = (
        (bool(instance.pixels_at_risk), "no model may read pixels that may identify the patient"),
        (
            instance.modality not in model.modalities,
            f"no model for {instance.modality or 'unknown modality'}",
        ),
        (instance.body_part == "unknown", f"no model for {instance.modality} of an unknown body part"),
        (instance.body_part not in model.body_parts, f"no model for {what}"),
        (_too_young(instance, model), f"no model for {what} of a {_age(instance)}"),
        (
            bool(model.views) and instance.view_position == "unknown",
            f"no model for {what} in an unknown view",
        ),
        (
            bool(model.views) and instance.view_position not in model.views,
            f"no model for {what} in {instance.view_position} view",
        ),
        (
            instance.number_of_frames != 1 and not model.multi_frame,
            f"no model for {what} with several frames",
        ),
        (not instance.rows or not instance.columns, f"no model for {what} without pixels"),
    )
    for passed, (holds, text) in enumerate(checks):
        if holds:
            return passed, Reason("no-model", text)
    return None


def _too_young(instance: StudyInstance, model: ModelSpec) -> bool:
    """A model for adults reads nobody who may be a child."""
    return model.minimum_age_years > 0 and not (
        instance.age_band == "adult" and model.minimum_age_years <= ADULT_YEARS
    )


def _age(instance: StudyInstance) -> str:
    return "child" if instance.age_band == "child" else "patient of unknown age, who may be a child"


def _what(instance: StudyInstance) -> str:
    if instance.modality in PLAIN_XRAY:
        return f"{instance.body_part.lower()} X-ray"
    return f"{instance.modality} of {instance.body_part.lower()}"


def _instances(
    context: StepContext, site: str, study: str, revision: int
) -> tuple[tuple[tuple[StudyInstance, int], ...], int]:
    """A study's images as of a revision, each with the revision that added it, and the last revision completed before."""
    assembly = context.tables.get(StudyAssemblyRow, site=site, study=study)
    recorded = json.loads((assembly.instances if assembly is not None else None) or "{}")
    states = [entry.state for entry in entries(assembly.history if assembly is not None else None)]
    completed = [state["revision"] for state in states if state["status"] == "complete"]
    found: list[tuple[StudyInstance, int]] = []
    after: tuple[str, str] | None = None
    while True:
        page = context.tables.select(StudyInstanceRow, limit=PAGE, after=after, site=site, study=study)
        for row in page:
            digest, added = recorded.get(row.instance, ("", 0))
            if digest == row.digest and added <= revision:
                image = {name: getattr(row, name) for name in StudyInstance.__dataclass_fields__}
                found.append((StudyInstance(**image), added))
        if len(page) < PAGE:
            return tuple(found), max((each for each in completed if each < revision), default=0)
        after = (page[-1].instance, page[-1].digest)


def _reference(instance: StudyInstance) -> InstanceReference:
    return InstanceReference(
        **{name: getattr(instance, name) for name in InstanceReference.__dataclass_fields__}
    )


STEP = Step(
    summary="Choose models for each study, or say why none reads it.",
    reads=("study.state.v1",),
    emits=(STAT, ROUTINE, REPLAY, "inference.skipped.v1"),
    run=run,
    give_up=give_up,
)
