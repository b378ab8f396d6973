"""Ground truth of MuPoTS-3D from its own files, ``TS1/annot.mat`` ... ``TS20/annot.mat``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch import skeletons
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.protocol import Protocol
from posepile_torch.rawfiles import read_mat

N_SEQUENCES = 20


def truth_from_raw(protocol: Protocol, path: Path, body_models: Path | None) -> GroundTruth:
    """Read the people with ``isValidFrame`` of all sequences, in the order of the annotation.

    The id of an image is ``TS1/img_000000``; images count from 0. Cameras are not published:
    focal lengths and centre are fitted to all pairs of 2D and 3D joints of a sequence.

    Args:
        protocol: Says which skeleton is read.
        path: Folder with ``TS1`` ... ``TS20``.
        body_models: Not used.
    """
    del body_models
    field = "univ_annot3" if protocol.target == "joints3d_univ" else "annot3"
    columns: dict[str, list[Any]] = {
        name: [] for name in ("image", "person", "sequence", "frame", "joints", "joints2d", "K")
    }
    for number in range(1, N_SEQUENCES + 1):
        _read_sequence(path, f"TS{number}", field, columns)
    return GroundTruth(
        image=np.array(columns["image"], dtype=str),
        person=np.array(columns["person"], dtype=str),
        joints=np.array(columns["joints"]).reshape(-1, 17, 3),
        skeleton=skeletons.get("mupots_17"),
        space="camera",
        labels={"sequence": np.array(columns["sequence"], dtype=str)},
        frame=np.array(columns["frame"], dtype=np.int64),
        extras={
            "joints2d": np.array(columns["joints2d"]).reshape(-1, 17, 2),
            "intrinsics": np.array(columns["K"]).reshape(-1, 3, 3),
        },
        where=str(path),
    )


def _read_sequence(path: Path, name: str, field: str, columns: dict[str, list[Any]]) -> None:
    file = path / name / "annot.mat"
    if not file.is_file():
        raise ProtocolError(
            f"no file {file.name} of {name}",
            where=path,
            rule=f"the data set has the folders TS1 ... TS{N_SEQUENCES}",
            fix="pass the folder that holds them",
        )
    table = np.atleast_2d(np.asarray(read_mat(file, ["annotations"])["annotations"], object))
    pixels, points, start = [], [], len(columns["image"])
    for frame in range(table.shape[0]):
        for person in range(table.shape[1]):
            entry = table[frame, person]
            if not np.asarray(entry["isValidFrame"]).any():
                continue
            columns["image"].append(f"{name}/img_{frame:06d}")
            columns["person"].append(str(person))
            columns["sequence"].append(name)
            columns["frame"].append(frame)
            columns["joints"].append(np.asarray(entry[field], np.float64).T)
            columns["joints2d"].append(np.asarray(entry["annot2"], np.float64).T)
            pixels.append(columns["joints2d"][-1])
            points.append(np.asarray(entry["annot3"], np.float64).T)
    if pixels:
        camera = fitted_intrinsics(np.concatenate(points), np.concatenate(pixels))
        columns["K"] += [camera] * (len(columns["image"]) - start)


def fitted_intrinsics(
    points: NDArray[np.float64], pixels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the pinhole matrix of least squares, per axis x = f X / Z + c, ``[3, 3]``.

    Args:
        points: ``[N, 3]`` mm in camera space.
        pixels: ``[N, 2]`` px.
    """
    camera = np.eye(3)
    for axis in range(2):
        slope = points[:, axis] / points[:, 2]
        design = np.stack([slope, np.ones_like(slope)], axis=1)
        (camera[axis, axis], camera[axis, 2]), *_ = np.linalg.lstsq(
            design, pixels[:, axis], rcond=None
        )
    return camera
