"""Writing a synthetic dataset in its raw layout, which ``docs/mannequin.md`` describes.

The raw files have conventions of their own, as those of every public dataset: metres,
translation vectors instead of optical centres, joints from the head down, frames counted from one.
What is rendered is in millimetres; only the writing changes units.
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.camera import Camera
from posepile_torch.errors import MannequinError, require
from posepile_torch.mannequin import storage
from posepile_torch.mannequin.body import JOINTS
from posepile_torch.mannequin.marks import with_marks
from posepile_torch.mannequin.render import Figure, View
from posepile_torch.mannequin.shadows import Shadows
from posepile_torch.mannequin.takes import (
    MannequinOptions,
    Performance,
    Subject,
    Take,
    planned_takes,
)
from posepile_torch.mannequin.visibility import visible_joints
from posepile_torch.rotations import to_rotvec

RAW_VERSION = 1
"""Version of the raw layout; stored in ``mannequin.json``."""

FIRST_FRAME = 1
"""Number of the first frame in the names of raw files."""


def write_raw(
    root: Path | str,
    options: MannequinOptions | None = None,
    *,
    jobs: int = 1,
    on_take: Callable[[Take], None] | None = None,
) -> Path:
    """Render a dataset and return its folder.

    The same options give the same bytes, whatever the number of jobs, as long as NumPy, OpenCV
    and the encoders stay the same. Everything is written beside ``root`` and renamed at the end,
    so that ``root`` is either absent or complete.

    Args:
        root: Folder to make; it must not exist, or be empty.
        options: What to render; the default options if None.
        jobs: Number of processes.
        on_take: Called in this process whenever a take is complete.

    Raises:
        MannequinError: If ``root`` is in use.
        MissingDependencyError: If videos are asked for and the package ``av`` is not installed.
    """
    root, options = Path(root), options or MannequinOptions()
    takes = list(planned_takes(options))
    if any(take.is_video for take in takes):
        require("av", extra="convert")  # before the work, not after the first take
    with _complete_or_absent(root) as folder:
        for take in _rendered(folder, options, takes, jobs):
            if on_take is not None:
                on_take(take)
        storage.write_json(folder / "mannequin.json", _index(options, takes))
    return root


@contextmanager
def _complete_or_absent(root: Path) -> Iterator[Path]:
    """Give a folder to build in, which becomes ``root`` if nothing goes wrong."""
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise MannequinError(
            "there is something already",
            where=root,
            rule="a dataset is rendered into a new or empty folder",
            fix="choose another folder, or remove this one",
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".rendering", dir=root.parent))
    try:
        folder.chmod(0o755)  # temporary folders are private, datasets are not
        yield folder
        if root.exists():
            root.rmdir()
        folder.rename(root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rendered(
    folder: Path, options: MannequinOptions, takes: list[Take], jobs: int
) -> Iterator[Take]:
    """Render the takes, in this process or in several, and yield each when it is complete."""
    if jobs <= 1 or len(takes) == 1:
        for take in takes:
            write_take(folder, options, take)
            yield take
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
    with ProcessPoolExecutor(min(jobs, len(takes)), mp_context=context) as pool:
        futures = [pool.submit(write_take, folder, options, take) for take in takes]
        try:
            for take, future in zip(takes, futures, strict=True):
                future.result()
                yield take
        finally:
            pool.shutdown(cancel_futures=True)


def _index(options: MannequinOptions, takes: list[Take]) -> dict[str, Any]:
    return {
        "format": "mannequin",
        "version": RAW_VERSION,
        "seed": options.seed,
        "length_unit": "m",
        "up": "y",
        "size": list(options.size),
        "fps": options.fps,
        "first_frame": FIRST_FRAME,
        "marks": options.marks,
        "joints": list(JOINTS),
        "cameras": list(options.camera_names),
        "takes": [
            {
                "name": take.name,
                "split": take.split,
                "activity": take.activity,
                "images": "video" if take.is_video else "stills",
                "frames": options.frames,
                "subjects": [Subject.name_of(number) for number in take.subjects],
            }
            for take in takes
        ],
    }


def write_take(root: Path, options: MannequinOptions, take: Take) -> None:
    """Render one take and write all of its files below ``root``."""
    performance = Performance.drawn(options, take)
    folder = root / "takes" / take.name
    folder.mkdir(parents=True)
    cameras = zip(options.camera_names, performance.cameras, strict=True)
    entries = [_camera_entry(name, camera) for name, camera in cameras]
    storage.write_json(folder / "cameras.json", {"cameras": entries})
    people = [
        _person_entry(number + 1, subject) for number, subject in enumerate(performance.subjects)
    ]
    storage.write_json(folder / "people.json", {"people": people})
    blocks, shares = _write_images(folder, options, take, performance)
    np.savez(
        folder / "joints.npz",
        # Ten to the minus seven metres: finer digits are rounding, which differs between machines.
        joints=np.round(performance.joints / 1000, 7),
        visible=_visible(performance),
        blocks=blocks,
        visible_share=shares,
    )


def _person_entry(label: int, subject: Subject) -> dict[str, Any]:
    proportions = asdict(subject.body)
    height_m = proportions.pop("height_mm") / 1000
    return {
        "label": label,
        "subject": subject.name,
        "height_m": height_m,
        "proportions": proportions,
    }


def _camera_entry(name: str, camera: Camera) -> dict[str, Any]:
    """Write a camera as ``x_cam = R X + tvec`` in metres, with R as a rotation vector."""
    return {
        "name": name,
        "size": list(camera.size),
        "K": camera.K.tolist(),
        "rvec": to_rotvec(camera.R).tolist(),
        "tvec": (-camera.R @ camera.t / 1000).tolist(),
        "lens": camera.lens.to_dict(),
    }


def _visible(performance: Performance) -> NDArray[np.uint8]:
    """Visibility of all joints, ``[C, T, P, J]``."""
    frames = range(len(performance.joints))
    bodies = [[pose.solids[frame] for pose in performance.poses] for frame in frames]
    return np.array(
        [
            [
                visible_joints(camera.t, performance.joints[t], bodies[t], performance.scene)
                for t in frames
            ]
            for camera in performance.cameras
        ]
    )


def _write_images(
    folder: Path, options: MannequinOptions, take: Take, performance: Performance
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Render and store the images and masks; return blocks and visible shares, ``[C, T, P]``."""
    scene, names = performance.scene, options.camera_names
    static = Shadows.none(scene.lamp.towards).with_crates(scene.crates).with_solids(scene.decor)
    views = [View(scene, camera, static) for camera in performance.cameras]
    shape = (options.cameras, options.frames, options.people)
    blocks, shares = np.zeros((*shape, 4), np.int32), np.zeros(shape, np.float32)
    with ExitStack() as stack:
        sinks = [stack.enter_context(closing(_sink(folder, options, take, n))) for n in names]
        for frame in range(options.frames):
            figures, shadows = _moment(performance, static, frame)
            contacts, number = performance.contacts(frame), FIRST_FRAME + frame
            for camera, (name, view, sink) in enumerate(zip(names, views, sinks, strict=True)):
                picture = view.picture(figures, shadows, contacts)
                image = picture.image
                if options.marks:
                    image = _marked(image, view, performance.joints[frame])
                sink.add(number, image)
                storage.write_labels(folder / "masks" / name / f"{number:06d}.png", picture.labels)
                blocks[camera, frame], shares[camera, frame] = (
                    picture.blocks,
                    picture.visible_share,
                )
    return blocks, shares


def _moment(performance: Performance, static: Shadows, frame: int) -> tuple[list[Figure], Shadows]:
    """Everybody at one moment, and all shadows then."""
    figures = [
        Figure(pose.solids[frame], subject.outfit)
        for pose, subject in zip(performance.poses, performance.subjects, strict=True)
    ]
    shadows = static
    for figure in figures:
        shadows = shadows.with_solids(figure.solids)
    return figures, shadows


def _sink(folder: Path, options: MannequinOptions, take: Take, camera: str) -> storage.ImageSink:
    if take.is_video:
        return storage.Video(folder / "videos" / f"{camera}.mkv", options.size, options.fps)
    return storage.Stills(folder / "stills" / camera)


def _marked(image: NDArray[np.uint8], view: View, joints: NDArray[Any]) -> NDArray[np.uint8]:
    camera = view.samples.camera
    return with_marks(image, camera.project(joints), camera.to_camera(joints)[..., 2])
