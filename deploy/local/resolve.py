"""The servers' programs: fetched once, kept in one folder, each with a stamp that says what it was made from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local import tools

POM = Path(__file__).with_name("pom.xml")
"""Names the versions of Kafka and Cassandra."""
REGISTRY = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all"
"""The newest Apicurio Registry that runs on Java 17; it speaks the Confluent API."""
OBJECTS = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
"""An S3 gateway over a folder."""
TOOLCHAIN = "golang.org/toolchain@v0.0.1-go1.25.5"
"""The Go that the S3 server is built with where the machine's own is too old to fetch one."""
LAST_LINES = 15
"""Lines of a tool's output that say why it failed."""
STAMP = "made-from"
"""File in each program's folder, written last: a digest of what it was made from."""
HOME_VARIABLE = "RADSTREAM_SERVERS"
"""Environment variable with the folder of the programs, which several checkouts may share."""

Say = Callable[[str], None]


class NotResolvedError(Exception):
    """A program could not be fetched or built; the message has the tool's last words."""


def home() -> Path:
    """Folder of the servers' programs."""
    return Path(os.environ.get(HOME_VARIABLE, ".radstream-servers")).absolute()


@dataclass(frozen=True, slots=True)
class Program:
    """How one server's program gets onto this machine.

    Parameters
    ----------
    name
        The server, and the program's folder.
    made_from
        Everything that decides what is fetched.
    make
        Fills an empty folder.
    """

    name: str
    made_from: str
    make: Callable[[Path], None]

    @property
    def folder(self) -> Path:
        """Where the program lies."""
        return home() / self.name

    @property
    def stamp(self) -> str:
        """What the stamp of the wanted version says."""
        return hashlib.sha256(self.made_from.encode()).hexdigest()

    def is_there(self) -> bool:
        """Whether this very version lies there, whole."""
        try:
            return (self.folder / STAMP).read_text("utf-8") == self.stamp
        except OSError:
            return False


def _run(
    command: Sequence[str | Path], environment: dict[str, str] | None = None, folder: Path | None = None
) -> str:
    """Run a tool to its end and return what it printed; NotResolvedError with its last words when it failed."""
    done = subprocess.run(
        [str(each) for each in command],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=os.environ | (environment or {}),
        cwd=folder,
        text=True,
    )
    if done.returncode:
        words = "\n".join((done.stdout + done.stderr).splitlines()[-LAST_LINES:])
        raise NotResolvedError(f"{Path(command[0]).name} failed:\n{words}")
    return done.stdout


def _jars(profile: str, folder: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    _run([tools.maven(), "-q", "-B", "-f", POM, "-P", profile, *goal])


def _registry(folder: Path) -> None:
    _run(
        [
            tools.maven(),
            "-q",
            "-B",
            "dependency:copy",
            f"-Dartifact={REGISTRY}",
            f"-DoutputDirectory={folder}",
        ]
    )
    (packed,) = folder.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    packed.unlink()


def _objects(folder: Path) -> None:
    found = tools.go()
    go = found if tools.is_new(found) else _toolchain(found, folder)
    _run([go, "install", OBJECTS], {"GOBIN": str(folder), "GOTOOLCHAIN": "auto"})


def _toolchain(old: Path, folder: Path) -> Path:
    """Have an old Go (Debian 12 has 1.19) fetch the toolchain as a module, which newer ones do by themselves."""
    (folder / "go.mod").write_text("module toolchain\n", "utf-8")
    place = _run([old, "env", "GOOS", "GOARCH"]).split()
    wanted = f"{TOOLCHAIN}.{'-'.join(place)}"
    fetched = _run([old, "mod", "download", "-json", wanted], {"GOFLAGS": "-mod=mod"}, folder)
    root = Path(json.loads(fetched)["Dir"])
    for program in [*(root / "bin").iterdir(), *(root / "pkg" / "tool").rglob("*")]:
        if program.is_file():  # a module's archive keeps no permissions
            program.chmod(0o755)
    return root / "bin" / "go"


def programs() -> dict[str, Program]:
    """Every program by the name of its server."""
    pom = POM.read_text("utf-8")
    found = (
        Program("kafka", pom, lambda folder: _jars("kafka", folder)),
        Program("cassandra", pom, lambda folder: _jars("cassandra", folder)),
        Program("registry", REGISTRY, _registry),
        Program("objects", OBJECTS, _objects),
    )
    return {program.name: program for program in found}


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time fetch; the others then find everything there."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def resolve(names: Sequence[str], say: Say) -> None:
    """Make sure that the programs of these servers lie here.

    Raises
    ------
    MissingToolError
        Java, Maven or Go is missing.
    NotResolvedError
        Something could not be fetched or built.
    """
    wanted = [program for name, program in programs().items() if name in names]
    if all(program.is_there() for program in wanted):
        return
    with _alone():
        for program in wanted:
            if program.is_there():
                continue
            say(f"fetching {program.name}, once (into {program.folder})")
            part = program.folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            program.make(part)
            (part / STAMP).write_text(program.stamp, "utf-8")
            shutil.rmtree(program.folder, ignore_errors=True)
            part.rename(program.folder)
