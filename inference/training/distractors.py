"""What lies over a chest and is no finding: folds of skin, breasts, shoulder blades, leads, lines, pacemakers, wires."""

from __future__ import annotations

import numpy as np

from inference.training.anatomy import Body, Field, Plane, smoothstep

METAL = 9.0
"""Bone-equivalent mm of a pacemaker's case or a steel wire: clearly brighter than any rib."""


def drawn(plane: Plane, body: Body, rng: np.random.Generator) -> tuple[Field, Field, bool]:
    """Soft tissue and bone-equivalent metal to add, both mm along the ray, and whether a device is among them."""
    shape = np.broadcast_shapes(plane.x.shape, plane.y.shape)
    soft, metal = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    chances = rng.uniform(size=7)
    if chances[0] < 0.3:
        soft = soft + _skin_fold(plane, rng)
    if chances[1] < 0.45:
        soft = soft + _breasts(plane, rng)
    if chances[2] < 0.6:
        soft = soft + _shoulder_blades(plane, rng)
    if chances[3] < 0.3:
        metal = metal + _leads(plane, rng)
    if chances[4] < 0.12:
        metal = metal + _pacemaker(plane, rng)
    if chances[5] < 0.2:
        metal = metal + _line(plane, rng)
    if chances[6] < 0.1:
        metal = metal + _sternal_wires(plane, body)
    return soft, metal, bool((chances[3:] < (0.3, 0.12, 0.2, 0.1)).any())


def _skin_fold(plane: Plane, rng: np.random.Generator) -> Field:
    """An edge like that of a collapsed lung, but with vessels beyond it and a density that fades inwards."""
    side = rng.choice([-1, 1])
    over = side * (plane.x - side * (rng.uniform(75, 110) + 0.12 * plane.y))
    tall = smoothstep((95 - np.abs(plane.y + 10)) / 30)
    return np.asarray(rng.uniform(2, 5.5) * np.where(over < 0, np.exp(over / 14), 0) * tall, dtype=np.float32)


def _breasts(plane: Plane, rng: np.random.Generator) -> Field:
    size, drop, thick = rng.uniform(50, 75), rng.uniform(30, 65), rng.uniform(12, 40)
    total = np.zeros(np.broadcast_shapes(plane.x.shape, plane.y.shape), dtype=np.float32)
    for side in (-1, 1):
        inner = 1 - ((plane.x - side * 75) ** 2 + (plane.y - drop) ** 2) / size**2
        total = total + (thick * np.sqrt(np.clip(inner, 0, 1))).astype(np.float32)
    return total


def _shoulder_blades(plane: Plane, rng: np.random.Generator) -> Field:
    """A slanting edge over the outer upper lung, where a pleural line would be."""
    total = np.zeros(np.broadcast_shapes(plane.x.shape, plane.y.shape), dtype=np.float32)
    for side in (-1, 1):
        outwards = side * plane.x - rng.uniform(88, 118) - 0.22 * plane.y
        tall = smoothstep((20 - plane.y) / 25) * smoothstep((plane.y + 140) / 20)
        total = total + (rng.uniform(1.5, 6) * smoothstep(outwards / 2.5) * tall).astype(np.float32)
    return total


def _leads(plane: Plane, rng: np.random.Generator) -> Field:
    total = np.zeros(np.broadcast_shapes(plane.x.shape, plane.y.shape), dtype=np.float32)
    for _ in range(rng.integers(1, 4)):
        cx, cy, slope = rng.uniform(-90, 90), rng.uniform(-110, 70), rng.uniform(-0.6, 0.6)
        disc = np.hypot(plane.x - cx, plane.y - cy) < 4.5
        wire = (np.abs(plane.x - cx - slope * (plane.y - cy)) < 0.7) & (plane.y > cy)
        total = total + (5.0 * disc + 1.6 * wire).astype(np.float32)
    return total


def _pacemaker(plane: Plane, rng: np.random.Generator) -> Field:
    """A case under the collar bone and a lead into the heart."""
    side, x, y = rng.choice([-1, 1]), rng.uniform(70, 95), rng.uniform(-110, -90)
    case = ((np.abs(plane.x - side * x) / 22) ** 4 + (np.abs(plane.y - y) / 19) ** 4) < 1
    t = np.clip((plane.y - y) / (60 - y), 0, 1)
    track = side * x * (1 - t) ** 2 + 24 * t
    wire = (np.abs(plane.x - track) < 1.1) & (plane.y > y) & (plane.y < 60)
    return np.asarray(METAL * case + 3.5 * wire, dtype=np.float32)


def _line(plane: Plane, rng: np.random.Generator) -> Field:
    """A central line from the neck, or a drain between the ribs."""
    if rng.uniform() < 0.6:
        x = -rng.uniform(8, 20) - 10 * np.clip((-plane.y - 110) / 40, 0, 1)
        seen = (np.abs(plane.x - x) < 1.0) & (plane.y < rng.uniform(-45, -10))
    else:
        side, y = rng.choice([-1, 1]), rng.uniform(0, 50)
        track = y - 0.9 * (130 - side * plane.x)
        seen = (np.abs(plane.y - track) < 1.8) & (side * plane.x > 60) & (side * plane.x < 140)
    return np.asarray(2.2 * seen, dtype=np.float32)


def _sternal_wires(plane: Plane, body: Body) -> Field:
    total = np.zeros(np.broadcast_shapes(plane.x.shape, plane.y.shape), dtype=np.float32)
    for i in range(5):
        ring = np.abs(np.hypot(plane.x, (plane.y - body.apex - 60 - 24 * i) * 1.3) - 6) < 0.8
        total = total + (METAL / 2 * ring).astype(np.float32)
    return total
