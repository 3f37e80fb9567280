"""Results as objects: an overlay per image that was read, and one self-contained record per result.

The record holds everything that explains the result: inputs, model and weights digest, calibration, codes, and the time at each
hop. Both are functions of the event and of the objects it names, so writing them again writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.activation import Activation, read_activation
from inference.catalogue import all_models
from inference.localisation import Finding as ImageFinding
from inference.localisation import heat_map
from inference.overlay import draw
from inference.spec import ModelSpec, NotAcceptableError
from runtime.buckets import RESULTS
from runtime.connections import Connections
from runtime.errors import DeadLetterError
from runtime.ports import ObjectMissingError, Objects, Tables
from schemas.codec import to_record
from schemas.events import Event, Finding, Findings, ResultImage
from schemas.rows import ResultImageRow
from sinks.sink import REVISION_SPAN, Outputs, SinkSpec

SPEC = SinkSpec(
    summary="Stores each result's record and an overlay of every image read.", reads=("findings.v1",)
)


def findings_on(
    image: ResultImage, findings: Sequence[Finding], activation: Activation
) -> tuple[ImageFinding, ...]:
    """Return the published findings that were strongest on this image, ready to be drawn."""
    drawn = []
    for finding in findings:
        if finding.instance != image.instance or finding.finding not in activation.labels:
            continue
        box = finding.box
        drawn.append(
            ImageFinding(
                label=finding.finding,
                logit=0.0,
                probability=finding.probability,
                present=finding.probability >= finding.threshold,
                box=None if box is None else (box.x, box.y, box.x + box.width, box.y + box.height),
                heat=heat_map(activation.probabilities(finding.finding), activation.geometry.side),
            )
        )
    return tuple(drawn)


def result_record(result: Findings) -> bytes:
    """Return the result as one JSON document; publication times of this copy are left out, so repetitions are equal."""
    content: dict[str, Any] = to_record(result)
    envelope: Mapping[str, Any] = content.pop("envelope")
    content["site"], content["study"], content["key_id"] = (
        envelope[name] for name in ("site", "study", "key_id")
    )
    content["hops"] = envelope["hops"][:-1]
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


@dataclass(frozen=True, slots=True)
class ObjectsSink:
    """Stores records and overlays, and says in `result_images` where they are."""

    objects: Objects
    tables: Tables

    def write(self, topic: str, event: Event) -> Outputs:
        """Store what one result needs."""
        del topic
        if not isinstance(event, Findings):
            return ()
        folder = f"{event.envelope.site}/{event.envelope.study}/{event.revision}"
        self.objects.put(RESULTS, f"{folder}/result-{event.result_id}.json", result_record(event))
        model = all_models().get(event.model)
        if model is None or model.SPEC.digest != event.model_digest:
            return ()
        for image in event.images:
            self._overlay(
                event, image, model.SPEC, f"{folder}/overlay-{image.instance}-{event.result_id}.jpg"
            )
        return ()

    def _overlay(self, result: Findings, image: ResultImage, spec: ModelSpec, key: str) -> None:
        try:
            data = self.objects.get(image.bucket, image.object_key)
            activation = read_activation(self.objects.get(image.activation_bucket, image.activation_key))
            findings = findings_on(image, result.findings, activation)
            picture = draw(data, findings, activation.geometry, spec)
        except ObjectMissingError as error:
            raise DeadLetterError("image-missing") from error
        except NotAcceptableError as error:
            raise DeadLetterError(error.reason) from error
        self.objects.put(RESULTS, key, picture)
        row = ResultImageRow(
            site=result.envelope.site,
            study=result.envelope.study,
            revision=result.revision,
            instance=image.instance,
            bucket=RESULTS,
            overlay_key=key,
            result_id=result.result_id,
            digest=hashlib.sha256(picture).hexdigest(),
        )
        self.tables.write(row, at=result.revision * REVISION_SPAN)


def open_sink(connections: Connections) -> ObjectsSink:
    """Open the sink on a process's connections."""
    return ObjectsSink(connections.objects, connections.tables)
