"""`python -m tests.mutation.mutants MODULE... --tests PATH...`: change a module in one place at a time, and see who notices.

The tests are collected once. Each mutant is a process of its own, forked where everything is imported: the code of the
module's functions, and its constants wherever they were imported, are replaced there, what was remembered is forgotten,
and the tests run until one fails: only those that call the changed function at all, which is written down beforehand, those
that noticed most before first, and then the quick ones. A mutant that no test notices survives, and is listed by line and
change.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

import pytest
from _pytest import runner

PATIENCE = 20.0
"""times what the tests take without any change; a mutant that takes longer is noticed."""

NOT_THESE = "not every_real_file"
"""Tests that cost more than they notice."""

_COMPARES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.RShift: ast.LShift, ast.LShift: ast.RShift, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912 - one branch for each kind
    """Give what a node is replaced by, one at a time."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARES:
        yield ast.Compare(node.left, [_COMPARES[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and node.value:
        yield ast.Constant(node.value[:0])
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.If):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Return) and not _is_nothing(node.value):
        yield ast.Return(None)
    elif isinstance(node, ast.Continue):
        yield ast.Break()
    elif isinstance(node, ast.AugAssign) and type(node.op) in _OPERATORS:
        yield ast.AugAssign(node.target, _OPERATORS[type(node.op)](), node.value)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()


def _is_nothing(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _skipped(tree: ast.AST) -> set[int]:
    """Nodes that no test could be asked to see: docstrings, annotations, messages of faults of ours."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts = [node]
        elif isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            arguments = [*node.args.args, *node.args.kwonlyargs]
            parts = [node.returns, *(each.annotation for each in arguments), *node.decorator_list]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            parts = [node]
        for part in parts:
            skipped |= {id(each) for each in ast.walk(part)} if part is not None else set()
    return skipped


def mutants(source: str) -> list[tuple[int, str, str]]:
    """List line, change and new source of every mutant."""
    tree = ast.parse(source)
    skipped, made = _skipped(tree), []
    nodes = [node for node in ast.walk(tree) if id(node) not in skipped]
    for node in nodes:
        for new in changes(node):
            text = _with(tree, node, new)
            if text is not None:
                line = getattr(node, "lineno", 0)
                before = ast.unparse(node).split("\n")[0][:70]
                made.append((line, f"{before}  ->  {ast.unparse(new).split(chr(10))[0][:70]}", text))
    return made


def _with(tree: ast.Module, node: ast.AST, new: ast.AST) -> str | None:
    memo: dict[int, object] = {}
    changed = copy.deepcopy(tree, memo)
    twin = memo[id(node)]
    for parent in ast.walk(changed):
        for name, value in ast.iter_fields(parent):
            if value is twin:
                setattr(parent, name, new)
            elif isinstance(value, list) and any(each is twin for each in value):
                value[next(at for at, each in enumerate(value) if each is twin)] = new
    try:
        text = ast.unparse(ast.fix_missing_locations(changed))
        compile(text, "mutant", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return None
    return text


def _functions(holder: Any, module: str) -> Iterator[tuple[str, FunctionType]]:
    for name, value in list(vars(holder).items()):
        plain = value.fget if isinstance(value, property) else getattr(value, "__wrapped__", value)
        plain = value.func if isinstance(value, cached_property) else plain
        if isinstance(plain, FunctionType) and plain.__module__ == module:
            yield name, plain
        elif isinstance(value, type) and value.__module__ == module:
            yield from ((f"{name}.{inner}", each) for inner, each in _functions(value, module))


def _become(module: ModuleType, source: str) -> None:
    """Put a mutant's code and constants in the place of the module's."""
    changed = ModuleType(module.__name__)
    changed.__dict__.update(__file__=module.__file__, __package__=module.__package__)
    sys.modules[module.__name__], before = changed, module
    try:
        exec(compile(source, str(module.__file__), "exec"), changed.__dict__)
    finally:
        sys.modules[module.__name__] = before
    mutated = dict(_functions(changed, module.__name__))
    for name, function in _functions(module, module.__name__):
        if name in mutated:
            function.__code__ = mutated[name].__code__
            function.__defaults__ = mutated[name].__defaults__
            function.__kwdefaults__ = mutated[name].__kwdefaults__
    everywhere: list[object] = list(sys.modules.values())  # not all that stands there is a module
    for name, value in list(vars(module).items()):
        new = vars(changed).get(name, value)
        if callable(value) or isinstance(value, type | ModuleType) or name.startswith("__") or new is value:
            continue
        if name == "_harmless" or new == value:
            continue
        for each in everywhere:
            if getattr(each, "__dict__", {}).get(name) is value:
                setattr(each, name, new)


def _forget(changed: str) -> None:
    """Empty every memory of the package, so that nothing is known from before; the tables where their reader changed."""
    keeps = () if changed.endswith(".table") else ("load_table", "safe_private")
    for name, module in list(sys.modules.items()):
        if not name.startswith("stream_processors.deidentification"):
            continue
        for value in list(vars(module).values()):
            forget = getattr(value, "cache_clear", None)
            if forget is not None and getattr(value, "__name__", "") not in keeps:
                forget()
        vars(module).get("_harmless", {}).clear()


class Mutating:
    """A plugin of pytest that runs what was collected once for each mutant."""

    def __init__(self, modules: list[str], sample: int, again: str) -> None:
        self.modules, self.sample, self.again = modules, sample, again
        self.noticed: dict[str, int] = {}
        self.limit = 0.0
        self.seconds: dict[str, float] = {}
        self.reached: dict[str, set[tuple[str, int]]] = {}
        """By test: file and first line of each function that it calls."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run, and write what survives."""
        items = list(session.items)
        self._look_on(items)
        began = time.monotonic()
        who = self.noticing(items, None, "")
        if who is not None:
            raise pytest.UsageError(f"without any change {who} fails")
        self.limit = PATIENCE * (time.monotonic() - began) + 30
        for name in self.modules:
            self._module(name, items)
        return True

    def _look_on(self, items: list[pytest.Item]) -> None:
        """Write down how long each test takes and what it calls of the modules; nothing is known from before."""
        files = {str(Path(*name.split(".")).with_suffix(".py").resolve()) for name in self.modules}
        tables = next((name for name in self.modules if name.endswith(".table")), "")
        for item, following in zip(items, [*items[1:], None], strict=True):
            calls = self.reached[item.nodeid] = set()

            def called(frame: FrameType, _event: str, _argument: object, calls: Any = calls) -> None:
                if frame.f_code.co_filename in files:
                    calls.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

            _forget(tables)
            began = time.process_time()
            sys.settrace(called)
            runner.runtestprotocol(item, log=False, nextitem=following)
            sys.settrace(None)
            self.seconds[item.nodeid] = time.process_time() - began

    def _who_may(self, items: list[pytest.Item], path: Path, line: int) -> list[pytest.Item]:
        """Give the tests that call what stands at a line, in the order in which they run; all, where it is no function's."""
        around = [
            node
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.FunctionDef) and node.lineno < line <= (node.end_lineno or 0)
        ]
        places = {
            (str(path.resolve()), first)
            for node in around
            for first in (node.lineno, *(each.lineno for each in node.decorator_list))
        }
        chosen = [item for item in items if not places or self.reached[item.nodeid] & places]
        return sorted(chosen, key=lambda item: (-self.noticed.get(item.nodeid, 0), self.seconds[item.nodeid]))

    def _module(self, name: str, items: list[pytest.Item]) -> None:
        module = importlib.import_module(name)
        path = Path(*name.split(".")).with_suffix(".py")
        every = mutants(path.read_text("utf-8"))
        chosen = every
        if self.sample and self.sample < len(every):
            chosen = sorted(random.Random(1).sample(every, self.sample))
        if self.again:
            chosen = [each for each in every if f"  {path}:{each[0]}  {each[1]}\n" in self.again]
        alive = 0
        for line, change, source in chosen:
            who = self.noticing(self._who_may(items, path, line), module, source)
            if who is None:
                alive += 1
                sys.stderr.write(f"  {path}:{line}  {change}\n")
                sys.stderr.flush()
            else:
                self.noticed[who] = self.noticed.get(who, 0) + 1
        killed = len(chosen) - alive
        sys.stderr.write(
            f"{name}: {len(chosen)} of {len(every)} mutants, {killed} noticed, {100 * killed / max(len(chosen), 1):.1f} %\n"
        )
        sys.stderr.flush()

    def noticing(self, items: list[pytest.Item], module: ModuleType | None, source: str) -> str | None:
        """Give the test that notices, or what else did; None when nobody does."""
        if not items:
            return None
        receive, send = os.pipe()
        child = os.fork()
        if child:
            os.close(send)
            with os.fdopen(receive, "rb") as told:
                who = told.read().decode()
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            return None if status == 0 else who or "a crash or a hang"
        signal.alarm(int(self.limit) or 600)
        try:
            if module is not None:
                _become(module, source)
            _forget(module.__name__ if module is not None else "")
            for item, following in zip(items, [*items[1:], None], strict=True):
                reports = runner.runtestprotocol(item, log=False, nextitem=following)
                if any(report.failed for report in reports):
                    os.write(send, item.nodeid.encode())
                    os._exit(1)
        except BaseException:  # noqa: BLE001 - a mutant may break anything
            os._exit(1)
        os._exit(0)


def main() -> int:
    """Run all mutants, or a sample, of some modules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="+", help="dotted names")
    parser.add_argument("--tests", nargs="+", required=True)
    parser.add_argument(
        "--sample", type=int, default=0, help="so many of each module, chosen by a fixed seed"
    )
    parser.add_argument("--again", type=Path, help="what a run wrote: only what survived it is tried")
    given = parser.parse_args()
    again = given.again.read_text("utf-8") if given.again else ""
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "--no-header",
        "--import-mode=importlib",
        "-s",
        "-k",
        NOT_THESE,
    ]
    return int(pytest.main([*options, *given.tests], plugins=[Mutating(given.modules, given.sample, again)]))


if __name__ == "__main__":
    sys.exit(main())
