"""The tools that fetch and run the servers, found or named: Java, Maven, Go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

JAVA_VERSION = 17
"""The oldest Java that Kafka 4 and the registry run on; Cassandra 5 is tested by its project on this one."""
GO_VERSION = (1, 21)
"""From this version on, Go fetches the newer toolchain that a module asks for by itself."""


class MissingToolError(Exception):
    """A tool is not there or too old; the message says what to install."""


def java() -> Path:
    """Find Java, in `JAVA_HOME` or on the path.

    Raises
    ------
    MissingToolError
        There is none, or an older one than `JAVA_VERSION`.
    """
    named = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{named}/bin") if named else shutil.which("java")
    if found is None:
        raise MissingToolError(f"Java {JAVA_VERSION} is missing (Debian, Ubuntu: openjdk-17-jdk-headless)")
    said = subprocess.run([found, "-version"], check=False, capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_VERSION:
        raise MissingToolError(
            f"{found} is older than Java {JAVA_VERSION}; install that and set JAVA_HOME to it"
        )
    return Path(found)


def maven() -> Path:
    """Find Maven; MissingToolError where there is none."""
    found = shutil.which("mvn")
    if found is None:
        raise MissingToolError("Maven is missing: it fetches the Java servers (Debian, Ubuntu: maven)")
    return Path(found)


def go() -> Path:
    """Find Go; MissingToolError where there is none."""
    found = shutil.which("go")
    if found is None:
        raise MissingToolError("Go is missing: it builds the S3 server (Debian, Ubuntu: golang)")
    return Path(found)


def is_new(found: Path) -> bool:
    """Whether a Go fetches the toolchain that a module asks for by itself."""
    said = subprocess.run([found, "version"], check=False, capture_output=True, text=True).stdout
    version = re.search(r"go(\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) >= GO_VERSION
