"""Ground truth of 3DOH50K from its own file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posepile_torch import skeletons
from posepile_torch.errors import ProtocolError
from posepile_torch.evaluate.groundtruth import GroundTruth
from posepile_torch.evaluate.protocol import Protocol
from posepile_torch.rawfiles import read_json

MM_PER_UNIT = 1000 / 7
"""What the stored numbers are multiplied by; found by experiment (PosePile)."""


def truth_from_raw(protocol: Protocol, path: Path, body_models: Path | None) -> GroundTruth:
    """Read ``testset/annots.json`` (or ``annots.json``); joints in camera space.

    The id of an image is the key of its entry.

    Args:
        protocol: Not used beyond its name.
        path: Folder of the data set, or of its test set.
        body_models: Not used.
    """
    del body_models
    files = [path / "testset" / "annots.json", path / "annots.json"]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise ProtocolError(
            "no file testset/annots.json",
            where=path,
            rule=f"{protocol.id} reads the annotation of the test set",
            fix="pass the folder that holds testset",
        )
    entries = read_json(file)
    names = sorted(entries)
    joints = np.array([entries[name]["lsp_joints_3d"] for name in names], np.float64)
    return GroundTruth(
        image=np.array(names, dtype=str),
        person=np.full(len(names), "0"),
        joints=joints.reshape(-1, 14, 3) * MM_PER_UNIT,
        skeleton=skeletons.get("3doh_14"),
        space="camera",
        where=str(file),
    )
