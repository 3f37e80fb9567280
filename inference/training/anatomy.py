"""The chest that the synthetic X-rays are cast from: path lengths in millimetres along parallel rays.

Every field is an array over the image plane. ``x`` grows to the right of the image (the patient's left), ``y``
downwards; the origin is the middle of the chest. Numbers are rough adult sizes, chosen so that the picture has the
landmarks a reader looks for (domes, angles, hila, ribs, heart border), not for dosimetry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

FIELD_MM = 400.0
"""Height of the detector in mm; a 17-inch cassette is 430 mm, less the collimated border."""


@dataclass(frozen=True)
class Plane:
    """The detector: pixel centres in mm from the middle of the chest."""

    x: Field
    y: Field
    spacing: float

    @classmethod
    def of(cls, rows: int, columns: int) -> Plane:
        """Detector of :data:`FIELD_MM` height with square pixels."""
        spacing = FIELD_MM / rows
        y = (np.arange(rows, dtype=np.float32) - (rows - 1) / 2) * spacing
        x = (np.arange(columns, dtype=np.float32) - (columns - 1) / 2) * spacing
        return cls(x[None, :], y[:, None], spacing)

    def moved(self, angle: float, dx: float, dy: float, scale: float) -> Plane:
        """The same pixels seen by a patient who is rotated (radians), shifted (mm) and scaled."""
        c, s = np.float32(np.cos(angle) / scale), np.float32(np.sin(angle) / scale)
        x, y = self.x - np.float32(dx), self.y - np.float32(dy)
        return Plane(c * x + s * y, c * y - s * x, self.spacing)


@dataclass(frozen=True)
class Body:
    """Sizes of one synthetic patient, in mm (``heart_ratio``: heart width over inner chest width)."""

    depth: float
    half_width: float
    apex: float
    dome: tuple[float, float]
    lung_half_width: float
    heart_ratio: float
    heart_height: float
    heart_shift: float
    mediastinum: float
    bone: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, enlarged: float | None) -> Body:
        """``enlarged`` decides the cardiothoracic ratio: at most .49 without (None), from .505 at 0 to .62 at 1."""
        return cls(
            depth=rng.uniform(185, 275),
            half_width=rng.uniform(158, 182),
            apex=rng.uniform(-152, -138),
            dome=(rng.uniform(56, 88), rng.uniform(66, 98)),
            lung_half_width=rng.uniform(56, 63),
            heart_ratio=rng.uniform(0.38, 0.49)
            if enlarged is None
            else 0.505 + 0.115 * (0.75 * enlarged + 0.25 * rng.uniform()),
            heart_height=rng.uniform(52, 62),
            heart_shift=rng.uniform(12, 22),
            mediastinum=rng.uniform(19, 27),
            bone=rng.uniform(0.8, 1.25),
        )


@dataclass(frozen=True)
class Lung:
    """One lung: normalised lateral position ``u`` (1 at the outer wall), dome line and length along the ray."""

    side: int
    u: Field
    dome: Field
    width: Field
    centre: float
    inside: Mask
    length: Field


def smoothstep(value: NDArray[np.floating]) -> Field:
    """0 below 0, 1 above 1, with level ends."""
    t = np.clip(value, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def lung(plane: Plane, body: Body, side: int, shrink: float = 0.0) -> Lung:
    """``side`` is -1 for the patient's right; ``shrink`` (mm) pulls it off the chest wall, as a collapse does."""
    top = body.apex + 1.1 * shrink
    base = body.dome[0 if side < 0 else 1]
    height = np.clip((plane.y - top) / (base + 45 - top), 0, 1)
    half = (body.lung_half_width - shrink / 2) * np.sqrt(1 - (1 - height) ** 2.6)
    width = np.maximum(half, 1e-3).astype(np.float32)
    centre = side * (13 + body.lung_half_width - shrink / 2)
    u = np.asarray(side * (plane.x - centre) / width, dtype=np.float32)
    dome = np.asarray(base - 10 + 34 * np.clip(u * 0.8 + 0.05, -1, 1) ** 2, dtype=np.float32)
    edge = smoothstep((dome - plane.y) / 14)
    length = 0.72 * body.depth * np.sqrt(np.clip(1 - u * u, 0, 1)) * edge * (height > 0)
    inside = (np.abs(u) < 1) & (plane.y < dome) & (height > 0)
    return Lung(side, u, dome, width, centre, inside, length.astype(np.float32))


def heart(plane: Plane, body: Body) -> tuple[Field, Mask]:
    """Path length through the heart, and its outline."""
    chest = 2 * (13 + 2 * body.lung_half_width)
    a, b = body.heart_ratio * chest / 2, body.heart_height * (0.75 + 0.55 * body.heart_ratio)
    dx, dy = plane.x - body.heart_shift, plane.y - (min(body.dome) - 0.62 * b)
    c, s = np.cos(0.42), np.sin(0.42)
    p, q = (c * dx + s * dy) / a, (c * dy - s * dx) / b
    inner = np.clip(1 - (p * p + q * q), 0, 1)
    return (0.5 * body.depth * np.sqrt(inner)).astype(np.float32), np.asarray(inner > 0)


def torso(plane: Plane, body: Body) -> Field:
    """Path length through the whole trunk, shoulders included."""
    shoulder = 1 + 0.35 * smoothstep((-plane.y - 95) / 70)
    across = np.clip(np.abs(plane.x) / (body.half_width * shoulder), 0, 1)
    neck = 1 - 0.55 * smoothstep((-plane.y - 150) / 45) * smoothstep((np.abs(plane.x) - 40) / 90)
    return np.asarray(body.depth * (1 - across**2.6) ** 0.45 * neck, dtype=np.float32)


def mediastinum(plane: Plane, body: Body) -> Field:
    """Great vessels, aortic knob and windpipe between the lungs."""
    half = body.mediastinum * (1 + 0.25 * np.sin((plane.y + 60) / 55))
    band = smoothstep((half - np.abs(plane.x - 2)) / 10) * smoothstep((plane.y + 165) / 25)
    knob = np.clip(1 - ((plane.x - body.mediastinum - 4) ** 2 + (plane.y + 62) ** 2) / 17**2, 0, 1)
    airway = smoothstep((8.5 - np.abs(plane.x - 1)) / 4) * smoothstep((-plane.y - 45) / 12)
    return np.asarray(85 * band + 34 * np.sqrt(knob) - 24 * airway, dtype=np.float32)


def _tube(distance: Field, radius: float) -> Field:
    """Bone along a ray that passes a hollow tube at ``distance`` from its axis."""
    made = np.zeros(distance.shape, dtype=np.float32)
    near = np.abs(distance) < radius
    square = distance[near] ** 2
    outer = np.sqrt(np.clip(radius**2 - square, 0, None))
    inner = np.sqrt(np.clip((0.72 * radius) ** 2 - square, 0, None))
    made[near] = 2 * (outer - 0.8 * inner)
    return made


def bones(plane: Plane, body: Body, rng: np.random.Generator) -> Field:
    """Ribs (behind and in front), collar bones and spine."""
    across = np.abs(plane.x)
    wall = 20 + 2 * body.lung_half_width
    reach = np.clip(across / wall, 0, 1.08)
    inside = smoothstep((1.06 - across / wall) / 0.05)
    total = np.zeros(np.broadcast_shapes(plane.x.shape, plane.y.shape), dtype=np.float32)
    step, jitter = rng.uniform(23, 26), rng.normal(0, 1.2, 20)
    sine, cube, beside = 24 * np.sin(np.pi * reach * 0.55), 46 * reach**3, smoothstep((across - 12) / 10)
    for i in range(10):
        behind = body.apex + 8 + i * step + jitter[i] - sine + cube
        total += _tube(plane.y - behind, 5.4) * inside * beside
        if 1 <= i <= 7:
            front = body.apex + 52 + i * step + jitter[10 + i] - 58 * (reach - 0.35)
            total += 0.6 * _tube(plane.y - front, 5.8) * inside * smoothstep((across - 48 - 3 * i) / 14)
    collar = body.apex + 22 - 0.16 * across + 6 * np.sin(across / 24)
    total += (
        1.1 * _tube(plane.y - collar, 6.0) * smoothstep((across - 20) / 8) * smoothstep((140 - across) / 8)
    )
    level = 0.78 + 0.22 * np.cos(2 * np.pi * plane.y / 25) ** 3
    total += 7 * level * smoothstep((18 - across) / 5)
    return np.asarray(body.bone * total, dtype=np.float32)


def vessels(plane: Plane, shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Branching vessels from both hila: random walks, blurred to two calibres, in mm of blood along the ray."""
    total = np.zeros(shape, dtype=np.float32)
    for count, length, sigma, amount in ((30, 70, 2.3, 85.0), (80, 112, 1.1, 26.0)):
        side = rng.choice([-1.0, 1.0], count)
        heading = rng.uniform(-1.5, 1.5, count) + np.where(side < 0, np.pi, 0)
        bend = np.cumsum(rng.normal(0, 0.06, (count, length)), axis=1)
        angle = heading[:, None] + bend
        x = side[:, None] * rng.uniform(20, 34, (count, 1)) + 1.15 * np.cumsum(np.cos(angle), axis=1)
        y = rng.normal(-8, 9, (count, 1)) + 1.15 * np.cumsum(np.sin(angle), axis=1)
        taper = np.linspace(1, 0.25, length)[None, :] * np.ones((count, 1))
        column = np.rint(x / plane.spacing + (shape[1] - 1) / 2).astype(int)
        row = np.rint(y / plane.spacing + (shape[0] - 1) / 2).astype(int)
        keep = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        drawn = np.zeros(shape, dtype=np.float32)
        np.add.at(drawn, (row[keep], column[keep]), taper[keep] * amount / plane.spacing**2)
        total += smooth(drawn, sigma / plane.spacing)
    return total


@lru_cache(maxsize=32)
def _gaussian(size: int, sigma: float) -> Field:
    """Matrix that blurs a line of ``size`` pixels; rows sum to one, so that borders keep their level."""
    at = np.arange(size, dtype=np.float32)
    kernel = np.exp(-0.5 * ((at[:, None] - at[None, :]) / sigma) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), dtype=np.float32)


def smooth(image: Field, sigma: float) -> Field:
    """Gaussian blur by two matrix products: no dependency, and fast at these sizes."""
    return np.asarray(_gaussian(image.shape[0], sigma) @ image @ _gaussian(image.shape[1], sigma).T)


@lru_cache(maxsize=32)
def _resample(size: int, coarse: int) -> Field:
    """Matrix that takes ``coarse`` samples to ``size`` pixels linearly."""
    at = np.clip((np.arange(size) + 0.5) * coarse / size - 0.5, 0, coarse - 1)
    return np.asarray(np.clip(1 - np.abs(at[:, None] - np.arange(coarse)[None, :]), 0, 1), dtype=np.float32)


def enlarge(coarse: Field, shape: tuple[int, int]) -> Field:
    """Linear interpolation of a coarse field to ``shape``."""
    return np.asarray(_resample(shape[0], coarse.shape[0]) @ coarse @ _resample(shape[1], coarse.shape[1]).T)


def low_pass(image: Field, sigma_mm: float, spacing: float) -> Field:
    """Wide blur, worked out on a 64-pixel grid: scatter and tissue equalisation need no more."""
    coarse = 64
    down = _resample(image.shape[0], coarse), _resample(image.shape[1], coarse)
    small = (down[0] / down[0].sum(axis=0)).T @ image @ (down[1] / down[1].sum(axis=0))
    unit = sigma_mm / spacing * coarse
    kernel = (_gaussian(coarse, unit / image.shape[0]), _gaussian(coarse, unit / image.shape[1]))
    return enlarge(
        np.asarray(kernel[0] @ small @ kernel[1].T, dtype=np.float32), (image.shape[0], image.shape[1])
    )
