"""`python -m tests.mutation.mutants MODULE... --tests PATH...`: change a module in one place at a time, and see who notices.

Each mutant is run in a process of its own, forked where the libraries are imported and the module is not. A mutant that no
test notices survives, and is listed by line and change.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

TIMEOUT = 120
"""seconds for the tests of one mutant; a mutant that hangs is noticed."""
HEAVY = ("numpy", "pydicom", "cryptography", "PIL.Image")
"""Imported once, before the first fork; nothing that pytest wants to import itself."""

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
    elif isinstance(node, ast.Return) and node.value is not None:
        yield ast.Return(None)
    elif isinstance(node, ast.Continue):
        yield ast.Break()
    elif isinstance(node, ast.AugAssign) and type(node.op) in _OPERATORS:
        yield ast.AugAssign(node.target, _OPERATORS[type(node.op)](), node.value)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()


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


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Loads one module from other source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Answer for the module, and for no other."""
        if name != self.name:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(self.path))

    def get_source(self, _name: str) -> str:
        """Give the mutant's source."""
        return self.source


def survives(name: str, path: Path, source: str, tests: list[str]) -> bool:
    """Whether no test notices; a crash, a hang and a failure all count as noticed."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    signal.alarm(TIMEOUT)
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    sys.meta_path.insert(0, _Mutated(name, path, source))
    import pytest

    options = [
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "--no-header",
        "--import-mode=importlib",
        "-p",
        "no:randomly",
    ]
    os._exit(int(pytest.main([*options, *tests])))


def main() -> int:
    """Run all mutants, or a sample, of some modules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="+", help="dotted names")
    parser.add_argument("--tests", nargs="+", required=True)
    parser.add_argument(
        "--sample", type=int, default=0, help="so many of each module, chosen by a fixed seed"
    )
    given = parser.parse_args()
    for heavy in HEAVY:
        importlib.import_module(heavy)
    for name in given.modules:
        path = Path(*name.split(".")).with_suffix(".py")
        every = mutants(path.read_text("utf-8"))
        chosen = every
        if given.sample and given.sample < len(every):
            chosen = sorted(random.Random(1).sample(every, given.sample))
        if not survives(name, path, path.read_text("utf-8"), given.tests):
            sys.stdout.write(f"{name}: the tests fail without any change\n")
            return 1
        alive = 0
        for line, change, source in chosen:
            if survives(name, path, source, given.tests):
                alive += 1
                sys.stdout.write(f"  {path}:{line}  {change}\n")
                sys.stdout.flush()
        sys.stdout.write(f"{name}: {len(chosen)} of {len(every)} mutants, {len(chosen) - alive} killed\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
