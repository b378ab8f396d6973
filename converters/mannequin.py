"""Mannequin: the library's own synthetic takes; raw layout in ``docs/mannequin.md``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from posepile_torch import boxes
from posepile_torch.camera import Camera, Lens
from posepile_torch.convert import (
    Converter,
    FileImage,
    ImageRef,
    Plan,
    RawFrame,
    RawPerson,
    Unit,
    VideoFrame,
)
from posepile_torch.intake import decode_labels
from posepile_torch.masks import Mask
from posepile_torch.rawfiles import read_bytes, read_json, read_npz
from posepile_torch.rotations import from_rotvec
from posepile_torch.sources.mannequin import Mannequin


class MannequinConverter(Converter):
    """Reads the raw files of :class:`~posepile_torch.sources.Mannequin`."""

    source = Mannequin
    version: ClassVar[str] = "1"
    plan: ClassVar[Plan] = Plan()

    def units(self) -> Iterator[Unit]:
        """List one unit per take and camera."""
        index = read_json(self.root / "mannequin.json")
        for take in index["takes"]:
            for number, camera in enumerate(index["cameras"]):
                fields = {"take": take["name"], "camera": camera, "number": str(number)}
                fields |= {"activity": take["activity"], "images": take["images"]}
                yield Unit(f"{take['name']}/{camera}", take["split"], fields)

    def frames(self, unit: Unit) -> Iterator[RawFrame]:
        """Yield the frames of one camera of one take."""
        folder, number = self.root / "takes" / unit["take"], int(unit["number"])
        names = read_json(self.root / "mannequin.json")["joints"]
        order = [names.index(joint) for joint in self.source.native.joints]
        people = read_json(folder / "people.json")["people"]
        camera = _camera(folder / "cameras.json", number)
        raw = read_npz(folder / "joints.npz")
        joints_mm = raw["joints"][:, :, order] * 1000
        visible, blocks = raw["visible"][number][..., order], raw["blocks"][number]
        for frame in range(len(joints_mm)):
            masks = folder / "masks" / unit["camera"] / f"{frame + 1:06d}.png"
            yield RawFrame(
                index=frame,
                image=_image(folder, unit, frame),
                camera=camera,
                sequence=unit["take"],
                camera_name=unit["camera"],
                activity=unit["activity"],
                people=[
                    RawPerson(
                        joints3d=joints_mm[frame, row],
                        visible=visible[frame, row].astype(np.int8),
                        box=boxes.of_pixels(*block) if (block := blocks[frame, row])[2] else None,
                        mask=partial(_mask, masks, [person["label"]]),
                        scene_mask=partial(_mask, masks, [entry["label"] for entry in people]),
                        subject=person["subject"],
                        track=str(person["label"]),
                    )
                    for row, person in enumerate(people)
                ],
            )


def _camera(path: Path, number: int) -> Camera:
    entry = read_json(path)["cameras"][number]
    camera = Camera.from_extrinsics(
        R=from_rotvec(entry["rvec"]),
        T=np.asarray(entry["tvec"]) * 1000,
        K=entry["K"],
        size=tuple(entry["size"]),
        lens=Lens.from_dict(entry["lens"]),
        world_up=(0, 1, 0),
    )
    return camera.validated(where=f"{path}, camera {entry['name']}")


def _image(folder: Path, unit: Unit, frame: int) -> ImageRef:
    if unit["images"] == "video":
        return VideoFrame(folder / "videos" / f"{unit['camera']}.mkv", frame)
    return FileImage(folder / "stills" / unit["camera"] / f"{frame + 1:06d}.jpg")


def _mask(path: Path, labels: list[int]) -> Mask:
    image: Any = decode_labels(read_bytes(path), where=path)
    first, *others = (Mask.from_label_image(image, label, where=path) for label in labels)
    return first.union(*others)
