"""ASPset-510: C3D joints, CSV boxes and splits, JSON cameras, Matroska videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from posepile_torch import boxes
from posepile_torch.camera import Camera
from posepile_torch.convert import Converter, Plan, RawFrame, RawPerson, Unit, VideoFrame
from posepile_torch.convert.base import Option
from posepile_torch.errors import (
    ConversionError,
    JointCountError,
    UnknownNameError,
    UnreadableRawFileError,
)
from posepile_torch.rawfiles import open_video, read_c3d, read_csv, read_json, read_numbers
from posepile_torch.record import SPLITS
from posepile_torch.sources.aspset import Aspset

Floats = NDArray[np.float64]

VIEWS = ("left", "mid", "right")
"""The three cameras; ``all`` in ``splits.csv`` stands for them."""

_COLUMNS = ("subject", "clip", "split", "view")
# posekit, which wrote the C3D files, stores the name of its skeleton in POINT:SKEL and the names
# of the joints in POINT:LABELS.
_RAW_SKELETON = "aspset_17j"
_RAW_LABELS = (
    *("right_ankle", "right_knee", "right_hip", "right_wrist", "right_elbow", "right_shoulder"),
    *("left_ankle", "left_knee", "left_hip", "left_wrist", "left_elbow", "left_shoulder"),
    *("head_top", "head", "neck", "spine", "pelvis"),
)
# Knee to ankle of a person. Coordinates that were metres or centimetres would fall far outside.
_PLAUSIBLE_SHANK_MM = (200.0, 700.0)


class AspsetConverter(Converter):
    """Reads the raw files of :class:`~posepile_torch.sources.aspset.Aspset`.

    Options: ``splits`` says which splits are converted, so that nobody has to download the test
    videos for training; ``box_factor`` grows the published boxes, which are tight.
    """

    source = Aspset
    version: ClassVar[str] = "1"
    plan: ClassVar[Plan] = Plan()
    default_options: ClassVar[Mapping[str, Option]] = {
        "splits": "train val test",
        "box_factor": 1.1,
    }

    def units(self) -> Iterator[Unit]:
        """List one unit per clip and view."""
        path = self.root / "splits.csv"
        wanted = str(self.options["splits"]).split()
        for name in wanted:
            if name not in SPLITS:
                raise UnknownNameError.among("split", name, SPLITS, where="option splits")
        rows = read_csv(path, dict.fromkeys(_COLUMNS, str.strip), names=_COLUMNS)
        for number, row in enumerate(rows, start=1):
            _check_row(row, where=f"{path}, row {number}")
            if row["split"] not in wanted:
                continue
            for view in VIEWS if row["view"] == "all" else (row["view"],):
                clip = f"{row['subject']}-{row['clip']}"
                fields = {"subject": row["subject"], "clip": clip, "view": view}
                yield Unit(f"{clip}-{view}", row["split"], fields)

    def frames(self, unit: Unit) -> Iterator[RawFrame]:
        """Yield the frames of one view of one clip."""
        folder = self.root / ("test" if unit.split == "test" else "trainval")
        subject, clip, view = unit["subject"], unit["clip"], unit["view"]
        path = folder / "videos" / subject / f"{clip}-{view}.mkv"
        video = open_video(path)
        camera = _camera(folder / "cameras" / subject / f"{subject}-{view}.json", video.size)
        corners = read_numbers(
            folder / "boxes" / subject / f"{clip}-{view}.csv",
            columns=4,
            delimiter=",",
            skip_lines=1,
        )
        grown = boxes.scaled(boxes.from_xyxy(corners), float(self.options["box_factor"]))
        joints_mm = self._joints(folder, subject, clip)
        lengths = [video.frame_count, len(grown)]
        lengths += [] if joints_mm is None else [len(joints_mm)]
        for index in range(max(lengths)):
            people = []
            if index < min(lengths):
                # Whoever lacks joints is counted as skipped: what is missing shows in the report.
                joints = None if joints_mm is None else joints_mm[index]
                people.append(RawPerson(joints3d=joints, box=grown[index], subject=subject))
            yield RawFrame(
                index=index,
                image=VideoFrame(path, index),
                camera=camera,
                sequence=clip,
                camera_name=view,
                people=people,
            )

    def _joints(self, folder: Path, subject: str, clip: str) -> Floats | None:
        """World millimetres ``[frames, 17, 3]``; None if the test labels were not downloaded."""
        if folder.name == "test" and not (folder / "joints_3d").is_dir():
            return None
        path = folder / "joints_3d" / subject / f"{clip}.c3d"
        file = read_c3d(path)
        if file.points_mm.shape[1] != len(self.source.native):
            raise JointCountError.of(
                len(self.source.native), file.points_mm.shape[1], where=f"points of {path}"
            )
        skeleton = np.atleast_1d(file.parameters["POINT"].get("SKEL", _RAW_SKELETON)).tolist()
        if skeleton != [_RAW_SKELETON] or (any(file.labels) and file.labels != _RAW_LABELS):
            raise UnreadableRawFileError(
                f"the skeleton is {', '.join(skeleton)} with the points {', '.join(file.labels)}",
                where=path,
                rule=f"the published files hold {_RAW_SKELETON}: {', '.join(_RAW_LABELS)}",
            )
        knees, ankles = (self.source.native.indices(f"l{j} r{j}") for j in ("kne", "ank"))
        shanks_mm = np.linalg.norm(file.points_mm[:, knees] - file.points_mm[:, ankles], axis=-1)
        known = shanks_mm[np.isfinite(shanks_mm)]
        shortest, longest = _PLAUSIBLE_SHANK_MM
        if known.size and not shortest < np.median(known) < longest:
            raise ConversionError(
                f"the shanks are {np.median(known):.3g} mm long",
                where=path,
                rule=f"a shank is {shortest:g} to {longest:g} mm long",
                fix=f"the file states its unit as {file.units!r}; was it exported anew?",
            )
        return file.points_mm


def _check_row(row: Mapping[str, str], *, where: str) -> None:
    for column, known in (("split", SPLITS), ("view", (*VIEWS, "all"))):
        if row[column] not in known:
            raise UnreadableRawFileError(
                f"the {column} is {row[column]!r}",
                where=where,
                rule=f"a row is subject, clip, split, view, and a {column} is one of {known}",
                fix="fetch splits.csv again from the dataset's page",
            )


def _camera(path: Path, size: tuple[int, int]) -> Camera:
    entry = read_json(path)
    intrinsics = _matrix(entry, "intrinsic_matrix", (3, 4), path)
    extrinsics = _matrix(entry, "extrinsic_matrix", (4, 4), path)
    if intrinsics[:, 3].any() or not np.array_equal(extrinsics[3], (0, 0, 0, 1)):
        raise UnreadableRawFileError(
            "the matrices are no pinhole camera and rigid motion",
            where=path,
            rule="the intrinsic matrix ends in a column of zeros, the extrinsic in 0 0 0 1",
        )
    camera = Camera.from_extrinsics(
        R=extrinsics[:3, :3],
        T=extrinsics[:3, 3],
        K=intrinsics[:, :3],
        size=size,
        world_up=Aspset.card.world_up or (0, -1, 0),
    )
    return camera.validated(where=path)


def _matrix(entry: Any, name: str, shape: tuple[int, int], path: Path) -> Floats:
    """Read a matrix that is stored row by row, flat or nested."""
    try:
        return np.array(entry[name], np.float64).reshape(shape)
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableRawFileError(
            f"{name} is missing or malformed: {error}",
            where=path,
            rule=f"{name} holds {shape[0]}x{shape[1]} numbers, row by row",
        ) from None
