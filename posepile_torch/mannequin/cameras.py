"""Cameras around a scene, one of every kind of lens."""

from __future__ import annotations

import numpy as np

from posepile_torch.camera import Camera, Lens

WORLD_UP = (0.0, 1.0, 0.0)
"""The mannequins' world has y up."""

_KINDS = ("none", "brown-conrady", "kannala-brandt")


def drawn_camera(
    rng: np.random.Generator, size: tuple[int, int], azimuth: float, kind: int
) -> Camera:
    """Draw a camera that looks at the middle of the room.

    Args:
        rng: Source of all choices.
        size: ``(width, height)`` of the image.
        azimuth: Where around the room it stands, radians from +z to +x.
        kind: Counts through the lens models: pinhole, Brown-Conrady, Kannala-Brandt.
    """
    width, height = size
    model = _KINDS[kind % len(_KINDS)]
    is_fisheye = model == "kannala-brandt"
    focal = min(1.05 * height, 0.95 * width) * rng.uniform(0.94, 1.06) * (0.9 if is_fisheye else 1)
    aspect = rng.uniform(0.995, 1.005)
    middle = np.array([(width - 1) / 2, (height - 1) / 2]) + 0.02 * width * rng.uniform(-1, 1, 2)
    away = rng.uniform(2650, 2900) if is_fisheye else rng.uniform(2900, 3350)
    place = (away * np.sin(azimuth), rng.uniform(900, 2250), away * np.cos(azimuth))
    target = (rng.uniform(-120, 120), rng.uniform(830, 960), rng.uniform(-120, 120))
    camera = Camera(
        R=np.eye(3),
        t=np.array(place),
        K=np.array([[focal * aspect, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]]),
        size=size,
        lens=_drawn_lens(rng, model),
        world_up=np.array(WORLD_UP),
    )
    return camera.turned_towards(target).rolled(float(rng.normal(0, 0.03)))


def _drawn_lens(rng: np.random.Generator, model: str) -> Lens:
    """Draw a lens that is one-to-one well beyond the corners of the image."""
    if model == "brown-conrady":
        k1, k2 = rng.uniform(-0.22, -0.08), rng.uniform(0.03, 0.06)
        p1, p2 = rng.uniform(-2e-3, 2e-3, 2)
        if rng.random() < 0.5:
            return Lens.brown_conrady([k1, k2, p1, p2, 0.0])
        k4 = rng.uniform(0.01, 0.05)
        return Lens.brown_conrady([k1, k2, p1, p2, 0.0, k4, 0.0, 0.0])
    if model == "kannala-brandt":
        return Lens.kannala_brandt(
            rng.uniform((-0.03, -0.01, -2e-3, -5e-4), (0.02, 0.01, 2e-3, 5e-4))
        )
    return Lens.none()
