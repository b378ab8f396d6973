"""Reading one raw file far enough to say what it is, and that it can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from posepile_torch import rawfiles
from posepile_torch.errors import MissingDependencyError, PosepileError
from posepile_torch.intake import decode_labels, probe
from posepile_torch.raw_layout import TAR_SUFFIXES, RawKind

_MOST_PARSED_BYTES = 64 * 2**20
_LOSSY = (".jpg", ".jpeg", ".webp")


def read_sample(path: Path, kind: RawKind) -> tuple[str, str]:
    """Read a file as its kind and name suggest.

    Args:
        path: The file.
        kind: What the card says it holds.

    Returns:
        What it is, and why it cannot be read; the latter is empty if it can.
    """
    try:
        if kind is RawKind.IMAGE and path.suffix.lower() != ".pkl" and not _reader(path):
            return _image(path)
        if kind is RawKind.VIDEO:
            return _video(path), ""
        if kind is RawKind.MASK and path.suffix.lower() in (".png", ".bmp", ".tif", ".tiff"):
            labels = decode_labels(rawfiles.read_bytes(path), where=path)
            return f"labels of {labels.shape[1]}x{labels.shape[0]}", ""
        checked = rawfiles.check_file(path, max_bytes=None)
        reader = _reader(path)
        if reader is None or checked.size_bytes > _MOST_PARSED_BYTES:
            return "a finished download", ""
        return reader(path), ""
    except MissingDependencyError:
        raise
    except PosepileError as error:
        return "", f"{error.what}; {error.fix}" if error.fix else error.what


def _image(path: Path) -> tuple[str, str]:
    intake = probe(rawfiles.read_bytes(path), where=path)
    if intake.size is None:
        return "", intake.detail
    repaired = f", {intake.detail}" if intake.detail else ""
    return f"an image of {intake.size[0]}x{intake.size[1]}{repaired}", ""


def _video(path: Path) -> str:
    video = rawfiles.open_video(path)
    video.read_frame(0)
    width, height = video.size
    return f"{video.frame_count} frames of {width}x{height}, {video.codec}"


def _reader(path: Path) -> Callable[[Path], str] | None:
    name = path.name.lower()
    return next((read for ending, read in _READERS.items() if name.endswith(ending)), None)


def _json(path: Path) -> str:
    value = rawfiles.read_json(path)
    return f"JSON, {len(value)} entries" if isinstance(value, dict | list) else "JSON"


def _npz(path: Path) -> str:
    return f"arrays {', '.join(sorted(rawfiles.list_npz(path))[:8])}"


def _npy(path: Path) -> str:
    return f"an array of shape {rawfiles.read_npy(path).shape}"


def _mat(path: Path) -> str:
    return f"variables {', '.join(variable.name for variable in rawfiles.list_mat(path)[:8])}"


def _hdf5(path: Path) -> str:
    with rawfiles.Hdf5File(path) as file:
        return f"HDF5 with {', '.join(file.names()[:8])}"


def _zip(path: Path) -> str:
    with rawfiles.ZipReader(path) as reader:
        return f"a zip with {len(reader.names):,} files"


def _tar(path: Path) -> str:
    for name, _ in rawfiles.iter_tar_members(path):
        return f"a tar that begins with {name}"
    return "an empty tar"


def _text(path: Path) -> str:
    return f"text of {len(rawfiles.read_text(path).splitlines())} lines"


def _xml(path: Path) -> str:
    return f"XML <{rawfiles.read_xml(path).tag}>"


def _cdf(path: Path) -> str:
    return f"variables {', '.join(sorted(rawfiles.read_cdf(path))[:8])}"


def _c3d(path: Path) -> str:
    return f"{len(rawfiles.read_c3d(path).points_mm)} frames of markers"


_READERS: dict[str, Callable[[Path], str]] = {
    ".json": _json,
    ".npz": _npz,
    ".npy": _npy,
    ".mat": _mat,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".zip": _zip,
    **dict.fromkeys(TAR_SUFFIXES, _tar),
    ".csv": _text,
    ".txt": _text,
    ".xml": _xml,
    ".cdf": _cdf,
    ".c3d": _c3d,
}
