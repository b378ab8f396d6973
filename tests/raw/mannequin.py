"""Fabricates a tiny raw copy of the mannequin, through its renderer."""

from pathlib import Path

from posepile_torch import mannequin


def write_raw(root: Path, **options) -> Path:
    """Render three takes, one per split, with every joint marked.

    One take is stored as stills and two as video; two cameras per take cover all lens models.
    """
    tiny = {"takes": 3, "frames": 2, "cameras": 2, "size": (320, 240), "video_share": 0.67}
    return mannequin.write_raw(
        root, mannequin.MannequinOptions(**(tiny | {"marks": True} | options))
    )
