"""Raw outputs to the public result: calibrated, coded, joined over a study's images, and honest about what is missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inference.aggregation import series_logit
from inference.catalogue import all_models
from inference.spec import Label, ModelSpec
from schemas.codec import from_record
from schemas.events import (
    Finding,
    Findings,
    InferenceCompleted,
    InferenceSkipped,
    InstanceResult,
    LabelOutput,
    ResultImage,
)
from schemas.identifiers import deterministic_uuid
from schemas.rows import ModelResultRow
from stream_processors.decisions import canonical
from stream_processors.step import GIVEN_UP, Output, Step, StepContext

HIGH_FROM = 0.8
"""Calibrated probability from which a finding is `high`: of five such images, four have it."""
LOW_BELOW = 0.05
"""Calibrated probability below which it is `low` whatever the operating point: not one of twenty such images has it."""
CERTAINTY_VERSION = "classes-2"
"""Version of `certainty` and its two bounds; part of every result's id."""
PROBABILITY_DIGITS = 4
"""Decimals of a published probability: more would claim a precision that no calibration has."""
PAGE = 1000
"""Rows per read of a study's results."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One image's result with what was said of its request, as `model_results` keeps it."""

    revision: int
    result: InstanceResult
    said: Mapping[str, Any]
    """Fields of the `InferenceCompleted` but envelope and results."""


async def run(cause: InferenceCompleted | InferenceSkipped, context: StepContext) -> AsyncIterator[Output]:
    """Publish the result of a revision, and again of every later one whose result came first."""
    if isinstance(cause, InferenceSkipped):
        if cause.reason_code != GIVEN_UP or not await context.io(_has_results, context, cause):
            yield _unread(cause, cause.reason_code, cause.reason, context)
        return
    recorded = await context.io(_record, context, cause)
    model = all_models().get(cause.model)
    spec = model.SPEC if model is not None else None
    for revision in sorted({each.revision for each in recorded if each.revision >= cause.revision}):
        so_far = [each for each in recorded if each.revision <= revision]
        described = described_result(cause.envelope.site, cause.envelope.study, revision, so_far, spec)
        envelope = context.envelope(cause, "Findings", described["result_id"])
        yield Findings(envelope=envelope, revision=revision, **described)


def give_up(
    cause: InferenceCompleted | InferenceSkipped, reason: str, context: StepContext
) -> list[Findings]:
    """Say that nothing is known, so that the study ends as "undetermined" and does not stay pending."""
    return [_unread(cause, GIVEN_UP, f"the result could not be published: {reason}", context)]


def described_result(
    site: str, study: str, revision: int, recorded: Sequence[Recorded], spec: ModelSpec | None
) -> dict[str, Any]:
    """Join all results up to a revision into the fields of `Findings`, envelope and revision apart.

    Parameters
    ----------
    site, study, revision
        What the result is of.
    recorded
        Results of one model, of that revision and earlier ones.
    spec
        The model's specification, None if this release knows no such model.
    """
    said = next(each.said for each in recorded if each.revision == revision)
    known = spec is not None and spec.digest == said["model_digest"]
    results = sorted(
        (each.result for each in recorded if each.said["model_digest"] == said["model_digest"]),
        key=lambda result: result.instance,
    )
    read = [result for result in results if result.status == "ok"]
    findings = _findings(read, spec) if spec is not None and known else ()
    status, code, reason = verdict(results, findings) if known or not read else _UNKNOWN_MODEL
    inputs = ",".join(f"{result.digest}:{result.status}" for result in results)
    calibration = spec.calibration_digest if spec is not None and known else ""
    identity = (site, study, str(revision), said["model_digest"], calibration, CERTAINTY_VERSION, inputs)
    return {
        **{name: said[name] for name in _SAID_OF_RESULT},
        "result_id": deterministic_uuid("result", *identity),
        "status": status,
        "reason_code": code,
        "reason": reason,
        "calibration_version": spec.calibration_version if spec is not None and known else "",
        "synthetic": all(each.said["synthetic"] for each in recorded),
        "inputs_digest": _digest([result.digest for result in read]),
        "findings": findings,
        "images": tuple(_image(result) for result in read),
    }


def verdict(results: Sequence[InstanceResult], findings: Sequence[Finding]) -> tuple[str, str, str]:
    """Return status, reason class and reason of a study's results.

    A failure is never silently normal: where an image failed and nothing was found on the others, nothing is known.
    """
    failed = [result for result in results if result.status == "failed"]
    refused = [result for result in results if result.status == "not-acceptable"]
    positive = any(finding.probability >= finding.threshold for finding in findings)
    if failed and not positive:
        return "undetermined", "model-failed", f"{_share(failed, results)} failed: {_reasons(failed)}"
    if len(refused) == len(results):
        return "not-analysed", "not-acceptable", f"not acceptable to the model: {_reasons(refused)}"
    missing = [*failed, *refused]
    if missing:
        return (
            "analysed",
            "partial",
            f"partially analysed: {_share(missing, results)} not read ({_reasons(missing)})",
        )
    return "analysed", "", ""


def certainty_of(label: Label, probability: float) -> str:
    """Class of a calibrated probability: by the bounds that calibration proved, and `uncertain` where it proved none."""
    if not label.conformal:
        return certainty(probability, label.threshold)
    if label.high_from is not None and probability >= label.high_from:
        return "high"
    return "low" if label.low_below is not None and probability < label.low_below else "uncertain"


def certainty(probability: float, threshold: float) -> str:
    """Class by fixed bounds, for models whose calibration proved none; below the operating point nothing is more than `low`."""
    if probability < max(threshold, LOW_BELOW):
        return "low"
    return "high" if probability >= HIGH_FROM else "uncertain"


_UNKNOWN_MODEL = (
    "undetermined",
    "unknown-model",
    "this release cannot calibrate the model that read the images",
)
_SAID = ("received_at", "ordered_priority", "modality", "body_part", "synthetic", "demonstration")
_SAID_OF_RESULT = (*_SAID, "model", "model_version", "model_digest", "backend")


def _findings(read: Sequence[InstanceResult], spec: ModelSpec) -> tuple[Finding, ...]:
    """One finding per label of the model, strongest first: where its probability is highest among the images or series."""
    found = []
    for label in spec.labels:
        outputs = [
            (output, result) for result in read for output in result.outputs if output.label == label.name
        ]
        if outputs:
            series = _strongest_series(outputs) if spec.unit == "series" else outputs
            output, result = max(series, key=lambda pair: (pair[0].logit, pair[1].instance))
            logit = (
                series_logit([each.logit for each, _ in series]) if spec.unit == "series" else output.logit
            )
            found.append(_finding(label, logit, output, result))
    return tuple(sorted(found, key=lambda finding: (-finding.probability, finding.finding)))


def _strongest_series(
    outputs: Sequence[tuple[LabelOutput, InstanceResult]],
) -> list[tuple[LabelOutput, InstanceResult]]:
    """Of a label's outputs, those of the series whose joint logit is highest: the finding names its strongest slice."""
    by_series: dict[str, list[tuple[LabelOutput, InstanceResult]]] = {}
    for output, result in outputs:
        by_series.setdefault(result.series, []).append((output, result))
    return max(
        by_series.values(), key=lambda one: (series_logit([o.logit for o, _ in one]), one[0][1].series)
    )


def _finding(label: Label, logit: float, output: LabelOutput, result: InstanceResult) -> Finding:
    probability = round(label.probability(logit), PROBABILITY_DIGITS)
    shown = probability >= label.threshold
    return Finding(
        finding=label.name,
        code_value=label.code.value,
        coding_scheme=label.code.scheme,
        code_meaning=label.code.meaning,
        code_verified=label.code.verified,
        probability=probability,
        threshold=label.threshold,
        certainty=certainty_of(label, probability),
        series=result.series,
        instance=result.instance,
        box=output.box if shown else None,
        measurements=output.measurements if shown else (),
        box_patient=output.box_patient if shown else (),
        outlines=output.outlines if shown else (),
    )


def _image(result: InstanceResult) -> ResultImage:
    return ResultImage(**{name: getattr(result, name) for name in ResultImage.__dataclass_fields__})


def _share(some: Sequence[InstanceResult], of: Sequence[InstanceResult]) -> str:
    return f"{len(some)} of {len(of)} images"


def _reasons(results: Sequence[InstanceResult]) -> str:
    return ", ".join(sorted({result.reason for result in results}))


def _digest(digests: Sequence[str]) -> str:
    """SHA-256 over sorted digests, empty for none."""
    return hashlib.sha256("".join(sorted(digests)).encode("ascii")).hexdigest() if digests else ""


def _record(context: StepContext, completed: InferenceCompleted) -> list[Recorded]:
    """Write an event's results, then read all results of that model on the study."""
    envelope = completed.envelope
    said = {name: getattr(completed, name) for name in _SAID}
    for result in completed.results:
        row = ModelResultRow(
            site=envelope.site,
            study=envelope.study,
            model=completed.model,
            revision=completed.revision,
            instance=result.instance,
            result=canonical({"result": asdict(result), "said": said}),
            model_version=completed.model_version,
            model_digest=completed.model_digest,
            backend=completed.backend,
        )
        context.tables.write(row, at=envelope.occurred_at)
    return _recorded(context, envelope.site, envelope.study, completed.model)


def _recorded(context: StepContext, site: str, study: str, model: str) -> list[Recorded]:
    found: list[Recorded] = []
    after: tuple[str, int, str] | None = None
    while True:
        page = context.tables.select(
            ModelResultRow, limit=PAGE, after=after, site=site, study=study, model=model
        )
        found.extend(_of_row(row) for row in page)
        if len(page) < PAGE:
            return found
        after = (page[-1].model, page[-1].revision, page[-1].instance)


def _of_row(row: ModelResultRow) -> Recorded:
    told = json.loads(row.result or "{}")
    outputs = tuple(from_record(LabelOutput, _complete(output)) for output in told["result"]["outputs"])
    made_by = {name: getattr(row, name) for name in ("model", "model_version", "model_digest", "backend")}
    result = InstanceResult(**{**told["result"], "outputs": outputs})
    return Recorded(row.revision, result, {**told["said"], **made_by})


def _complete(output: Mapping[str, Any]) -> dict[str, Any]:
    """An output with nothing in the fields that an earlier release did not write."""
    return {"box_patient": (), "outlines": (), "measurements": (), **output}


def _has_results(context: StepContext, skipped: InferenceSkipped) -> bool:
    """Whether a model has read the study: then what was given up was only the word that no more images come."""
    site, study = skipped.envelope.site, skipped.envelope.study
    return bool(context.tables.select(ModelResultRow, limit=1, site=site, study=study))


def _unread(
    cause: InferenceCompleted | InferenceSkipped, code: str, reason: str, context: StepContext
) -> Findings:
    """Result of a study that no model read: said to be so, or undetermined where somebody gave up."""
    envelope = cause.envelope
    status = "undetermined" if code == GIVEN_UP else "not-analysed"
    result_id = deterministic_uuid("result", envelope.site, envelope.study, str(cause.revision), status, code)
    return Findings(
        envelope=context.envelope(cause, "Findings", result_id),
        revision=cause.revision,
        received_at=cause.received_at,
        ordered_priority=cause.ordered_priority,
        result_id=result_id,
        status=status,
        reason_code=code,
        reason=reason,
        model="",
        model_version="",
        model_digest="",
        calibration_version="",
        backend="",
        demonstration=False,
        synthetic=cause.synthetic,
        modality=cause.modality,
        body_part=cause.body_part,
        inputs_digest="",
        findings=(),
        images=(),
    )


STEP = Step(
    summary="Calibrate and code raw outputs and publish each revision's result, failures and skipped studies included.",
    reads=("inference.completed.v1", "inference.skipped.v1"),
    emits=("findings.v1",),
    run=run,
    give_up=give_up,
)
