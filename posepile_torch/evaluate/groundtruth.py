"""Ground truth of a protocol: from an archive, from a table, or from the benchmark's raw files."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.archive import Archive, open_archive
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.predictions import keys_of_ids, read_facts
from posepile_torch.evaluate.protocol import GROUPS, Frames, Protocol, Space
from posepile_torch.evaluate.tables import is_table, read_table
from posepile_torch.evaluate.wording import frames_in_words
from posepile_torch.jointmap import JointMap
from posepile_torch.record import Record
from posepile_torch.skeleton import Skeleton


@dataclass(frozen=True, eq=False, kw_only=True)
class GroundTruth:
    """Annotated people that a protocol evaluates, in the protocol's skeleton.

    Args:
        image: ``[N]`` ids of images.
        person: ``[N]`` ids of people.
        joints: ``[N, J, 3]`` mm or ``[N, J, 2]`` pixels; NaN where not labelled.
        skeleton: Names of the joints.
        space: Frame of reference of ``joints``.
        labels: ``[N]`` texts for breakdowns: ``activity``, ``sequence``, ``subject``,
            ``camera``, ``scene``; ``""`` where unknown.
        frame: ``[N]`` frame numbers; -1 where unknown.
        extras: Further columns by name, ``vertices`` in mm.
        rotation: ``[N, 3, 3]`` world to the benchmark's camera; None if that is unknown.
        position: ``[N, 3]`` optical centres in world mm; None if they are unknown.
        where: Archive or file.
        fingerprint: Identifies the data: that of the archive, if there is one.
        rows: ``[N]`` rows of the archive, for pictures; None if there is no archive.
        notes: What a reader of the numbers should know.
    """

    image: NDArray[np.str_]
    person: NDArray[np.str_]
    joints: NDArray[np.float64]
    skeleton: Skeleton
    space: Space
    labels: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    frame: NDArray[np.int64] | None = None
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    rotation: NDArray[np.float64] | None = None
    position: NDArray[np.float64] | None = None
    where: str = "ground truth"
    fingerprint: str = ""
    rows: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.skeleton.checked(self.joints, where=f"joints of {self.where}")
        keys = Counter(zip(self.image.tolist(), self.person.tolist(), strict=True))
        if len(keys) < len(self.image):
            twice = keys.most_common(1)[0][0]
            raise ProtocolError(
                f"person {twice[1]!r} of image {twice[0]!r} is annotated twice",
                where=self.where,
                rule="ground truth has one row per image and person",
            )

    def __len__(self) -> int:
        return len(self.image)

    def in_space(self, space: Space) -> GroundTruth:
        """Return the truth in world or camera space.

        Raises:
            ProtocolError: If that needs cameras which are not known.
        """
        if space == self.space:
            return self
        if "image" in (space, self.space) or self.rotation is None or self.position is None:
            raise ProtocolError(
                f"the ground truth is in {self.space} space, the predictions are in {space} space",
                where=self.where,
                rule="world and camera space are exchanged through the benchmark's cameras; an "
                "archive holds those of its crops, which were turned towards each person",
                fix=f"write the predictions in {self.space} space (PredictionWriter does), or "
                f"pass a table of ground truth in {space} space",
            )
        if space == "camera":
            moved = np.einsum("nij,nkj->nki", self.rotation, self.joints - self.position[:, None])
        else:
            moved = np.einsum("nji,nkj->nki", self.rotation, self.joints)
            moved = moved + self.position[:, None]
        return replace(self, joints=moved, space=space)


def load_truth(
    protocol: Protocol,
    path: str | os.PathLike[str],
    *,
    body_models: str | os.PathLike[str] | None = None,
) -> GroundTruth:
    """Load what a protocol compares with, from whatever the user has.

    Args:
        protocol: What is evaluated.
        path: An archive; a table (``.npz``, ``.json``, ``.parquet``, ``.arrow``) of joints,
            vertices or rotations that were computed before; or the benchmark's raw files, if the
            protocol has a reader for them.
        body_models: The user's folder of body models, for readers that need one.

    Raises:
        ProtocolError: If ``path`` is of another benchmark, or has nothing that is evaluated.
    """
    path = Path(path)
    is_archive = (path / "manifest.json").exists()
    if is_table(path) or (protocol.raw_truth is None and path.is_file()):
        truth = truth_from_table(protocol, path)
    elif protocol.raw_truth is not None and not is_archive:
        reader = attribute(protocol.raw_truth)
        truth = reader(protocol, path, None if body_models is None else Path(body_models))
    else:
        truth = truth_from_archive(protocol, open_archive(path))
    if not len(truth):
        raise ProtocolError(
            "no annotated person is evaluated",
            where=f"{protocol.id} on {path}",
            rule=frames_in_words(protocol.frames),
            fix="check that the archive holds the split, subjects and cameras of the protocol",
        )
    expected = protocol.frames.expected
    if expected is not None and expected != len(truth):
        told = f"{len(truth)} people are evaluated; the published evaluation has {expected}"
        truth = replace(truth, notes=(*truth.notes, told))
    return truth


def attribute(target: str) -> Any:
    """Import ``"module:attribute"``."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def truth_from_archive(protocol: Protocol, archive: Archive) -> GroundTruth:
    """Take the truth from an archive of the protocol's benchmark.

    Joints are in world space, or in pixels of the stored crop. Truth for ``vertices`` and
    ``rotations`` is not in archives: load it from a table.
    """
    manifest = archive.manifest
    if manifest.source != protocol.benchmark:
        raise ProtocolError(
            f"the archive holds {manifest.source!r}",
            where=archive.path,
            rule=f"{protocol.id} is evaluated on {protocol.benchmark!r}",
            fix=f"pass the archive of {protocol.benchmark!r}",
        )
    if protocol.target in ("vertices", "rotations"):
        raise ProtocolError(
            f"an archive holds no {protocol.target}",
            where=archive.path,
            rule=f"{protocol.id} compares {protocol.target}",
            fix="compute them with the body model and pass them as a table (.npz)",
        )
    notes = _check_switches(protocol, archive)
    rows = _selected_rows(protocol.frames, archive)
    mapping = JointMap.between(archive.skeleton, protocol.named_skeleton)
    records = [archive.record(int(row)) for row in rows]
    image, person = keys_of_ids([record.id for record in records])
    joints = _targets(protocol, records, len(archive.skeleton), where=archive.path)
    has_cameras = bool(records) and all(record.camera is not None for record in records)
    cameras = [record.camera for record in records if record.camera is not None]
    if mapping.with_status("approximate"):
        notes += (f"truth mapped from {archive.skeleton.name}: {mapping.summary}",)
    return GroundTruth(
        image=image,
        person=person,
        joints=mapping.apply(joints),
        skeleton=protocol.named_skeleton,
        space="image" if protocol.target == "joints2d" else "world",
        labels=_labels(archive, rows),
        frame=archive.index["frame"][rows].astype(np.int64),
        position=np.stack([camera.t for camera in cameras]) if has_cameras else None,
        extras=_extras(records),
        where=str(archive.path),
        fingerprint=archive.fingerprint,
        rows=rows,
        notes=notes,
    )


def truth_from_table(protocol: Protocol, path: Path) -> GroundTruth:
    """Take the truth from a table with the columns of predictions, labels and ``frame``."""
    meta, columns = read_table(path)
    skeleton, factor, space = read_facts(meta, where=str(path))
    absent = {"image", "joints"} - columns.keys()
    if absent:
        raise ProtocolError(
            f"no column {', '.join(sorted(absent))}",
            where=path,
            rule="a table of ground truth has the columns image and joints",
        )
    image = columns.pop("image").astype(str)
    person = columns.pop("person", np.zeros(len(image), dtype="U1")).astype(str)
    labels = {name: columns.pop(name).astype(str) for name in GROUPS if name in columns}
    frame = columns.pop("frame", None)
    joints = np.asarray(columns.pop("joints"), np.float64) * factor
    if "vertices" in columns:
        columns["vertices"] = columns["vertices"] * columns["vertices"].dtype.type(factor)
    mapping = JointMap.between(skeleton, protocol.named_skeleton)
    notes: tuple[str, ...] = ()
    if mapping.with_status("approximate"):
        notes = (f"truth mapped from {skeleton.name}: {mapping.summary}",)
    return GroundTruth(
        image=image,
        person=person,
        joints=mapping.apply(joints),
        skeleton=protocol.named_skeleton,
        space=space,
        labels=labels,
        frame=None if frame is None else frame.astype(np.int64),
        extras=columns,
        where=str(path),
        notes=notes,
    )


def _selected_rows(frames: Frames, archive: Archive) -> NDArray[np.int64]:
    rows = np.concatenate([archive.rows(split=split) for split in frames.splits])
    index = archive.index
    keep = np.ones(len(rows), bool)
    if frames.step > 1:
        number = index["frame"][rows]
        keep &= (number >= 0) & (number % frames.step == frames.offset)
    for name, wanted in (
        ("subject", frames.subjects),
        ("camera", frames.cameras),
        ("activity", frames.activities),
    ):
        if wanted:
            keep &= np.isin(_texts(archive, rows, name), wanted)
    if frames.exclude_sequences:
        keep &= ~np.isin(_texts(archive, rows, "sequence"), frames.exclude_sequences)
    return np.asarray(rows[keep], np.int64)


def _texts(archive: Archive, rows: NDArray[np.int64], name: str) -> NDArray[np.str_]:
    # position -1 means unknown and takes the empty text at the end
    texts = np.array([*archive.vocabulary(name), ""])
    return np.asarray(texts[archive.index[name][rows]])


def _labels(archive: Archive, rows: NDArray[np.int64]) -> dict[str, NDArray[np.str_]]:
    labels = {name: _texts(archive, rows, name) for name in GROUPS}
    return {name: texts for name, texts in labels.items() if (texts != "").any()}


def _targets(
    protocol: Protocol, records: list[Record], joints: int, *, where: object
) -> NDArray[np.float64]:
    axes = 2 if protocol.target == "joints2d" else 3
    found = np.full((len(records), joints, axes), np.nan)
    labelled = 0
    for row, record in enumerate(records):
        target = getattr(record, protocol.target)
        if target is not None:
            found[row] = target
            labelled += 1
    if records and not labelled:
        raise ProtocolError(
            f"no record has {protocol.target}",
            where=where,
            rule=f"{protocol.id} compares {protocol.target}",
            fix="choose a protocol for labels that this archive has",
        )
    return found


def _extras(records: list[Record]) -> dict[str, NDArray[Any]]:
    extras: dict[str, NDArray[Any]] = {}
    if records:
        extras["box"] = np.stack([record.box for record in records])
        extras["image_size"] = np.array([record.image_size for record in records])
        if any(record.track is not None for record in records):
            extras["track"] = np.array([record.track or "" for record in records])
    return extras


def _check_switches(protocol: Protocol, archive: Archive) -> tuple[str, ...]:
    notes = []
    plan = archive.manifest.plan
    told = {**archive.manifest.hints, **plan, **plan.get("options", {})}
    for switch in protocol.switches:
        if switch.name not in told:
            notes.append(
                f"the archive does not say whether it was converted with {switch.name}="
                f"{switch.value}: {switch.why}"
            )
        elif told[switch.name] in (switch.value, *switch.also):
            continue
        elif not switch.required:
            notes.append(
                f"the archive was converted with {switch.name}={told[switch.name]}, the reference "
                f"has {switch.value}: {switch.why}"
            )
        else:
            raise ProtocolError(
                f"the archive was converted with {switch.name}={told[switch.name]}",
                where=archive.path,
                rule=f"{protocol.id} asks for {switch.name}={switch.value}: {switch.why}",
                fix=f"convert it with {switch.name}={switch.value}, or choose another protocol",
            )
    return tuple(notes)


__all__ = [
    "GroundTruth",
    "attribute",
    "load_truth",
    "truth_from_archive",
    "truth_from_table",
]
