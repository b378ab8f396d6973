"""The numeric choices of a conversion, in one hashable value."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any

from posepile_torch.errors import ConversionError
from posepile_torch.record import Precision


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every number that decides what a converted archive contains.

    The plan is stored in the manifest and hashed into the archive's fingerprint. Two archives of
    one source differ only if their plans, the converter's version or the raw files differ.

    Attributes:
        box_margin: Factor on the box around the joints, when the source gives no box of its own.
        roll_room_rad: The stored crop has room for rolling the image by this angle either way.
        padding_room: Factor for the border that training leaves around the box.
        shift_room: Factor for moving the crop's centre.
        scale_room: Factor for zooming out.
        training_side_px: Side of the training image the crop is made for.
        oversampling: Stored pixels per training pixel, along the box's long side.
        upscaling_limit: The raw image is never enlarged by more than this factor.
        jpeg_quality: Quality of the stored crops, 1..100, with 4:2:0 chroma.
        full_frame: Store the whole frame once, with the lens taken off, instead of a crop for
            each person; the rooms above and the side do not matter then.
        full_frame_side_px: Longer side to which whole frames are shrunk; 0 keeps their size.
        min_joints_in_image: A person with fewer known joints inside the image is skipped.
        min_box_side_px: A person whose box is smaller than this after clipping is skipped.
        precision: How exactly the coordinates are stored.
    """

    box_margin: float = 1.05
    roll_room_rad: float = math.radians(30)
    padding_room: float = 1 / 0.85
    shift_room: float = 1.1
    scale_room: float = 1 / 0.85
    training_side_px: int = 256
    oversampling: float = 1.5
    upscaling_limit: float = 1.2
    jpeg_quality: int = 95
    full_frame: bool = False
    full_frame_side_px: int = 0
    min_joints_in_image: int = 1
    min_box_side_px: float = 8.0
    precision: Precision = field(default_factory=Precision)

    def __post_init__(self) -> None:
        for name in (
            "box_margin",
            "padding_room",
            "shift_room",
            "scale_room",
            "training_side_px",
            "oversampling",
            "upscaling_limit",
            "min_box_side_px",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                self._refuse(name, value, "a positive, finite number")
        if not 0 <= self.roll_room_rad <= math.pi / 2:
            self._refuse("roll_room_rad", self.roll_room_rad, "an angle in 0..pi/2")
        if not 1 <= self.jpeg_quality <= 100:
            self._refuse("jpeg_quality", self.jpeg_quality, "a quality in 1..100")
        if not 0 <= self.full_frame_side_px <= 65500:
            self._refuse("full_frame_side_px", self.full_frame_side_px, "0, or 1..65500")
        if self.min_joints_in_image < 0:
            self._refuse("min_joints_in_image", self.min_joints_in_image, "0 or more")

    @staticmethod
    def _refuse(name: str, value: object, rule: str) -> None:
        raise ConversionError(
            f"{name} is {value!r}", where="conversion plan", rule=f"it is {rule}"
        )

    def replaced(self, **changes: Any) -> Plan:
        """Return a plan with some numbers changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return dataclasses.asdict(self)

    @property
    def digest(self) -> str:
        """Hash of every number of the plan, 16 hexadecimal digits."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
