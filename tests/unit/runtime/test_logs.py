from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
import structlog

from runtime import logs
from runtime.ports import Record
from runtime.vault import Identity

SECRET = "DOE^JANE"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (
        structlog.get_config(),
        root.handlers,
        root.level,
        sys.excepthook,
        threading.excepthook,
        sys.unraisablehook,
    )
    kept = io.StringIO()
    logs.configure("test", "DEBUG", kept)
    yield kept
    structlog.configure(**before[0])
    root.handlers, root.level = before[1], before[2]
    sys.excepthook, threading.excepthook, sys.unraisablehook = before[3], before[4], before[5]
    logging.captureWarnings(capture=False)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_allowed_keys_with_tame_values_are_printed(stream: io.StringIO) -> None:
    logs.logger("stow").info("stored", site="north", count=3, offsets=[1, 2], unheard_of="dropped")
    (line,) = lines(stream)
    assert line.pop("timestamp")
    assert line == {
        "component": "stow",
        "event": "stored",
        "level": "info",
        "site": "north",
        "count": 3,
        "offsets": [1, 2],
    }


def leak_by_argument() -> None:
    logs.logger("x").info(
        "read", study=SECRET, patient=SECRET, series=SECRET.encode(), reason=Identity(patient_name=SECRET)
    )


def leak_by_message() -> None:
    logs.logger("x").info(f"could not read {SECRET}")


def leak_by_record() -> None:
    logs.logger("x").info("polled", records=[Record("t", 0, 0, SECRET.encode(), SECRET.encode(), (), 0)])


def leak_by_exception() -> None:
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise ValueError(f"no {SECRET}") from error
    except ValueError:
        logs.logger("x").exception("failed")


def leak_by_other_library() -> None:
    logging.getLogger("uvicorn.access").info('"GET /studies?PatientName=%s"', SECRET)
    logging.getLogger("pydicom").warning("Invalid value " + SECRET, exc_info=ValueError(SECRET))  # noqa: G003 - as libraries do


def leak_by_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"odd value {SECRET}", stacklevel=1)


def leak_by_thread() -> None:
    def fail() -> None:
        raise ValueError(SECRET)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def leak_by_hook() -> None:
    sys.excepthook(ValueError, ValueError(SECRET), None)


@pytest.mark.parametrize(
    "leak",
    [
        leak_by_argument,
        leak_by_message,
        leak_by_record,
        leak_by_exception,
        leak_by_other_library,
        leak_by_warning,
        leak_by_thread,
        leak_by_hook,
    ],
)
def test_no_way_of_logging_prints_a_payload(
    leak, stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    leak()
    assert lines(stream)
    captured = capsys.readouterr()
    assert "JANE" not in stream.getvalue() + captured.out + captured.err


def test_an_exception_is_its_type_its_causes_and_its_lines(stream: io.StringIO) -> None:
    leak_by_exception()
    (line,) = lines(stream)
    assert (line["error_type"], line["causes"]) == ("ValueError", ["KeyError"])
    assert "test_logs.py:" in str(line["frames"])


def test_a_process_that_forgot_to_configure_prints_no_payload_either(
    capsys: pytest.CaptureFixture[str],
) -> None:
    leak_by_exception()
    leak_by_argument()
    captured = capsys.readouterr()
    assert "ValueError" in captured.err
    assert "JANE" not in captured.err + captured.out


def test_a_talkative_library_writes_a_few_lines_of_each_kind_and_nothing_below_the_level(
    stream: io.StringIO,
) -> None:
    name = "talkative"
    logs.limit("test", name)
    child = logging.getLogger(f"{name}.inner")
    for _ in range(50):
        child.error("away")
        child.info("not shown")
    child.warning("another place")
    assert len(lines(stream)) == logs.LIMIT_LINES + 1
    assert {line["logger"] for line in lines(stream)} == {f"{name}.inner"}


def test_after_its_time_a_place_may_write_again() -> None:
    filtered = logs._Limit()
    record = logging.LogRecord("x", logging.ERROR, "file.py", 1, "away", None, None)
    passed = []
    for second in range(25):
        record.created = float(second)
        passed.append(filtered.filter(record))
    assert passed.count(True) == 3 * logs.LIMIT_LINES
