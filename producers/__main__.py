"""`python -m producers stow` and `python -m producers folder PATH --site SITE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from producers import folder, stow
from runtime import process


def main(arguments: list[str]) -> int:
    """Run one gateway and return its exit status."""
    parser = argparse.ArgumentParser(prog="producers", description="Gateways: how studies come in.")
    gateways = parser.add_subparsers(dest="gateway", required=True)
    gateways.add_parser(stow.NAME, help="STOW-RS server (PS3.18 §10.5)")
    batch = gateways.add_parser(folder.NAME, help="take in a folder of DICOM files")
    batch.add_argument("path", type=Path, help="folder, or one file")
    batch.add_argument("--site", required=True, help="site whose studies these are")
    batch.add_argument("--dry-run", action="store_true", help="read and judge the files, store nothing")
    batch.add_argument("--json", action="store_true", help="write the summary as JSON")
    batch.add_argument("--threads", type=int, default=folder.THREADS, help="batches at once (%(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.gateway == stow.NAME:
        process.run(stow.NAME, stow.serve)
    return folder.main(
        chosen.path, chosen.site, dry_run=chosen.dry_run, as_json=chosen.json, threads=chosen.threads
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
