"""The repository as its own subject: what is in it, and the product's syntax trees."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

PACKAGES = (
    "schemas",
    "runtime",
    "inference",
    "stream_processors",
    "producers",
    "sinks",
    "portal_api",
    "deploy",
    "cli",
)
"""The product, from the contracts up. pyproject.toml, .importlinter and the README name the same ones (held by tests)."""


@cache
def committed_files() -> tuple[Path, ...]:
    """Every file that is, or would be, committed: tracked, or new and not ignored; relative to the root."""
    # The folder may belong to another user than the one who runs the tests (containers).
    git = [
        "git",
        "-c",
        f"safe.directory={ROOT}",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    names = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(sorted(Path(name) for name in names if name and (ROOT / name).is_file()))


@cache
def committed_texts() -> dict[Path, str]:
    """The committed files that are UTF-8 text, with their text."""
    texts = {}
    for path in committed_files():
        raw = (ROOT / path).read_bytes()
        if b"\0" in raw:
            continue
        texts[path] = raw.decode("utf-8")
    return texts


@cache
def product_trees() -> dict[Path, ast.Module]:
    """The syntax tree of every Python file of the product."""
    texts = committed_texts()
    return {
        path: ast.parse(text, str(path))
        for path, text in texts.items()
        if path.suffix == ".py" and path.parts[0] in PACKAGES
    }


@cache
def pyproject() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
