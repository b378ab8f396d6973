"""Whether what a conversion will write fits on the disk, asked before and while it writes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from posepile_torch.archive.storage import check_free_space
from posepile_torch.cards import Card

_ASSEMBLY_BYTES = 2**29  # parts that wait to be removed while the archive is put together
_INTERVAL_S = 10.0
_LEAST_UNITS = 8
_LEAST_SHARE = 0.02
_SURE = 0.9  # an extrapolation is wrong now and then; what is stopped can be resumed, but waits


@dataclass
class SpaceWatch:
    """Estimates the bytes that are still to come.

    Parts are removed while the archive is put together, so both take the space of one, unless
    parts are kept.

    Attributes:
        root: Folder of archives.
        card: The source's card, which may know the size of the archive.
        units: Units in all.
        is_everything: Whether these are all units of the source.
        keeps_parts: Whether parts stay.
    """

    root: Path
    card: Card
    units: int
    is_everything: bool
    keeps_parts: bool
    _parts: int = 0
    _bytes: int = 0
    _checked_s: float = 0.0

    def check_before(self, missing: int) -> None:
        """Refuse at once if the card says that the archive will not fit.

        Args:
            missing: Units that have no part yet.

        Raises:
            StorageError: With the needed and the free bytes.
        """
        total = self.card.sizes.archive_bytes
        if total is None or not self.is_everything or not missing:
            return
        needed = total * missing / self.units + (total if self.keeps_parts else 0)
        check_free_space(self.root, int(needed), where=self.root)

    def check_after(self, part: Path, units_left: int) -> None:
        """Count a new part, and refuse if the rest will not fit by the size of those so far.

        Raises:
            StorageError: With the needed and the free bytes.
        """
        try:
            self._bytes += part.stat().st_size
        except OSError:
            return  # the unit failed
        self._parts += 1
        enough = max(_LEAST_UNITS, _LEAST_SHARE * self.units)
        now_s = time.monotonic()
        if self._parts < enough or now_s - self._checked_s < _INTERVAL_S:
            return
        self._checked_s = now_s
        mean = self._bytes / self._parts
        needed = mean * units_left + min(_ASSEMBLY_BYTES, mean * self.units)
        if self.keeps_parts:
            needed += mean * self.units
        check_free_space(self.root, int(_SURE * needed), where=self.root)
