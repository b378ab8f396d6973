"""People for fabricated raw files: joints that move like a body, pictures with marks on them.

The pictures are drawn from pixels, so that every fixture projects by its dataset's own formulae
and the library's cameras are not the judge of themselves.
"""

import cv2
import numpy as np

from posepile_torch.mannequin.body import JOINTS, Proportions, posed
from posepile_torch.mannequin.marks import with_marks
from posepile_torch.mannequin.motion import Place, act

_BONES = (
    "htop-head head-neck neck-spin spin-pelv neck-lsho lsho-lelb lelb-lwri neck-rsho rsho-relb "
    "relb-rwri pelv-lhip lhip-lkne lkne-lank lank-ltoe pelv-rhip rhip-rkne rkne-rank rank-rtoe"
)
_BETWEEN = {  # joints that the mannequin has not, on the line through two that it has
    "bell": ("pelv", "spin", 0.5),
    "thor": ("spin", "neck", 0.5),
    "cla": ("neck", "sho", 0.4),
    "han": ("elb", "wri", 1.35),
    "thu": ("elb", "wri", 1.3),
    "fin": ("elb", "wri", 1.5),
    "foo": ("ank", "toe", 0.6),
    "nose": ("neck", "head", 1.3),
    "eye": ("neck", "head", 1.6),
    "ear": ("neck", "head", 1.5),
}


def moving(seed, frames, spot=(0.0, 0.0), activity="waving"):
    """Joints ``[frames, 19, 3]`` of one person in the order of ``JOINTS``; mm, y up."""
    rng = np.random.default_rng(seed)
    body = Proportions.drawn(rng)
    place = Place(spot, float(rng.uniform(-0.3, 0.3)), 1000.0, 0.0, 0.4)
    times_s = 0.4 * np.arange(frames, dtype=float)
    return posed(body, act(activity, body, place, times_s, rng)).joints.astype(float)


def joint(joints, name):
    """One joint ``[..., 3]`` by its name in any skeleton, for example ``lcla`` or ``pelv2``."""
    name = name.rstrip("2")
    if name in JOINTS:
        return joints[..., JOINTS.index(name), :]
    stem = name if name in _BETWEEN else name[1:]
    first, second, share = _BETWEEN[stem]
    side = "" if stem == name else name[0]
    ends = [part if part in JOINTS else side + part for part in (first, second)]
    start, end = (joint(joints, end) for end in ends)
    return start + share * (end - start)


def joints_of(joints, names):
    """Joints ``[..., len(names), 3]`` by name."""
    return np.stack([joint(joints, name) for name in names], axis=-2)


def picture(size, pixels, depth):
    """Draw people ``pixels [P, 19, 2], depth [P, 19]`` before a shaded wall, with marks."""
    width, height = size
    shade = 90 + 50 * np.outer(np.cos(np.arange(height) / 70), np.sin(np.arange(width) / 90))
    image = cv2.cvtColor(shade.astype(np.uint8), cv2.COLOR_GRAY2RGB)
    for person in pixels:
        for bone in _BONES.split():
            ends = [tuple(np.rint(person[JOINTS.index(end)]).tolist()) for end in bone.split("-")]
            ends = [(int(a), int(b)) for a, b in ends]
            cv2.line(image, ends[0], ends[1], (150, 130, 120), 11, cv2.LINE_AA)
    return with_marks(image, pixels, depth)
