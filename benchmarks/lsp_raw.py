"""Ground truth of LSP from its own file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posepile_torch import skeletons
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.protocol import Protocol
from posepile_torch.rawfiles import read_mat

N_TRAIN = 1000

FIRST_PIXEL = 1


def truth_from_raw(protocol: Protocol, path: Path, body_models: Path | None) -> GroundTruth:
    """Read the second thousand of ``joints.mat`` ``[3, 14, 2000]``.

    The id of an image is ``im1001`` ... ``im2000``.

    Args:
        protocol: Not used beyond its name.
        path: Folder with ``joints.mat``.
        body_models: Not used.
    """
    del body_models
    file = path / "joints.mat"
    if not file.is_file():
        raise ProtocolError(
            "no file joints.mat",
            where=path,
            rule=f"{protocol.id} reads the annotation of LSP",
            fix="pass the folder of the data set",
        )
    table = np.asarray(read_mat(file, ["joints"])["joints"], np.float64)[:2, :, N_TRAIN:]
    return GroundTruth(
        image=np.array([f"im{N_TRAIN + 1 + row:04d}" for row in range(table.shape[2])], dtype=str),
        person=np.full(table.shape[2], "0"),
        joints=table.transpose(2, 1, 0) - FIRST_PIXEL,
        skeleton=skeletons.get("lsp_14"),
        space="image",
        where=str(file),
    )
