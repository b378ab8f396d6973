"""From the name of a body model to one that computes."""

from __future__ import annotations

import os
from typing import Any, Literal

import torch
from numpy.typing import NDArray

from posepile_torch.body.files import find_body_file, read_body_file
from posepile_torch.body.model import BodyModel
from posepile_torch.body.smplx_backend import SmplxBodyModel
from posepile_torch.errors import UnknownNameError

_BACKENDS: dict[str, type[BodyModel]] = {"own": BodyModel, "smplx": SmplxBodyModel}


def load_body_model(
    kind: str,
    gender: str = "neutral",
    *,
    side: str = "right",
    folder: str | os.PathLike[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    needed_by: str | None = None,
    num_expression: int | None = None,
    kid_template: NDArray[Any] | None = None,
    dtype: torch.dtype = torch.float32,
    flat_hand_mean: bool = True,
    chunk_size: int = 16,
    backend: Literal["own", "smplx"] = "own",
) -> BodyModel:
    """Load a body model from a file that the user has downloaded.

    Args:
        kind: ``smpl``, ``smplh``, ``smplx`` or ``mano``.
        gender: ``neutral``, ``male`` or ``female``; MANO has none.
        side: ``left`` or ``right``, for MANO.
        folder: Folder with ``smpl/``, ``smplh/``, ``smplx/`` and ``mano/``; the environment
            variable ``POSEPILE_BODY_MODELS`` if not given.
        path: The file itself, instead of a folder.
        needed_by: What asks for the model, for messages, such as ``"dataset 3dpw"``.
        num_expression: See :func:`read_body_file`.
        kid_template: [V, 3], metres, the template of a child (AGORA).
        dtype: ``torch.float32`` or ``torch.float64``.
        flat_hand_mean: Whether a hand pose of zeros is the flat hand; see :class:`BodyModel`.
        chunk_size: How many bodies are skinned at once.
        backend: ``own``, or ``smplx`` to compute with the package of that name (extra ``body``;
            its licence is non-commercial).

    Raises:
        BodyModelNotFoundError: If there is no such file.
        BodyModelError: If it is of another model, or damaged.
    """
    if backend not in _BACKENDS:
        raise UnknownNameError.among("body model backend", backend, _BACKENDS)
    if path is None:
        path = find_body_file(kind, gender, side=side, folder=folder, needed_by=needed_by)
    file = read_body_file(
        path, kind, gender, side=side, num_expression=num_expression, kid_template=kid_template
    )
    return _BACKENDS[backend](
        file, dtype=dtype, flat_hand_mean=flat_hand_mean, chunk_size=chunk_size
    )
