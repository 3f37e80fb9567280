"""Import a downloaded network: `python -m inference.training.imports SOURCE FILE --sha256 DIGEST --output FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inference.training.imports import monai_bundle, rsna_hemorrhage, torchxrayvision
from inference.training.imports.imported import NotImportableError

SOURCES = {
    "torchxrayvision": torchxrayvision.run,
    "monai-bundle": monai_bundle.run,
    "rsna-hemorrhage": rsna_hemorrhage.run,
}


def main(arguments: list[str] | None = None) -> int:
    """Import, and say where it went or why not."""
    parser = argparse.ArgumentParser(
        prog="radstream import-model", description="Import a downloaded network."
    )
    parser.add_argument("source", choices=sorted(SOURCES))
    parser.add_argument("file", type=Path, help="weights as a state dict; for a MONAI bundle its folder")
    parser.add_argument("--sha256", required=True, help="digest of the weights, as their publisher states it")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        spec = SOURCES[given.source](given.file, given.sha256, given.output)
    except (NotImportableError, OSError) as error:
        print(f"Not imported: {error}", file=sys.stderr)
        return 1
    print(
        f"{spec.name}: {len(spec.labels)} labels, uncalibrated; Triton repository in {given.output / 'triton'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
