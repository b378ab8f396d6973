"""PosePile and MeTRAbs archives (schema 0) behind the interface of :class:`Archive`.

They are read as they are, never changed, and from read-only folders. What the format does not
hold is unknown here: ids of subjects and sequences, visibility, the size of an image. Format and
limits are described in ``docs/interop.md``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive.layout import VOCABULARY_FIELDS, shard_name
from posepile_torch.archive.legacy_files import METADATA_KEY, LegacyContainer, locate
from posepile_torch.archive.legacy_index import key_checksum, read_legacy_index, record_name
from posepile_torch.archive.legacy_records import (
    Fields,
    RecordName,
    decode_fields,
    image_key_of,
)
from posepile_torch.archive.legacy_skeleton import (
    LegacySkeleton,
    agreed,
    mean_bones_mm,
    skeleton_of,
)
from posepile_torch.archive.manifest import Manifest, Totals, digest_of
from posepile_torch.archive.reader import Archive
from posepile_torch.archive.shard_reader import ShardReader
from posepile_torch.errors import (
    ArchiveCorruptError,
    ArchiveIncompleteError,
    ManifestError,
    RecordError,
    UnknownNameError,
)
from posepile_torch.images import jpeg_size, probe
from posepile_torch.keys import check_archive_path
from posepile_torch.packing import read_array, require_type, unpacked
from posepile_torch.record_fields import Precision, Record
from posepile_torch.record_rules import SPLITS
from posepile_torch.skeleton import Skeleton

#: Name under which the manifests of PosePile archives, and of archives made from them, file
#: their source: which dataset an archive holds is not stored in it.
LEGACY_SOURCE = "posepile"

_JPEG_START = b"\xff\xd8\xff"


class LegacyArchive(Archive):
    """A PosePile archive (schema 0), open for reading.

    Opening reads the index of both containers once, at some 150,000 records per second, and keeps
    80 bytes per record in memory; nothing is written. Import an archive that is used a lot
    (``posepile import-legacy``): schema 1 opens at once and shares its index between processes.

    ``index`` has the fields of ``INDEX_DTYPE``; those that schema 0 knows nothing of are unknown,
    ``flags`` are 0 and ``image_bytes`` is 0 where an image is in no container. ``manifest`` is
    made up from what is there; its ``schema_version`` is ``(0, 0)``.

    Args:
        path: The annotation container, its index file, or a folder with exactly one.
        images: The image container, or the folder to which image paths are relative. By default
            the container beside the annotations.
        image_root: Folder of loose image files, for images that are in no container; by default
            the folder of the annotations.
        skeleton: What the joints are, if that is known better than by their names: a skeleton
            with these joints in this order.
        body_unit_m: Metres per unit of body-model translations; 0.001 for the archives of
            SURREAL, which hold millimetres.

    Raises:
        ArchiveNotFoundError: If nothing is there.
        ArchiveIncompleteError: If a write was cut off, or a shard is missing.
        ArchiveCorruptError: If an index is damaged or hostile.
        SchemaVersionError: If BareCat wrote it in an unknown version.
        SkeletonError: If the stored joints make no skeleton, or differ from ``skeleton``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        images: str | os.PathLike[str] | None = None,
        image_root: str | os.PathLike[str] | None = None,
        skeleton: Skeleton | None = None,
        body_unit_m: float = 1.0,
    ) -> None:
        self._files = locate(
            check_archive_path(path),
            None if images is None else Path(images).absolute(),
            None if image_root is None else Path(image_root).absolute(),
        )
        self._options = (images, image_root, skeleton, body_unit_m)
        self._body_unit_m = body_unit_m
        annotations = self._files.annotations
        self.path = annotations.path
        self._shards = _reader_of(annotations)
        self._image_shards = None if self._files.images is None else _reader_of(self._files.images)
        found = read_legacy_index(annotations, self._files.images)
        self.index, self._names = found.rows, found.names
        self._metadata_bytes = self._shards.read(annotations.name, *found.metadata)
        metadata = unpacked(self._metadata_bytes, where=f"{self.path}, key {METADATA_KEY}")
        stored = read_skeleton(metadata, name=annotations.stem, where=self.path)
        #: How left and right were told apart, and what was left out of the stored skeleton.
        self.notes: tuple[str, ...] = stored.notes
        self.manifest = Manifest(
            source=LEGACY_SOURCE,
            skeleton=agreed(stored.skeleton, skeleton, where=self.path),
            card_digest="",
            plan={},
            plan_digest=digest_of({}),
            converter_version="",
            library_version="",
            hints={},
            precision=Precision(),
            raw_files={},
            units={},
            totals=Totals(
                records=len(self.index),
                images=found.image_entries,
                splits=found.splits,
                having={},
            ),
            skipped=found.skipped,
            mean_bone_lengths_mm=_stored_bones(metadata, stored.edge_order, where=self.path),
            vocabularies=dict.fromkeys(VOCABULARY_FIELDS, ()),
            shard_limit_bytes=max(annotations.shard_bytes),
            content_digests={},
            files={},
            schema_version=(0, 0),
            fingerprint=self._index_digest(),
        )

    def _index_digest(self) -> str:
        digest = hashlib.sha256(self._metadata_bytes)
        digest.update(self.index.view(np.uint8).data)
        digest.update(self._names.view(np.uint8).data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"LegacyArchive({str(self.path)!r}: {len(self):,} records)"

    @property
    def containers(self) -> tuple[LegacyContainer, ...]:
        """The containers that are read: annotations first, then images if there are any."""
        found = (self._files.annotations, self._files.images)
        return tuple(container for container in found if container is not None)

    # ---- rows ----

    def record(self, row: int) -> Record:
        """Read one record; ``image_size`` is that of its image, which is looked at once.

        Raises:
            IndexError: If there is no such row.
            ArchiveCorruptError: If the stored bytes are not those that were written.
            RecordError: If they do not follow the schema.
        """
        fields = self._fields(row)
        name = self._name(row, fields)
        return decode_fields(
            fields,
            name,
            joint_count=len(self.skeleton),
            image_size=self._image_size(row, name.image_key, has_mask="mask" in fields),
            body_unit_m=self._body_unit_m,
            where=f"{self.path}, key {name.key}",
        )

    def record_bytes(self, row: int) -> bytes:
        """Read one record as it is stored in schema 0, checksum checked."""
        return self._shards.read(self._files.annotations.name, *self._address(row, "annotation"))

    def image_bytes(self, row: int) -> bytes:
        """Read the JPEG of one record; an image of another format is encoded as one.

        Raises:
            IndexError: If there is no such row.
            ArchiveCorruptError: If the stored bytes are not those that were written.
            ArchiveIncompleteError: If the image is neither in the container nor a loose file.
            ImageError: If it is no image.
        """
        data = self.stored_image_bytes(row)
        if data.startswith(_JPEG_START):
            return data
        where = f"image of row {row} of {self.path}"
        return probe(data, where=where, annotation_frame="stored").storable_bytes()

    def stored_image_bytes(self, row: int) -> bytes:
        """Read the image of one record in whatever format it is stored.

        Raises:
            IndexError: If there is no such row.
            ArchiveCorruptError: If the stored bytes are not those that were written.
            ArchiveIncompleteError: If the image is neither in the container nor a loose file.
        """
        images = self._files.images
        if self._image_shards is not None and images is not None and self._is_contained(row):
            return self._image_shards.read(images.name, *self._address(row, "image"))
        key = self._name(row, self._fields(row)).image_key
        try:
            return (self._files.image_root / key).read_bytes()
        except OSError as error:
            tried = "no image container" if images is None else images.name
            raise ArchiveIncompleteError(
                f"the image {key!r} is missing: {error.strerror}",
                where=self.path,
                rule=f"an image is in its container ({tried}) or a file below "
                f"{self._files.image_root}",
                fix="name the images: LegacyArchive(path, images=..., image_root=...)",
            ) from None

    def find(self, split: str, record_id: str) -> int:
        """Return the row of a record by its split and id; slow, for tools.

        Raises:
            UnknownNameError: If there is no such record.
        """
        key = f"{split}/{record_id}.msgpack"
        with self._files.annotations.database() as database:
            query = "SELECT shard, offset FROM files WHERE path = ?"
            found = database.execute(query, (key,)).fetchone()
        if found is not None and record_name(key) is not None:
            rows = self.split_range(split)
            part = self.index[rows.start : rows.stop]
            at = (part["annotation_shard"] == found[0]) & (part["annotation_offset"] == found[1])
            if at.any():
                return rows.start + int(at.argmax())
        raise UnknownNameError(f"no record {key!r}", where=self.path)

    def _address(self, row: int, kind: str) -> tuple[int, int, int, int]:
        entry = self.index[row]
        shard, offset, size, crc = (
            int(entry[f"{kind}_{field}"]) for field in ("shard", "offset", "bytes", "crc32c")
        )
        return shard, offset, size, crc

    def _fields(self, row: int) -> Fields:
        shard, offset, size, crc = self._address(row, "annotation")
        data = self._shards.read(self._files.annotations.name, shard, offset, size, crc)
        place = shard_name(self._files.annotations.name, shard)
        return unpacked(data, where=f"{self.path}, file {place}, byte {offset}")

    def _name(self, row: int, fields: Fields) -> RecordName:
        key = image_key_of(fields, where=f"row {row} of {self.path}")
        entry = self._names[row]
        if key_checksum(key) != entry["image_key_crc32c"]:
            raise RecordError(
                f"the record names the image {key!r} and lies under the key of another",
                where=f"row {row} of {self.path}",
                rule="the key of a record is <split>/<image path>_<number>.msgpack",
                fix="write the archive again with PosePile's tools, or import its pickle",
            )
        return RecordName(SPLITS[self.index[row]["split"]], key, int(entry["counter"]))

    def _is_contained(self, row: int) -> bool:
        return bool(self.index[row]["image_bytes"])

    # ---- image sizes ----

    @cached_property
    def _known_sizes(self) -> NDArray[np.uint16]:
        return np.zeros((len(self), 2), np.uint16)  # pages are used when they are written

    def _image_size(self, row: int, key: str, *, has_mask: bool) -> tuple[int, int] | None:
        width, height = self._known_sizes[row].tolist()
        if width:
            return width, height
        try:
            data = self.image_bytes(row)
        except ArchiveIncompleteError:
            if has_mask:
                return None  # the mask has the size of the image
            raise
        size = jpeg_size(data, where=f"{self.path}, image {key}")
        self._known_sizes[row] = size
        return size

    # ---- life ----

    def close(self) -> None:
        """Close the data files; reading afterwards is an error. More than once is fine."""
        self._shards.close()
        if self._image_shards is not None:
            self._image_shards.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (str(self.path), self._options, self.fingerprint)


def _reopen(path: str, options: tuple[Any, ...], fingerprint: str) -> LegacyArchive:
    names = ("images", "image_root", "skeleton", "body_unit_m")
    archive = LegacyArchive(path, **dict(zip(names, options, strict=True)))
    if archive.fingerprint != fingerprint:
        raise ManifestError(
            "the archive was changed in place since it was pickled",
            where=path,
            fix="open it again by its path",
        )
    return archive


def _reader_of(container: LegacyContainer) -> ShardReader:
    return ShardReader(container.folder, checksum=container.checksum_function)


def read_skeleton(metadata: Mapping[str, Any], *, name: str, where: object) -> LegacySkeleton:
    """Return the skeleton that ``metadata.msgpack`` describes.

    Raises:
        SkeletonError: If the names and edges make no skeleton.
        RecordError: If they are not stored as such.
    """
    names = require_type(metadata.get("joint_names"), list, name="joint_names", where=where)
    if not all(type(joint) is str for joint in names):
        raise RecordError("joint_names holds something else than names", where=where)
    return skeleton_of(
        names, _edges(metadata.get("joint_edges", []), where), name=name, where=where
    )


def _edges(stored: object, where: object) -> list[tuple[int, int]]:
    if type(stored) is dict:
        array = read_array(stored, np.int64, (None, 2), name="joint_edges", where=where)
        return [(int(a), int(b)) for a, b in array]
    edges = []
    for edge in require_type(stored, list, name="joint_edges", where=where):
        ends = [_integer(end) for end in edge] if type(edge) is list else []
        if len(ends) != 2 or None in ends:
            raise RecordError(f"joint_edges holds {edge!r:.80}", where=where)
        edges.append((int(ends[0] or 0), int(ends[1] or 0)))
    return edges


def _integer(stored: object) -> int | None:
    """A plain integer, or a NumPy scalar as ``msgpack-numpy`` stores it."""
    if type(stored) is int:
        return stored
    if type(stored) is not dict or stored.get(b"nd") is not False:
        return None
    value = {**stored, b"nd": True, b"shape": []}
    return int(read_array(value, np.int64, (), name="joint_edges", where=None))


def _stored_bones(
    metadata: Mapping[str, Any], edge_order: tuple[int, ...], *, where: object
) -> dict[str, tuple[float | None, ...]]:
    unknown: tuple[float | None, ...] = (None,) * len(edge_order)
    bones = {"train": unknown, "trainval": unknown}
    for split in bones:
        stored = metadata.get(f"{split}_bone_lengths")
        if type(stored) is dict:
            name = f"{split}_bone_lengths"
            lengths = read_array(stored, np.float64, (None,), name=name, where=where)
            if len(lengths) <= max(edge_order, default=-1):
                raise ArchiveCorruptError(f"{name} has {len(lengths)} numbers", archive=where)
            bones[split] = mean_bones_mm(lengths.tolist(), edge_order)
    return bones
