"""Text burned into pixels, drawn here and looked for by the product: lines missed, anatomy blanked, processor time.

python -m benchmarks.burned_in_text [PICTURES]
"""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from inference.training import phantoms, ultrasound
from stream_processors.deidentification.blanking import blank_all
from stream_processors.deidentification.frames import EXPLICIT, Form
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.text_detection import TextDetector

ROWS, COLUMNS = 320, 512
PICTURES = 72
"""With text; a third as many without."""
LINES = 5
"""Lines of text in a picture."""
SIZES = (8, 10, 12, 16, 24, 40)
"""Sizes of the letters, pixels from the foot of a p to the head of a b; a capital has two thirds of it."""
CONTRASTS = (25, 50, 100, 160)
"""Gray levels between a letter and what lies around it."""
FOUND = 0.99
"""Share of a line's pixels that has to lie in boxes: what is left of a letter is not read any more."""
READABLE = 5.0
"""Signal to noise of a letter from which a line counts as one that a person reads (Rose's model of seeing)."""
QUALITY = 85
"""Of the JPEG that every second round of pictures goes through."""
NEAR = 6
"""pixels around a letter that belong to the text when it is asked how much else was blanked."""
FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf",
    "STIXGeneral.ttf",
    "",
)
"""Typefaces that come with matplotlib, and the fixed one of 6 by 11 pixels that comes with Pillow."""
WORDS = (
    "DOE^JANE", "Smith, John A.", "ID 4711-0815", "12/03/1956", "1956-03-12", "St. Mary Hospital", "DOB 06.16.1976", "F 068Y",
    "Dr. Okonkwo", "ACC 90210033", "14:05:22", "Nguyen Thi Lan", "MRN:00123", "Ward 7B", "O'BRIEN", "Muller-Lang",
)  # fmt: skip

Gray = NDArray[np.uint8]
Field = NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """One line of text in a picture."""

    size: int
    contrast: int
    signal: float
    """Signal to noise of its letters."""
    ink: NDArray[np.bool_]
    """Where it stands (rows, columns)."""


@dataclass(frozen=True)
class Outcome:
    """What became of a line."""

    background: str
    size: int
    contrast: int
    signal: float
    covered: float
    """Share of its pixels that lie in boxes."""

    @property
    def missed(self) -> bool:
        """Whether something of it is left."""
        return self.covered < FOUND


@dataclass(frozen=True)
class Looked:
    """A picture that was looked at."""

    background: str
    lines: tuple[Outcome, ...]
    blanked: float
    """Share of its pixels that were blanked and lie at no text."""
    seconds: float
    """Processor time."""
    refused: str


def blurred(values: NDArray[np.floating], width: float) -> Field:
    """Smooth with a Gaussian of so many pixels."""
    return np.asarray(cv2.GaussianBlur(values.astype(np.float32), (0, 0), width), np.float32)


def black(_rng: np.random.Generator) -> Field:
    """The rim of most images."""
    return np.zeros((ROWS, COLUMNS), np.float32)


def noise(rng: np.random.Generator) -> Field:
    """Gray with noise of σ 25 in every pixel: worse than any detector."""
    return np.asarray(rng.normal(90, 25, (ROWS, COLUMNS)), np.float32)


def speckle(rng: np.random.Generator) -> Field:
    """Grains of 3 pixels, with the distribution that ultrasound has (Rayleigh)."""
    real, imaginary = (blurred(rng.standard_normal((ROWS, COLUMNS)), 1.2) for _ in range(2))
    return np.asarray(240 * np.hypot(real, imaginary), np.float32)


def tissue(rng: np.random.Generator) -> Field:
    """Soft shapes at several scales with a little noise."""
    made = np.full((ROWS, COLUMNS), 100.0)
    for width, height in ((80, 40.0), (25, 20.0), (8, 8.0)):
        field = blurred(rng.standard_normal((ROWS, COLUMNS)), width)
        made += height * field / field.std()
    return np.asarray(made + rng.normal(0, 4, made.shape), np.float32)


def chest(rng: np.random.Generator) -> Field:
    """A generated chest X-ray, ribs and all, in 8 bits."""
    pixels = phantoms.generate(int(rng.integers(1 << 30)), rows=ROWS, columns=COLUMNS).pixels
    return np.asarray(pixels / np.float32(16.06), np.float32)


def sector(rng: np.random.Generator) -> Field:
    """A generated ultrasound sector in the middle of black."""
    frame = ultrasound.generate(int(rng.integers(1 << 30)), 300).frames[0].astype(np.float32).mean(axis=2)
    made = np.zeros((ROWS, COLUMNS), np.float32)
    made[10:310, 106:406] = frame
    return made


BACKGROUNDS: dict[str, Callable[[np.random.Generator], Field]] = {
    each.__name__: each for each in (black, noise, speckle, tissue, chest, sector)
}


@cache
def font(name: str, size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Load a typeface."""
    if not name:
        return ImageFont.load_default_imagefont()
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def drawn(rng: np.random.Generator, background: Field) -> tuple[Gray, tuple[Line, ...]]:
    """Draw lines into a background: each at a height of its own, letters smoothed or not."""
    shown = background.copy()
    inks: list[tuple[int, int, Field]] = []
    for number in range(LINES):
        face = FONTS[rng.integers(len(FONTS))]
        size = int(rng.choice(SIZES)) if face else 10
        picture = Image.new("L", (COLUMNS, ROWS))
        draw = ImageDraw.Draw(picture)
        draw.fontmode = "L" if rng.random() < 0.6 else "1"
        text = " ".join(rng.choice(WORDS, 1 + int(size < 24)))
        length = draw.textlength(text, font=font(face, size))
        at = (
            rng.uniform(2, max(COLUMNS - length - 2, 3)),
            number * ROWS / LINES + rng.uniform(1, ROWS / LINES - 50),
        )
        draw.text((int(at[0]), int(at[1])), text, fill=255, font=font(face, size))
        alpha = np.asarray(picture, np.float32) / 255
        contrast = int(rng.choice(CONTRASTS))
        around = float(background[alpha > 0.5].mean())
        value = around + contrast if around + contrast <= 255 else around - contrast
        shown = np.asarray(shown * (1 - alpha) + value * alpha, np.float32)
        inks.append((size, contrast, alpha))
    made = np.clip(np.rint(shown), 0, 255).astype(np.uint8)
    plain = np.clip(np.rint(background), 0, 255).astype(np.float32)
    return made, tuple(_line(plain, made, *each) for each in inks)


def _line(plain: Field, shown: Gray, size: int, contrast: int, alpha: Field) -> Line:
    """Say how well a line is to be seen: its contrast over the noise at its place, times the root of the ink of a letter."""
    ink = alpha > 0.35
    rows, columns = np.nonzero(ink)
    place = slice(max(rows.min() - 2, 0), rows.max() + 3), slice(max(columns.min() - 2, 0), columns.max() + 3)
    fine = plain[place] - blurred(plain[place], size / 2)
    stroke = max(size / 10, 1.0)
    """pixels: noise is what is left of it when it is averaged over a stroke"""
    averaged = float(blurred(fine, stroke / 2).std())
    letters = max((columns.max() - columns.min()) / (0.55 * size), 1)
    strokes = ink.sum() / letters / (stroke * stroke * math.pi)
    differs = np.abs(shown - blurred(plain, size / 2))
    return Line(
        size,
        contrast,
        float(differs[ink].mean()) * math.sqrt(strokes) / max(averaged, 1.0),
        ink & (differs > contrast / 3),
    )


FORM = Form(EXPLICIT, ROWS, COLUMNS, 1, 1, "MONOCHROME2", 0, 8, 8, 7, signed=False, vr="OB")


def looked_at(background: str, shown: Gray, lines: tuple[Line, ...], detector: TextDetector) -> Looked:
    """Have the product blank a picture, and see what it left and what else it took."""
    values = shown.copy()[None, :, :, None]
    began, refused = time.process_time(), ""
    try:
        found, _fill = blank_all(values, FORM, Dataset(), (), detector)
        boxes = found.boxes
    except RefusedError as error:
        boxes, refused = (), error.reason
    seconds = time.process_time() - began
    covered = np.zeros((ROWS, COLUMNS), bool)
    for box in boxes:
        covered[box.top : box.bottom, box.left : box.right] = True
    text = np.zeros_like(covered)
    for line in lines:
        rows, columns = np.nonzero(line.ink)
        text[
            max(rows.min() - NEAR, 0) : rows.max() + NEAR, max(columns.min() - NEAR, 0) : columns.max() + NEAR
        ] = True
    outcomes = tuple(
        Outcome(
            background,
            line.size,
            line.contrast,
            line.signal,
            1.0 if refused else float(covered[line.ink].mean()),
        )
        for line in lines
    )
    return Looked(background, outcomes, float((covered & ~text).mean()), seconds, refused)


def pictures(count: int, first_seed: int = 10_001) -> Iterator[tuple[str, Gray, tuple[Line, ...]]]:
    """Make pictures, kinds in turn."""
    kinds = list(BACKGROUNDS)
    for seed in range(first_seed, first_seed + count):
        rng = np.random.default_rng([0x7E, seed])
        kind = kinds[seed % len(kinds)]
        shown, lines = drawn(rng, BACKGROUNDS[kind](rng))
        yield kind, lossy(shown) if seed // len(kinds) % 2 else shown, lines


def lossy(shown: Gray) -> Gray:
    """Code a picture as devices do (JPEG baseline) and decode it: letters are not of one value any more."""
    coded = io.BytesIO()
    Image.fromarray(shown).save(coded, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(coded))


def measure(count: int) -> list[Looked]:
    """Look at pictures with text, and at as many of the same kinds without any."""
    detector, looked = TextDetector(), []
    for kind, shown, lines in pictures(count):
        looked.append(looked_at(kind, shown, lines, detector))
    return looked


def clean(count: int, first_seed: int = 5001) -> list[Looked]:
    """Look at pictures without text: whatever is blanked there is lost for nothing."""
    detector, looked = TextDetector(), []
    kinds = list(BACKGROUNDS)
    for seed in range(first_seed, first_seed + count):
        kind = kinds[seed % len(kinds)]
        plain = np.clip(np.rint(BACKGROUNDS[kind](np.random.default_rng([0x7E, seed]))), 0, 255).astype(
            np.uint8
        )
        looked.append(looked_at(kind, plain, (), detector))
    return looked


def table(name: str, groups: dict[str, list[Outcome]]) -> str:
    """Write missed lines by something: of those that a person reads, and of all that were drawn."""
    rows = []
    for group, lines in groups.items():
        read = [line for line in lines if line.signal >= READABLE]
        if read:
            missed = sum(line.missed for line in read)
            rows.append(
                f"| {group} | {missed} of {len(read)} | {missed / len(read):.1%} "
                f"| {sum(line.missed for line in lines)} of {len(lines)} |"
            )
    return f"| {name} | missed of readable | | missed of all |\n|---|---|---|---|\n" + "\n".join(rows)


def section(written: list[Looked], plain: list[Looked]) -> str:
    """Write the figures as a section of the benchmarks' page."""
    lines = [line for looked in written for line in looked.lines]
    by_kind = {kind: [line for line in lines if line.background == kind] for kind in BACKGROUNDS}
    by_contrast = {f"{each} grays": [line for line in lines if line.contrast == each] for each in CONTRASTS}
    by_size = {f"{each} pixels": [line for line in lines if line.size == each] for each in SIZES}
    lost = "\n".join(
        f"| {kind} | {np.mean([each.blanked for each in written if each.background == kind]):.1%} "
        f"| {np.mean([each.blanked for each in plain if each.background == kind]):.1%} "
        f"| {1000 * np.mean([each.seconds for each in written if each.background == kind]):.0f} "
        f"| {1000 * np.mean([each.seconds for each in plain if each.background == kind]):.0f} |"
        for kind in BACKGROUNDS
    )
    return f"""## Text burned into pixels

{len(written)} drawn pictures of {COLUMNS} × {ROWS} with {LINES} lines each in several typefaces (seeds from 10001; every second
round of them went through JPEG of quality {QUALITY}), and {len(plain)} without text (seeds from 5001), through all of Clean Pixel
Data but the coding. A line is missed when less than {FOUND:.0%} of its pixels lie in boxes; it is readable from a signal
to noise of {READABLE:g} per letter (Rose's model of seeing). `python -m benchmarks.burned_in_text {len(written)}`

{table("", {"all": lines})}

{table("on", by_kind)}

{table("contrast", by_contrast)}

{table("size", by_size)}

What else is blanked, as a share of all pixels, and processor time of one core:

| on | beside text | without text | ms with text | ms without |
|---|---|---|---|---|
{lost}
"""


def main(arguments: list[str]) -> int:
    """Measure and print."""
    count = int(arguments[0]) if arguments else PICTURES
    sys.stdout.write(section(measure(count), clean(max(count // 3, len(BACKGROUNDS)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
