"""Logs that cannot print a payload: JSON lines on standard error, made of allow-listed keys and tame values only.

A key that is not on the list is dropped. A value passes if it is a number, a truth value, or short text in the alphabet of our
own names; any other object is its class name. An exception is its type and the lines it passed, never its message, which
may quote what it choked on. Records of other libraries keep level, logger and line, and lose their text.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
import types
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

ALLOWED_KEYS = frozenset(
    {
        "event", "level", "timestamp", "component", "logger", "where", "error_type", "frames", "causes",
        "site", "study", "series", "instance", "event_id", "correlation_id", "alert_id", "result_id", "revision",
        "topic", "partition", "offset", "offsets", "group", "member", "attempts", "reason", "consumer", "step",
        "count", "records", "outputs", "inputs", "seconds", "bytes", "status", "status_code", "method", "route",
        "address", "port", "pid", "signal", "exit_code", "point", "model", "backend", "channel", "action", "role",
        "bucket", "object_key", "table", "version", "profile", "name", "state", "lag", "batch", "items", "deadline",
    }
)  # fmt: skip
"""Keys that may appear in a line. None of them is meant for anything a sender or a person wrote."""
TAME = re.compile(r"[A-Za-z0-9_.,:;/@+=()\[\]<>#%'\" \-]{0,500}")
"""Text that may appear: the alphabet of topics, pseudonyms, addresses and our own sentences; no `^` as in names, no line ends."""
WITHHELD = "(withheld)"
"""Stands where a text was not tame."""
MAX_FRAMES = 12
"""Lines of a stack that are kept, from the innermost."""
FOREIGN = "message of another library withheld"
"""Event of a record whose text was not written by this project."""

Values = MutableMapping[str, Any]


def configure(component: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log line of this process, other libraries' and uncaught exceptions included, through the filter."""
    _install(level, stream)
    root = logging.getLogger()
    root.handlers = [_Foreign(component)]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.captureWarnings(capture=True)
    _catch_uncaught(component)


def _install(level: str, stream: TextIO | None = None) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exceptions,
            _only_allowed,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: structlog.WriteLogger(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


def logger(component: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a component."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(component=component)
    return bound


def tame(value: object) -> object:
    """Return what may be printed of a value."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value if TAME.fullmatch(value) else WITHHELD
    if isinstance(value, (list, tuple)):
        return [tame(each) for each in value]
    if isinstance(value, type):
        return value.__name__
    return f"<{type(value).__name__}>"


def described(error: BaseException) -> dict[str, object]:
    """Describe an exception by its type, the types behind it, and the lines it passed."""
    frames = [
        f"{'/'.join(frame.filename.split('/')[-3:])}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    ]
    return {
        "error_type": type(error).__name__,
        "causes": [type(each).__name__ for each in _causes(error)],
        "frames": frames,
    }


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    following: BaseException | None = error.__cause__ or error.__context__
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _exceptions(_logger: object, _method: str, values: Values) -> Values:
    """Replace `exc_info` (an exception, its triple, or True for the current one) by its description."""
    given = values.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if error is None and given is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        values.update(described(error))
    return values


def _only_allowed(_logger: object, _method: str, values: Values) -> Mapping[str, object]:
    return {key: tame(value) for key, value in values.items() if key in ALLOWED_KEYS}


class _Foreign(logging.Handler):
    """Takes records of the standard library's logging and keeps nothing of their text."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def emit(self, record: logging.LogRecord) -> None:
        """Write where the record came from."""
        where = f"{'/'.join(record.pathname.split('/')[-3:])}:{record.lineno}"
        error = record.exc_info[1] if record.exc_info else None
        logger(self._component).log(record.levelno, FOREIGN, logger=record.name, where=where, exc_info=error)


LIMIT_LINES, LIMIT_S = 3, 10.0
"""Lines that one place in another library may write in so many seconds."""


class _Limit(logging.Filter):
    """Lets a few lines of each place through, then none until the time is over."""

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Count the line and say whether it may be written."""
        place = (record.pathname, record.lineno)
        since, lines = self._windows.get(place, (float("-inf"), 0))
        if record.created - since >= LIMIT_S:
            since, lines = record.created, 0
        self._windows[place] = (since, lines + 1)
        return lines < LIMIT_LINES


def limit(component: str, name: str, level: int = logging.WARNING) -> None:
    """Have a talkative library write a few lines of each kind in ten seconds, and nothing below a level."""
    found = logging.getLogger(name)
    found.handlers = [_Foreign(component)]
    found.handlers[0].addFilter(_Limit())
    found.propagate = False
    found.setLevel(level)


def _catch_uncaught(component: str) -> None:
    def of_process(
        _type: type[BaseException], error: BaseException, _trace: types.TracebackType | None
    ) -> None:
        logger(component).error("uncaught exception", exc_info=error)

    def of_thread(arguments: threading.ExceptHookArgs) -> None:
        logger(component).error("uncaught exception in a thread", exc_info=arguments.exc_value)

    def unraisable(arguments: Any) -> None:
        logger(component).error("exception that could not be raised", exc_info=arguments.exc_value)

    sys.excepthook = of_process
    threading.excepthook = of_thread
    sys.unraisablehook = unraisable


_install(
    "INFO"
)  # structlog's own defaults print the local variables of every frame: they must never be in force
