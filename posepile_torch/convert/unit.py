"""Steps 3 to 6 for one unit: parse, select, crop, pack. Knows nothing about scheduling."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posepile_torch.convert.base import Converter, RawFrame, Unit
from posepile_torch.convert.crop import CropGeometry, plan_crop
from posepile_torch.convert.part import IMAGE, RECORD, PartWriter, UnitReport
from posepile_torch.convert.pixels import UnusableImage, WantedImage, described, iter_images
from posepile_torch.convert.plan import Plan
from posepile_torch.convert.select import Selected, Skipped, select
from posepile_torch.errors import ConversionError, require
from posepile_torch.images import encode_jpeg
from posepile_torch.masks import Mask
from posepile_torch.record import DensePosePoints, Record, encode_record


@dataclass(frozen=True, eq=False)
class KeptFrame:
    """A frame of which at least one person will be stored."""

    frame: RawFrame
    size: tuple[int, int]
    people: tuple[Selected, ...]


def fingerprint(converter: Converter, plan: Plan) -> str:
    """Hash of all that decides a unit's output besides the raw files: code version and choices."""
    content = {
        "source": converter.source.card.name,
        "card": converter.source.card.digest,
        "skeleton": converter.source.native.digest,
        "converter": converter.version,
        "plan": plan.to_dict(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def convert_unit(converter: Converter, unit: Unit, plan: Plan, path: Path) -> UnitReport:
    """Convert one unit into a part file.

    Args:
        converter: Reads the raw files.
        unit: What to convert.
        plan: The numbers of the conversion.
        path: The part to write; it appears only when complete.
    """
    report = UnitReport(unit.name, fingerprint(converter, plan))
    # The matrices are small: with a thread per core, BLAS spends its time waiting. Measured on
    # two busy cores: six times slower.
    one_thread = require("threadpoolctl", extra="convert").threadpool_limits(1)
    with one_thread, PartWriter(path) as part:
        kept = list(_kept_frames(converter, unit, plan, report))
        wanted = (WantedImage(frame.frame.image, frame.size) for frame in kept)
        for frame, image in zip(kept, iter_images(wanted), strict=True):
            if isinstance(image, UnusableImage):
                item = f"{unit.name} frame {frame.frame.index}: {image.detail}"
                report.skip(f"image {image.reason}", item)
                continue
            for selected in frame.people:
                record, crop = _record(converter, unit, frame, selected, image, plan)
                part.add(IMAGE, record.image_key, encode_jpeg(crop, quality=plan.jpeg_quality))
                key = f"{record.split}/{record.id}.msgpack"
                part.add(RECORD, key, encode_record(record, plan.precision))
                report.images += 1
                report.records += 1
        part.finish(report)
    return report


def _kept_frames(
    converter: Converter, unit: Unit, plan: Plan, report: UnitReport
) -> Iterator[KeptFrame]:
    for frame in converter.frames(unit):
        report.frames += 1
        size = _size(frame)
        people = []
        for person in frame.people:
            item = f"{unit.name} frame {frame.index} person {person.track}"
            choice = select(frame, converter.checked(person, where=item), size, plan)
            if isinstance(choice, Skipped):
                report.skip(choice.reason, item)
            else:
                people.append(choice)
        if people:
            yield KeptFrame(frame, size, tuple(people))
        elif not frame.people:
            report.skip("frame without people", f"{unit.name} frame {frame.index}")


def _size(frame: RawFrame) -> tuple[int, int]:
    if frame.image_size is not None:
        return frame.image_size
    if frame.camera is not None:
        return frame.camera.size
    raise ConversionError(
        "frame has neither a camera nor an image size",
        where=described(frame.image),
        rule="the size of an image is known before it is decoded",
        fix="set RawFrame.image_size in the converter",
    )


def _record(
    converter: Converter,
    unit: Unit,
    kept: KeptFrame,
    selected: Selected,
    image: NDArray[np.uint8],
    plan: Plan,
) -> tuple[Record, NDArray[np.uint8]]:
    frame, person = kept.frame, selected.person
    geometry = plan_crop(frame.camera, kept.size, selected.box, plan)
    crop = geometry.image(image, supersample=plan.supersample)
    name = f"{unit.name}/{frame.index:06d}_{person.track}"
    joints2d = None
    if person.joints2d is not None:
        joints2d = geometry.points(person.joints2d)
    record = Record(
        id=name,
        split=unit.split,
        image_key=f"{name}.jpg",
        image_size=geometry.stored.size,
        box=geometry.box,
        camera=None if frame.camera is None else geometry.stored,
        joints3d=person.joints3d,
        joints2d=joints2d,
        visible=person.visible,
        confidence=person.confidence,
        joints3d_univ=person.joints3d_univ,
        person_mask=_warped(person.mask, geometry),
        scene_mask=_warped(person.scene_mask, geometry),
        body=person.body,
        densepose=_moved(person.densepose, geometry),
        subject=person.subject,
        sequence=frame.sequence,
        camera_name=frame.camera_name,
        activity=frame.activity,
        scene=frame.scene,
        track=person.track,
        frame=frame.index,
        raw=_provenance(converter, frame),
    )
    return record, crop


def _warped(mask: object, geometry: CropGeometry) -> Mask | None:
    loaded = mask() if callable(mask) else mask
    return geometry.mask(loaded) if isinstance(loaded, Mask) else None


def _moved(points: DensePosePoints | None, geometry: CropGeometry) -> DensePosePoints | None:
    return None if points is None else replace(points, points=geometry.points(points.points))


def _provenance(converter: Converter, frame: RawFrame) -> dict[str, str | int]:
    image = frame.image
    path = getattr(image, "path", None)
    raw: dict[str, str | int] = {
        "file": image.name if path is None else converter.relative(path),  # type: ignore[union-attr]
    }
    if hasattr(image, "index"):
        raw["frame"] = image.index
    return raw
