"""The list of dependencies is what the product imports: nothing less, and nothing more but what is named here."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions

from tests.support.repository import PACKAGES, product_trees, pyproject

USED_BY_OTHERS = {
    "pyjpegls": "pydicom decodes and encodes JPEG-LS with it",
    "pylibjpeg": "pydicom finds pylibjpeg-openjpeg through it",
    "pylibjpeg-openjpeg": "pydicom decodes and encodes JPEG 2000 with it",
    "python-gdcm": "pydicom decodes JPEG with it",
    "python-multipart": "starlette asks for it when a form is read",
}
"""Dependencies that no line imports, each with who does."""
OF_ANOTHER_ENVIRONMENT = {"triton_python_backend_utils": "there inside the Triton server only"}
"""Imports that the product's environment does not have."""
TRAINING = ("inference", "training")
WITH_TORCH = {"backbone.py", "densenet.py", "network.py", "onnx_graph.py", "train.py"}
"""These, and the imports, have an environment of their own (requirements/training.in)."""


def imported() -> set[str]:
    """Names of the third-party packages that the product imports."""
    names: set[str] = set()
    for path, tree in product_trees().items():
        if path.parts[:2] == TRAINING and (path.name in WITH_TORCH or "imports" in path.parts):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Import():
                    names |= {alias.name.split(".")[0] for alias in node.names}
                case ast.ImportFrom(module=str(module), level=0):
                    names.add(module.split(".")[0])
                case _:
                    continue
    return names - set(PACKAGES) - sys.stdlib_module_names - OF_ANOTHER_ENVIRONMENT.keys()


def normal(distribution: str) -> str:
    """Name of a distribution as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def declared() -> set[str]:
    """Names in pyproject.toml."""
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in pyproject()["project"]["dependencies"])
    return {normal(match[0]) for match in found if match}


def test_what_is_imported_is_declared():
    known = packages_distributions()
    missing = {name for name in imported() if not {normal(each) for each in known.get(name, [])} & declared()}

    assert missing == set()


def test_what_is_declared_is_imported_or_named_with_its_user():
    known = packages_distributions()
    used = {normal(each) for name in imported() for each in known.get(name, [])}

    assert declared() - used == set(USED_BY_OTHERS)
