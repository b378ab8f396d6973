"""Banks: folders of pictures decoded once, to be used again and again while training.

A bank is a folder with ``pixels.npy``, all pixels as uint8 in one array, and ``bank.json``, which
says what they are and where they came from. The array is memory-mapped: every worker of a machine
shares one copy, and nothing is decoded while training.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from posepile_torch.errors import BankError

PIXELS_FILE = "pixels.npy"
"""Name of the array within the folder of a bank."""
DESCRIPTION_FILE = "bank.json"
"""Name of the description within the folder of a bank."""

SCHEMA = 1
"""Version of the layout; a newer one is refused."""


@dataclass(frozen=True, kw_only=True)
class BankDescription:
    """What the JSON file of a bank says.

    Attributes:
        kind: ``"backgrounds"`` or ``"occluders"``.
        shapes: ``(height, width, channels)`` of each picture.
        names: Where each picture came from, relative to the folder that it was built from.
        skipped: ``[name, reason]`` of everything that was not taken.
        fingerprint: Hash of kind, shapes and pixels.
    """

    kind: str
    shapes: tuple[tuple[int, int, int], ...]
    names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def skip_counts(self) -> dict[str, int]:
        """How many pictures were not taken, by reason."""
        reasons = sorted(reason for _, reason in self.skipped)
        return {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}


def read_description(folder: Path | str, kind: str) -> BankDescription:
    """Read the description of a bank.

    Raises:
        BankError: If there is no bank of this kind, or it is of a newer version.
    """
    path = Path(folder) / DESCRIPTION_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = values["kind"]
        schema = values["schema"]
        shapes = tuple((int(h), int(w), int(c)) for h, w, c in values["shapes"])
        names = tuple(map(str, values["names"]))
        skipped = tuple((str(name), str(reason)) for name, reason in values["skipped"])
        fingerprint = str(values["fingerprint"])
    except FileNotFoundError:
        raise BankError(
            f"no bank of {kind} lies here",
            where=folder,
            fix=f"build one with `posepile {kind} build DIR --out {folder}`",
        ) from None
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise BankError(f"the description cannot be read ({error})", where=path) from None
    if found != kind or schema != SCHEMA:
        raise BankError(
            f"the bank holds {found!r} in schema {schema!r}",
            where=folder,
            rule=f"{kind} in schema {SCHEMA} are expected here",
            fix=f"build it anew with `posepile {kind} build`",
        )
    return BankDescription(
        kind=kind, shapes=shapes, names=names, skipped=skipped, fingerprint=fingerprint
    )


def open_pixels(folder: Path | str, description: BankDescription) -> NDArray[np.uint8]:
    """Memory-map the pixels of a bank as one flat, read-only array.

    Raises:
        BankError: If the file is missing, cut short, or of another type.
    """
    path = Path(folder) / PIXELS_FILE
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BankError(f"the pixels cannot be opened ({error})", where=path) from None
    expected = sum(h * w * c for h, w, c in description.shapes)
    if pixels.dtype != np.uint8 or pixels.size != expected:
        raise BankError(
            f"{pixels.size} numbers of type {pixels.dtype}",
            where=path,
            rule=f"the description beside it promises {expected} bytes",
            fix="copy the whole folder again, or build it anew",
        )
    flat: NDArray[np.uint8] = pixels.reshape(-1)
    return flat


def check_pixels(folder: Path | str, kind: str) -> BankDescription:
    """Read all pixels of a bank and compare them with its fingerprint.

    Raises:
        BankError: If they differ.
    """
    description = read_description(folder, kind)
    pixels = open_pixels(folder, description)
    digest = _new_digest(kind)
    start = 0
    for shape in description.shapes:
        stop = start + int(np.prod(shape))
        _add_picture(digest, pixels[start:stop].reshape(shape))
        start = stop
    if digest.hexdigest() != description.fingerprint:
        raise BankError(
            "the pixels differ from those that were written",
            where=folder,
            rule="a bank's fingerprint is the hash of its pixels",
            fix="build it anew",
        )
    return description


def _new_digest(kind: str) -> Any:
    return hashlib.sha256(kind.encode())


def _add_picture(digest: Any, picture: NDArray[np.uint8]) -> None:
    digest.update(repr(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture))


@dataclass
class BankWriter:
    """Writes a bank picture by picture; a context manager.

    The folder appears under its name only when the block ends without an error.

    Args:
        folder: Where the bank goes.
        kind: ``"backgrounds"`` or ``"occluders"``.
        overwrite: Replace a bank that lies there.

    Raises:
        BankError: If something lies there already.
    """

    folder: Path
    kind: str
    overwrite: bool = False
    _shapes: list[tuple[int, int, int]] = field(default_factory=list, init=False)
    _names: list[str] = field(default_factory=list, init=False)
    _skipped: list[tuple[str, str]] = field(default_factory=list, init=False)

    def __enter__(self) -> Self:
        is_bank = (self.folder / DESCRIPTION_FILE).is_file()
        if self.folder.exists() and not (self.overwrite and is_bank):
            raise BankError(
                "something lies here already",
                where=self.folder,
                fix="pass --overwrite to replace a bank" if is_bank else "choose another folder",
            )
        self._building = self.folder.with_name(self.folder.name + ".building")
        shutil.rmtree(self._building, ignore_errors=True)
        self._building.mkdir(parents=True)
        self._file = (self._building / PIXELS_FILE).open("wb")
        self._digest = _new_digest(self.kind)
        self._write_header(0)
        self._header_bytes = self._file.tell()
        return self

    def add(self, picture: NDArray[np.uint8], name: str) -> None:
        """Append a picture, ``[h, w, c]``."""
        height, width, channels = picture.shape
        self._shapes.append((height, width, channels))
        self._names.append(name)
        _add_picture(self._digest, picture)
        self._file.write(picture.tobytes())

    def skip(self, name: str, reason: str) -> None:
        """Note that something was not taken, and why."""
        self._skipped.append((name, reason))

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None and not self._shapes:
            self._abandon()
            raise BankError(
                f"no picture could be taken ({len(self._skipped)} were skipped)",
                where=self.folder,
                fix="check the folder and the exclusion list",
            )
        if kind is not None:
            self._abandon()
            return
        self._file.seek(0)
        self._write_header(sum(h * w * c for h, w, c in self._shapes))
        if self._file.tell() != self._header_bytes:
            self._abandon()
            raise BankError("the array is too large for its header", where=self.folder)
        self._file.close()
        self._write_description()
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self._building.rename(self.folder)

    def _abandon(self) -> None:
        self._file.close()
        shutil.rmtree(self._building, ignore_errors=True)

    def _write_header(self, count: int) -> None:
        # NumPy leaves room in the header for the first axis to grow.
        header = {"descr": "|u1", "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _write_description(self) -> None:
        values = {
            "schema": SCHEMA,
            "kind": self.kind,
            "fingerprint": self._digest.hexdigest(),
            "shapes": self._shapes,
            "names": self._names,
            "skipped": self._skipped,
        }
        text = json.dumps(values) + "\n"
        (self._building / DESCRIPTION_FILE).write_text(text, encoding="utf-8")


def pictures(flat: NDArray[np.uint8], shapes: Sequence[tuple[int, int, int]]) -> list[Any]:
    """Cut a flat array into views of its pictures."""
    views, start = [], 0
    for shape in shapes:
        stop = start + shape[0] * shape[1] * shape[2]
        views.append(flat[start:stop].reshape(shape))
        start = stop
    return views


__all__ = [
    "DESCRIPTION_FILE",
    "PIXELS_FILE",
    "SCHEMA",
    "BankDescription",
    "BankWriter",
    "check_pixels",
    "open_pixels",
    "pictures",
    "read_description",
]
