"""Building banks of backgrounds and occluders from folders of pictures, once, before training."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import BankError, ImageError
from posepile_torch.images import decode_image, decode_labels
from posepile_torch.light import from_linear, to_linear
from posepile_torch.transforms import backgrounds, occluders
from posepile_torch.transforms.banks import BankDescription, BankWriter, read_description

Image = NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with how many pictures are done and how many there are."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of file names that count as pictures."""

VOC_LEAST_PIXELS = 500
"""Objects with fewer pixels are left out, as in the published occluders."""
VOC_SHRINK = 2
"""Objects of Pascal VOC are stored at half their size, as in the published occluders."""


def build_backgrounds(
    folder: Path | str,
    out: Path | str,
    *,
    side: int = 384,
    exclude: Iterable[str] = (),
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> BankDescription:
    """Build a bank of backgrounds from all pictures below a folder.

    Of each, turned upright, the centre square is resized in linear light to ``side`` pixels.
    Pictures smaller than half of that, and those that cannot be decoded, are skipped; the
    description of the bank says which and why.

    Args:
        folder: Where the pictures are, in any subfolders; read in the order of their names.
        out: Folder to make.
        side: Side of the stored squares; one and a half times that of the training images
            keeps them sharp.
        exclude: Pictures to leave out, for example because people are in them: paths relative
            to ``folder``, with or without ending, or bare names.
        overwrite: Replace a bank that lies at ``out``.
        on_progress: Called after every picture.

    Raises:
        BankError: If there is no usable picture, or something lies at ``out``.
    """
    root = Path(folder)
    if not 16 <= side <= 4096:
        raise BankError(f"backgrounds of side {side}", rule="the side is 16 to 4096 pixels")
    files = picture_files(root)
    excluded = {entry.strip() for entry in exclude if entry.strip()}
    unseen = set(excluded)
    with BankWriter(Path(out), backgrounds.KIND, overwrite) as writer:
        for number, path in enumerate(files):
            name = path.relative_to(root).as_posix()
            listed = excluded.intersection(_spellings(path, name))
            unseen -= listed
            if listed:
                writer.skip(name, "excluded")
            else:
                _add_background(writer, path, name, side)
            if on_progress is not None:
                on_progress(number + 1, len(files))
        for entry in sorted(unseen):
            writer.skip(entry, "excluded_but_not_there")
    return read_description(out, backgrounds.KIND)


def _add_background(writer: BankWriter, path: Path, name: str, side: int) -> None:
    try:
        picture = decode_image(path.read_bytes(), where=path)
    except ImageError as error:
        writer.skip(name, error.reason)
        return
    height, width = picture.shape[:2]
    extent = min(height, width)
    if 2 * extent < side:
        writer.skip(name, "too_small")
        return
    left, top = (width - extent) // 2, (height - extent) // 2
    square = picture[top : top + extent, left : left + extent]
    method = cv2.INTER_AREA if extent > side else cv2.INTER_CUBIC
    light = cv2.resize(to_linear(square), (side, side), interpolation=method)
    writer.add(from_linear(light), name)


def picture_files(folder: Path) -> list[Path]:
    """List all pictures below a folder, sorted by path.

    Raises:
        BankError: If it is no folder.
    """
    if not folder.is_dir():
        raise BankError("this is no folder", where=folder, fix="name the folder of the pictures")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    return sorted(path for path in found if path.is_file())


def _spellings(path: Path, name: str) -> tuple[str, ...]:
    """Return everything that a list of exclusions may call a picture."""
    return name, name.removesuffix(path.suffix), path.name, path.stem


def read_exclusions(path: Path | str) -> list[str]:
    """Read a list of pictures to leave out: one per line, ``#`` begins a comment line."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def build_occluders(
    folder: Path | str,
    out: Path | str,
    *,
    longest: int = 256,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> BankDescription:
    """Build a bank of occluders from Pascal VOC, or from a folder of transparent pictures.

    A folder with ``SegmentationObject`` and ``Annotations`` is read as VOC: objects that are not
    persons, not difficult, not truncated, and have at least 500 pixels, at half their size. From
    any other folder all pictures with transparency are taken, cropped to what is not transparent.

    Args:
        folder: ``VOCdevkit/VOC2012``, or a folder of pictures in any subfolders.
        out: Folder to make.
        longest: Transparent pictures are shrunk until no side is longer.
        overwrite: Replace a bank that lies at ``out``.
        on_progress: Called after every picture.

    Raises:
        BankError: If nothing usable is found, or something lies at ``out``.
    """
    root = Path(folder)
    is_voc = (root / "SegmentationObject").is_dir() and (root / "Annotations").is_dir()
    files = sorted((root / "SegmentationObject").glob("*.png")) if is_voc else picture_files(root)
    with BankWriter(Path(out), occluders.KIND, overwrite) as writer:
        for number, path in enumerate(files):
            name = path.relative_to(root).as_posix()
            try:
                if is_voc:
                    _add_voc_objects(writer, root, path)
                else:
                    _add_transparent(writer, path, name, longest)
            except ImageError as error:
                writer.skip(name, error.reason)
            if on_progress is not None:
                on_progress(number + 1, len(files))
    return read_description(out, occluders.KIND)


def _add_voc_objects(writer: BankWriter, root: Path, label_path: Path) -> None:
    stem = label_path.stem
    wanted = list(_voc_objects(root / "Annotations" / f"{stem}.xml"))
    if not any(reason is None for _, _, reason in wanted):
        for number, kind, reason in wanted:
            writer.skip(f"{stem}#{number}:{kind}", str(reason))
        return
    photo_path = root / "JPEGImages" / f"{stem}.jpg"
    if not photo_path.is_file():
        writer.skip(stem, "photo_missing")
        return
    labels = decode_labels(label_path.read_bytes(), where=label_path)
    photo = decode_image(photo_path.read_bytes(), where=photo_path)
    if labels.shape != photo.shape[:2]:
        writer.skip(stem, "size_mismatch")
        return
    for number, kind, reason in wanted:
        mask = labels == number
        if reason is None and mask.sum() < VOC_LEAST_PIXELS:
            reason = "too_small"
        if reason is None:
            thing = occluders.cut_out(photo, mask, shrink=VOC_SHRINK)
            writer.add(thing, f"{stem}#{number}:{kind}")
        else:
            writer.skip(f"{stem}#{number}:{kind}", reason)


def _voc_objects(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """Yield label number, class and reason for leaving out, of every object of a picture."""
    try:
        objects = ElementTree.parse(path).getroot().findall("object")
    except (OSError, ElementTree.ParseError) as error:
        raise ImageError(
            f"the annotation cannot be read ({error})", reason="annotation_unreadable", where=path
        ) from None
    # The label of an object in the segmentation is its place in the annotation, from 1.
    for number, entry in enumerate(objects, start=1):
        kind = entry.findtext("name", "unknown")
        reasons = {
            "person": kind == "person",
            "difficult": entry.findtext("difficult") == "1",
            "truncated": entry.findtext("truncated") == "1",
        }
        yield number, kind, next((reason for reason, holds in reasons.items() if holds), None)


def _add_transparent(writer: BankWriter, path: Path, name: str, longest: int) -> None:
    stored = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None:
        writer.skip(name, "unreadable")
        return
    if stored.ndim != 3 or stored.shape[2] != 4:
        writer.skip(name, "no_transparency")
        return
    if stored.dtype == np.uint16:
        stored = ((stored.astype(np.uint32) + 128) // 257).astype(np.uint8)
    rgba = cv2.cvtColor(stored, cv2.COLOR_BGRA2RGBA)
    rows, columns = (np.flatnonzero(rgba[..., 3].any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        writer.skip(name, "wholly_transparent")
        return
    part = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shrink = max(1.0, max(part.shape[:2]) / longest)
    writer.add(occluders.premultiplied(part, shrink=shrink), name)


__all__ = [
    "PICTURE_SUFFIXES",
    "VOC_LEAST_PIXELS",
    "VOC_SHRINK",
    "build_backgrounds",
    "build_occluders",
    "picture_files",
    "read_exclusions",
]
