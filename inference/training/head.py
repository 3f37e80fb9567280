"""Synthetic head CT with known bleeding, from a seed: a head in three dimensions, cut into slices.

Meant to exercise every part of the system and to train the demonstration model. It says nothing about how any model would
do on patients. ``x`` grows to the right of the image (the patient's left), ``y`` downwards (to the back), ``z`` to the top
of the head, all in mm from the middle of the head; numbers are Hounsfield units.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.training.anatomy import Field, Mask, enlarge, smooth, smoothstep

SUBTYPES = ("epidural", "subdural", "subarachnoid", "intraparenchymal", "intraventricular")
ANY = "intracranial-hemorrhage"
"""Label of any kind of bleeding."""
LABELS = (ANY, *SUBTYPES)
PREVALENCE = 0.13
"""Share of patients with each kind of bleeding, drawn independently: half of them bleed somewhere."""
GENERATOR_VERSION = "4"
"""Goes up with any change that alters a picture made from a given seed."""
FIELD_MM = 240.0
"""Side of the reconstructed square."""
BOTTOM_MM, TOP_MM = -38.0, 62.0
"""Lowest and highest slice: from the level of the fourth ventricle to the convexity."""
LEAST_AREA_MM2 = 45.0
"""A slice has a finding if it shows at least this much of it: a speck is no answer to learn."""
LEAST_PIECE_MM2 = 7.0
"""A piece apart that is smaller than this, the scanner's blur each way, is no part of a finding: nobody would point to it."""
LEAST_THICK_MM = 2.0
"""A sheet of blood along the skull is marked from this thickness on: what is thinner than the scanner's blur (2.6 mm at half its
height at most) and two pixels cannot be told from the bone beside it, however far the sheet is drawn. So is not the film of
subarachnoid blood that lies between the skull and the folds: those are marked, and fissures and cisterns."""
INNERMOST_FIRST = ("subarachnoid", "intraparenchymal", "intraventricular", "subdural", "epidural")
"""Order in which bleedings are laid over each other. What lies further out pushes the brain and its folds inwards, and a
haematoma leaves no folds, so that a place has one kind of bleeding: the one that is seen there."""
FOLDS = 36
"""Folds of the brain's surface round a slice: 12 mm from one to the next, about as wide as a gyrus is."""
AIR, BONE, MARROW, SKIN, WATER, WHITE, GREY = -1000.0, 1150.0, 480.0, 20.0, 7.0, 28.0, 37.0


@dataclass(frozen=True)
class Bleed:
    """One bleeding: where it is (mm; ``angle`` in radians on the skull), how large (mm) and how dense (HU)."""

    kind: str
    x: float
    y: float
    z: float
    angle: float
    spread: float
    size: float
    density: float
    conspicuity: float


@dataclass(frozen=True)
class Head:
    """One synthetic patient and the scanner's settings for them."""

    seed: int
    width: float
    length: float
    height: float
    skull: float
    tilt: float
    shift: tuple[float, float]
    atrophy: float
    ventricles: float
    noise: float
    blur: float
    offset: float
    bleeds: tuple[Bleed, ...] = field(repr=False)


@dataclass(frozen=True)
class Slice:
    """One slice: ``values`` int16 Hounsfield units (side, side), what bleeds where, and its height in mm."""

    values: NDArray[np.int16]
    masks: dict[str, Mask]
    z: float
    spacing_mm: float


def draw(seed: int, *, findings: frozenset[str] | None = None) -> Head:
    """The patient of a seed. ``findings`` fixes which of :data:`SUBTYPES` bleed, and makes them evident."""
    rng = np.random.default_rng([0x4EAD, seed])
    drawn = rng.uniform(size=len(SUBTYPES)) < PREVALENCE
    present = (
        frozenset(n for n, d in zip(SUBTYPES, drawn, strict=True) if d) if findings is None else findings
    )
    if unknown := present - set(SUBTYPES):
        raise ValueError(f"no such finding: {sorted(unknown)}")
    shown = np.random.default_rng([11, seed]).uniform(size=len(SUBTYPES))
    atrophy = rng.uniform()
    return Head(
        seed=seed,
        width=rng.uniform(65, 74),
        length=rng.uniform(80, 92),
        height=rng.uniform(72, 82),
        skull=rng.uniform(5, 9),
        tilt=rng.normal(0, 0.06),
        shift=(rng.normal(0, 4), rng.normal(0, 4)),
        atrophy=atrophy,
        ventricles=rng.uniform(0.7, 1.1) + 0.5 * atrophy,
        noise=rng.uniform(2.5, 7.0),
        blur=rng.uniform(0.4, 1.1),
        offset=rng.normal(0, 1.0),
        bleeds=tuple(
            _bleed(kind, np.random.default_rng([12 + i, seed]), float(shown[i]) if findings is None else 0.9)
            for i, kind in enumerate(SUBTYPES)
            if kind in present
        ),
    )


def _bleed(kind: str, rng: np.random.Generator, shown: float) -> Bleed:
    """Small and faint at ``shown`` 0, large and dense at 1."""
    grade = 0.75 * shown + 0.25 * rng.uniform()
    low, high = {
        "epidural": (5, 22), "subdural": (3, 13), "subarachnoid": (0.2, 1.0), "intraparenchymal": (5, 22),
        "intraventricular": (0.25, 0.9),
    }[kind]  # fmt: skip
    old = kind == "subdural" and rng.uniform() < 0.25
    density = rng.uniform(40, 50) if old else 48 + 26 * grade + rng.uniform(-3, 3)
    reach = rng.uniform(0, 1) ** 0.5
    around = rng.uniform(0, 2 * np.pi)
    wide = (0.42, 0.75) if kind == "epidural" else (0.8, 1.5)
    return Bleed(
        kind=kind,
        x=42 * reach * float(np.cos(around)),
        y=55 * reach * float(np.sin(around)),
        z=rng.uniform(-6, 20) if kind == "intraventricular" else rng.uniform(-20, 45),
        angle=rng.choice([0.0, np.pi]) + rng.uniform(-0.9, 0.9),
        spread=rng.uniform(*wide) if kind in {"epidural", "subdural"} else rng.uniform(0.5, 1.3),
        size=float(low + (high - low) * grade),
        density=float(density),
        conspicuity=shown,
    )


@dataclass(frozen=True)
class _Plane:
    """One slice's coordinates in the patient, and distances that everything is placed by."""

    x: Field
    y: Field
    z: float
    rho: Field
    """1 at the inner table of the skull."""
    theta: Field
    depth: Field
    """mm inwards from the inner table; negative outside."""


def cut(head: Head, z: float, side: int = 192) -> Slice:
    """The slice at ``z`` mm, sampled to ``side`` pixels. Texture depends on the seed and the height alone."""
    rng = np.random.default_rng([13, head.seed, round((z - BOTTOM_MM) * 10)])
    plane = _plane(head, z, side)
    values, ventricles, sulci = _brain(head, plane, rng)
    masks: dict[str, Mask] = {}
    extents: dict[str, Field] = {}
    spacing = FIELD_MM / side
    uncovered = 1 - _rock(plane)
    for bleed in sorted(head.bleeds, key=lambda each: -INNERMOST_FIRST.index(each.kind)):
        extents[bleed.kind] = _extent(bleed, plane, ventricles, sulci, rng)
        mask = (
            (extents[bleed.kind] * uncovered > _least_share(bleed)) & (plane.rho < 1) & _shows(bleed, plane)
        )
        uncovered = uncovered * (1 - extents[bleed.kind])
        mask = _without_specks(mask, LEAST_PIECE_MM2 / spacing**2)
        if mask.sum() * spacing**2 >= LEAST_AREA_MM2:
            masks[bleed.kind] = mask
    values = _skull(head, plane, _bled(head, plane, values, extents), rng)
    if masks:
        masks[ANY] = np.logical_or.reduce(list(masks.values()))
    return Slice(_scanned(head, values, plane, spacing, rng), masks, z, spacing)


def _without_specks(mask: Mask, least: float) -> Mask:
    """Without the pieces of fewer than ``least`` pixels."""
    _, numbered, told, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return np.asarray(mask & (told[:, cv2.CC_STAT_AREA] >= least)[numbered])


def _bled(head: Head, plane: _Plane, values: Field, extents: dict[str, Field]) -> Field:
    """Hounsfield units of the brain with its bleedings, ``extents`` being the share of each in each pixel."""
    for bleed in sorted(head.bleeds, key=lambda each: INNERMOST_FIRST.index(each.kind)):
        if bleed.kind == "intraparenchymal":
            values = values - 8 * smoothstep(_ball(bleed, plane, 1.45) * 3) * (plane.rho < 0.97)
        values = values + extents[bleed.kind] * (bleed.density - values)
    return values


def series(head: Head, slices: int = 20, side: int = 192) -> list[Slice]:
    """The whole head from bottom to top."""
    return [cut(head, float(z), side) for z in np.linspace(BOTTOM_MM, TOP_MM, slices)]


def _plane(head: Head, z: float, side: int) -> _Plane:
    spacing = FIELD_MM / side
    at = (np.arange(side, dtype=np.float32) - (side - 1) / 2) * np.float32(spacing)
    c, s = np.float32(np.cos(head.tilt)), np.float32(np.sin(head.tilt))
    dx, dy = at[None, :] - np.float32(head.shift[0]), at[:, None] - np.float32(head.shift[1])
    x, y = c * dx + s * dy, c * dy - s * dx
    shrink = np.sqrt(max(0.05, 1 - (max(z, 0) / head.height) ** 2.4)) * (1 - 0.12 * max(-z, 0) / 40)
    wobble = np.random.default_rng([14, head.seed]).normal(0, 1, (3, 2))
    theta = np.arctan2(y, x).astype(np.float32)
    bumps = sum(
        0.012 * (wobble[k, 0] * np.cos((k + 2) * theta) + wobble[k, 1] * np.sin((k + 2) * theta))
        for k in range(3)
    )
    rho = (np.hypot(x / head.width, y / head.length) / shrink * (1 + bumps)).astype(np.float32)
    radius = np.hypot(x, y) / np.maximum(rho, 1e-3)
    return _Plane(x, y, z, rho, theta, np.asarray((1 - rho) * radius, dtype=np.float32))


def _brain(head: Head, plane: _Plane, rng: np.random.Generator) -> tuple[Field, Field, Field]:
    """Hounsfield units of the brain, and the shares of ventricle and of sulcus or cistern in each pixel."""
    x, y, z, shape = plane.x, plane.y, plane.z, plane.rho.shape
    folds = enlarge(rng.normal(0, 1, (14, 14)).astype(np.float32), shape)
    ribbon = smoothstep((plane.rho - 0.84 + 0.03 * folds) / 0.05)
    deep = smoothstep((1 - np.hypot((np.abs(x) - 22) / 9, (y + 2) / 20)) * 4) * (abs(z - 8) < 16)
    values = WHITE + (GREY - WHITE) * np.maximum(ribbon, deep)
    comb = np.cos(FOLDS * plane.theta + 3.2 * folds) - 0.845 + 0.21 * head.atrophy
    sulci = smoothstep(comb / 0.11) * smoothstep((plane.rho - 0.76) / 0.05)
    rim = smoothstep((plane.rho - 0.985 + 0.02 * head.atrophy) / 0.012)
    fissure = (
        smoothstep((1.6 - np.abs(np.abs(x) - 38 - 0.25 * y)) / 1.2)
        * (np.abs(y + 12) < 16)
        * (abs(z - 4) < 14)
    )
    cistern = smoothstep(_basal(plane) * 3) * (abs(z + 16) < 9) * 0.8
    fluid = np.clip(np.maximum.reduce([sulci, rim, fissure, cistern]), 0, 1)
    sulci = np.asarray(fluid * (plane.rho < 1), dtype=np.float32)
    ventricles = _ventricles(head, plane)
    values = values + np.maximum(sulci, ventricles) * (WATER - values)
    falx = smoothstep((0.9 - np.abs(x)) / 0.6) * smoothstep((plane.rho - 0.45) / 0.1) * (z > 12)
    tent = smoothstep((1.4 - np.abs(np.abs(x) * 0.55 + (y - 48))) / 0.8) * (abs(z + 4) < 8) * (np.abs(x) < 48)
    values = values + (0.9 * falx + 0.8 * tent) * (rng.uniform(46, 60) - values)
    return _calcified(head, plane, values).astype(np.float32), ventricles, sulci


def _basal(plane: _Plane) -> Field:
    """Where the cistern at the base lies, on the slices it is on: 1 in its middle, 0 at its border."""
    return np.asarray(1 - np.hypot(plane.x / 17, (plane.y + 4) / 13), dtype=np.float32)


def _ventricles(head: Head, plane: _Plane) -> Field:
    """Lateral, third and fourth ventricle, each at its height."""
    x, y, z, size = plane.x, plane.y, plane.z, head.ventricles
    total = np.zeros(plane.rho.shape, dtype=np.float32)
    if -4 < z < 34:
        grow = size * np.sqrt(max(0.05, 1 - ((z - 15) / 19) ** 2))
        bow = np.abs(x) - 9 - 0.006 * (y + 8) ** 2
        body = 1 - np.hypot(bow / (5.5 * grow), (y - 4) / (34 * min(grow, 1.2)))
        total = np.maximum(total, smoothstep(body * 5))
    if -12 < z < 8:
        total = np.maximum(total, smoothstep((1 - np.hypot(x / (2.6 * size), (y + 2) / 13)) * 4))
    if z < -16:
        total = np.maximum(total, smoothstep((1 - np.hypot(x / (7 * size), (y - 30) / 6)) * 4))
    return total.astype(np.float32)


def _calcified(head: Head, plane: _Plane, values: Field) -> Field:
    """Pineal gland and choroid plexus: dense, and no bleeding."""
    rng = np.random.default_rng([15, head.seed])
    spots = [(0.0, 18.0, 3.0), (-20.0, 26.0, 14.0), (20.0, 26.0, 14.0)]
    for x, y, z in spots:
        there, radius, dense = rng.uniform() < 0.5, rng.uniform(1.5, 3.5), rng.uniform(70, 220)
        share = (
            smoothstep((radius - np.hypot(plane.x - x, plane.y - y)) / 1.0) * (abs(plane.z - z) < 6) * there
        )
        values = values + share * (dense - values)
    return values


def _ball(bleed: Bleed, plane: _Plane, grow: float = 1.0) -> Field:
    """1 at the middle of a ball, 0 at its border."""
    dx, dy, dz = plane.x - bleed.x, plane.y - bleed.y, plane.z - bleed.z
    lobed = 1 + 0.12 * np.cos(3 * np.arctan2(dy, dx) + bleed.angle)
    return np.asarray(
        1 - np.sqrt(dx**2 + (dy / 1.15) ** 2 + dz**2) / (bleed.size * grow * lobed), dtype=np.float32
    )


def _faded(value: float) -> float:
    """:func:`smoothstep` of one number."""
    return float(smoothstep(np.array(value)))


def _extent(bleed: Bleed, plane: _Plane, ventricles: Field, sulci: Field, rng: np.random.Generator) -> Field:
    """Share of blood in each pixel."""
    inside = smoothstep((1.005 - plane.rho) / 0.01)
    if bleed.kind == "intraparenchymal":
        return np.asarray(
            smoothstep(_ball(bleed, plane) * bleed.size / 1.5) * (plane.rho < 0.97), dtype=np.float32
        )
    if bleed.kind == "intraventricular":
        level = 26 - 40 * bleed.size
        near = _faded((24 - abs(plane.z - bleed.z)) / 8)
        return np.asarray(ventricles * smoothstep((plane.y - level) / 3) * near, dtype=np.float32)
    away = _away(bleed, plane)
    if bleed.kind == "subarachnoid":
        patchy = 0.75 + 0.35 * enlarge(rng.normal(0, 1, (12, 12)).astype(np.float32), plane.rho.shape)
        # Over the brain blood stays where it is; in the cistern in the middle it runs through all of it.
        close = np.where(_basal(plane) > 0, 1, smoothstep((1.1 - away) / 0.3))
        close = close * _faded((22 * bleed.size + 6 - abs(plane.z - bleed.z)) / 6)
        return np.asarray(np.clip(2 * sulci * close * np.clip(patchy, 0, 1), 0, 1), dtype=np.float32)
    thick = _thickness(bleed, plane)
    return np.asarray(smoothstep((thick - plane.depth) / 1.2) * inside * (thick > 0.4), dtype=np.float32)


def _least_share(bleed: Bleed) -> float:
    """Share of blood from which a pixel is marked.

    In folds, whose fluid is dark, it is what makes them as dense as the cortex beside them: with less of it they are not
    seen to hold blood, only hard to see as folds.
    """
    return (GREY - WATER) / (bleed.density - WATER) if bleed.kind == "subarachnoid" else 0.4


def _away(bleed: Bleed, plane: _Plane) -> Field:
    """Distance along the skull from the middle of a bleeding, 1 at its end."""
    return np.asarray(np.abs(np.angle(np.exp(1j * (plane.theta - bleed.angle)))) / bleed.spread)


def _thickness(bleed: Bleed, plane: _Plane) -> Field:
    """How thick a sheet along the skull is at each angle, in mm: a lens, or a crescent."""
    tall = (plane.z - bleed.z) / (46 * bleed.spread)
    power = 2 if bleed.kind == "epidural" else 4
    return np.asarray(bleed.size * np.clip(1 - _away(bleed, plane) ** power - tall**2, 0, None))


def _shows(bleed: Bleed, plane: _Plane) -> Mask:
    """Where a bleeding is thick enough to be seen."""
    if bleed.kind == "subarachnoid":
        return np.asarray(plane.depth >= LEAST_THICK_MM)
    if bleed.kind not in {"epidural", "subdural"}:
        return np.ones(plane.rho.shape, dtype=bool)
    return _thickness(bleed, plane) >= LEAST_THICK_MM


def _skull(head: Head, plane: _Plane, brain: Field, rng: np.random.Generator) -> Field:
    """Bone, scalp, air and the base of the skull round the brain."""
    out = -plane.depth
    layer = np.where((out > 0.3 * head.skull) & (out < 0.7 * head.skull), MARROW, BONE)
    values = np.where(plane.rho < 1, brain, layer)
    values = np.where(out > head.skull, np.where(out < head.skull + 3, -60.0, SKIN), values)
    values = np.where(out > head.skull + 5, AIR, values)
    if plane.z < -14:
        values = values + _rock(plane) * (BONE * 0.8 - values)
        streak = np.exp(-(((plane.y + 6) / 9) ** 2)) * np.cos(plane.y / 2.2 + rng.uniform(0, 6)) * 7
        values = values + streak * (plane.rho < 0.98)
    return np.asarray(values, dtype=np.float32)


def _rock(plane: _Plane) -> Field:
    """Share of the petrous bones at the base in each pixel."""
    along = np.abs(np.abs(plane.x) * 0.75 - plane.y - 18)
    there = (np.abs(plane.x) > 14) * (plane.rho < 1) * float(np.clip((-14 - plane.z) / 8, 0, 1))
    return np.asarray(smoothstep((6.5 - along) / 2) * there, dtype=np.float32)


def _scanned(
    head: Head, values: Field, plane: _Plane, spacing: float, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Point spread, cupping and noise with the grain of a reconstruction filter."""
    sharp = smooth(values, max(head.blur, 0.3 * spacing) / spacing)
    grain = rng.standard_normal(values.shape, dtype=np.float32)
    grain = smooth(grain, 0.8) - smooth(grain, 2.4)
    cupped = 4 * np.clip(plane.rho, 0, 1) ** 3 * (plane.rho < 1)
    noisy = sharp + head.noise * grain / max(float(grain.std()), 1e-6) + cupped + head.offset
    return np.asarray(np.clip(np.rint(noisy), -1024, 3071), dtype=np.int16)
