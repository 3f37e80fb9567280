"""Values as words: priorities, times, waiting, probabilities. Pure; the templates' filters."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from runtime.clock import MICROSECONDS

PRIORITIES: Mapping[str, tuple[str, str]] = {
    "critical": ("▲", "Critical"),
    "high": ("△", "High"),
    "routine": ("·", "Routine"),
    "not-analysed": ("○", "Not analysed"),
    "undetermined": ("?", "Undetermined"),
    "pending": ("…", "Pending AI"),
}
"""Shape and word of each urgency: colour only repeats them."""


def shape(urgency: str) -> str:
    """Return the mark of an urgency."""
    return PRIORITIES.get(urgency, PRIORITIES["undetermined"])[0]


def word(urgency: str) -> str:
    """Return the name of an urgency."""
    return PRIORITIES.get(urgency, PRIORITIES["undetermined"])[1]


def duration(seconds: float | None) -> str:
    """Return a duration as people say it: `8 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    if seconds is None:
        return "unknown"
    whole = int(max(seconds, 0))
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{days} d {hours % 24} h"


def exact(at: int | None) -> str:
    """Return a time (UTC microseconds) in full."""
    if at is None:
        return "unknown"
    moment = dt.datetime.fromtimestamp(at / MICROSECONDS, dt.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: int | None) -> str:
    """Return the time of day of a time (UTC microseconds)."""
    return exact(at)[11:16] if at is not None else ""


def iso(at: int | None) -> str:
    """Return a time (UTC microseconds) for a `datetime` attribute."""
    return dt.datetime.fromtimestamp((at or 0) / MICROSECONDS, dt.UTC).isoformat()


def since(at: int | None, now: int) -> str:
    """Return how long ago a time was."""
    return duration(None if at is None else (now - at) / MICROSECONDS)


def probability(value: float | None) -> str:
    """Return a probability with two decimals; what is not quite 1 is never rounded up to it."""
    return "" if value is None else f"{min(value, 0.99) if value < 1 else value:.2f}"


def label(name: str) -> str:
    """Return a finding's label as words: `pleural_effusion` is `Pleural effusion`."""
    return name.replace("_", " ").replace("-", " ").capitalize()


def body(part: str) -> str:
    """Return a body part as words; `unknown` says nothing."""
    return "" if part == "unknown" else part.lower()


def ordered(priority: str) -> str:
    """Return an ordered priority as words; an unknown one says how it is treated."""
    return "unknown, treated as stat" if priority == "unknown" else priority


def sentence(text: str) -> str:
    """Return a text with its first letter as a capital, the rest as it is."""
    return text[:1].upper() + text[1:]


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


@cache
def environment(web: Path) -> Environment:
    """Templates that escape everything and fail on a name they do not know."""
    templates = Environment(
        loader=FileSystemLoader(web / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        {
            each.__name__: each
            for each in (
                shape,
                word,
                duration,
                exact,
                clock,
                iso,
                since,
                probability,
                label,
                body,
                ordered,
                sentence,
                plural,
            )
        }
    )
    digests = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in (web / "static").iterdir()
    }
    templates.globals["static"] = lambda name: f"/static/{name}?v={digests[name]}"
    return templates
