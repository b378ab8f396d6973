"""The skeleton of a PosePile dataset, with left and right made explicit.

PosePile inferred the mirror partner of a joint from its first letter whenever it was needed. Here
that is done once, when an archive is opened or imported, only between joints that are both there,
and what was decided is reported.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from posepile_torch import skeletons
from posepile_torch.errors import SkeletonError
from posepile_torch.skeleton import Skeleton


class LegacySkeleton(NamedTuple):
    """A skeleton and how it came about.

    Attributes:
        skeleton: The skeleton; every undirected edge once.
        edge_order: For each of its edges the position in the stored list.
        notes: What was decided or left out, one sentence each.
    """

    skeleton: Skeleton
    edge_order: tuple[int, ...]
    notes: tuple[str, ...]


def skeleton_of(
    joints: Sequence[str], edges: Sequence[tuple[int, int]], *, name: str, where: object
) -> LegacySkeleton:
    """Build the skeleton of a PosePile dataset.

    A joint whose name begins with ``l`` or ``r`` is paired with the joint of the other letter if
    that is in the list, and central otherwise (``root``, ``lumbar``). Joints with the suffix of a
    known convention (``rhip_h36m``) are landmarks of that convention; all others are landmarks of
    the convention ``name``.

    Args:
        joints: Names in order.
        edges: Pairs of positions; repeated ones count once.
        name: Name of the skeleton and of its own convention.
        where: Archive, for messages.

    Raises:
        SkeletonError: If names are not usable or repeated, or an edge names no joint.
    """
    notes: list[str] = []
    present = set(joints)
    pairs, lonely = {}, []
    for joint in joints:
        partner = _other_side(joint)
        if partner in present and joint.startswith("l"):
            pairs[joint] = str(partner)
        elif partner is not None and partner not in present:
            lonely.append(joint)
    if lonely:
        notes.append(f"on the midline, for there is no partner: {', '.join(lonely)}")
    kept = dict(_distinct(edges, len(joints), where))
    if len(kept) < len(edges):
        notes.append(f"{len(edges) - len(kept)} repeated edges or loops were left out")
    landmarks = {
        joint: f"{suffix}:{code}"
        for joint in joints
        for code, _, suffix in [joint.partition("_")]
        if suffix in _conventions() and code
    }
    try:
        skeleton = Skeleton.parse(
            name,
            tuple(joints),
            ",".join(f"{joints[a]}-{joints[b]}" for a, b in kept.values()),
            pairs,
            landmarks=landmarks,
            mirror_edges=False,
        )
    except SkeletonError as error:
        raise SkeletonError(error.what, where=where, rule=error.rule, fix=error.fix) from None
    return LegacySkeleton(skeleton, tuple(kept), tuple(notes))


def mean_bones_mm(lengths: Sequence[float], edge_order: Sequence[int]) -> tuple[float | None, ...]:
    """Return stored mean bone lengths in the order of a skeleton's edges.

    PosePile stored 0 or NaN for a bone that no example has; it is None here.
    """
    kept = (float(lengths[edge]) for edge in edge_order)
    return tuple(value if np.isfinite(value) and value > 0 else None for value in kept)


def agreed(stored: Skeleton, wanted: Skeleton | None, *, where: object) -> Skeleton:
    """Return the skeleton that was asked for if its joints are those that are stored.

    Raises:
        SkeletonError: If they are not.
    """
    if wanted is None:
        return stored
    if wanted.joints != stored.joints:
        raise SkeletonError(
            f"the archive has the joints {' '.join(stored.joints)}; "
            f"{wanted.name} has {' '.join(wanted.joints)}",
            where=where,
            rule="a skeleton given for an archive has its joints in its order",
            fix="leave the skeleton out, or name another",
        )
    return wanted


def _other_side(joint: str) -> str | None:
    swapped = {"l": "r", "r": "l"}.get(joint[:1])
    return None if swapped is None else swapped + joint[1:]


def _distinct(
    edges: Sequence[tuple[int, int]], count: int, where: object
) -> Iterator[tuple[int, tuple[int, int]]]:
    seen = set()
    for position, (a, b) in enumerate(edges):
        if not (0 <= a < count and 0 <= b < count):
            raise SkeletonError(
                f"the edge ({a}, {b}) names a joint that is not among {count}", where=where
            )
        if a != b and frozenset((a, b)) not in seen:
            seen.add(frozenset((a, b)))
            yield position, (a, b)


@functools.cache
def _conventions() -> frozenset[str]:
    return frozenset(skeletons.about(name).convention for name in skeletons.names())
