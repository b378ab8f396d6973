"""Steps 3 to 6 for one unit: parse, select, crop, pack. Knows nothing about scheduling."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from posepile_torch import image_headers
from posepile_torch.archive.storage import fsync_path
from posepile_torch.convert import pixels
from posepile_torch.convert.base import (
    ArchiveMember,
    Converter,
    EncodedImage,
    Hdf5Image,
    RawFrame,
    RawPerson,
    Unit,
    VideoFrame,
)
from posepile_torch.convert.crop import CropGeometry, plan_crop, plan_frame
from posepile_torch.convert.part import (
    IMAGE,
    RECORD,
    PartWriter,
    UnitReport,
    incidents_of,
)
from posepile_torch.convert.photometric import corrected, due_fixes
from posepile_torch.convert.pixels import RawImage, WantedImage
from posepile_torch.convert.plan import Plan
from posepile_torch.convert.select import Selected, Skipped, select
from posepile_torch.errors import ConversionError, PosepileError, StorageError
from posepile_torch.images import encode_jpeg
from posepile_torch.intake import Intake
from posepile_torch.masks import Mask
from posepile_torch.quarantine import QuarantineList
from posepile_torch.record import DensePosePoints, Record, encode_record

PIPELINE_VERSION = 1
"""Raised whenever this package's share of an archive changes; part of the fingerprint."""

# What a bad frame can raise. Anything else is a bug, of the converter or of this package, and
# fails the unit with its traceback.
_FRAME_ERRORS = (PosepileError, ValueError, ArithmeticError, cv2.error)


@dataclass(frozen=True, eq=False)
class KeptFrame:
    """A frame of which at least one person will be stored.

    Attributes:
        frame: The frame.
        people: Who will be stored, and where the stored image looks.
    """

    frame: RawFrame
    people: tuple[tuple[Selected, CropGeometry], ...]


def fingerprint(converter: Converter, plan: Plan) -> str:
    """Hash of all that decides a unit's output besides the raw files: code version and choices."""
    content = json.dumps(choices(converter, plan), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def choices(converter: Converter, plan: Plan) -> dict[str, object]:
    """Return all that decides a unit's output besides the raw files, as JSON values."""
    return {
        "source": converter.source.card.name,
        "card": converter.source.card.digest,
        "skeleton": converter.source.native.digest,
        "converter_version": converter.version,
        "options": dict(converter.options),
        "pipeline_version": PIPELINE_VERSION,
        "plan": plan.to_dict(),
    }


def convert_unit(converter: Converter, unit: Unit, plan: Plan, path: Path) -> UnitReport:
    """Convert one unit into a part file.

    Args:
        converter: Reads the raw files.
        unit: What to convert.
        plan: The numbers of the conversion.
        path: The part to write; it appears only when complete. Its folder must be there.

    Raises:
        StorageError: If the disk refuses a write.
        PosepileError: If the unit as a whole cannot be read. What is wrong with a single frame is
            counted in the report.
    """
    with ExitStack() as stack:
        part = stack.enter_context(PartWriter(path))
        incidents = incidents_of(part.temporary)
        stack.callback(incidents.unlink, missing_ok=True)
        with QuarantineList(incidents) as quarantine:
            work = _UnitWork(converter, unit, plan, part, quarantine)
            for kept, image in _with_images(work.kept_frames()):
                work.store(kept, image)
        if quarantine.repaired or quarantine.quarantined:
            fsync_path(incidents)
            incidents.replace(incidents_of(path))  # before the part, which says that all is there
        report = work.report
        report.examined = quarantine.examined
        report.repaired, report.quarantined = quarantine.repaired, quarantine.quarantined
        part.finish(report)
    return report


def _with_images(kept: Iterator[KeptFrame]) -> Iterator[tuple[KeptFrame, RawImage]]:
    """Pair frames with their pixels, holding only those that are decoded together."""
    waiting: deque[KeptFrame] = deque()

    def wanted() -> Iterator[WantedImage]:
        for item in kept:
            waiting.append(item)
            yield _wanted(item)

    for _, image in pixels.iter_images(wanted()):
        yield waiting.popleft(), image


def _wanted(kept: KeptFrame) -> WantedImage:
    frame = kept.frame
    reduction = 1
    if not isinstance(frame.image, VideoFrame):
        reduction = min(geometry.reduction for _, geometry in kept.people)
    return WantedImage(frame.image, frame.size, frame.annotation_frame, reduction)


class _UnitWork:
    """What one unit shares between its frames."""

    def __init__(
        self,
        converter: Converter,
        unit: Unit,
        plan: Plan,
        part: PartWriter,
        quarantine: QuarantineList,
    ) -> None:
        self.converter = converter
        self.unit = unit
        self.plan = plan
        self.part = part
        self.quarantine = quarantine
        self.report = UnitReport(unit.name, fingerprint(converter, plan))
        self._ids: set[str] = set()

    def kept_frames(self) -> Iterator[KeptFrame]:
        """Parse, select and plan: which people of which frames are stored, and how."""
        for frame in self.converter.frames(self.unit):
            self.report.frames += 1
            size, people = frame.size, []
            for person in frame.people:
                item = self._item(frame, person)
                self.converter.checked(person, where=item)
                with self._counted(item):
                    planned = self._planned(frame, person, size, item)
                    if planned is not None:
                        people.append(planned)
            if people:
                yield KeptFrame(frame, tuple(people))
            elif not frame.people:
                self.report.skip("frame without people", self._item(frame))

    def _planned(
        self, frame: RawFrame, person: RawPerson, size: tuple[int, int], item: str
    ) -> tuple[Selected, CropGeometry] | None:
        choice = select(frame, person, size, self.plan)
        if isinstance(choice, Skipped):
            self.report.skip(choice.reason, item)
            return None
        make = plan_frame if self.plan.full_frame else plan_crop
        geometry = make(frame.camera, size, choice.box, self.plan)
        if not (geometry.box[2:] > 0).all():
            self.report.skip("box outside the undistorted frame", item)
            return None
        return choice, geometry

    def store(self, kept: KeptFrame, raw: RawImage) -> None:
        """Crop and pack everybody in a frame."""
        usable = self.quarantine.record(self._place(kept.frame), raw.intake)
        if not usable or raw.intake.image is None:
            detail = self._without_root(raw.intake.detail)
            item = f"{self._item(kept.frame)}: {detail}"
            self.report.skip(f"image {raw.intake.reason}", item, count=len(kept.people))
            return
        name = f"{self.unit.name}/{kept.frame.index:06d}"
        shared = f"{name}.jpg" if self.plan.full_frame else None
        is_stored = False
        for selected, geometry in kept.people:
            person = selected.person
            with self._counted(self._item(kept.frame, person)):
                record_id = f"{name}_{person.track}"
                record = self._record(
                    kept.frame, selected, geometry, record_id, shared or f"{record_id}.jpg"
                )
                native = self.converter.source.native
                data = encode_record(record, self.plan.precision, skeleton=native)
                if not (shared and is_stored):
                    jpeg = self._jpeg(kept.frame, geometry, raw)
                    self.part.add(IMAGE, record.image_key, jpeg)
                    self.report.images += 1
                    is_stored = True
                self.part.add(RECORD, record.key, data)
                self.report.records += 1

    def _record(
        self,
        frame: RawFrame,
        selected: Selected,
        geometry: CropGeometry,
        record_id: str,
        image_key: str,
    ) -> Record:
        if record_id in self._ids:
            raise ConversionError(
                f"two people have the id {record_id!r}",
                where=f"unit {self.unit.name}",
                rule="the frame number and the track tell the people of a unit apart",
                fix="set RawPerson.track in the converter",
            )
        person = selected.person
        joints2d = person.joints2d
        record = Record(
            id=record_id,
            split=self.unit.split,
            image_key=image_key,
            image_size=geometry.stored.size,
            box=geometry.box,
            camera=None if frame.camera is None else geometry.stored,
            joints3d=person.joints3d,
            joints2d=None if joints2d is None else geometry.points(joints2d),
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
            raw=self._provenance(frame),
        )
        self._ids.add(record_id)
        return record

    def _jpeg(self, frame: RawFrame, geometry: CropGeometry, raw: RawImage) -> bytes:
        fixes = due_fixes(self.converter.source.card.hints, frame.sequence)
        if geometry.keeps_pixels and not fixes and _can_be_stored(raw.intake):
            return raw.intake.storable or b""
        image = geometry.image(raw.intake.pixels(), reduction=raw.reduction)
        return encode_jpeg(corrected(image, fixes), quality=self.plan.jpeg_quality)

    @contextmanager
    def _counted(self, item: str) -> Iterator[None]:
        """Turn what a bad frame raises into a skip with a reason."""
        try:
            yield
        except StorageError:
            raise
        except _FRAME_ERRORS as error:
            what = error.what if isinstance(error, PosepileError) else str(error)
            reason = f"error: {type(error).__name__}"
            self.report.skip(reason, self._without_root(f"{item}: {what}"))

    def _item(self, frame: RawFrame, person: RawPerson | None = None) -> str:
        who = "" if person is None else f" person {person.track}"
        return f"{self.unit.name} frame {frame.index}{who}"

    def _without_root(self, text: str) -> str:
        """Texts of archives must not tell where on a disk they were made."""
        return text.replace(f"{self.converter.root}/", "")

    def _place(self, frame: RawFrame) -> str:
        return ":".join(str(part) for part in self._provenance(frame).values())

    def _provenance(self, frame: RawFrame) -> dict[str, str | int]:
        image = frame.image
        if isinstance(image, EncodedImage):
            return {"file": image.name}
        raw: dict[str, str | int] = {"file": self.converter.relative(image.path)}
        if isinstance(image, ArchiveMember):
            raw["member"] = image.member
        elif isinstance(image, Hdf5Image):
            raw["member"] = image.dataset
        if isinstance(image, VideoFrame | Hdf5Image) and image.index is not None:
            raw["frame"] = image.index
        return raw


def _can_be_stored(intake: Intake) -> bool:
    """Whether the raw file itself can be the stored image: nothing to repair, quick to decode."""
    data = intake.storable
    return data is not None and data.endswith(b"\xff\xd9") and image_headers.is_baseline_jpeg(data)


def _warped(mask: object, geometry: CropGeometry) -> Mask | None:
    loaded = mask() if callable(mask) else mask
    return geometry.mask(loaded) if isinstance(loaded, Mask) else None


def _moved(points: DensePosePoints | None, geometry: CropGeometry) -> DensePosePoints | None:
    return None if points is None else replace(points, points=geometry.points(points.points))
