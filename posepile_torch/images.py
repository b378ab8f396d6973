"""Images in and out: the JPEG codec of archives, and the probe for images of unknown quality.

Images are uint8 RGB ``[height, width, 3]``, sizes are (width, height), pixel centres lie at
integers. This module only gathers the names; :mod:`posepile_torch.jpeg` and
:mod:`posepile_torch.intake` hold the conventions.
"""

from posepile_torch.intake import (
    QUARANTINE_REASONS,
    REPAIR_REASONS,
    Intake,
    decode_image,
    decode_labels,
    probe,
)
from posepile_torch.jpeg import (
    REDUCTIONS,
    Image,
    decode_jpeg,
    encode_jpeg,
    jpeg_size,
    largest_reduction,
    reduced_to_full,
    reduction_for_zoom,
)

__all__ = [
    "QUARANTINE_REASONS",
    "REDUCTIONS",
    "REPAIR_REASONS",
    "Image",
    "Intake",
    "decode_image",
    "decode_jpeg",
    "decode_labels",
    "encode_jpeg",
    "jpeg_size",
    "largest_reduction",
    "probe",
    "reduced_to_full",
    "reduction_for_zoom",
]
