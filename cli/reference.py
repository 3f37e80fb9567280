"""The page `docs/cli.md`, made from the commands themselves: `python -m cli.reference > docs/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer.main

from cli.main import app

HEAD = """# The `radstream` command

Made by `python -m cli.reference > docs/cli.md`; a test holds it equal to the commands.

Every run has a folder of its own under `.radstream/` in the folder the command runs in, or under `RADSTREAM_HOME`: settings,
secrets, data and logs. `RADSTREAM_TRITON_ENV` names the Triton server's environment, `.venv-triton` by default.
"""


def page() -> str:
    """Return the whole page."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group, since there are several
    return HEAD + "".join(section for name in sorted(commands) for section in _command(name, commands[name]))


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = "".join(f" {_metavar(each)}" for each in command.params if each.param_type_name == "argument")
    yield f"\n## `radstream {name}{arguments}`\n\n{command.help}\n"
    if command.params:
        yield "\n| | | default |\n|---|---|---|\n"
    for each in command.params:
        names = ", ".join(f"`{option}`" for option in (*each.opts, *each.secondary_opts))
        shown = f"`{_metavar(each)}`" if each.param_type_name == "argument" else names
        yield f"| {shown} | {each.help} | {_default(each)} |\n"


def _metavar(parameter: Any) -> str:
    return str(parameter.name).upper()


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    return "" if parameter.default in (None, "", False) else f"`{parameter.default}`"


if __name__ == "__main__":
    sys.stdout.write(page())
