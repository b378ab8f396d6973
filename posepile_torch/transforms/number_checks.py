"""Rules that the numbers of a recipe have to keep; each names the number that breaks one."""

from __future__ import annotations

from typing import Any

from posepile_torch.errors import RecipeError

Range = tuple[float, float]
"""Lower and upper end."""


def require(is_fine: bool, owner: object, field: str, rule: str) -> None:
    """Raise the error for a number that breaks its rule.

    Raises:
        RecipeError: If ``is_fine`` is false.
    """
    if not is_fine:
        raise RecipeError(
            f"{field} is {getattr(owner, field)!r}",
            where=type(owner).__name__,
            rule=rule,
            fix="correct the number; docs/transforms.md explains every one",
        )


def check_number(owner: Any, field: str, low: float, high: float) -> None:
    """Ask for a number within bounds."""
    value = getattr(owner, field)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    require(is_number and low <= value <= high, owner, field, f"it is a number in {low}..{high}")


def check_shares(owner: Any, *fields: str) -> None:
    """Ask for numbers between 0 and 1, as probabilities and shares are."""
    for field in fields:
        check_number(owner, field, 0.0, 1.0)


def check_range(owner: Any, field: str, low: float, high: float, *, whole: bool = False) -> None:
    """Ask for an ascending pair of numbers within bounds."""
    value = getattr(owner, field)
    kinds = int if whole else int | float
    require(
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(v, kinds) and not isinstance(v, bool) for v in value)
        and low <= value[0] <= value[1] <= high,
        owner,
        field,
        f"it is an ascending pair of {'whole ' if whole else ''}numbers in {low}..{high}",
    )


def check_choice(owner: Any, field: str, *choices: str) -> None:
    """Ask for one of a few words."""
    require(getattr(owner, field) in choices, owner, field, f"it is one of {', '.join(choices)}")


def is_size(value: Any) -> bool:
    """Tell whether a value is a ``(width, height)`` that an image can have."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= 8192 for v in value)
    )
