"""`python -m tests.fuzz.deidentification --seconds 3600`: fuzz walker, verifier and streaming, guided by coverage.

Atheris (`make fuzz` installs it) instruments the package and keeps every input that reaches something new; half of all
inputs are damaged where it matters to a reader of DICOM (`seeds`), half by libFuzzer. What must hold is in `ways`; what
does not is a finding: its input is kept under `--findings`, and the command ends with status 1. `--replay` runs the kept
inputs again and says what part of each module's lines they reach.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

PACKAGE = "stream_processors.deidentification"
MODULES = (
    "walker", "budget", "edits", "rules", "values", "replacing", "kinds", "facts", "repeats", "runs", "part10", "encoding",
    "engine", "identity", "descriptors", "codestreams", "output", "streaming", "second_reader", "verify",
)  # fmt: skip
"""What an input can reach: the walk, the stream and the verifier."""
PATIENCE = 10.0
"""seconds of processor time for one input of some kilobytes: a hundred times what it takes."""
HANGS = 60.0
"""seconds of processor time after which one way is given up. libFuzzer's own limit is by the clock: it would end the run of
a process that a busy machine has halted."""
SAYS_EVERY = 20.0
"""seconds of processor time between two tallies on disk."""
LONGEST = 65_536
"""bytes of an input."""


class Tally:
    """How each way ended, and where the findings go."""

    def __init__(self, findings: Path) -> None:
        self.findings = findings
        self.ended: Counter[str] = Counter()
        self.found = 0
        self.said_at = 0.0

    def run(self, raw: bytes) -> None:
        """Take one input through all ways."""
        from tests.fuzz.ways import Finding, ways

        for name, way in ways(raw).items():
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, HANGS)
            try:
                outcome = way()
            except Finding as finding:
                outcome = f"FINDING {finding}"
            except Exception as error:  # noqa: BLE001 - what fuzzing looks for
                outcome = f"FINDING {type(error).__name__}"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            if time.process_time() - began > PATIENCE:
                outcome = "FINDING slow"
            self.ended[f"{name}: {outcome}"] += 1
            if "FINDING" in outcome:
                self.found += 1
                self.findings.mkdir(parents=True, exist_ok=True)
                digest = hashlib.sha256(raw).hexdigest()[:12]
                (self.findings / f"{name.replace(' ', '-')}-{digest}.dcm").write_bytes(raw)

    def said(self) -> str:
        """Write how everything ended."""
        lines = [f"{count:10} {name}" for name, count in sorted(self.ended.items())]
        lines.append(
            f"{self.ended.total():10} executions, {self.found} findings, {time.process_time():.0f} s of processor time"
        )
        return "\n".join(lines) + "\n"


def _give_up(_number: int, _frame: FrameType | None) -> None:
    from tests.fuzz.ways import Finding

    raise Finding("hang")


def fuzz(seconds: float, seed: int, folders: list[Path], corpus: Path, tally: Tally) -> None:
    """Fuzz for so much processor time, then say what came of it and end the process: libFuzzer does not return."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=[PACKAGE]):
        for name in MODULES:
            importlib.import_module(f"{PACKAGE}.{name}")
    from tests.fuzz.seeds import damaged, data_set_at, seeds

    whole = seeds(folders)
    corpus.mkdir(parents=True, exist_ok=True)
    for each in whole:
        (corpus / hashlib.sha256(each).hexdigest()[:16]).write_bytes(each)

    def one(raw: bytes) -> None:
        tally.run(raw)
        if time.process_time() > tally.said_at + SAYS_EVERY:
            tally.said_at = time.process_time()
            counted = {"seconds": tally.said_at, "found": tally.found, "ended": tally.ended}
            (corpus.parent / f"{corpus.name}-{seed}.json").write_text(json.dumps(counted), "utf-8")
        if time.process_time() > seconds:
            sys.stdout.write(tally.said())
            sys.stdout.flush()
            os._exit(1 if tally.found else 0)

    def mutated(raw: bytes, most: int, chosen: int) -> bytes:
        chance = random.Random(chosen)
        if chance.random() < 0.5:
            return damaged(raw or whole[0], whole, chance)[:most]
        kept = (
            data_set_at(raw) if chance.random() < 0.9 else 0
        )  # past the frame, behind which most readers stop
        return raw[:kept] + bytes(atheris.Mutate(raw[kept:] or b"\0", most - kept))

    flags = [
        f"-seed={seed}",
        f"-max_len={LONGEST}",
        "-timeout=1000000",
        "-rss_limit_mb=4096",
        "-artifact_prefix=.fuzz/",
        "-print_final_stats=1",
    ]
    signal.signal(signal.SIGPROF, _give_up)
    atheris.Setup([sys.argv[0], str(corpus), *flags], one, custom_mutator=mutated)
    atheris.Fuzz()


def _lines(code: CodeType) -> set[int]:
    own = {line for _, _, line in code.co_lines() if line}
    return own.union(*(_lines(each) for each in code.co_consts if isinstance(each, CodeType)))


def replay(corpus: Path, tally: Tally) -> str:
    """Run the kept inputs again; say what share of each module's lines in functions they reach."""
    modules: dict[str, ModuleType] = {}
    for name in MODULES:
        module = importlib.import_module(f"{PACKAGE}.{name}")
        modules[str(module.__file__)] = module
    reached: dict[str, set[int]] = {path: set() for path in modules}

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        lines = reached.get(frame.f_code.co_filename)
        if lines is None:
            return None
        if event in ("call", "line"):
            lines.add(frame.f_lineno)
        return trace

    sys.settrace(trace)
    for path in sorted(corpus.iterdir()):
        tally.run(path.read_bytes())
    sys.settrace(None)
    said = []
    for file, lines in reached.items():
        top = compile(Path(file).read_text("utf-8"), file, "exec")
        codes = (each for each in top.co_consts if isinstance(each, CodeType))
        inside = {line for code in codes for line in _lines(code)}
        body = inside - {line for line in inside if line in _definitions(top)}
        said.append(f"{100 * len(lines & body) / max(len(body), 1):6.1f} % {Path(file).stem}"
                    f"  not reached: {sorted(body - lines)}\n")  # fmt: skip
    return "".join(said)


def _definitions(top: CodeType) -> set[int]:
    """Lines that run when a module is imported: those of its classes and signatures."""
    own = {line for _, _, line in top.co_lines() if line}
    for each in top.co_consts:
        if isinstance(each, CodeType) and not each.co_flags & 0x1:  # no fast locals: a class body
            own |= _definitions(each)
    return own


def main() -> int:
    """Run it, and say how each input ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of processor time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path(".fuzz/findings"))
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz/corpus"))
    parser.add_argument("--replay", action="store_true", help="run what was kept again, and measure coverage")
    parser.add_argument("folders", type=Path, nargs="*", help="folders with more files to begin with")
    given = parser.parse_args()
    tally = Tally(given.findings)
    if given.replay:
        sys.stdout.write(replay(given.corpus, tally) + tally.said())
        return 1 if tally.found else 0
    fuzz(given.seconds, given.seed, given.folders, given.corpus, tally)
    return 0


if __name__ == "__main__":
    sys.exit(main())
