"""Making an archive of schema 1 from what others wrote: PosePile archives, pickles, exports.

Images are stored as they are if they are sound JPEGs, and encoded anew otherwise; crops seen
through a lens are undistorted. Every record and camera passes the checks of any conversion. What
fails them is left out with a reason, and an import that loses more than it may is not published.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.archive.exported import ExportedRecords, is_exported
from posepile_torch.archive.legacy import LEGACY_SOURCE, LegacyArchive
from posepile_torch.archive.legacy_pickle import LegacyPickle
from posepile_torch.archive.manifest import ArchiveHeader
from posepile_torch.archive.storage import sha256_of
from posepile_torch.archive.writer import ArchiveWriter
from posepile_torch.camera import Camera
from posepile_torch.errors import (
    ArchiveCorruptError,
    ArchiveIncompleteError,
    BoxError,
    CameraError,
    ConversionError,
    ImageError,
    MaskError,
    PosepileError,
    RecordError,
    SkeletonError,
)
from posepile_torch.images import decode_jpeg, encode_jpeg, probe
from posepile_torch.record import Record, validate_record
from posepile_torch.skeleton import Skeleton
from posepile_torch.warping import reproject_image, reproject_mask

#: Share of records that an import may leave out, as in any conversion.
MAX_SKIPPED_SHARE = 0.001

_IMPORTER_VERSION = "import 1"

#: What may be wrong with a single record; anything else ends the import.
_BAD_ITEM = (
    RecordError,
    SkeletonError,
    CameraError,
    MaskError,
    BoxError,
    ImageError,
    ArchiveCorruptError,
    ArchiveIncompleteError,
)

#: Called with the number of records that are done and the number there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Importable:
    """Records with their images, numbered from 0, and where they come from.

    Attributes:
        skeleton: Joint order of all records.
        count: Number of records.
        record: Returns the record of a number.
        image: Returns the image of the record of a number, as an encoded image file.
        source: Name of the source, for the manifest.
        facts: What is known of the imported files: name to facts such as ``{"bytes": 1}``.
        header: Further fields of the :class:`ArchiveHeader`.
        notes: What was decided about left and right, and what was left out.
    """

    skeleton: Skeleton
    count: int
    record: Callable[[int], Record]
    image: Callable[[int], bytes]
    source: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote and what it left out.

    Attributes:
        path: The archive.
        records: Number of records in it.
        images: Number of images in it.
        skipped: Records that were left out, by reason; the manifest names the first of each.
        changed: Images and crops that were not stored as they were, by what was done.
        notes: What was decided about left and right, and what else was left out.
    """

    path: Path
    records: int
    images: int
    skipped: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return dataclasses.asdict(self) | {"path": str(self.path)}


def import_archive(
    path: str | os.PathLike[str],
    root: str | os.PathLike[str],
    name: str,
    *,
    images: str | os.PathLike[str] | None = None,
    image_root: str | os.PathLike[str] | None = None,
    strip_prefix: str = "",
    skeleton: Skeleton | None = None,
    body_unit_m: float = 1.0,
    **options: Any,
) -> ImportReport:
    """Make an archive of schema 1 from a PosePile archive, a PosePile pickle or an export.

    Args:
        path: What to import; which of them it is, its first bytes tell.
        root: Folder of archives.
        name: Name of the new archive below it.
        images: Image container or folder of images of a PosePile archive or pickle.
        image_root: Folder of loose images beside an image container.
        strip_prefix: Beginning that is cut off the image paths of a pickle.
        skeleton: What the joints are, if that is known better than by their names.
        body_unit_m: Metres per unit of body-model translations.
        options: Those of :func:`import_records`.

    Raises:
        ConversionError: If more records had to be left out than allowed; nothing is published.
        ArchiveError: If it cannot be read, or the new archive cannot be written.
        UnreadableRawFileError: If it is a damaged or unsafe pickle.
    """
    opened = open_importable(
        path,
        images=images,
        image_root=image_root,
        strip_prefix=strip_prefix,
        skeleton=skeleton,
        body_unit_m=body_unit_m,
    )
    with opened as items:
        return import_records(items, root, name, **options)


@contextlib.contextmanager
def open_importable(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    image_root: str | os.PathLike[str] | None = None,
    strip_prefix: str = "",
    skeleton: Skeleton | None = None,
    body_unit_m: float = 1.0,
) -> Iterator[Importable]:
    """Open whatever can be imported; arguments are those of :func:`import_archive`."""
    given = Path(path)
    if is_exported(given):
        with ExportedRecords(given) as exported:
            yield _of_export(exported)
        return
    header = {"plan": {"imported": "schema 0", "body_unit_m": body_unit_m}}
    if given.is_file() and not _is_sqlite(given):
        pickled = LegacyPickle(
            given,
            image_root=image_root if images is None else images,
            strip_prefix=strip_prefix,
            skeleton=skeleton,
            body_unit_m=body_unit_m,
        )
        yield Importable(
            skeleton=pickled.skeleton,
            count=len(pickled),
            record=pickled.record,
            image=pickled.image_bytes,
            source=LEGACY_SOURCE,
            facts={given.name: {"bytes": given.stat().st_size, "sha256": sha256_of(given)}},
            header=header,
            notes=pickled.notes,
        )
        return
    with LegacyArchive(
        given, images=images, image_root=image_root, skeleton=skeleton, body_unit_m=body_unit_m
    ) as archive:
        facts: dict[str, Any] = {c.name: {"bytes": c.total_bytes} for c in archive.containers}
        yield Importable(
            skeleton=archive.skeleton,
            count=len(archive),
            record=archive.record,
            image=archive.stored_image_bytes,
            source=LEGACY_SOURCE,
            facts=facts | {"index": {"sha256": archive.fingerprint}},
            header=header,
            notes=archive.notes,
        )


def _of_export(exported: ExportedRecords) -> Importable:
    meta = exported.meta
    names = ("card_digest", "plan", "hints", "converter_version")
    return Importable(
        skeleton=exported.skeleton,
        count=len(exported),
        record=exported.record,
        image=exported.image_bytes,
        source=meta["source"],
        facts=meta["raw_files"],
        header={name: meta[name] for name in names},
    )


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def import_records(
    items: Importable,
    root: str | os.PathLike[str],
    name: str,
    *,
    max_skipped_share: float = MAX_SKIPPED_SHARE,
    restart: bool = False,
    force_unlock: bool = False,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Write an archive of schema 1; run again, an interrupted import goes on where it was.

    Args:
        items: What to import.
        root: Folder of archives.
        name: Name of the archive below it.
        max_skipped_share: Share of records that may be left out, from 0 to 1.
        restart: Throw an unfinished import away instead of going on.
        force_unlock: Take over the lock of a writer that cannot be shown to be dead.
        on_progress: Called now and then.

    Raises:
        ConversionError: If more records had to be left out than allowed; nothing is published.
        ArchiveError: If the archive cannot be written, see :class:`ArchiveWriter`.
    """
    values: dict[str, Any] = {"converter_version": _IMPORTER_VERSION, **items.header}
    header = ArchiveHeader(
        source=items.source, skeleton=items.skeleton, raw_files=dict(items.facts), **values
    )
    with ArchiveWriter(
        root, name, header=header, restart=restart, force_unlock=force_unlock
    ) as writer:
        run = _Import(items, writer, limit=int(max_skipped_share * items.count))
        run.all_records(on_progress)
        report = ImportReport(
            path=writer.root / name,
            records=writer.record_count,
            images=writer.image_count,
            skipped=dict(run.skipped),
            changed=dict(run.changed),
            notes=items.notes,
        )
        writer.publish()
    return report


class _Import:
    def __init__(self, items: Importable, writer: ArchiveWriter, *, limit: int) -> None:
        self._items = items
        self._writer = writer
        self._limit = limit
        state = writer.resumed_state or {"next": 0, "skipped": {}, "changed": {}}
        self._next: int = state["next"]
        self._label = ""  # what is being imported, for reasons
        self.skipped: Counter[str] = Counter(state["skipped"])
        self.changed: Counter[str] = Counter(state["changed"])

    def all_records(self, on_progress: Progress | None) -> None:
        total = self._items.count
        for row in range(self._next, total):
            if on_progress is not None and row % 64 == 0:
                on_progress(row, total)
            try:
                self._one(row)
            except _BAD_ITEM as error:
                self._skip(error)
            self._writer.checkpoint(
                {"next": row + 1, "skipped": self.skipped, "changed": self.changed}
            )
        if on_progress is not None:
            on_progress(total, total)

    def _skip(self, error: PosepileError) -> None:
        reason = _reason(error)
        if self.skipped.total() >= self._limit:
            others = "; ".join(f"{count} x {text}" for text, count in self.skipped.items())
            raise ConversionError(
                f"more than {self._limit} of {self._items.count} records cannot be imported; "
                f"the last one: {error.what}",
                where=error.where or self._label,
                rule=f"{reason}{'; before: ' if others else ''}{others}",
                fix="correct the data, or allow more with --max-skipped",
            ) from error
        self.skipped[reason] += 1
        self._writer.skip(reason, f"{self._label}: {error.what}")

    def _one(self, row: int) -> None:
        self._label = f"row {row}"
        record = self._items.record(row)
        self._label = where = record.key
        if record.camera is not None:
            record.camera.validated(where=where, allow_mirror=True)
        boxes.validated(record.box, where=where)
        needs_pinhole = record.camera is not None and not record.camera.is_pinhole
        # Whatever was undistorted for one person is not the image of another one.
        stem = record.id if needs_pinhole else record.image_key
        key = stem if stem.endswith(".jpg") else f"{stem}.jpg"
        is_new = needs_pinhole or not self._writer.has_image(key)
        jpeg = b""
        if is_new:
            jpeg, repair = _sound_jpeg(self._items.image(row), record, where)
            if needs_pinhole:
                record, jpeg = undistorted(record, jpeg)
                repair = "undistorted"
            if repair:
                self.changed[repair] += 1
        record = record.with_changes(image_key=key)
        validate_record(record, self._items.skeleton, where=where)
        if is_new:
            self._writer.add_image(key, jpeg)
        self._writer.add(record)


def _sound_jpeg(data: bytes, record: Record, where: object) -> tuple[bytes, str]:
    """Return a complete JPEG of an image and what had to be done to it, if anything."""
    found = probe(data, where=where, expected_size=record.image_size, annotation_frame="stored")
    jpeg = found.storable_bytes()
    if not jpeg.endswith(b"\xff\xd9"):  # bytes behind the end of the image
        return encode_jpeg(found.pixels()), "encoded anew"
    return jpeg, "" if jpeg is found.original else found.reason or "encoded anew"


def undistorted(record: Record, jpeg: bytes) -> tuple[Record, bytes]:
    """Return a record and its image as a pinhole camera without lens would have seen them.

    The camera keeps pose and intrinsics; image, masks, box and points follow.
    """
    source = record.camera
    if source is None:
        return record, jpeg
    target = source.undistorted()
    image = reproject_image(decode_jpeg(jpeg), source, target, supersample=2)
    changes: dict[str, Any] = {
        "camera": target,
        "box": boxes.reprojected(record.box, source, target),
    }
    if record.joints2d is not None:
        changes["joints2d"] = _moved(record.joints2d, source, target)
    for name in ("person_mask", "scene_mask"):
        mask = getattr(record, name)
        if mask is not None:
            changes[name] = reproject_mask(mask, source, target)
    if record.densepose is not None:
        points = _moved(record.densepose.points, source, target)
        kept = np.isfinite(points).all(axis=1)
        changes["densepose"] = dataclasses.replace(
            record.densepose,
            points=points[kept],
            faces=record.densepose.faces[kept],
            barycentrics=record.densepose.barycentrics[kept],
        )
    return record.with_changes(**changes), encode_jpeg(image)


def _moved(points: NDArray[np.float64], source: Camera, target: Camera) -> NDArray[np.float64]:
    return target.project_camera(source.back_project(points))


def _reason(error: PosepileError) -> str:
    """Say in general terms why a record cannot be imported."""
    if isinstance(error, ImageError):
        return f"the image is unusable: {error.reason}"
    if isinstance(error, ArchiveIncompleteError):
        return "the image is missing"
    if isinstance(error, ArchiveCorruptError):
        return "the stored bytes are damaged"
    return f"a rule is broken: {error.rule or type(error).__name__}"
