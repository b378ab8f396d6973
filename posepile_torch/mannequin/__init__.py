"""The mannequin: a synthetic source that the library renders itself.

Shaded people with different bodies act in furnished rooms and are filmed by cameras with different
lenses; every joint, mask and occlusion is known exactly. :func:`write_raw` stores it in a raw
layout of its own, which is converted like that of any other source. Nothing here is needed to
train on the result.
"""

from posepile_torch.mannequin.marks import MARK_COLOURS, find_marks
from posepile_torch.mannequin.raw import write_raw
from posepile_torch.mannequin.takes import MannequinOptions, Take, planned_takes

__all__ = [
    "MARK_COLOURS",
    "MannequinOptions",
    "Take",
    "find_marks",
    "planned_takes",
    "write_raw",
]
