"""Runs inside our image: everything there that a process may need is there, though the image was slimmed.

`docker run --volume tests/containers/inside.py:/inside.py:ro --entrypoint python IMAGE /inside.py PACKAGE ...`, with the names of
our packages, which the image itself does not list.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import version

import imagecodecs
import numpy as np
from PIL import Image, ImageDraw, ImageFont

ELSEWHERE = ("onnx", "torch", "triton_python_backend_utils")
"""What only the training environment and the Triton server have."""


def import_everything(packages: Sequence[str]) -> int:
    """Import each of our modules and return how many there are."""
    count = 0
    for package in packages:
        root = importlib.import_module(package)
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            if found.name.endswith("__main__"):
                continue
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                if error.name not in ELSEWHERE:
                    raise
            count += 1
    return count


def decode_everything() -> None:
    """Code and decode a picture in each way that DICOM knows; AssertionError where one comes out different."""
    grey = (np.add.outer(np.arange(96) * 9, np.arange(64) * 13) % 4096).astype(np.uint16)
    eight = (grey // 16).astype(np.uint8)
    same = [
        imagecodecs.jpegls_decode(imagecodecs.jpegls_encode(grey)),
        imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(grey, level=0, reversible=True)),
        imagecodecs.htj2k_decode(bytes(imagecodecs.htj2k_encode(grey))),
        imagecodecs.ljpeg_decode(imagecodecs.ljpeg_encode(grey, bitspersample=12)),
    ]
    assert all(np.array_equal(grey, values.reshape(grey.shape)) for values in same)
    baseline = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(eight, level=100))
    assert int(np.abs(baseline.astype(int) - eight).max()) <= 4
    run = bytes([len(eight.tobytes()) - 1 & 0x7F, *eight.tobytes()[:128]])
    header = np.array([1, 64, *[0] * 14], "<u4").tobytes()
    assert bytes(imagecodecs.dicomrle_decode(header + run, "u1"))[:8] == eight.tobytes()[:8]
    assert imagecodecs.JPEGSOF3.available


def find_text() -> None:
    """Find a name in a picture."""
    from stream_processors.deidentification.text_detection import TextDetector

    picture = Image.new("RGB", (400, 120), "black")
    ImageDraw.Draw(picture).text((20, 40), "DOE^JANE 1961", fill="white", font=ImageFont.load_default(32))
    assert TextDetector().find(np.asarray(picture), close=True)


def draw_a_plot() -> None:
    """Draw into memory, as the simulation does."""
    from io import BytesIO

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    figure.subplots().plot([1, 2])
    figure.savefig(BytesIO(), format="png")


if __name__ == "__main__":
    decode_everything()
    find_text()
    draw_a_plot()
    count = import_everything(sys.argv[1:])
    sys.stdout.write(f"{count} modules of radstream {version('radstream')}, all codecs, text, plots\n")
