"""Which takes a dataset has, and what happens in each: everything but the pixels.

All choices come from child seeds of the dataset's seed that belong to one subject or one take, so
takes can be rendered in any order and in any number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.camera import Camera
from posepile_torch.errors import MannequinError
from posepile_torch.mannequin.body import JOINTS, Pose, Proportions, posed
from posepile_torch.mannequin.cameras import drawn_camera
from posepile_torch.mannequin.motion import ACTIVITIES, Place, act
from posepile_torch.mannequin.paint import Outfit
from posepile_torch.mannequin.scene import Scene

Floats = NDArray[np.floating[Any]]

_SUBJECTS, _TAKES, _ORDER = range(3)  # families of child seeds
_SHADES = (("lank", 110, 0.45), ("rank", 110, 0.45), ("pelv", 260, 0.3))
_MOST_PEOPLE = 8  # more would not fit into the room side by side


@dataclass(frozen=True, kw_only=True)
class MannequinOptions:
    """What to render.

    Attributes:
        seed: Decides everything that is drawn by chance.
        takes: Number of takes; about a seventh of them each go to validation and test.
        frames: Frames per take.
        cameras: Cameras per take.
        people: People per take.
        size: ``(width, height)`` of the images, both even.
        fps: Frames per second.
        video_share: Share of the takes that are stored as video; the others are still images.
        marks: Draw a small coloured mark on every joint.
    """

    seed: int = 0
    takes: int = 20
    frames: int = 10
    cameras: int = 3
    people: int = 2
    size: tuple[int, int] = (400, 300)
    fps: int = 5
    video_share: float = 0.75
    marks: bool = False

    def __post_init__(self) -> None:
        for name, most in (("takes", 999), ("frames", 100_000), ("cameras", 99), ("fps", 1000)):
            if not 1 <= getattr(self, name) <= most:
                self._refuse(name, f"it lies in 1..{most}")
        if not 1 <= self.people <= _MOST_PEOPLE:
            self._refuse("people", f"it lies in 1..{_MOST_PEOPLE}, which the room can hold")
        if self.seed < 0:
            self._refuse("seed", "it is not negative")
        if not all(64 <= side <= 4096 and side % 2 == 0 for side in self.size):
            self._refuse("size", "both sides are even and lie in 64..4096, as video needs")
        if 1000 % self.fps:
            self._refuse("fps", "it divides 1000: the video container counts milliseconds")
        if not 0 <= self.video_share <= 1:
            self._refuse("video_share", "it lies in 0..1")

    def _refuse(self, name: str, rule: str) -> None:
        raise MannequinError(
            f"{name} is {getattr(self, name)!r}",
            where="options of the mannequin",
            rule=rule,
            fix=f"choose another {name}",
        )

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names of the cameras of every take."""
        return tuple(f"c{number + 1}" for number in range(self.cameras))


@dataclass(frozen=True)
class Take:
    """One entry of the list of takes.

    Attributes:
        index: Number of the take, from 0.
        name: Name of its folder, with the activity in it.
        split: ``"train"``, ``"val"`` or ``"test"``.
        activity: What everybody does.
        is_video: Whether it is stored as video rather than still images.
        subjects: Numbers of the people in it; no subject is in two splits.
    """

    index: int
    name: str
    split: str
    activity: str
    is_video: bool
    subjects: tuple[int, ...]


def planned_takes(options: MannequinOptions) -> Iterator[Take]:
    """List all takes of a dataset, without rendering any."""
    held_out = round(options.takes / 7) if options.takes > 3 else (options.takes - 1) // 2
    test = max(held_out, int(options.takes > 1))
    counts = {"train": options.takes - held_out - test, "val": held_out, "test": test}
    rng = _rng(options.seed, _ORDER, 0)
    index = first_subject = 0
    for split, count in counts.items():
        # A few more subjects than one take needs, so that their combinations differ.
        pool = options.people + count - 1
        rounds = range(-(-count // len(ACTIVITIES)))
        order = [str(name) for _ in rounds for name in rng.permutation(ACTIVITIES)]
        for activity in order[:count]:
            chosen = rng.choice(pool, options.people, replace=False) + first_subject
            share = options.video_share
            yield Take(
                index=index,
                name=f"{index + 1:03d}-{activity}",
                split=split,
                activity=activity,
                is_video=int((index + 1) * share + 1e-9) > int(index * share + 1e-9),
                subjects=tuple(int(subject) for subject in chosen),
            )
            index += 1
        first_subject += pool


@dataclass(frozen=True)
class Subject:
    """A person who may appear in several takes.

    Attributes:
        name: Name in the dataset.
        body: Proportions.
        outfit: Clothes and colours.
    """

    name: str
    body: Proportions
    outfit: Outfit

    @classmethod
    def drawn(cls, seed: int, number: int) -> Subject:
        """Draw subject ``number`` of the dataset with this seed."""
        rng = _rng(seed, _SUBJECTS, number)
        body = Proportions.drawn(rng)
        return cls(cls.name_of(number), body, Outfit.drawn(rng, bald=not body.hair))

    @staticmethod
    def name_of(number: int) -> str:
        """Return the name of subject ``number``."""
        return f"s{number + 1:02d}"


@dataclass(frozen=True, eq=False)
class Performance:
    """What happens in a take.

    Attributes:
        subjects: Who is there.
        poses: Their bodies over time, one per subject.
        scene: Where they are.
        cameras: Who looks on; world in millimetres, y up.
    """

    subjects: tuple[Subject, ...]
    poses: tuple[Pose, ...]
    scene: Scene
    cameras: tuple[Camera, ...]

    @classmethod
    def drawn(cls, options: MannequinOptions, take: Take) -> Performance:
        """Draw everything that happens in a take."""
        rng = _rng(options.seed, _TAKES, take.index)
        subjects = tuple(Subject.drawn(options.seed, number) for number in take.subjects)
        places = _places(rng, len(subjects))
        times_s = rng.uniform(0, 10) + np.arange(options.frames) / options.fps
        poses = tuple(
            posed(subject.body, act(take.activity, subject.body, place, times_s, rng))
            for subject, place in zip(subjects, places, strict=True)
        )
        stools = [(*place.spot, place.heading) for place in places]
        scene = Scene.drawn(rng, stools if take.activity == "sitting" else [])
        start = rng.uniform(0, 2 * np.pi)
        cameras = tuple(
            drawn_camera(
                rng,
                options.size,
                start + 2 * np.pi * number / options.cameras + rng.uniform(-0.3, 0.3),
                take.index + number,
            )
            for number in range(options.cameras)
        )
        return cls(subjects, poses, scene, cameras)

    @property
    def joints(self) -> Floats:
        """Joints of everybody at every moment, ``[T, P, 19, 3]`` millimetres."""
        return np.stack([pose.joints for pose in self.poses], axis=1)

    def contacts(self, frame: int) -> Floats:
        """Where people and furniture darken the floor, see ``Shadows.on_floor``."""
        spots = [
            (crate.x, crate.z, 0.8 * max(crate.half[0], crate.half[2]) + 60, 0.4)
            for crate in self.scene.crates
        ]
        for pose in self.poses:
            for joint, reach_mm, strength in _SHADES:
                x, height, z = pose.joints[frame, JOINTS.index(joint)]
                spots.append((x, z, reach_mm, strength * np.exp(-height / 1500)))
        return np.array(spots)


def _places(rng: np.random.Generator, people: int) -> list[Place]:
    """Spread people over a ring, facing outwards, with an arm's length between them."""
    start = rng.uniform(0, 2 * np.pi)
    ring = 150.0 if people == 1 else 480 / np.sin(np.pi / people)
    orbit = max(950.0, 420 / np.sin(np.pi / max(people, 2)))
    turning = float(rng.choice([-1.0, 1.0]) * rng.uniform(800, 1100) / orbit)
    places = []
    for number in range(people):
        azimuth = float(start + 2 * np.pi * number / people)
        away = ring + rng.uniform(-40, 40)
        places.append(
            Place(
                spot=(float(away * np.sin(azimuth)), float(away * np.cos(azimuth))),
                heading=azimuth + float(rng.uniform(-1.2, 1.2)),
                orbit_mm=float(orbit + rng.uniform(-80, 80)),
                azimuth=azimuth,
                turning=turning,
            )
        )
    return places


def _rng(seed: int, family: int, number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(family, number)))
