"""Holds the images that a site sends to a model to those from the time of acceptance, and says when they have changed.

One image of each request counts: slices of one study are alike, and would pass for a change. The reference is learnt from the
first images and kept as an object, so that all processes of the step have the same, and a restart forgets nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from inference.drift import Reference, Statistics, Watch
from runtime import logs
from runtime.audit import Audit
from runtime.buckets import RESULTS
from runtime.errors import RetryError
from runtime.metrics import Metrics
from runtime.ports import ObjectExistsError, ObjectMissingError, Objects

DRIFTED, AS_ACCEPTED = "input.drifted", "input.as-accepted"
"""Actions of the audit events that a change and its end leave; their purpose names the model and what has moved."""

Blocking = Callable[..., Awaitable[Any]]
"""Runs a blocking call of a port in a thread."""


@dataclass
class _Watched:
    watch: Watch
    flagged: frozenset[str] = frozenset()


@dataclass
class InputDrift:
    """The watches of one process. Used from one event loop."""

    objects: Objects
    metrics: Metrics
    audit: Audit
    watched: dict[str, _Watched | None] = field(default_factory=dict)
    """By object key; None while the reference is being fetched."""

    async def seen(self, site: str, model: str, digest: str, image: Statistics, io: Blocking) -> None:
        """Count one image. A store that does not answer, or a reference of another make, costs the image its place only."""
        key = reference_key(site, model, digest)
        try:
            if key not in self.watched:
                self.watched[key] = None
                self.watched[key] = _Watched(await self._begun(key, io))
            found = self.watched[key]
            if found is None:
                return
            learning = found.watch.reference is None
            found.watch = found.watch.after(image)
            if learning and found.watch.reference is not None:
                found.watch = Watch(await self._agreed(key, found.watch.reference, io))
        except (RetryError, ValueError, LookupError, TypeError):
            self.watched.pop(key, None)
            return
        await self._tell(site, model, found, io)

    async def _begun(self, key: str, io: Blocking) -> Watch:
        try:
            return Watch(_read(await io(self.objects.get, RESULTS, key)))
        except ObjectMissingError:
            return Watch()

    async def _agreed(self, key: str, own: Reference, io: Blocking) -> Reference:
        """The reference of whichever process was first."""
        data = json.dumps(asdict(own), sort_keys=True).encode()
        with suppress(ObjectExistsError):
            await io(self.objects.put, RESULTS, key, data, if_absent=True)
        return _read(await io(self.objects.get, RESULTS, key))

    async def _tell(self, site: str, model: str, found: _Watched, io: Blocking) -> None:
        """Show how much has moved; leave an audit event and a line of the log when that changes."""
        flagged = found.watch.drift.flagged()
        self.metrics.set("radstream_drifted_statistics", len(flagged), site=site, model=model)
        if flagged == found.flagged:
            return
        before, found.flagged = found.flagged, flagged
        moved = ", ".join(sorted(flagged))
        try:
            action = DRIFTED if flagged else AS_ACCEPTED
            await io(self.audit, site, (), action, f"{model}: {moved}" if moved else model)
        except RetryError:
            found.flagged = before  # the next image says it again
            return
        state = f"drifted: {moved}" if moved else "as accepted"
        logs.logger("input-drift").warning("input", site=site, model=model, state=state)


def reference_key(site: str, model: str, digest: str) -> str:
    """Object key of the reference of a site's images for one version of a model."""
    return f"{site}/monitoring/drift-{model}-{digest[:12]}.json"


def _read(data: bytes) -> Reference:
    told = json.loads(data)
    return Reference(told["means"], told["deviations"])
