"""Finding, reading and checking files of the SMPL family. No file can run code."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posepile_torch.body.kinds import (
    GENDERS,
    KINDS,
    SIDES,
    BodyKind,
    kind_of,
    known_file_names,
    variant_of,
)
from posepile_torch.errors import BodyModelError, BodyModelNotFoundError
from posepile_torch.rawfiles import list_npz, read_npz, read_pickle

FOLDER_VARIABLE = "POSEPILE_BODY_MODELS"
_NO_PARENT = (4294967295, -1)  # -1 as uint32, in which the original files store it
_SUM_TOLERANCE = 1e-4
_NEEDED = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
# (shape, expression) components by their sum: the two releases of SMPL-X.
_SMPLX_SHAPE_SPACES = {400: (300, 100), 20: (10, 10)}

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class BodyFile:
    """The checked contents of one model file. All arrays are read-only; lengths are metres.

    Attributes:
        kind: Which model.
        variant: ``neutral``, ``male`` or ``female``; for MANO ``left`` or ``right``.
        path: Where it was read from.
        sha256: Of the file, for manifests.
        template: [V, 3], vertices of the mean shape in the rest pose.
        shape_basis: [V, 3, B].
        expression_basis: [V, 3, E]; E is 0 but for SMPL-X.
        pose_basis: [V, 3, 9 (J - 1)].
        joint_regressor: [J, V], rows sum to 1.
        weights: [V, J], rows sum to 1.
        parents: Parent of each joint, -1 for the root.
        faces: int64 [F, 3].
        mean_pose: [J, 3], radians: the relaxed hands of the file, zero elsewhere.
        kid_template: [V, 3], template of a child (AGORA), if one was given.
    """

    kind: BodyKind
    variant: str
    path: Path
    sha256: str
    template: Array
    shape_basis: Array
    expression_basis: Array
    pose_basis: Array
    joint_regressor: Array
    weights: Array
    parents: tuple[int, ...]
    faces: NDArray[np.int64]
    mean_pose: Array
    kid_template: Array | None = None

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False


def find_body_file(
    kind: str,
    gender: str = "neutral",
    *,
    side: str = "right",
    folder: str | os.PathLike[str] | None = None,
    needed_by: str | None = None,
) -> Path:
    """Return the file of a model: ``FOLDER/<kind>/<one of the known names>``.

    Args:
        kind: ``smpl``, ``smplh``, ``smplx`` or ``mano``.
        gender: ``neutral``, ``male`` or ``female``; MANO has none.
        side: ``left`` or ``right``, for MANO.
        folder: The folder of body models; the environment variable ``POSEPILE_BODY_MODELS`` if
            not given.
        needed_by: What asks for it, for the message, such as ``"dataset 3dpw"``.

    Raises:
        BodyModelNotFoundError: If there is none; it says what to download and where to put it.
    """
    model = kind_of(kind)
    variant = variant_of(model, gender, side)
    names = known_file_names(model, variant)
    what = model.describe(variant) + (f" needed by {needed_by}" if needed_by else "")
    given = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if not given:
        raise BodyModelNotFoundError(
            f"{what}: no folder of body models is known",
            rule=f"the model files are licensed to each user and looked for in FOLDER/{kind}/",
            fix=f"register at {model.website}, save {names[0]} as FOLDER/{kind}/{names[0]}, and "
            f"pass the folder or set {FOLDER_VARIABLE}=FOLDER",
        )
    place = Path(given) / kind
    present = {
        path.relative_to(place).as_posix().casefold(): path
        for pattern in ("*", "*/*")
        for path in (sorted(place.glob(pattern)) if place.is_dir() else ())
        if path.is_file()
    }
    for name in names:
        if name.casefold() in present:
            return present[name.casefold()]
    others = ", ".join(sorted(path.name for path in present.values())[:6]) or "nothing"
    raise BodyModelNotFoundError(
        f"{what}; looked for {', '.join(names)}",
        where=f"{place} (holds {others})" if place.is_dir() else f"{place} (no such folder)",
        rule="the model files are licensed to each user and do not come with this library",
        fix=f"register at {model.website} and put the file there",
    )


def read_body_file(
    path: str | os.PathLike[str],
    kind: str,
    gender: str = "neutral",
    *,
    side: str = "right",
    num_expression: int | None = None,
    kid_template: Array | None = None,
) -> BodyFile:
    """Read and check a model file, ``.pkl`` (chumpy's included) or ``.npz``.

    Args:
        path: The file.
        kind: ``smpl``, ``smplh``, ``smplx`` or ``mano``.
        gender: ``neutral``, ``male`` or ``female``; MANO has none.
        side: ``left`` or ``right``, for MANO.
        num_expression: How many of the last shape components of an SMPL-X file are expressions,
            where this does not follow from their number (400: 100; 20: 10).
        kid_template: [V, 3], metres, the template of a child (AGORA).

    Raises:
        BodyModelError: If the file is of another model or gender, or breaks a rule of the model.
        UnsafePickleError: If a pickle asks for anything but numbers.
    """
    model = kind_of(kind)
    variant = variant_of(model, gender, side)
    path = Path(path)
    _check_name(path, model, variant)
    try:
        raw = _read_fields(path, model)
        checked = _Checked(raw, model, path)
        basis = checked.array("shapedirs", (model.num_vertices, 3, None))
        shape_count = _shape_count(basis.shape[2], model, num_expression, path)
        pose_shape = (model.num_vertices, 3, model.pose_features)
        return BodyFile(
            kind=model,
            variant=variant,
            path=path,
            sha256=_sha256(path),
            template=checked.array("v_template", (model.num_vertices, 3)),
            shape_basis=basis[..., :shape_count],
            expression_basis=basis[..., shape_count:],
            pose_basis=checked.array("posedirs", pose_shape),
            joint_regressor=checked.rows_of_one(
                "J_regressor", (model.num_joints, model.num_vertices)
            ),
            weights=checked.rows_of_one("weights", (model.num_vertices, model.num_joints)),
            parents=_parents(checked.array("kintree_table", (2, model.num_joints)), path),
            faces=_faces(checked.array("f", (model.num_faces, 3)), model, path),
            mean_pose=_mean_pose(checked, model),
            kid_template=None if kid_template is None else _kid(kid_template, model),
        )
    except FileNotFoundError:
        raise BodyModelNotFoundError(
            f"{model.describe(variant)}: there is no file of this name",
            where=path,
            fix=f"register at {model.website} and put the file there",
        ) from None


class _Checked:
    """Fields of a file, handed out after their shapes and values were checked."""

    def __init__(self, raw: Mapping[str, Any], kind: BodyKind, path: Path) -> None:
        missing = [name for name in _NEEDED if name not in raw]
        if missing:
            raise BodyModelError(
                f"the file has no {', '.join(missing)}; it is no {kind.title} model",
                where=path,
                rule=f"a model file has {', '.join(_NEEDED)}",
                fix=f"download {kind.title} from {kind.website}",
            )
        self._raw, self._kind, self._path = raw, kind, path
        vertices = np.shape(raw["v_template"])[:1]
        if vertices != (kind.num_vertices,) or np.shape(raw["kintree_table"])[1:] != (
            kind.num_joints,
        ):
            raise self._other_model()

    def has(self, name: str) -> bool:
        return name in self._raw

    def array(self, name: str, shape: tuple[int | None, ...]) -> Array:
        array = np.array(self._raw[name])  # a copy of its own, to be frozen
        fits = array.ndim == len(shape) and all(
            expected in (None, got) for expected, got in zip(shape, array.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise BodyModelError(
                f"{name} has the shape {array.shape}",
                where=self._path,
                rule=f"{self._kind.title} has [{wanted}]",
                fix=f"download {self._kind.title} from {self._kind.website}",
            )
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise self._damaged(f"{name} has values that are no finite numbers", "all are finite")
        return array

    def rows_of_one(self, name: str, shape: tuple[int, int]) -> Array:
        array = self.array(name, shape)
        sums = array.sum(axis=1, dtype=np.float64)
        worst = int(np.abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > _SUM_TOLERANCE:
            raise self._damaged(
                f"row {worst} of {name} sums to {sums[worst]:.6g}",
                f"every row sums to 1 within {_SUM_TOLERANCE:g}",
            )
        return array

    def _damaged(self, what: str, rule: str) -> BodyModelError:
        return BodyModelError(
            what, where=self._path, rule=rule, fix="download the file again, it is damaged"
        )

    def _other_model(self) -> BodyModelError:
        counts = np.shape(self._raw["v_template"])[0], np.shape(self._raw["kintree_table"])[-1]
        found = [k.title for k in KINDS.values() if counts == (k.num_vertices, k.num_joints)]
        wanted = self._kind
        return BodyModelError(
            f"this is {found[0] if found else 'another model'} ({counts[0]} vertices, {counts[1]} "
            f"joints), not {wanted.title}",
            where=self._path,
            rule=f"{wanted.title} has {wanted.num_vertices} vertices and {wanted.num_joints} "
            "joints",
            fix=f"download {wanted.title} from {wanted.website}",
        )


def _read_fields(path: Path, kind: BodyKind) -> Mapping[str, Any]:
    wanted = {*_NEEDED, *(name for _, name in kind.hands)}
    if path.suffix.lower() == ".npz":
        # Some releases hold further arrays of Python objects: they are never unpacked.
        names = [name for name in list_npz(path) if name in wanted]
        fields = read_npz(path, names, profile="smpl")
        return {k: v.item() if v.dtype == object and v.ndim == 0 else v for k, v in fields.items()}
    fields = read_pickle(path, "smpl")
    if not isinstance(fields, dict):
        raise BodyModelError(
            f"the pickle holds a {type(fields).__name__}, not the fields of a body model",
            where=path,
            fix=f"download {kind.title} from {kind.website}",
        )
    return {name: value for name, value in fields.items() if name in wanted}


def _check_name(path: Path, kind: BodyKind, variant: str) -> None:
    """Refuse a file whose name says that it is another variant; the content cannot tell."""
    family = SIDES if kind.name == "mano" else GENDERS
    name = path.name.casefold()
    for other in family:
        if other != variant and name in {
            Path(known).name.casefold()
            for known in known_file_names(kind, other)
            if "/" not in known
        }:
            raise BodyModelError(
                f"{kind.describe(variant)} was asked for, and the file is {other} by its name",
                where=path,
                rule="the shape spaces of the variants differ",
                fix=f"give the file of {kind.describe(variant)}, or ask for {other}",
            )


def _shape_count(total: int, kind: BodyKind, num_expression: int | None, path: Path) -> int:
    if kind.name != "smplx":
        return total
    if num_expression is not None:
        if not 0 <= num_expression <= total:
            raise BodyModelError(
                f"num_expression is {num_expression}; the file has {total} components", where=path
            )
        return total - num_expression
    if total not in _SMPLX_SHAPE_SPACES:
        raise BodyModelError(
            f"shapedirs has {total} components",
            where=path,
            rule="SMPL-X has 300 of shape and 100 of expression, or 10 of each",
            fix="say with num_expression how many of the last ones are expressions",
        )
    return _SMPLX_SHAPE_SPACES[total][0]


def _parents(table: Array, path: Path) -> tuple[int, ...]:
    column = {int(joint): index for index, joint in enumerate(table[1])}
    parents = [-1]
    if int(table[0, 0]) not in _NO_PARENT:
        raise BodyModelError(
            f"the root joint has the parent {int(table[0, 0])}",
            where=path,
            rule="the first joint is the root, with parent 4294967295",
        )
    for joint, parent in enumerate(table[0, 1:].tolist(), start=1):
        at = column.get(int(parent), joint)
        if at >= joint:
            raise BodyModelError(
                f"joint {joint} has the parent {int(parent)}",
                where=path,
                rule="every joint but the root comes after its parent",
                fix="download the file again, it is damaged",
            )
        parents.append(at)
    return tuple(parents)


def _faces(faces: Array, kind: BodyKind, path: Path) -> NDArray[np.int64]:
    if faces.min() < 0 or faces.max() >= kind.num_vertices:
        raise BodyModelError(
            f"the faces refer to vertices {int(faces.min())} to {int(faces.max())}",
            where=path,
            rule=f"vertices are numbered 0 to {kind.num_vertices - 1}",
            fix="download the file again, it is damaged",
        )
    return faces.astype(np.int64)


def _mean_pose(checked: _Checked, kind: BodyKind) -> Array:
    mean = np.zeros((kind.num_joints, 3))
    for first, name in kind.hands:
        if checked.has(name):
            mean[first : first + 15] = checked.array(name, (45,)).reshape(15, 3)
    return mean


def _kid(template: Array, kind: BodyKind) -> Array:
    array = np.array(template, dtype=np.float64)
    if array.shape != (kind.num_vertices, 3) or not np.isfinite(array).all():
        raise BodyModelError(
            f"the kid template has the shape {array.shape}",
            rule=f"it is finite and has [{kind.num_vertices}, 3] for {kind.title}",
        )
    return array


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
