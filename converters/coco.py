"""COCO keypoints and COCO-WholeBody: JSON annotation of photographs, without cameras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posepile_torch.convert import Converter, FileImage, Plan, RawFrame, RawPerson, Unit
from posepile_torch.convert.base import Option
from posepile_torch.errors import ConversionError, UnreadableRawFileError
from posepile_torch.sources.base import Source2D
from posepile_torch.sources.coco import Coco, CocoWholeBody

from .coco_json import CocoFile, CocoImage, CocoMasks, decode_keypoints

KEYPOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip"),
    *("right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""Names of the joints in the category, in the order of the labels."""

# Boxes and polygons start at the corner of the first pixel, archives at its middle; see the card.
_HALF_PIXEL = (-0.5, -0.5, 0.0, 0.0)


class Part(NamedTuple):
    """Joints of an annotation that are stored together.

    Attributes:
        field: Where they are.
        joints: How many.
        flag: Field that says whether they were labelled at all; None if there is none.
        has_visibility: Whether v is 0, 1 or 2 as in COCO, and not a confidence.
    """

    field: str
    joints: int
    flag: str | None = None
    has_visibility: bool = True


class CocoConverter(Converter):
    """Reads the raw files of :class:`~posepile_torch.sources.coco.Coco`.

    Options: ``year`` is 2017 or 2014, which divide the same images into train and val
    differently; ``images_per_unit`` is the size of the pieces in which the work is done.

    Attributes:
        parts: Where the joints of an annotation are, in the order of the skeleton.
    """

    source: ClassVar[type[Source2D]] = Coco
    version: ClassVar[str] = "1"
    plan: ClassVar[Plan] = Plan()
    default_options: ClassVar[Mapping[str, Option]] = {"year": 2017, "images_per_unit": 500}
    parts: ClassVar[tuple[Part, ...]] = (Part("keypoints", 17),)

    def annotation_name(self, split: str) -> str:
        """Return the name of a split's file in the folder ``annotations``."""
        return f"person_keypoints_{split}{self._year}.json"

    def units(self) -> Iterator[Unit]:
        """List one unit per some hundred images."""
        step = self._images_per_unit
        for split in ("train", "val"):
            for first in range(0, len(self._file(split).images), step):
                yield Unit(f"{split}/{first // step:05d}", split, {"first": str(first)})

    def frames(self, unit: Unit) -> Iterator[RawFrame]:
        """Yield the images of a unit; their index is the id that COCO gives them."""
        file, first = self._file(unit.split), int(unit["first"])
        for image in file.images[first : first + self._images_per_unit]:
            yield RawFrame(
                index=image.id,
                image=FileImage(self.root / f"{unit.split}{self._year}" / image.file_name),
                image_size=image.size,
                people=self._people(file, image),
            )

    def _people(self, file: CocoFile, image: CocoImage) -> list[RawPerson]:
        annotations = file.annotations(image)
        masks = CocoMasks(annotations, image.size, where=str(file.path))
        return [
            self._person(annotation, masks, where=f"{file.path}, annotation {annotation['id']}")
            for annotation in annotations
            if not annotation["iscrowd"]
        ]

    def _person(self, annotation: Mapping[str, Any], masks: CocoMasks, *, where: str) -> RawPerson:
        labels = [_labels(annotation, part, where) for part in self.parts]
        joints2d, visible, confidence = (
            np.concatenate(arrays) for arrays in zip(*labels, strict=True)
        )
        has_confidence = not all(part.has_visibility for part in self.parts)
        return RawPerson(
            joints2d=joints2d if np.isfinite(joints2d).any() else None,
            visible=visible,
            confidence=confidence if has_confidence else None,
            box=_box(annotation["bbox"], where),
            mask=partial(masks.of, annotation["id"]),
            scene_mask=masks.everybody,
            track=str(annotation["id"]),
        )

    def _file(self, split: str) -> CocoFile:
        if split not in self._files:
            flags = [part.flag for part in self.parts if part.flag is not None]
            fields = ["iscrowd", "bbox", "segmentation", *(p.field for p in self.parts), *flags]
            path = self.root / "annotations" / self.annotation_name(split)
            self._files[split] = CocoFile(path, fields, KEYPOINTS)
        return self._files[split]

    @cached_property
    def _files(self) -> dict[str, CocoFile]:
        return {}

    @property
    def _year(self) -> int:
        year = int(self.options.get("year", 2017))
        if year not in (2014, 2017):
            raise ConversionError(
                f"option year is {year}",
                where="coco",
                rule="joints were published for both 2014 and 2017 splits",
                fix="choose 2014 or 2017",
            )
        return year

    @property
    def _images_per_unit(self) -> int:
        count = int(self.options["images_per_unit"])
        if count < 1:
            raise ConversionError(
                f"option images_per_unit is {count}", where="coco", rule="it is at least 1"
            )
        return count


class CocoWholeBodyConverter(CocoConverter):
    """Reads the raw files of :class:`~posepile_torch.sources.coco.CocoWholeBody`.

    Option: ``images_per_unit`` is the size of the pieces in which the work is done.
    """

    source: ClassVar[type[Source2D]] = CocoWholeBody
    default_options: ClassVar[Mapping[str, Option]] = {"images_per_unit": 500}
    parts: ClassVar[tuple[Part, ...]] = (
        Part("keypoints", 17),
        Part("foot_kpts", 6, "foot_valid"),
        Part("face_kpts", 68, "face_valid", has_visibility=False),
        Part("lefthand_kpts", 21, "lefthand_valid", has_visibility=False),
        Part("righthand_kpts", 21, "righthand_valid", has_visibility=False),
    )

    def annotation_name(self, split: str) -> str:
        """Return the name of a split's file in the folder ``annotations``."""
        return f"coco_wholebody_{split}_v1.0.json"


def _labels(
    annotation: Mapping[str, Any], part: Part, where: str
) -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.float32]]:
    """Positions, visibility and confidence of the joints of one part."""
    where = f"{where}, {part.field}"
    points, v = decode_keypoints(annotation[part.field], part.joints, where=where)
    if part.flag is not None and not annotation[part.flag]:
        points, v = np.full_like(points, np.nan), np.zeros_like(v)
    if not part.has_visibility:
        return points, np.full(part.joints, -1, np.int8), np.minimum(v, 1).astype(np.float32)
    if not np.isin(v, (0, 1, 2)).all():
        raise UnreadableRawFileError(
            f"v is {sorted(set(v.tolist()))}",
            where=where,
            rule="0 is not labelled, 1 labelled and not visible, 2 visible",
        )
    # 0, 1, 2 become -1 (unknown), 0 (occluded), 1 (visible).
    return points, (v - 1).astype(np.int8), (v > 0).astype(np.float32)


def _box(bbox: Any, where: str) -> NDArray[np.float64]:
    try:
        return np.array(bbox, np.float64).reshape(4) + _HALF_PIXEL
    except (TypeError, ValueError):
        raise UnreadableRawFileError(
            f"bbox is {bbox!r:.80}", where=where, rule="a box is four numbers: x, y, w, h"
        ) from None
