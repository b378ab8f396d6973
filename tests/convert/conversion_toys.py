"""A tiny source for the tests of conversion; its raw folder can be told to misbehave.

The raw folder holds ``index.json`` (units with their frames and split) and one JPEG. In the file
``behaviour.json``, which is no raw file, a unit can be told to raise, to kill its process, or to
wait; "once" forms leave a mark beside it and behave the second time.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from posepile_torch.camera import Camera
from posepile_torch.cards import (
    Access,
    Card,
    LengthUnit,
    Licence,
    RawFilePattern,
    RawKind,
    Split,
    Task,
    Visibility,
)
from posepile_torch.convert import Converter, FileImage, Plan, RawFrame, RawPerson, Unit
from posepile_torch.errors import UnreadableRawFileError
from posepile_torch.images import encode_jpeg
from posepile_torch.masks import Mask
from posepile_torch.skeleton import Skeleton
from posepile_torch.sources.base import Source3D

SIZE = (96, 64)
SKELETON = Skeleton.parse("toy_4", joints="pelv neck lsho rsho", edges="pelv-neck-lsho")

CARD = Card(
    name="toy",
    title="Toy",
    description="Fabricated for the tests of conversion.",
    tasks=(Task.POSE_3D,),
    licence=Licence.spdx("CC0-1.0", evidence="fabricated by the tests"),
    access=Access.SYNTHETIC,
    citation="toy",
    homepage="https://example.org/toy",
    layout=(
        RawFilePattern("index.json", RawKind.INDEX, origin="toy-annotations.zip"),
        RawFilePattern("images/{name}.jpg", RawKind.IMAGE, origin="toy-images.zip"),
        RawFilePattern("extra/{name}.txt", RawKind.OTHER, required=False),
    ),
    splits=(Split("train"), Split("test")),
    units=LengthUnit.MILLIMETRE,
    world_up=(0.0, -1.0, 0.0),
    visibility=Visibility.NONE,
    bibtex="@misc{toy, title={Toy}, year={2024}}",
)


class Toy(Source3D):
    """The toy source."""

    card = CARD
    native = SKELETON


class ToyConverter(Converter):
    """Reads the toy's raw files."""

    source = Toy
    version = "1"
    plan = Plan(jpeg_quality=80)
    default_options: ClassVar = {"offset_mm": 0.0, "note": ""}

    def units(self):
        index = json.loads((self.root / "index.json").read_bytes())
        for number, name in enumerate(index["units"]):
            yield Unit(name, "test" if number % 5 == 4 else "train", {"number": str(number)})

    def frames(self, unit):
        index = json.loads((self.root / "index.json").read_bytes())
        behave(self.root, unit.name)
        for frame in range(index["frames"]):
            yield toy_frame(self, unit, frame)


def toy_frame(converter, unit, frame, **changes):
    rng = np.random.default_rng([int(unit["number"]), frame])
    joints = np.array([[0, 0, 0], [0, -400, 0], [150, -380, 0], [-150, -380, 0.0]])
    joints += rng.normal(0, 15, joints.shape) + [0, 200, 1500 + converter.options["offset_mm"]]
    person = {"joints3d": joints, "subject": "s1"}
    if converter.options["note"] != "tiny":
        dense = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        dense[20:50, 30:60] = 1
        person["mask"] = Mask.from_array(dense)
    values = {
        "index": frame,
        "image": FileImage(converter.root / "images" / "photo.jpg"),
        "camera": camera(),
        "people": [RawPerson(**{**person, **changes.pop("person", {})})],
        "sequence": unit.name,
        "camera_name": "c1",
    }
    return RawFrame(**{**values, **changes})


def camera():
    K = np.array([[90.0, 0, 47.5], [0, 90.0, 31.5], [0, 0, 1]])
    return Camera(R=np.eye(3), t=np.zeros(3), K=K, size=SIZE, world_up=(0, -1, 0))


def photo(seed=0, size=SIZE):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


def write_raw(root, units=6, frames=3, behaviour=None):
    """Fabricate a raw folder."""
    root = Path(root)
    (root / "images").mkdir(parents=True)
    names = [f"take{number:03d}/c1" for number in range(units)]
    (root / "index.json").write_text(json.dumps({"units": names, "frames": frames}))
    (root / "images" / "photo.jpg").write_bytes(encode_jpeg(photo()))
    tell(root, behaviour or {})
    return root


def tell(root, behaviour):
    """Tell units how to behave: name to ``"raise"``, ``"die"``, ``"die-once"``, ``"wait"``..."""
    (root / "behaviour.json").write_text(json.dumps(behaviour))


def behave(root, name):
    """Do what the unit was told to."""
    told = json.loads((root / "behaviour.json").read_bytes())
    what = told.get(name, told.get("*", ""))
    if what.endswith("-once"):
        mark = root / f".mark-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        if mark.exists():
            return
        mark.touch()
        what = what.removesuffix("-once")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exit":
        os._exit(3)
    elif what == "raise":
        raise UnreadableRawFileError("the file is damaged", where=root / "index.json")
    elif what == "bug":
        raise KeyError("no such field")
    elif what.startswith("wait"):
        time.sleep(float(what.removeprefix("wait") or 1))
    elif what == "touch":
        (root / "images" / "photo.jpg").touch()
    elif what == "annotate":
        index = root / "index.json"
        index.write_bytes(index.read_bytes() + b" ")


def contents(folder):
    """Return name to bytes of every file of an archive folder."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
