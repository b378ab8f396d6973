"""Hints: how a source differs from others in ways that training must know.

They travel in the manifest of every archive, so that no code ever guesses a dataset from a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from posepile_torch.card_rules import Problem, json_ready
from posepile_torch.errors import CardError

_T = TypeVar("_T", "Hints", "PhotometricFix")


@dataclass(frozen=True)
class PhotometricFix:
    """A correction of colours that some recordings need.

    Attributes:
        gamma: Exponent applied to pixel values in 0..1; below 1 brightens.
        white_balance_ab: Mean of the a and b channels (8-bit CIELAB, neutral at 128) of the
            uncorrected images; the cast is removed in proportion to L. None leaves the balance
            alone.
        sequences: Names of the sequences that need it; empty for all.
        already_applied: True if converted archives hold corrected pixels, so that a loader must
            not correct them again.
    """

    gamma: float = 1.0
    white_balance_ab: tuple[float, float] | None = None
    sequences: tuple[str, ...] = ()
    already_applied: bool = False


@dataclass(frozen=True)
class Hints:
    """What a loader must know about a source; stored in the manifest of its archives.

    Attributes:
        realistic_background: The backgrounds are varied and real (or look so); replacing them
            should be rare.
        blank_background: People stand before one flat colour; replacing it is always right.
        single_person: Every image shows one person, so nobody else can be hit by an occluder or
            kept by a mask.
        has_mask: Records carry a mask of their person.
        has_camera: Records carry a calibrated camera; False for camera-less 2D data.
        surface_valid: Body-model parameters describe the visible surface well enough to supervise
            vertices, not only joints.
        photometric: Colour corrections, in the order in which they apply.
    """

    realistic_background: bool = False
    blank_background: bool = False
    single_person: bool = False
    has_mask: bool = False
    has_camera: bool = True
    surface_valid: bool = False
    photometric: tuple[PhotometricFix, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the hints as JSON values."""
        return json_ready(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Hints:
        """Read what :meth:`to_dict` wrote.

        Raises:
            CardError: If a hint is not known, as in an archive from a newer version.
        """
        fixes = [
            _built(PhotometricFix, {k: _tupled(v) for k, v in entry.items()})
            for entry in values.get("photometric", ())
        ]
        return _built(cls, {**values, "photometric": tuple(fixes)})

    def problems(self) -> Iterator[Problem]:
        """Yield every rule that these hints break; a card asks for them when it is made."""
        if self.realistic_background and self.blank_background:
            yield Problem(
                "blank_background",
                "a background cannot be blank and realistic",
                "at most one of realistic_background and blank_background is set",
                "unset one",
            )
        for number, fix in enumerate(self.photometric):
            balance = fix.white_balance_ab or (128.0, 128.0)
            if not 0.1 <= fix.gamma <= 10 or not all(0 <= v <= 255 for v in balance):
                yield Problem(
                    f"photometric[{number}]",
                    f"{fix} is outside its range",
                    "gamma lies in 0.1..10 and the means of a and b in 0..255",
                    "correct the numbers",
                )


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _built(kind: type[_T], values: Mapping[str, Any]) -> _T:
    unknown = sorted(set(values) - {entry.name for entry in fields(kind)})
    if unknown:
        raise CardError(
            f"unknown hints {unknown}",
            where=kind.__name__,
            rule="hints are those that this version of the library knows",
            fix="upgrade posepile-torch: the archive was written by a newer version",
        )
    return kind(**values)


__all__ = ["Hints", "PhotometricFix"]
