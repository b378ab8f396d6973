"""Encoded bytes and planned geometry in, pixels out: the one place where a sample is drawn."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from posepile_torch.camera import Camera
from posepile_torch.images import decode_jpeg, reduced_to_full, reduction_for_zoom


def render(
    jpeg: bytes, stored: Camera, target: Camera, *, where: object = None
) -> NDArray[np.uint8]:
    """Decode a stored crop at the smallest sufficient scale and warp it once.

    Args:
        jpeg: The stored crop.
        stored: Its camera, a pinhole without lens.
        target: Camera of the image to make, with the same optical centre.
        where: Named in errors.

    Returns:
        ``[H, W, 3]`` RGB uint8 of the size of ``target``; black where the crop does not reach.
    """
    homography = stored.homography_to(target)
    reduction = reduction_for_zoom(_zoom_at_centre(homography, stored.size))
    image = decode_jpeg(jpeg, reduction=reduction, where=where)
    warped = cv2.warpPerspective(
        image, homography @ reduced_to_full(reduction), target.size, flags=cv2.INTER_LINEAR
    )
    return np.asarray(warped, np.uint8)


def _zoom_at_centre(homography: NDArray[np.float64], size: tuple[int, int]) -> float:
    """Target pixels per source pixel, along one axis, at the middle of the source."""
    middle = ((size[0] - 1) / 2, (size[1] - 1) / 2, 1.0)
    depth = homography[2] @ middle
    if depth <= 0:
        return 1.0
    landing = homography[:2] @ middle / depth
    jacobian = (homography[:2, :2] - np.outer(landing, homography[2, :2])) / depth
    return float(np.sqrt(abs(np.linalg.det(jacobian))))
