"""Results as objects: an overlay per image that was read, and one self-contained record per result.

The record holds everything that explains the result: inputs, model and weights digest, calibration, codes, and the time at each
hop. Both are functions of the event and of the objects it names, so writing them again writes the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.catalogue import all_models
from inference.localisation import Finding as ImageFinding
from inference.localisation import heat_map
from inference.overlay import draw
from inference.pixels import Geometry
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


@dataclass(frozen=True, slots=True)
class Activation:
    """Class-activation maps of one image, as the infer step stored them.

    Parameters
    ----------
    cams
        Raw logits per cell, float32 (label, row, column).
    labels
        The model's labels, in the order of `cams`.
    geometry
        Where the model's square lies on the original image.
    """

    cams: NDArray[np.float32]
    labels: tuple[str, ...]
    geometry: Geometry


def read_activation(data: bytes) -> Activation:
    """Unpack an activation file (`steps.infer.activation_file`); pickles are refused."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        rows, columns, side, scale, left, top = (float(value) for value in stored["geometry"])
        geometry = Geometry(
            rows=int(rows), columns=int(columns), side=int(side), scale=scale, left=int(left), top=int(top)
        )
        return Activation(stored["cam"], tuple(str(label) for label in stored["labels"]), geometry)


def findings_on(
    image: ResultImage, findings: Sequence[Finding], activation: Activation
) -> tuple[ImageFinding, ...]:
    """Return the published findings that were strongest on this image, ready to be drawn."""
    drawn = []
    for finding in findings:
        if finding.instance != image.instance or finding.finding not in activation.labels:
            continue
        cells = activation.cams[activation.labels.index(finding.finding)]
        box = finding.box
        drawn.append(
            ImageFinding(
                label=finding.finding,
                logit=0.0,
                probability=finding.probability,
                present=finding.probability >= finding.threshold,
                box=None if box is None else (box.x, box.y, box.x + box.width, box.y + box.height),
                heat=heat_map(np.asarray(1 / (1 + np.exp(-cells)), np.float32), activation.geometry.side),
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
