"""Names, versions and fixed-size fields of an archive folder (see ``docs/archive-format.md``)."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from posepile_torch.record_rules import SPLITS

if TYPE_CHECKING:
    from posepile_torch.record_fields import Record

#: What the manifest calls the format, so that other folders are not taken for archives.
FORMAT = "posepile-archive"

#: A reader refuses a larger major version; a larger minor version only adds optional fields.
SCHEMA_VERSION = (1, 0)

MANIFEST_FILE = "manifest.json"
INDEX_FILE = "index.npy"
VOCABULARIES_FILE = "vocabularies.json"
IMAGES = "images.barecat"
ANNOTATIONS = "annotations.barecat"
CONTAINERS = (ANNOTATIONS, IMAGES)

#: Hidden folders: an archive under construction, and the parts of an unfinished conversion.
BUILDING_PREFIX = ".building-"
CONVERTING_PREFIX = ".converting-"

#: Fields whose texts are stored once in a sorted vocabulary; the index holds their positions.
VOCABULARY_FIELDS = ("subject", "sequence", "camera", "activity", "scene", "track")

#: Attribute of a record that each vocabulary field comes from.
RECORD_ATTRIBUTES = {field: field for field in VOCABULARY_FIELDS} | {"camera": "camera_name"}

#: A vocabulary with more entries than this lies in ``vocabularies.json``, not in the manifest.
MAX_INLINE_VOCABULARY = 4096

UNKNOWN_CODE = -1

DEFAULT_SHARD_LIMIT_BYTES = 10 * 2**30  # few descriptors per archive, files that still copy well
MAX_SHARDS = 65535  # uint16 in the index; plain BareCat tools find up to 99999


class Flag(enum.IntFlag):
    """What a record has, as bits of the index field ``flags``."""

    JOINTS3D = 1
    JOINTS2D = 2
    CAMERA = 4
    PERSON_MASK = 8
    SCENE_MASK = 16
    BODY = 32
    DENSEPOSE = 64
    JOINTS3D_UNIV = 128
    VISIBLE = 256
    CONFIDENCE = 512


FLAG_ATTRIBUTES = {flag: flag.name.lower() for flag in Flag if flag.name is not None}


def flags_of(record: Record) -> int:
    """Return the index flags of a record: what it has."""
    return sum(
        int(flag)
        for flag, attribute in FLAG_ATTRIBUTES.items()
        if getattr(record, attribute) is not None
    )


#: One row per record, 72 bytes, little-endian; rows are ordered by split, then by the place of
#: the record in ``annotations.barecat``, which is the order in which records were added.
INDEX_DTYPE = np.dtype(
    [
        ("image_offset", "<u8"),
        ("annotation_offset", "<u8"),
        ("frame", "<i8"),
        ("image_bytes", "<u4"),
        ("image_crc32c", "<u4"),
        ("annotation_bytes", "<u4"),
        ("annotation_crc32c", "<u4"),
        ("subject", "<i4"),
        ("sequence", "<i4"),
        ("camera", "<i4"),
        ("activity", "<i4"),
        ("scene", "<i4"),
        ("track", "<i4"),
        ("image_shard", "<u2"),
        ("annotation_shard", "<u2"),
        ("flags", "<u2"),
        ("split", "|u1"),
        ("reserved", "|u1"),
    ]
)

SPLIT_CODES = {split: code for code, split in enumerate(SPLITS)}


def shard_name(container: str, shard: int) -> str:
    """Return the file name of a shard of ``images.barecat`` or ``annotations.barecat``."""
    return f"{container}-shard-{shard:05d}"


def building_folder(root: Path, name: str) -> Path:
    """Folder in which an archive is built until it is published."""
    return root / f"{BUILDING_PREFIX}{name}"


def converting_folder(root: Path, name: str) -> Path:
    """Folder that holds the parts of a conversion until its archive is published."""
    return root / f"{CONVERTING_PREFIX}{name}"


def lock_file(root: Path, name: str) -> Path:
    """File that the one writer of an archive holds locked."""
    return root / f".{name}.lock"


def version_folder(root: Path, name: str, fingerprint: str) -> Path:
    """Folder of one published version; ``<root>/<name>`` is a symbolic link to the newest."""
    return root / f".{name}-{fingerprint[:16]}"
