"""Ground truth of the MPII validation set from the file that HRNet and mmpose use."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posepile_torch import skeletons
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.protocol import Protocol
from posepile_torch.rawfiles import read_mat

FIRST_PIXEL = 1
"""The coordinate of the first pixel in the files of the benchmark."""


def truth_from_raw(protocol: Protocol, path: Path, body_models: Path | None) -> GroundTruth:
    """Read ``gt_valid.mat``, the truth of the validation set that HRNet and mmpose use.

    The id of an image is the row in that file, counted from 0; the person is ``"0"``.

    Args:
        protocol: Not used beyond its name.
        path: Folder with ``annot/gt_valid.mat`` or ``gt_valid.mat``.
        body_models: Not used.
    """
    del body_models
    files = [path / "annot" / "gt_valid.mat", path / "gt_valid.mat"]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise ProtocolError(
            "no file annot/gt_valid.mat",
            where=path,
            rule=f"{protocol.id} reads the truth of the validation set",
            fix="it comes with the MPII annotations of HRNet",
        )
    data = read_mat(file, ["jnt_missing", "pos_gt_src", "headboxes_src"])
    points = np.asarray(data["pos_gt_src"], np.float64).transpose(2, 0, 1) - FIRST_PIXEL
    missing = np.asarray(data["jnt_missing"]).T.astype(bool)
    corners = np.asarray(data["headboxes_src"], np.float64)  # [2 corners, 2 axes, N]
    boxes = np.concatenate([corners[0], corners[1] - corners[0]]).T
    boxes[:, :2] -= FIRST_PIXEL
    return GroundTruth(
        image=np.array([str(row) for row in range(len(points))], dtype=str),
        person=np.full(len(points), "0"),
        joints=np.where(missing[..., None], np.nan, points),
        skeleton=skeletons.get("mpii_16"),
        space="image",
        extras={"head_box": boxes},
        where=str(file),
    )
