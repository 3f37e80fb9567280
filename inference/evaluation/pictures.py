"""The pictures of a model card: reliability curves and a gallery of what the model got wrong. Pillow only, small files."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inference.evaluation.measure import Answer
from inference.localisation import marked, region_box
from inference.spec import ModelSpec
from inference.training.recipe import Recipe

PALETTE = ((214, 96, 20), (20, 110, 180), (120, 70, 170), (30, 130, 60), (180, 40, 80), (90, 90, 90))
CELL, MARGIN = 190, 34
"""Side of one reliability plot and room for its labels, in pixels."""
TILE, CAPTION = 180, 42
"""Side of one picture of the gallery and height of the lines under it."""
SHOWN = 4
"""Failures shown of each label: the worst misses and the worst false alarms."""
INK, PAPER, GRID = (30, 34, 40), (255, 255, 255), (225, 228, 232)
FINDING, BOX = (60, 220, 90), (255, 150, 30)
GREYS = 48
"""Grey levels kept in a PNG: enough for a look."""


def reliability(told: dict[str, Any]) -> bytes:
    """One square per label: predicted probability across, observed share up; a perfect model lies on the diagonal."""
    labels = told["labels"]
    step = CELL + MARGIN
    picture = Image.new("RGB", (step * len(labels) + MARGIN // 2, step + MARGIN // 2), PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for i, (name, each) in enumerate(labels.items()):
        left, top = MARGIN + i * step, MARGIN // 2
        pen.rectangle((left, top, left + CELL, top + CELL), outline=INK)
        for tick in (0.25, 0.5, 0.75):
            pen.line((left + tick * CELL, top, left + tick * CELL, top + CELL), GRID)
            pen.line((left, top + tick * CELL, left + CELL, top + tick * CELL), GRID)
        pen.line((left, top + CELL, left + CELL, top), (170, 170, 170))
        points = [(left + p * CELL, top + (1 - share) * CELL) for p, share, _ in each["reliability"]]
        colour = PALETTE[i % len(PALETTE)]
        pen.line(points, colour, 2)
        for x, y in points:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
        pen.text((left + 5, top + 4), f"{name}  ECE {each['ece']:.3f}", INK, font)
        pen.text((left + CELL / 2, top + CELL + 9), "predicted", INK, font, anchor="mm")
        for at, text in ((0, "0"), (1, "1")):
            pen.text((left - 7, top + (1 - at) * CELL), text, INK, font, anchor="rm")
    return _png(picture)


def failures(spec: ModelSpec, recipe: Recipe, found: Sequence[Answer]) -> bytes:
    """A row per label: the positives with the lowest and the negatives with the highest probabilities."""
    font = ImageFont.load_default(10)
    rows = [_worst(spec, found, i) for i in range(len(recipe.labels))]
    height = TILE + CAPTION
    picture = Image.new("RGB", (2 * SHOWN * TILE, height * len(rows)), PAPER)
    pen = ImageDraw.Draw(picture)
    for row, (name, chosen) in enumerate(zip(recipe.labels, rows, strict=True)):
        for column, answer in chosen:
            tile = _tile(spec, recipe, answer, row)
            left, top = column * TILE, row * height
            picture.paste(tile, (left, top))
            p = spec.labels[row].probability(float(answer.logits[row]))
            kind = "missed" if answer.truth[row] else "false alarm"
            shown = answer.attributes.get(name)
            told = f"{name}\n{kind}, p {p:.2f}\nseed {answer.seed}"
            told += f", shown {shown:.2f}" if answer.truth[row] and shown is not None else ""
            pen.multiline_text((left + 3, top + TILE + 2), told, INK, font, spacing=2)
    return _png(picture)


def _worst(spec: ModelSpec, found: Sequence[Answer], i: int) -> list[tuple[int, Answer]]:
    """Misses in the left half, false alarms in the right, only where the answer is wrong at the operating point."""
    label = spec.labels[i]
    wrong = [a for a in found if label.present(float(a.logits[i])) != bool(a.truth[i])]
    missed = sorted((a for a in wrong if a.truth[i]), key=lambda a: float(a.logits[i]))[:SHOWN]
    alarms = sorted((a for a in wrong if not a.truth[i]), key=lambda a: -float(a.logits[i]))[:SHOWN]
    return [*enumerate(missed), *((SHOWN + k, a) for k, a in enumerate(alarms))]


def _tile(spec: ModelSpec, recipe: Recipe, answer: Answer, i: int) -> Image.Image:
    """The image that spoke, the finding's border in green and the model's box in orange."""
    example = recipe.unit(answer.seed)[answer.spoke[i]]
    tile = Image.fromarray(_gray(recipe, example.image)).convert("RGB").resize((TILE, TILE))
    mask = answer.masks[i]
    if mask is not None:
        grown = np.asarray(Image.fromarray(mask).resize((TILE, TILE)))
        edge = grown & ~(
            np.roll(grown, 1, 0) & np.roll(grown, -1, 0) & np.roll(grown, 1, 1) & np.roll(grown, -1, 1)
        )
        pixels = np.array(tile)
        pixels[edge] = FINDING
        tile = Image.fromarray(pixels)
    region = marked(answer.cams[i], spec.labels[i])
    ImageDraw.Draw(tile).rectangle(region_box(region, TILE), outline=BOX, width=2)
    return tile


def _gray(recipe: Recipe, image: NDArray[np.integer]) -> NDArray[np.uint8]:
    """What a person would be shown of the model's input."""
    if recipe.values == "colour":
        return np.ascontiguousarray(image.transpose(1, 2, 0)).astype(np.uint8)
    real = image[0].astype(np.float32)
    low, high = (0.0, 80.0) if recipe.values == "hounsfield" else np.percentile(real, (0.5, 99.5))
    return np.asarray(np.clip((real - low) * (255 / max(high - low, 1e-6)), 0, 255), dtype=np.uint8)


def _png(picture: Image.Image) -> bytes:
    """Few greys and the colours that are drawn with: half the bytes, and no colour lost to the many greys."""
    drawn = [FINDING, BOX, *PALETTE, (200, 40, 40), (40, 60, 200)]
    greys = [(round(255 * i / (GREYS - 1)),) * 3 for i in range(GREYS)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in (*greys, *drawn) for value in colour])
    out = BytesIO()
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()
