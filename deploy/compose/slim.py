"""Takes out of an image's environment what no process of ours opens: half of what the libraries bring is for others.

`python slim.py SITE_PACKAGES`, once, while the image is built; `strip` and `ldd` must be there. It names what each thing is,
and prints how much went. That nothing went that is needed is a test in an image that is built (`tests/containers`).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

UNUSED = {
    "**/tests": "the libraries' own tests",
    "**/test": "the same",
    "**/conftest.py": "the same",
    "pydicom/data/test_files": "its sample images",
    "rapidocr/models/*_rec_*": "the network that reads text: we only find it",
    "rapidocr/models/*_cls_*": "the network that turns text upright",
    "cv2/data": "cascades that find faces",
    "onnxruntime/transformers": "rewrites models; done when a model is imported, not here",
    "onnxruntime/quantization": "the same",
    "onnxruntime/tools": "the same",
    "onnxruntime/datasets": "sample models",
    "matplotlib/mpl-data/sample_data": "sample data",
    "numpy/f2py": "a compiler's front end",
    "numpy/distutils": "the same",
    "numpy/_core/include": "headers",
    "numpy/**/*.a": "static libraries",
    "**/*.pyi": "types, for whoever checks a program",
    "**/*.pyx": "sources of what is compiled",
    "**/*.pxd": "the same",
    "**/*.[ch]": "the same",
}
"""What goes, by its place in the environment, and what it is."""
AWS = {"_retry.json", "endpoints.json", "partitions.json", "s3", "sdk-default-configuration.json", "sts"}
"""What stays of botocore's descriptions of 400 services."""
CODECS = (
    "_imcd",
    "_jpeg8",
    "_jpeg2k",
    "_htj2k",
    "_jpegls",
    "_jpegsof3",
    "_ljpeg",
    "_shared",
    "_shared_cython",
)
"""Modules of imagecodecs that decode DICOM's transfer syntaxes (PS3.5 §A.4); it has some sixty more."""
LDD, STRIP = "/usr/bin/ldd", "/usr/bin/strip"
"""Of Debian's libc-bin and binutils."""
SYMBOLS_FROM = 200_000
"""Bytes of an extension module from which its table of symbols, which only a debugger reads, is worth taking out."""


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def needed(files: Iterator[Path]) -> set[str]:
    """Names of the libraries that these are linked to, directly or not."""
    told = subprocess.run([LDD, *map(str, files)], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^\s+(\S+) =>", told, re.MULTILINE))


def without_codecs(site: Path) -> None:
    """Take out the codecs that DICOM has no use for, and the libraries that only they are linked to."""
    modules = site / "imagecodecs"
    for path in modules.glob("_*.so"):
        if path.name.partition(".")[0] not in CODECS:
            remove(path)
    kept = needed(modules.glob("_*.so"))
    for path in (site / "imagecodecs.libs").iterdir():
        if path.name not in kept:
            remove(path)


def without_symbols(site: Path) -> None:
    """Take the tables of symbols out of extension modules; bundled libraries were stripped by who bundled them."""
    for path in site.rglob("*.so"):
        if path.stat().st_size >= SYMBOLS_FROM and not path.parent.name.endswith(".libs"):
            subprocess.run([STRIP, "--strip-unneeded", str(path)], check=True)


def slim(site: Path) -> None:
    """Take out all that is unused."""
    unused = [path for pattern in UNUSED for path in site.glob(pattern)]
    unused += [path for path in (site / "botocore" / "data").iterdir() if path.name not in AWS]
    for path in unused:
        if path.exists():  # it may have lain in one that went
            remove(path)
    without_codecs(site)
    without_symbols(site)


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def main(site: Path) -> None:
    """Slim an environment and say what it saved."""
    before = size(site)
    slim(site)
    sys.stdout.write(f"{before / 1e6:.0f} MB of libraries became {size(site) / 1e6:.0f} MB\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
