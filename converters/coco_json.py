"""Files in the JSON format of COCO, which many datasets share."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import UnreadableRawFileError
from posepile_torch.masks import Mask
from posepile_torch.rawfiles import iter_json_arrays, safe_member_name

# Speed over size: annotations are packed once and unpacked once.
_COMPRESSION = 1


class CocoImage(NamedTuple):
    """An image of a COCO file.

    Attributes:
        id: Its number.
        file_name: Path of the file, relative to the folder of images.
        size: ``(width, height)``.
    """

    id: int
    file_name: str
    size: tuple[int, int]


class CocoFile:
    """Images and annotations of one file, read in a stream and kept in little memory.

    Training files of COCO hold hundreds of megabytes, which would become gigabytes of Python
    objects in every process; annotations are kept compressed until their image is asked for.

    Args:
        path: The JSON file.
        fields: Fields of an annotation that are kept; all must be there, except in groups
            (``iscrowd``), of which the outline is enough.
        keypoints: Names that the category must give to the joints, in order.

    Raises:
        UnreadableRawFileError: If the file is damaged, lacks a field, names other joints, or has
            annotations of images that it does not list.
    """

    def __init__(self, path: Path, fields: Sequence[str], keypoints: Sequence[str]) -> None:
        self.path = path
        images, joints = [], []
        self._packed: dict[int, list[bytes]] = {}
        for key, entry in iter_json_arrays(path, ("images", "annotations", "categories")):
            if not isinstance(entry, Mapping):
                raise self._malformed(f"{key} has the entry {entry!r:.80}", "entries are objects")
            if key == "images":
                images.append(self._image(entry))
            elif key == "annotations":
                self._keep(entry, fields)
            elif "keypoints" in entry:
                joints.append(entry["keypoints"])
        self.images: tuple[CocoImage, ...] = tuple(sorted(images))
        """All images, also those without annotations, by id."""
        self._check(joints, list(keypoints))

    def annotations(self, image: CocoImage) -> list[dict[str, Any]]:
        """Return the annotations of an image in the order of the file."""
        return [json.loads(zlib.decompress(packed)) for packed in self._packed.get(image.id, ())]

    def _check(self, joints: list[Any], expected: list[str]) -> None:
        if joints != [expected]:
            raise self._malformed(
                f"the categories name the joints {joints}",
                f"there is one category with joints, in the order {expected}",
            )
        ids = {image.id for image in self.images}
        if len(ids) < len(self.images):
            raise self._malformed("two images have one id", "ids of images are unique")
        strays = sorted(set(self._packed) - ids)
        if strays:
            raise self._malformed(
                f"{len(strays)} images with annotations are not listed, the first is {strays[0]}",
                "an annotation belongs to an image of the file",
            )

    def _image(self, entry: Mapping[str, Any]) -> CocoImage:
        try:
            size = (int(entry["width"]), int(entry["height"]))
            if min(size) < 1:
                raise ValueError(f"it is {size[0]} x {size[1]} pixels large")
            name = safe_member_name(entry["file_name"], where=self.path)
            return CocoImage(int(entry["id"]), name, size)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self._malformed(
                f"image {entry!r:.80}: {type(error).__name__}: {error}",
                "an image has an id, a file_name, a width and a height",
            ) from None

    def _keep(self, entry: Mapping[str, Any], fields: Sequence[str]) -> None:
        # Groups have an outline and no joints; which of the other fields they have is no matter.
        needed = ("iscrowd", "segmentation") if entry.get("iscrowd") else fields
        missing = {"id", "image_id", *needed} - set(entry)
        if missing or type(entry["image_id"]) is not int:
            raise self._malformed(
                f"annotation {entry.get('id')} of image {entry.get('image_id')} lacks "
                f"{sorted(missing) or 'a number for its image'}",
                f"an annotation has an id, an image_id and {sorted(needed)}",
            )
        kept = {name: entry[name] for name in ("id", *fields) if name in entry}
        data = json.dumps(kept, separators=(",", ":")).encode()
        self._packed.setdefault(entry["image_id"], []).append(zlib.compress(data, _COMPRESSION))

    def _malformed(self, what: str, rule: str) -> UnreadableRawFileError:
        return UnreadableRawFileError(
            what, where=self.path, rule=rule, fix="fetch the file again from the dataset's page"
        )


class CocoMasks:
    """The outlines of one image, turned into masks when they are asked for.

    Args:
        annotations: All annotations of the image, groups included.
        size: ``(width, height)`` of the image.
        where: Named in errors.
    """

    def __init__(
        self, annotations: Sequence[Mapping[str, Any]], size: tuple[int, int], where: str
    ) -> None:
        self._outlines = {entry["id"]: entry["segmentation"] for entry in annotations}
        self._size = size
        self._where = where

    def of(self, annotation: int) -> Mask | None:
        """Return the mask of an annotation, by its id; None if its outline encloses nothing."""
        where = f"{self._where}, annotation {annotation}"
        mask = Mask.from_coco(self._outlines[annotation], self._size, where=where)
        return mask if mask.area else None

    def everybody(self) -> Mask:
        """Return the union of all masks, groups included."""
        return self._union

    @functools.cached_property
    def _union(self) -> Mask:
        masks = (self.of(annotation) for annotation in self._outlines)
        return Mask.empty(self._size).union(*(mask for mask in masks if mask is not None))


def decode_keypoints(
    flat: Sequence[float], joints: int, *, where: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split ``[x, y, v, x, y, v, ...]`` into positions and the numbers v.

    Args:
        flat: As in the file.
        joints: How many joints there must be.
        where: Named in errors.

    Returns:
        Pixels ``[J, 2]``, NaN where v is 0, and v ``[J]``.

    Raises:
        UnreadableRawFileError: If the length is wrong, or a number is not finite or v negative.
    """
    try:
        table = np.array(flat, np.float64).reshape(joints, 3)
    except (TypeError, ValueError):
        table = np.full((1, 3), np.nan)
    if not np.isfinite(table).all() or (table[:, 2] < 0).any():
        raise UnreadableRawFileError(
            f"{flat!r:.80} are no labels of {joints} joints",
            where=where,
            rule="joints come as x, y, v, x, y, v, ..., finite and v at least 0",
        )
    return np.where(table[:, 2:] > 0, table[:, :2], np.nan), table[:, 2]
