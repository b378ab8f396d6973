"""The standard skeletons of public datasets, detectors and body models.

``get("h36m_17")`` returns a :class:`~posepile_torch.skeleton.Skeleton`; ``about("h36m_17")`` also
says where the order comes from and what is not yet confirmed on real files. Names end in the
number of joints. Where one dataset is read in two orders in the field, both are listed
(``h36m_17`` starts with the pelvis, ``h36m_17_root_last`` ends with it).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from posepile_torch.errors import UnknownNameError
from posepile_torch.skeleton import Skeleton


@dataclass(frozen=True, kw_only=True)
class StandardSkeleton:
    """A skeleton of the table, as it was written down, with its evidence.

    Args:
        name: What users type; ends in the number of joints.
        title: One line for lists.
        joints: Joint names, blank-separated, in array order.
        edges: Edge text of :meth:`Skeleton.parse`; one side is enough.
        sided: Stems beyond the standard ones that come in left-right pairs.
        mirror: Mirror pairs, where they do not follow from stems.
        convention: Body-landmark convention of the joints.
        landmarks: Joints that mean something else than ``"<convention>:<joint>"``.
        aliases: Exact spellings used by this dataset for its joints.
        source: Where the order was taken from.
        note: What a user should know, above all what is not confirmed.
        verified: False if the order was inferred or two sources disagree.
    """

    name: str
    title: str
    joints: str
    convention: str
    source: str
    edges: str = ""
    sided: str = ""
    mirror: Mapping[str, str] | None = None
    landmarks: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    verified: bool = True

    @functools.cached_property
    def skeleton(self) -> Skeleton:
        """The parsed and checked skeleton."""
        return Skeleton.parse(
            self.name,
            self.joints,
            self.edges,
            self.mirror,
            sided=self.sided,
            convention=self.convention,
            landmarks=self.landmarks,
            aliases=self.aliases,
        )


def get(name: str) -> Skeleton:
    """Return the standard skeleton of this exact name.

    Raises:
        UnknownNameError: If there is none; near misses are listed.
    """
    return about(name).skeleton


def about(name: str) -> StandardSkeleton:
    """Return a standard skeleton together with its source, note and verification state.

    Raises:
        UnknownNameError: If there is none; near misses are listed.
    """
    table = _table()
    if name not in table:
        raise UnknownNameError.among("skeleton", name, table)
    return table[name]


def names() -> tuple[str, ...]:
    """Return the names of all standard skeletons, sorted."""
    return tuple(sorted(_table()))


@functools.cache
def _table() -> Mapping[str, StandardSkeleton]:
    # The tables use StandardSkeleton, and most programs need none or one of them.
    from posepile_torch._skeletons_image import TABLE as IMAGE
    from posepile_torch._skeletons_mocap import TABLE as MOCAP
    from posepile_torch._skeletons_model import TABLE as MODEL

    return MappingProxyType({entry.name: entry for entry in (*MODEL, *IMAGE, *MOCAP)})
