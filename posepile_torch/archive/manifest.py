"""The manifest: what an archive holds, where it came from, and how to tell that it is whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posepile_torch.archive.layout import (
    FORMAT,
    MANIFEST_FILE,
    MAX_INLINE_VOCABULARY,
    SCHEMA_VERSION,
)
from posepile_torch.archive.manifest_checks import check_manifest
from posepile_torch.errors import ArchiveError, ManifestError, PosepileError, SchemaVersionError
from posepile_torch.record_fields import Precision
from posepile_torch.skeleton import Skeleton

#: What the numbers of every archive mean; repeated in each manifest for readers of the file alone.
CONVENTIONS = {
    "angle": "radians",
    "box": "[x, y, width, height]",
    "camera": "x_camera = R (X_world - t); x right, y down, z forward",
    "length": "millimetres; body-model translations in metres",
    "missing_joint": "NaN",
    "pixel": "centres at integer coordinates",
}


@dataclass(frozen=True, kw_only=True)
class ArchiveHeader:
    """What is known before the first record is written.

    A half-written archive is resumed only with an equal header. Everything is plain JSON data.

    Attributes:
        source: Name of the dataset, for example ``"3dpw"``.
        skeleton: Joint order of all records.
        card_digest: Digest of the source's card.
        plan: The numeric choices of the conversion.
        converter_version: Version of the converter (or its code digest).
        hints: What a loader must know about the source.
        units: Planned units, name to digest of their raw input (may be empty texts). When given,
            publishing requires that every one of them was finished.
        raw_files: Raw input files: relative path to facts such as ``{"bytes": 1, "sha256": ""}``;
            without modification times, so that equal inputs give equal archives.
        precision: Tolerances for stored joints.
    """

    source: str
    skeleton: Skeleton
    card_digest: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)
    converter_version: str = ""
    hints: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    raw_files: Mapping[str, Any] = field(default_factory=dict)
    precision: Precision = field(default_factory=Precision)

    def to_json(self) -> dict[str, Any]:
        """Return the header as JSON data; equal headers give equal data."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        data["skeleton"] = self.skeleton.to_dict()
        data["precision"] = dataclasses.asdict(self.precision)
        return dict(plain_json(data, where="ArchiveHeader"))


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One file of an archive folder.

    Attributes:
        bytes: Size.
        sha256: Hash of the whole content, checked by ``posepile verify``.
        ends_crc32c: CRC32C of the first and the last 4096 bytes, checked on every open.
    """

    bytes: int
    sha256: str
    ends_crc32c: int


@dataclass(frozen=True, kw_only=True)
class UnitSummary:
    """What one unit of the conversion contributed.

    Attributes:
        records: Number of records.
        images: Number of images.
        skipped: Number of skipped items.
        digest: SHA-256 over (key, size, CRC32C) of its records and images in order.
        raw_digest: Digest of its raw input as planned, may be empty.
    """

    records: int
    images: int
    skipped: int
    digest: str
    raw_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Items that were left out for one reason: how many, and the first few of them."""

    count: int
    items: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Counts that ``verify`` derives again from the stored records.

    Attributes:
        records: Number of records.
        images: Number of images.
        splits: Records per split.
        having: Records per kind of annotation, for example ``{"joints3d": 10, "camera": 10}``.
    """

    records: int
    images: int
    splits: Mapping[str, int]
    having: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that is known of an archive without reading its records.

    Attributes:
        source: Name of the dataset.
        skeleton: Joint order of all records.
        card_digest: Digest of the source's card.
        plan: The numeric choices of the conversion.
        plan_digest: SHA-256 of the plan.
        converter_version: Version of the converter.
        library_version: Version of posepile-torch that wrote the archive.
        hints: What a loader must know about the source.
        precision: Tolerances for stored joints.
        raw_files: Facts about the raw input files.
        units: What each unit contributed, in the order of writing.
        totals: Counts.
        skipped: What was left out, by reason.
        mean_bone_lengths_mm: ``train`` and ``trainval``: mean length per edge of the skeleton over
            records with both ends known, ``None`` for an edge that no record has.
        vocabularies: Sorted texts of each vocabulary field; ``None`` if they lie in
            ``vocabularies.json`` because there are more than 4096.
        shard_limit_bytes: Largest size of a shard.
        content_digests: Per container, SHA-256 over sorted (key, size, CRC32C): equal content has
            equal digests however it is sharded.
        files: Every other file of the folder.
        schema_version: Major and minor version of the format.
        fingerprint: SHA-256 of all of the above; it changes when anything in the archive does.
    """

    source: str
    skeleton: Skeleton
    card_digest: str
    plan: Mapping[str, Any]
    plan_digest: str
    converter_version: str
    library_version: str
    hints: Mapping[str, Any]
    precision: Precision
    raw_files: Mapping[str, Any]
    units: Mapping[str, UnitSummary]
    totals: Totals
    skipped: Mapping[str, Skipped]
    mean_bone_lengths_mm: Mapping[str, tuple[float | None, ...]]
    vocabularies: Mapping[str, tuple[str, ...] | None]
    shard_limit_bytes: int
    content_digests: Mapping[str, str]
    files: Mapping[str, StoredFile]
    schema_version: tuple[int, int] = SCHEMA_VERSION
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", digest_of(self._body()))

    def _body(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del data["fingerprint"]
        data["skeleton"] = self.skeleton.to_dict()
        data["precision"] = dataclasses.asdict(self.precision)
        data["totals"] = dataclasses.asdict(self.totals)
        for name in ("units", "skipped", "files"):
            # Lists keep the order of writing, which canonical JSON would not do for objects.
            data[name] = [
                {"name": key, **dataclasses.asdict(value)} for key, value in data[name].items()
            ]
        data["format"] = FORMAT
        data["conventions"] = CONVENTIONS
        return dict(plain_json(data, where=MANIFEST_FILE))

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as JSON data, its fingerprint included."""
        return self._body() | {"fingerprint": self.fingerprint}

    def to_bytes(self) -> bytes:
        """Return the content of ``manifest.json``: UTF-8, sorted keys, two spaces of indent."""
        return _as_written(self.to_json())

    @classmethod
    def from_bytes(cls, content: bytes, *, where: object = MANIFEST_FILE) -> Manifest:
        """Read ``manifest.json`` and check its fingerprint and version.

        Raises:
            ManifestError: If it is no manifest, or was edited after it was written.
            SchemaVersionError: If a newer, incompatible version of the library wrote it.
        """
        try:
            data = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ManifestError(
                f"the manifest is not JSON: {error}", where=where, fix=_RESTORE
            ) from None
        if type(data) is not dict or data.get("format") != FORMAT:
            raise ManifestError("this JSON file is no manifest", where=where, fix=_RESTORE)
        _check_version(data.get("schema_version"), where)
        stated = data.pop("fingerprint", None)
        try:
            actual = digest_of(data)
            manifest = cls._from_body(data, actual)
            check_manifest(manifest)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            # PosepileErrors about the skeleton or the precision are ValueErrors too
            what = error.what if isinstance(error, PosepileError) else repr(error)
            raise ManifestError(
                f"the manifest lacks a field or holds a wrong one: {what}",
                where=where,
                fix=_RESTORE,
            ) from None
        if stated != actual:
            raise ManifestError(
                f"the manifest was edited: its content has the digest {actual[:16]}, "
                f"it says {str(stated)[:16]}",
                where=where,
                rule="a manifest is written once and never changed",
                fix=_RESTORE,
            )
        return manifest

    @classmethod
    def _from_body(cls, data: dict[str, Any], fingerprint: str) -> Manifest:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        values["skeleton"] = Skeleton.from_dict(values["skeleton"], where=MANIFEST_FILE)
        values["precision"] = Precision(**values["precision"])
        values["totals"] = Totals(**values["totals"])
        values["schema_version"] = tuple(values["schema_version"])
        for name, kind in (("units", UnitSummary), ("skipped", Skipped), ("files", StoredFile)):
            values[name] = {
                entry["name"]: kind(**{k: _frozen(v) for k, v in entry.items() if k != "name"})
                for entry in values[name]
            }
        values["mean_bone_lengths_mm"] = {
            key: tuple(lengths) for key, lengths in values["mean_bone_lengths_mm"].items()
        }
        values["vocabularies"] = {
            key: None if texts is None else tuple(texts)
            for key, texts in values["vocabularies"].items()
        }
        return cls(**values | {"fingerprint": fingerprint})


def _as_written(data: Any) -> bytes:
    return (json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def is_as_written(content: bytes) -> bool:
    """Tell whether a manifest file is, to the byte, in the form in which manifests are written.

    Other white space does not change what a manifest says, but something has touched the file.
    """
    return _as_written(json.loads(content)) == content


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_RESTORE = "restore the archive from a copy, or convert the dataset again"


def _check_version(version: Any, where: object) -> None:
    if (
        type(version) is not list
        or len(version) != 2
        or not all(type(part) is int and part >= 0 for part in version)
    ):
        raise ManifestError(f"schema_version is {version!r}", where=where, fix=_RESTORE)
    if version[0] > SCHEMA_VERSION[0]:
        raise SchemaVersionError(
            f"the archive has schema version {version[0]}.{version[1]}, this library reads up to "
            f"{SCHEMA_VERSION[0]}.x",
            where=where,
            fix="pip install --upgrade posepile-torch",
        )
    if version[0] < SCHEMA_VERSION[0]:
        raise ManifestError(
            f"schema version {version[0]}.{version[1]} has no manifest of this form",
            where=where,
            fix=_RESTORE,
        )


def canonical_bytes(data: Any) -> bytes:
    """Return JSON data as the bytes over which digests are taken.

    UTF-8, keys sorted, no white space, no NaN.
    """
    text = json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest_of(data: Any) -> str:
    """Return the SHA-256 of JSON data in its canonical form, as hexadecimal text."""
    return hashlib.sha256(canonical_bytes(data)).hexdigest()


def plain_json(data: Any, *, where: object) -> Any:
    """Return ``data`` as plain JSON data: tuples become lists, keys become text.

    Raises:
        ArchiveError: If something in it has no JSON form (arrays, paths, NaN, ...).
    """
    try:
        text = json.dumps(data, allow_nan=False, ensure_ascii=False, default=_plain_mapping)
        return json.loads(text.encode())  # refuses lone surrogates, which have no UTF-8
    except (TypeError, ValueError) as error:
        raise ArchiveError(
            f"only plain JSON data can be stored: {error}",
            where=where,
            rule="texts, finite numbers, booleans, None, lists, and mappings with text keys",
            fix="turn arrays into lists and paths into relative text",
        ) from None


def _plain_mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def split_vocabularies(
    vocabularies: Mapping[str, tuple[str, ...]],
) -> tuple[dict[str, tuple[str, ...] | None], dict[str, list[str]]]:
    """Divide vocabularies into those for the manifest and those for ``vocabularies.json``."""
    inline: dict[str, tuple[str, ...] | None] = {}
    large: dict[str, list[str]] = {}
    for name, texts in vocabularies.items():
        if len(texts) > MAX_INLINE_VOCABULARY:
            inline[name], large[name] = None, list(texts)
        else:
            inline[name] = texts
    return inline, large


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an archive folder.

    Raises:
        ManifestError: If it is missing, unreadable, edited or no manifest.
    """
    path = folder / MANIFEST_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ManifestError(
            "no manifest.json in this folder",
            where=folder,
            rule="a published archive has a manifest, written last",
            fix="if a conversion was interrupted, run the same command again to resume it",
        ) from None
    except OSError as error:
        raise ManifestError(f"cannot read the manifest: {error}", where=path) from None
    return Manifest.from_bytes(content, where=path)
