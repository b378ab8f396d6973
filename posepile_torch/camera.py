"""Cameras: where a world point lands in an image, and which ray a pixel looks along.

World and camera coordinates are millimetres; ``x_cam = R (X - t)`` with x right, y down and z
forward; pixel centres are at integer coordinates, so an image covers ``[-0.5, W - 0.5)``. All
arithmetic is float64: kilometre-sized world coordinates keep their sub-micrometre differences.
The formulae of lenses and the mirrored camera are in ``docs/conventions.md``.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posepile_torch import camera_checks, rotations
from posepile_torch.errors import CameraError
from posepile_torch.lenses import LENS_MODELS, Lens

__all__ = ["LENS_MODELS", "Camera", "Lens"]

Floats = NDArray[np.float64]

SAME_CENTRE_MM = 1e-6
"""Optical centres closer than this (plus 4 ulp of their size) are the same point."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Camera:
    """A calibrated camera; immutable, float64, its arrays read-only.

    World points are mm, ``x_cam = R (X - t)`` (x right, y down, z forward), pixels have their
    centres at integer coordinates. Points that the camera cannot see or that its lens model does
    not cover become NaN; they never become a wrong finite value. Participles (``turned_towards``,
    ``cropped``, ...) return a new camera.

    A left-right mirrored image is described by a camera whose ``R`` has determinant -1 (see
    :meth:`flipped` and :attr:`is_mirrored`).

    The constructor checks shapes only. Cameras read from raw files go through :meth:`validated`.

    Args:
        R: ``[3, 3]`` rotation, world to camera.
        t: ``[3]`` optical centre in the world, mm.
        K: ``[3, 3]`` intrinsics in pixels, last row ``0 0 1``.
        size: Image ``(width, height)`` in pixels; ``(0, 0)`` until it is known.
        lens: Lens model; default is an ideal pinhole.
        world_up: ``[3]`` direction that is up in the world; used to level a turned camera.

    Raises:
        CameraError: If an argument has the wrong shape or is not numeric.
    """

    R: Floats
    t: Floats
    K: Floats
    size: tuple[int, int]
    lens: Lens = dataclasses.field(default_factory=Lens)
    world_up: Floats = dataclasses.field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))

    def __post_init__(self) -> None:
        for name, shape in (("R", (3, 3)), ("t", (3,)), ("K", (3, 3)), ("world_up", (3,))):
            array = camera_checks.frozen_array(name, getattr(self, name), shape)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "size", camera_checks.as_size(self.size, is_known=False))
        if not isinstance(self.lens, Lens):
            raise CameraError(
                f"lens is a {type(self.lens).__name__}",
                rule="the lens model is explicit, never guessed from the coefficients",
                fix="pass Lens.none(), Lens.brown_conrady(...), Lens.kannala_brandt(...), ...",
            )

    # ---- construction and storage -----------------------------------------------------------

    @classmethod
    def from_extrinsics(
        cls,
        *,
        R: ArrayLike,
        T: ArrayLike,
        K: ArrayLike,
        size: tuple[int, int],
        lens: Lens | None = None,
        world_up: ArrayLike = (0.0, 0.0, 1.0),
    ) -> Self:
        """Build a camera from the other common form, ``x_cam = R X + T`` (``T`` in mm)."""
        rotation = camera_checks.frozen_array("R", R, (3, 3))
        translation = camera_checks.frozen_array("T", T, (3,))
        return cls(
            R=rotation,
            t=-camera_checks.inverse("R", rotation) @ translation,
            K=camera_checks.frozen_array("K", K, (3, 3)),
            size=size,
            lens=lens or Lens.none(),
            world_up=camera_checks.frozen_array("world_up", world_up, (3,)),
        )

    @classmethod
    def from_fov(
        cls,
        size: tuple[int, int],
        fov_rad: float,
        *,
        R: ArrayLike | None = None,
        t: ArrayLike = (0.0, 0.0, 0.0),
        world_up: ArrayLike | None = None,
    ) -> Self:
        """Build a pinhole camera whose longer image side spans the angle ``fov_rad``.

        Square pixels, principal point in the image centre. Without ``R`` the world frame is the
        camera frame; without ``world_up`` the camera counts as level.
        """
        if not 0 < fov_rad < math.pi:
            raise CameraError(
                f"field of view {fov_rad!r} rad",
                rule="a pinhole field of view lies between 0 and pi radians",
                fix="convert degrees with math.radians()",
            )
        width, height = size = camera_checks.as_size(size)
        focal = max(width, height) / (2 * math.tan(fov_rad / 2))
        K = [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]
        rotation = np.eye(3) if R is None else camera_checks.frozen_array("R", R, (3, 3))
        up = -rotation[1] if world_up is None else np.asarray(world_up)
        centre = camera_checks.frozen_array("t", t, (3,))
        return cls(R=rotation, t=centre, K=np.array(K), size=size, world_up=up)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a camera from :meth:`to_dict`; all keys are required, none may be added."""
        names = {field.name for field in dataclasses.fields(cls)}
        if set(data) != names:
            raise CameraError(
                f"a stored camera has the keys {sorted(data)}",
                rule=f"a stored camera has exactly the keys {sorted(names)}",
                fix="store cameras with Camera.to_dict()",
            )
        return cls(**{**data, "lens": Lens.from_dict(data["lens"])})

    def to_dict(self) -> dict[str, Any]:
        """Return the camera as JSON-able lists and numbers that restore it bit by bit."""
        return {
            "R": self.R.tolist(),
            "t": self.t.tolist(),
            "K": self.K.tolist(),
            "size": list(self.size),
            "lens": self.lens.to_dict(),
            "world_up": self.world_up.tolist(),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, so that unpickled arrays are read-only again.
        return _rebuild, (type(self), self.R, self.t, self.K, self.size, self.lens, self.world_up)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Camera):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @functools.cached_property
    def _key(self) -> tuple[Any, ...]:
        arrays = (self.R, self.t, self.K, self.world_up)
        return (*(tuple(a.ravel().tolist()) for a in arrays), self.size, self.lens)

    # ---- properties -------------------------------------------------------------------------

    @property
    def is_pinhole(self) -> bool:
        """Whether the lens bends nothing, so that straight lines stay straight."""
        return self.lens.is_ideal

    @property
    def is_mirrored(self) -> bool:
        """Whether the image is a left-right mirror image of the world (det R < 0)."""
        return bool(np.linalg.det(self.R) < 0)

    @functools.cached_property
    def _R_inverse(self) -> Floats:
        # Published rotations are orthonormal to a few digits only; the transpose would not undo R.
        return camera_checks.inverse("R", self.R)

    @functools.cached_property
    def _K_inverse(self) -> Floats:
        return camera_checks.inverse("K", self.K)

    def validated(
        self,
        *,
        where: object = None,
        allow_mirror: bool = False,
        evidence: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Self:
        """Return the camera itself if it can be a real one; the gate for every raw camera.

        Finite values, focal lengths > 0, upper triangular K, ``R`` orthonormal within 1e-3 with
        determinant +1, positive size, principal point inside twice the image.

        Args:
            where: Dataset, sequence and camera, for the error.
            allow_mirror: Accept a reflection (determinant -1), for data documented as mirrored.
            evidence: World points ``[N, 3]`` (mm) and their pixels ``[N, 2]``. If they disagree
                with the camera, the error says which common mistake would explain it.

        Raises:
            CameraError: Naming the value and the rule.
        """
        camera_checks.check_camera(self, where=where, allow_mirror=allow_mirror)
        if evidence is not None:
            camera_checks.check_evidence(self, *evidence, where=where)
        return self

    # ---- points -----------------------------------------------------------------------------

    def to_camera(self, world: ArrayLike) -> Floats:
        """Map world points ``[..., 3]`` (mm) to camera-frame points ``[..., 3]`` (mm)."""
        with np.errstate(invalid="ignore"):
            return np.asarray((_points(world, 3) - self.t) @ self.R.T)

    def to_world(self, camera_points: ArrayLike) -> Floats:
        """Map camera-frame points ``[..., 3]`` (mm) to world points ``[..., 3]`` (mm)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(_points(camera_points, 3) @ self._R_inverse.T + self.t)

    def project(self, world: ArrayLike) -> Floats:
        """Map world points ``[..., 3]`` (mm) to pixels ``[..., 2]``.

        NaN for points that are not in front of the camera or outside the lens's valid region;
        pixels outside the image are returned as they are (see :meth:`is_in_view`).
        """
        return self.project_camera(self.to_camera(world))

    def project_camera(self, camera_points: ArrayLike) -> Floats:
        """Map camera-frame points ``[..., 3]`` (mm) to pixels; NaN as in :meth:`project`."""
        points = _points(camera_points, 3)
        depth = points[..., 2:]
        with np.errstate(all="ignore"):
            ideal = np.where(depth > 0, points[..., :2] / depth, np.nan)
            ideal = np.where(np.isfinite(ideal), ideal, np.nan)
            return np.asarray(self.lens.distort(ideal) @ self.K[:2, :2].T + self.K[:2, 2])

    def back_project(self, pixels: ArrayLike, depth_mm: ArrayLike | None = None) -> Floats:
        """Map pixels ``[..., 2]`` to camera-frame points ``[..., 3]`` at the given depth.

        ``depth_mm`` is the z coordinate, a number or ``[...]``; without it the rays have z = 1.
        NaN for pixels that no valid ray reaches.
        """
        with np.errstate(invalid="ignore"):
            distorted = (_points(pixels, 2) - self.K[:2, 2]) @ self._K_inverse[:2, :2].T
        ideal = self.lens.undistort(distorted)
        rays = np.concatenate([ideal, np.ones_like(ideal[..., :1])], axis=-1)
        rays[np.isnan(ideal).any(axis=-1)] = np.nan
        return rays if depth_mm is None else rays * np.asarray(depth_mm, np.float64)[..., None]

    def is_in_view(self, pixels: ArrayLike) -> NDArray[np.bool_]:
        """Tell which pixels ``[..., 2]`` lie on the image; NaN does not.

        The image is the area its pixels cover, ``[-0.5, W - 0.5)`` by ``[-0.5, H - 0.5)``.
        """
        points = _points(pixels, 2)
        is_inside = (points >= -0.5) & (points < np.array(self.size) - 0.5)
        return np.asarray(is_inside.all(axis=-1))

    # ---- other cameras ----------------------------------------------------------------------

    def turned_towards(
        self, world_point: ArrayLike | None = None, *, pixel: ArrayLike | None = None
    ) -> Self:
        """Return the camera turned about its centre so that the target is on its optical axis.

        The camera is levelled: ``world_up`` points up in its image. When it looks straight along
        ``world_up``, where level means nothing, it keeps its x axis as far as possible. ``K``, the
        lens and the mirroring stay.

        Args:
            world_point: ``[3]`` target in the world, mm.
            pixel: ``[2]`` target in this camera's image; give either this or ``world_point``.
        """
        if (world_point is None) == (pixel is None):
            raise CameraError(
                "turned_towards() needs one target",
                rule="either world_point or pixel is given, not both",
                fix="pass one of them",
            )
        if world_point is None:
            ray = self._R_inverse @ self.back_project(np.asarray(pixel))
        else:
            ray = _points(world_point, 3) - self.t
        if ray.shape != (3,) or not (np.isfinite(ray).all() and ray.any()):
            raise CameraError(
                f"cannot turn towards {world_point if pixel is None else pixel}",
                rule="the target is one finite point, not the optical centre, and inside the "
                "valid region of the lens",
                fix="check the target, or undistort the camera first",
            )
        return dataclasses.replace(self, R=rotations.levelled(ray, self.world_up, like=self.R))

    def rolled(self, angle_rad: float) -> Self:
        """Return the camera rolled about its optical axis.

        A positive angle turns the image content clockwise on the screen, about the principal
        point.
        """
        c, s = math.cos(angle_rad), math.sin(angle_rad)
        return dataclasses.replace(
            self, R=np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ self.R
        )

    def zoomed(self, factor: float) -> Self:
        """Return the camera with its focal lengths times ``factor``; the principal point stays."""
        if not (math.isfinite(factor) and factor > 0):
            raise CameraError(
                f"zoom factor {factor!r}",
                rule="a zoom factor is a finite number above zero",
                fix="1 leaves the image as it is, 2 doubles the size of its content",
            )
        return self._with_K(self.K @ np.diag([factor, factor, 1.0]))

    def shifted(self, dx: float, dy: float) -> Self:
        """Return the camera whose image content lies ``(dx, dy)`` px further right and down."""
        return self._with_K(self.K + np.array([[0, 0, dx], [0, 0, dy], [0, 0, 0]]))

    def resized(self, size: tuple[int, int]) -> Self:
        """Return the camera of the whole image resized to ``(width, height)``.

        Image borders map to image borders: with factor f a pixel x moves to ``f (x + 0.5) - 0.5``.
        """
        width, height = camera_checks.as_size(self.size)
        size = camera_checks.as_size(size)
        return self._scaled(size[0] / width, size[1] / height, size)

    def downscaled(self, divisor: int) -> Self:
        """Return the camera of the image as a JPEG decoder reduces it by a whole ``divisor``.

        Blocks of ``divisor`` pixels become one, a started block at the right or bottom counts:
        the size is rounded up, the scale is exactly ``1 / divisor``.
        """
        if not (isinstance(divisor, int | np.integer) and divisor >= 1):
            raise CameraError(
                f"divisor {divisor!r}",
                rule="an image is reduced by a whole number of at least 1",
                fix="use resized() for any other size",
            )
        size = (-(-self.size[0] // divisor), -(-self.size[1] // divisor))
        return self._scaled(1 / divisor, 1 / divisor, size)

    def _scaled(self, fx: float, fy: float, size: tuple[int, int]) -> Self:
        scale = np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2], [0, 0, 1]])
        return dataclasses.replace(self, K=scale @ self.K, size=size)

    def cropped(self, box_xywh: ArrayLike) -> Self:
        """Return the camera of the image part ``[x, y, width, height]``, whole pixels.

        The box may reach beyond the image, as a crop padded with a border does.
        """
        x, y, width, height = camera_checks.as_whole_pixels(box_xywh)
        return dataclasses.replace(self.shifted(-x, -y), size=(width, height))

    def flipped(self) -> Self:
        """Return the camera of the left-right mirrored image: a pixel x moves to ``W - 1 - x``.

        The first row of ``R`` is negated, so its determinant changes sign; the principal point,
        the skew and the sideways terms of the lens are mirrored with it. Flipping twice gives the
        same camera again.
        """
        K = self.K.copy()
        K[[0, 1], [1, 0]] *= -1
        K[0, 2] = self.size[0] - 1 - K[0, 2]
        R = self.R * np.array([[-1.0], [1.0], [1.0]])
        return dataclasses.replace(self, R=R, K=K, lens=self.lens.mirrored())

    def undistorted(self) -> Self:
        """Return the ideal pinhole camera with the same pose and intrinsics."""
        return dataclasses.replace(self, lens=Lens.none())

    def with_square_pixels(self) -> Self:
        """Return the camera with both focal lengths at their mean and no skew.

        The principal point stays, so content is stretched about it; the size stays too.
        """
        focal = (self.K[0, 0] + self.K[1, 1]) / 2
        K = self.K.copy()
        K[:2, :2] = np.diag([focal, focal])
        return self._with_K(K)

    def with_centred_principal_point(self) -> Self:
        """Return the camera with its principal point at ``((W - 1) / 2, (H - 1) / 2)``."""
        K = self.K.copy()
        K[:2, 2] = (np.array(self.size) - 1) / 2
        return self._with_K(K)

    def with_size(self, size: tuple[int, int]) -> Self:
        """Return the camera with another image size ``(width, height)`` and everything else kept.

        For calibrations whose size is missing or wrong; :meth:`resized` scales the image.
        """
        return dataclasses.replace(self, size=camera_checks.as_size(size))

    def _with_K(self, K: Floats) -> Self:
        return dataclasses.replace(self, K=K)

    def shares_centre_with(self, other: Camera) -> bool:
        """Tell whether both cameras have the same optical centre, so that images can be warped."""
        tolerance = SAME_CENTRE_MM + 4 * np.spacing(np.abs(self.t).max())
        return bool(np.abs(self.t - other.t).max() <= tolerance)

    def homography_to(self, other: Camera) -> Floats:
        """Return the ``[3, 3]`` homography from pixels of this camera to pixels of ``other``.

        ``H @ (x, y, 1)`` has a positive third component for pixels whose rays lie in front of
        ``other``; its scale is kept for that reason.

        Raises:
            CameraError: If the optical centres differ or one of the cameras has a lens.
        """
        camera_checks.check_same_centre(self, other)
        if not (self.is_pinhole and other.is_pinhole):
            raise CameraError(
                f"no homography between lenses {self.lens.model!r} and {other.lens.model!r}",
                rule="a homography joins two ideal pinhole cameras",
                fix="use warping.pixel_map(), or undistorted() cameras",
            )
        return other.K @ (other.R @ self._R_inverse) @ self._K_inverse


def _rebuild(
    kind: type[Camera],
    R: Floats,
    t: Floats,
    K: Floats,
    size: tuple[int, int],
    lens: Lens,
    world_up: Floats,
) -> Camera:
    return kind(R=R, t=t, K=K, size=size, lens=lens, world_up=world_up)


def _points(values: ArrayLike, dimensions: int) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != dimensions:
        raise CameraError(
            f"points have the shape {array.shape}",
            rule=f"points are [..., {dimensions}] here",
            fix="put the coordinates on the last axis",
        )
    return array
