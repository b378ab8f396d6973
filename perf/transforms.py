"""What a recipe costs, beside the limit: one JPEG decode and one warp of the same crop.

Run ``python perf/transforms.py``. Everything runs in this process on one core; the candidates take
turns, times are process CPU time, and the ratios are medians over paired rounds.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg

from posepile_torch.camera import Camera
from posepile_torch.images import encode_jpeg
from posepile_torch.masks import Mask
from posepile_torch.record import Record
from posepile_torch.transforms import RandomKey, apply_recipe, plan_view, procedural, recipes

COUNT = 48  # crops; together larger than the caches of the CPU
GRAIN = 8.0  # grey levels of film grain, for about 62 KB a crop


@dataclass(frozen=True)
class Crop:
    """One stored crop: its bytes, its record, and the masks and matrices of the references."""

    jpeg: bytes
    record: Record
    homography: np.ndarray
    background: bytes


def make_crops(count: int, side: int = 480) -> list[Crop]:
    """Make crops of the size and bits per pixel of converted datasets."""
    crops = []
    for number in range(count):
        random = np.random.default_rng(number)
        camera = Camera.from_fov(
            (side, side), math.radians(30 + number % 20), world_up=(0.1, -1.0, 0.05)
        )
        box = np.array([side * 0.36, side * 0.16, side * 0.28, side * 0.68])
        mask = Mask.from_array(_person(random, side, box))
        record = Record(
            id=f"crop/{number}",
            split="train",
            image_key=f"{number}.jpg",
            image_size=(side, side),
            box=box,
            camera=camera,
            joints3d=np.zeros((17, 3)) + (0, 0, 3000),
            person_mask=mask,
            scene_mask=mask,
        )
        view = plan_view(record, recipes.metrabs(), RandomKey(0, 0, number))
        jpeg, background = (
            _photograph(random, number + more, extent) for more, extent in ((0, side), (1, 512))
        )
        crops.append(Crop(jpeg, record, view.homography, background))
    return crops


def _photograph(random: np.random.Generator, number: int, side: int) -> bytes:
    """Return a JPEG with about as many bits per pixel as a photograph."""
    picture = procedural.background(number, side).astype(np.float32)
    grain = random.normal(0, GRAIN, picture.shape).astype(np.float32)
    picture += cv2.GaussianBlur(grain, (0, 0), 0.7)
    return encode_jpeg(np.clip(picture, 0, 255).astype(np.uint8), 95)


def _person(random: np.random.Generator, side: int, box: np.ndarray) -> np.ndarray:
    """Return the silhouette of a crude figure that fills the box."""
    x, y, w, h = box
    mask = np.zeros((side, side), np.uint8)
    middle = x + w / 2

    def limb(start: tuple[float, float], end: tuple[float, float], thick: float) -> None:
        a, b = ((round(middle + w * p[0]), round(y + h * p[1])) for p in (start, end))
        cv2.line(mask, a, b, 1, round(w * thick))

    cv2.ellipse(
        mask,
        (round(middle), round(y + 0.09 * h)),
        (round(w * 0.13), round(h * 0.09)),
        0,
        0,
        360,
        1,
        -1,
    )
    limb((0, 0.2), (0, 0.5), 0.35)
    for sign in (-1, 1):
        bend = random.uniform(0.2, 0.45)
        limb((sign * 0.15, 0.22), (sign * bend, 0.36), 0.12)
        limb((sign * bend, 0.36), (sign * 0.4, 0.52), 0.1)
        limb((sign * 0.1, 0.5), (sign * 0.15, 0.75), 0.18)
        limb((sign * 0.15, 0.75), (sign * 0.2, 0.97), 0.14)
    return mask


def limit(crop: Crop, number: int) -> None:
    """Decode and warp: what no loader can avoid."""
    image = simplejpeg.decode_jpeg(crop.jpeg, colorspace="RGB")
    cv2.warpPerspective(image, crop.homography, (256, 256), flags=cv2.INTER_LINEAR)


def by_recipe(recipe: recipes.Recipe) -> Callable[[Crop, int], None]:
    """Return the candidate that applies a recipe."""

    def run(crop: Crop, number: int) -> None:
        apply_recipe(crop.jpeg, crop.record, recipe, RandomKey(1, number, 0))

    return run


def published_shape(crop: Crop, number: int) -> None:
    """The per-sample work of the published loaders, written anew: maps in numpy, float colours.

    Decode with OpenCV, build dense maps from rays, remap the image, the mask and a background
    that is decoded each time, blend and change colours in float, HSV included. Occlusion is left
    out, in its favour.
    """
    random = np.random.default_rng(number)
    image = cv2.imdecode(np.frombuffer(crop.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    grid = _dense_map(np.linalg.inv(crop.homography))
    front = cv2.remap(image, grid, None, cv2.INTER_LINEAR)
    mask = cv2.remap(crop.record.person_mask.to_array(), grid, None, cv2.INTER_LINEAR)
    other = cv2.imdecode(np.frombuffer(crop.background, np.uint8), cv2.IMREAD_COLOR_RGB)
    zoom = 512 / 256 / random.uniform(1.2, 1.5)
    shift = random.uniform(0, 60, 2)
    back_grid = _dense_map(np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]], [0, 0, 1]]))
    back = cv2.remap(other, back_grid, None, cv2.INTER_LINEAR)
    alpha = mask.astype(np.float32)[..., None]
    mixed = (alpha * front + (1 - alpha) * back) / np.float32(255)
    mixed = mixed + np.float32(random.uniform(-0.125, 0.125))
    mixed = (mixed - np.float32(0.5)) * np.float32(random.uniform(0.5, 1.5)) + np.float32(0.5)
    hsv = cv2.cvtColor(np.clip(mixed, 0, 1), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = np.mod(hsv[..., 0] + random.uniform(-72, 72), 360)
    mixed = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    hsv = cv2.cvtColor(np.clip(mixed, 0, 1), cv2.COLOR_RGB2HSV)
    hsv[..., 1] = np.clip(hsv[..., 1] * random.uniform(0.5, 1.5), 0, 1)
    np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), 0, 1)


def _dense_map(back: np.ndarray) -> np.ndarray:
    """Return where each pixel of the output comes from."""
    x, y = np.meshgrid(np.arange(256, dtype=np.float32), np.arange(256, dtype=np.float32))
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ back.T.astype(np.float32)
    return rays[..., :2] / rays[..., 2:]


def candidates() -> dict[str, Callable[[Crop, int], None]]:
    """Return everything that is timed, by name."""
    full = recipes.metrabs()
    always = {"probability": 1.0, "probability_realistic": 1.0}
    bare = recipes.evaluation().replaced(name="geometry only", geometry=full.geometry)
    return {
        "limit": limit,
        "geometry only": by_recipe(bare),
        "metrabs": by_recipe(full),
        "metrabs, background always": by_recipe(full.replaced(background=always)),
        "the same, exact HSV": by_recipe(
            full.replaced(background=always, colour={"method": "hsv"})
        ),
        "nlf, background always": by_recipe(recipes.nlf().replaced(background=always)),
        "published shape": published_shape,
    }


def measure(rounds: int, count: int) -> dict[str, list[float]]:
    """Return the CPU seconds per sample of every candidate, one number for each round."""
    crops = make_crops(count)
    kilobytes = statistics.mean(len(crop.jpeg) for crop in crops) / 1024
    print(f"{count} crops of 480 px, {kilobytes:.0f} KB on average")
    runs = candidates()
    for run in runs.values():
        for number, crop in enumerate(crops[:8]):
            run(crop, number)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        names = list(runs)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            for number, crop in enumerate(crops):
                runs[name](crop, turn * count + number)
            times[name].append((time.process_time() - start) / count)
    return times


def main() -> None:
    """Measure and print one line per candidate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=COUNT)
    options = parser.parse_args()
    cv2.setNumThreads(0)
    times = measure(options.rounds, options.count)
    print(f"{'':28s}{'us/sample':>10s}{'x limit':>9s}{'x published':>13s}")
    for name, values in times.items():
        beside = [
            statistics.median(r / v for r, v in zip(times[other], values, strict=True))
            for other in ("limit", "published shape")
        ]
        print(
            f"{name:28s}{1e6 * statistics.median(values):10.0f}{beside[0]:9.2f}{beside[1]:13.2f}"
        )


if __name__ == "__main__":
    main()
