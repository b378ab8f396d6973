"""The list of images that were refused or repaired during a conversion.

One line of JSON for each image, with the path below the raw folder, the reason as a word, the
same for people, and the SHA-256 of the bytes. A conversion fails when too large a share of its
images was refused: a few broken files are life, many are a wrong download or a bug.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Self, TextIO

from posepile_torch.errors import ConversionError, UnreadableRawFileError
from posepile_torch.intake import Intake

LIMIT_SHARE = 0.001
"""Largest share of quarantined images that a conversion accepts by default."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Incident:
    """One line of the list.

    Attributes:
        path: Where the image lay, relative to the raw folder, with forward slashes.
        status: ``"quarantined"`` or ``"repaired"``.
        reason: As in :class:`posepile_torch.intake.Intake`.
        detail: The same for people.
        sha256: Of the bytes, in hexadecimal.
        size_bytes: How many bytes there were.
    """

    path: str
    status: str
    reason: str
    detail: str
    sha256: str
    size_bytes: int


class QuarantineList:
    """Writes a quarantine list while images are taken in, and judges it at the end.

    Use it as a context manager, and call :meth:`record` for **every** image, sound ones too: the
    limit is a share. The file is replaced when the list is opened, since a work unit that is
    begun again is begun anew.

    Args:
        path: The JSONL file to write; its folder must exist.
        limit_share: Largest share of quarantined images that :meth:`check` accepts.
    """

    def __init__(self, path: str | Path, *, limit_share: float = LIMIT_SHARE) -> None:
        self.path = Path(path)
        self.limit_share = limit_share
        self.examined = 0
        self.repaired: collections.Counter[str] = collections.Counter()
        self.quarantined: collections.Counter[str] = collections.Counter()
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        self._file = self.path.open("w", encoding="utf-8", newline="\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def record(self, raw_path: str | PurePath, intake: Intake) -> bool:
        """Count an image, and write a line unless it is ok. Returns whether it can be used.

        Args:
            raw_path: Its place relative to the raw folder.
            intake: What :func:`posepile_torch.intake.probe` said.

        Raises:
            ConversionError: If the list is not open, or the path is absolute (an archive must
                not tell where on a disk it was made).
        """
        place = PurePath(raw_path)
        if self._file is None or place.is_absolute():
            raise ConversionError(
                f"cannot record {str(place)!r} in the quarantine list",
                where=self.path,
                rule="the list is open, and its paths are relative to the raw folder",
                fix="use it in a `with` block, with path.relative_to(raw_folder)",
            )
        self.examined += 1
        if intake.status == "ok":
            return True
        usable = intake.status == "repaired"
        (self.repaired if usable else self.quarantined)[intake.reason] += 1
        incident = Incident(
            path=place.as_posix(),
            status=intake.status,
            reason=intake.reason,
            detail=intake.detail,
            sha256=hashlib.sha256(intake.original).hexdigest(),
            size_bytes=len(intake.original),
        )
        # ASCII, so that file names that are not UTF-8 survive as escapes.
        self._file.write(json.dumps(dataclasses.asdict(incident), sort_keys=True) + "\n")
        self._file.flush()
        return usable

    @property
    def share(self) -> float:
        """Share of examined images that were quarantined; 0 before the first."""
        return self.quarantined.total() / self.examined if self.examined else 0.0

    def summary(self) -> dict[str, Any]:
        """Return the counts, for a manifest."""
        return {
            "examined": self.examined,
            "repaired": dict(sorted(self.repaired.items())),
            "quarantined": dict(sorted(self.quarantined.items())),
        }

    def check(self) -> None:
        """Judge the share of quarantined images.

        Raises:
            ConversionError: If it is above the limit.
        """
        if self.share > self.limit_share:
            counts = ", ".join(f"{n} {word}" for word, n in self.quarantined.most_common())
            raise ConversionError(
                f"{self.quarantined.total()} of {self.examined} images cannot be used ({counts})",
                where=self.path,
                rule=f"at most {self.limit_share:.4%} of the images may be quarantined",
                fix="look at the list, fetch broken files again, or raise the limit on purpose",
            )


def read_quarantine(path: str | Path) -> Iterator[Incident]:
    """Read a list back, one incident at a time.

    Raises:
        UnreadableRawFileError: If a line is not one of ours.
    """
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield Incident(**json.loads(line))
            except (ValueError, TypeError):
                raise UnreadableRawFileError(
                    f"line {number} is not an incident", where=path
                ) from None
