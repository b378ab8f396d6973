"""Named pipelines from record to sample: frozen numbers, nothing hidden."""

from __future__ import annotations

from dataclasses import dataclass

from posepile_torch.errors import PosepileError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers of a pipeline.

    Attributes:
        name: What to call it in logs and reports.
        side_px: Side of the square image.
    """

    name: str
    side_px: int

    def __post_init__(self) -> None:
        if not 8 <= self.side_px <= 4096:
            raise PosepileError(
                f"side_px is {self.side_px!r}", where=f"recipe {self.name}", rule="it is 8..4096"
            )


def evaluation(*, side: int = 256) -> Recipe:
    """Return the recipe without any augmentation: the person's box fills the image."""
    return Recipe(name="evaluation", side_px=side)
