"""What the joint codes mean, and the other spellings under which the same names are known.

A joint is called by a short lower-case code: an optional side letter (``l`` or ``r``), a stem of
three or four letters, an optional number. The tables here are consulted when a skeleton is
*defined* (which stems come in left-right pairs, which region they belong to) and when a name
typed by a user is looked up. Look-up is exact: a spelling is in the table or it is unknown; no
prefix or similarity is ever used.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

CENTRAL_STEMS: Mapping[str, str] = MappingProxyType(
    {
        "htop": "head_top",
        "head": "head",
        "neck": "neck",
        "thor": "thorax",
        "chest": "chest",
        "spin": "spine",
        "bell": "belly",
        "pelv": "pelvis",
        "nose": "nose",
        "jaw": "jaw",
        "chin": "chin",
    }
)
"""Stems of joints on the body's midline, with their long English names."""

SIDED_STEMS: Mapping[str, str] = MappingProxyType(
    {
        "sho": "shoulder",
        "elb": "elbow",
        "wri": "wrist",
        "han": "hand",
        "thu": "thumb",
        "fin": "finger",
        "hip": "hip",
        "kne": "knee",
        "ank": "ankle",
        "toe": "toe",
        "foo": "foot",
        "hee": "heel",
        "cla": "clavicle",
        "eye": "eye",
        "ear": "ear",
    }
)
"""Stems that exist once per side (``lhip`` and ``rhip``), with their long English names."""

_REGION_STEMS = {
    "head": "htop head nose jaw chin eye ear eyehf brow face mouth lip eyebrow contour "
    "nosemiddle mouthtop mouthbottom toplip bottomlip contourmiddle",
    "torso": "neck thor chest spin spi bell pelv cla",
    "arm": "sho elb wri",
    "hand": "han thu fin pinkie pinky index middle ring",
    "leg": "hip kne ank",
    "foot": "foo toe hee to",
}
_REGION_OF_STEM = {stem: region for region, text in _REGION_STEMS.items() for stem in text.split()}
_SIDED_REGIONS = ("arm", "hand", "leg", "foot")


def bare_stem(name: str) -> str:
    """Return a joint name without its union suffix and its trailing number.

    The suffix is everything from the first underscore on: ``"spi2_gpa"`` gives ``"spi"``. The
    side letter stays, because only the definition of a skeleton knows whether there is one.
    """
    return name.split("_", 1)[0].rstrip("0123456789")


def region(name: str, side: str | None) -> str | None:
    """Return the name of the body region that a joint belongs to, or None if there is none.

    Args:
        name: The joint's name, for example ``"rkne"``.
        side: ``"left"`` or ``"right"`` if the skeleton says so, None for the midline.

    Returns:
        ``"head"``, ``"torso"``, or a region with its side such as ``"left_arm"``.
    """
    stem = bare_stem(name)
    found = _REGION_OF_STEM.get(stem if side is None else stem[1:])
    if found in _SIDED_REGIONS:
        return None if side is None else f"{side}_{found}"
    return found


@functools.cache
def common_spellings() -> Mapping[str, str]:
    """Return the table of spellings that mean the same code in every dataset.

    ``right_hip``, ``r_hip``, ``RHip``, ``R_Hip``, ``rightHip``, ``RightHip``, ``right-hip`` and
    ``right hip`` all map to ``rhip``; ``head_top``, ``headTop`` and ``HeadTop`` to ``htop``.
    Names that mean different points in different datasets (``head_bottom``, ``mid_hip``) are not
    here; the skeleton that uses them lists them itself.
    """
    table: dict[str, str] = {}
    for code, long_name in CENTRAL_STEMS.items():
        for spelling in _casings(long_name.split("_")):
            table.setdefault(spelling, code)
    for stem, long_name in SIDED_STEMS.items():
        for letter, side in (("l", "left"), ("r", "right")):
            for spelling in (*_casings([side, long_name]), *_casings([letter, long_name])):
                table.setdefault(spelling, letter + stem)
    return MappingProxyType(table)


def _casings(words: list[str]) -> list[str]:
    lower = [word.lower() for word in words]
    title = [word.capitalize() for word in words]
    joined = [separator.join(case) for case in (lower, title) for separator in ("_", "-", " ", "")]
    return [*joined, lower[0] + "".join(title[1:]), "_".join(word.upper() for word in words)]
