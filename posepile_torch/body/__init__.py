"""Body models of the SMPL family, from files that the user has registered for.

Lengths are metres, as the models define them, unless a name ends in ``_mm``. Angles are radians.
"""

from posepile_torch.body.files import BodyFile, find_body_file, read_body_file
from posepile_torch.body.kinds import KINDS, BodyKind
from posepile_torch.body.loading import load_body_model
from posepile_torch.body.model import BodyModel
from posepile_torch.body.regressor import PointRegressor

__all__ = [
    "KINDS",
    "BodyFile",
    "BodyKind",
    "BodyModel",
    "PointRegressor",
    "find_body_file",
    "load_body_model",
    "read_body_file",
]
