"""Paints marks on the joints of any skeleton, and finds them again.

The mannequin has a colour for each of its joints. Here joint number i of a skeleton has the colour
of joint i modulo 19, so that neighbours, and the left and right of a pair, always differ.
"""

import numpy as np

from posepile_torch.mannequin import find_marks
from posepile_torch.mannequin.body import JOINTS
from posepile_torch.mannequin.marks import with_marks


def paint(image, points):
    """Return the image with a mark on every joint of ``points``, ``[P, J, 2]``; NaN has none."""
    groups = _in_groups(points)
    return with_marks(image, groups, np.zeros(groups.shape[:-1]))


def find(image, near):
    """Return where the marks near ``near``, ``[P, J, 2]``, are; NaN where no whole mark is."""
    near = np.asarray(near, np.float64)
    found = find_marks(image, JOINTS, near=_in_groups(near))
    people, joints, _ = near.shape
    return found.reshape(people, -1, 2)[:, :joints]


def _in_groups(points):
    people, joints, _ = points.shape
    padding = np.full((people, -joints % len(JOINTS), 2), np.nan)
    return np.concatenate([points, padding], axis=1).reshape(-1, len(JOINTS), 2)
