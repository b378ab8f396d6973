"""Types and sums that a manifest must have, so that no reader trips over them later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from posepile_torch.archive.layout import CONTAINERS, VOCABULARY_FIELDS
from posepile_torch.keys import is_key
from posepile_torch.record_rules import SPLITS

if TYPE_CHECKING:
    from posepile_torch.archive.manifest import Manifest


def check_manifest(manifest: Manifest) -> None:
    """Check the values of a manifest that was read from a file.

    Raises:
        ValueError: Naming the first field that is wrong.
    """
    for name in ("source", "card_digest", "plan_digest", "converter_version", "library_version"):
        _require(type(getattr(manifest, name)) is str, name)
    for name in ("plan", "hints", "raw_files"):
        _require(type(getattr(manifest, name)) is dict, name)
    _require(_is_count(manifest.shard_limit_bytes), "shard_limit_bytes")
    _check_totals(manifest)
    _check_vocabularies(manifest.vocabularies)
    _check_bones(manifest)
    _check_files(manifest)
    for unit in manifest.units.values():
        counts = (unit.records, unit.images, unit.skipped)
        _require(all(map(_is_count, counts)) and type(unit.digest) is str, "units")
    for skipped in manifest.skipped.values():
        texts = all(type(item) is str for item in skipped.items)
        _require(_is_count(skipped.count) and texts, "skipped")


def _require(ok: bool, name: str) -> None:
    if not ok:
        raise ValueError(f"field {name!r}")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _check_totals(manifest: Manifest) -> None:
    totals = manifest.totals
    _require(_is_count(totals.records) and _is_count(totals.images), "totals")
    _require(set(totals.splits) == set(SPLITS), "totals.splits")
    _require(all(map(_is_count, totals.splits.values())), "totals.splits")
    _require(sum(totals.splits.values()) == totals.records, "totals.splits")
    _require(all(map(_is_count, totals.having.values())), "totals.having")


def _check_vocabularies(vocabularies: Mapping[str, Any]) -> None:
    _require(set(vocabularies) == set(VOCABULARY_FIELDS), "vocabularies")
    for texts in vocabularies.values():
        _require(texts is None or all(type(text) is str for text in texts), "vocabularies")


def _check_bones(manifest: Manifest) -> None:
    means = manifest.mean_bone_lengths_mm
    _require(set(means) == {"train", "trainval"}, "mean_bone_lengths_mm")
    for lengths in means.values():
        numbers = all(value is None or type(value) is float for value in lengths)
        _require(numbers, "mean_bone_lengths_mm")
        _require(len(lengths) == len(manifest.skeleton.edges), "mean_bone_lengths_mm")


def _check_files(manifest: Manifest) -> None:
    _require(set(manifest.content_digests) == set(CONTAINERS), "content_digests")
    for name, file in manifest.files.items():
        # The names are joined to the folder's path, so they must not lead out of it.
        _require(is_key(name) and "/" not in name, f"files: {name}")
        _require(_is_count(file.bytes) and _is_count(file.ends_crc32c), f"files: {name}")
        _require(type(file.sha256) is str, f"files: {name}")
