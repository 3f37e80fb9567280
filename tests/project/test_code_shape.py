from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.repository import committed_texts, product_trees

MAX_FILE_LINES = 400

LISTS = {"schemas/events.py", "schemas/rows.py"}
"""Not code but lists: one dataclass per event and per table, equal to the contract field by field."""

MAX_FUNCTION_LINES = 50
"""Without its docstring."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines_without_docstring(function: Function) -> int:
    first = function.body[0]
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def public(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """Public functions, classes and methods: not what a function defines inside itself, nor what overrides a method."""
    for node in body:
        if not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ) or node.name.startswith("_"):
            continue
        if any(
            isinstance(mark, ast.Name) and mark.id in {"override", "overload"} for mark in node.decorator_list
        ):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from public(node.body)


def repeats_its_name(node: Function | ast.ClassDef) -> bool:
    said = re.sub(r"[^a-z]", "", (ast.get_docstring(node) or "").lower())
    name = re.sub(r"[^a-z]", "", node.name.lower())
    return said in {name, f"the{name}", f"return{name}", f"returnthe{name}"}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        pytest.param("def f():\n    return 1\n", 2, id="a body of one line"),
        pytest.param(
            'def f():\n    """One.\n\n    Two.\n    """\n    return 1\n', 2, id="the docstring is left out"
        ),
    ],
)
def test_the_length_of_a_function_is_counted_without_its_docstring(source, lines):
    assert [lines_without_docstring(function) for function in functions(ast.parse(source))] == [lines]


def test_no_file_is_too_long_to_read():
    texts = committed_texts()
    lengths = {path.as_posix(): len(texts[path].splitlines()) for path in product_trees()}

    assert {path: n for path, n in lengths.items() if n > MAX_FILE_LINES and path not in LISTS} == {}


def test_no_function_is_too_long_to_read():
    long = {
        f"{path}:{function.lineno} {function.name}": lines_without_docstring(function)
        for path, tree in product_trees().items()
        for function in functions(tree)
        if lines_without_docstring(function) > MAX_FUNCTION_LINES
    }

    assert long == {}


def test_public_names_are_documented_and_not_by_their_name():
    bare = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in product_trees().items()
        for node in public(tree.body)
        if not ast.get_docstring(node) or repeats_its_name(node)
    ]

    assert bare == []
