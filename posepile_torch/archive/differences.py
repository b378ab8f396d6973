"""Two JSON values side by side: what a person needs to see when they should have been equal."""

from __future__ import annotations

from typing import Any


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """List where two JSON values differ, as ``a.b: old became new``.

    Args:
        old: The earlier value.
        new: The later value.
        path: Where in a larger value both lie.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        return found
    return [] if old == new else [f"{path}: {old!r:.80} became {new!r:.80}"]
