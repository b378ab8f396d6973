"""From raw files to an archive: the pipeline that every converter shares.

Needs the ``convert`` extra; nothing that trains imports it.
"""

from posepile_torch.convert.base import (
    ArchiveMember,
    Converter,
    EncodedImage,
    FileImage,
    Hdf5Image,
    ImageRef,
    RawFrame,
    RawPerson,
    Unit,
    VideoFrame,
)
from posepile_torch.convert.plan import Plan

__all__ = [
    "ArchiveMember",
    "Converter",
    "EncodedImage",
    "FileImage",
    "Hdf5Image",
    "ImageRef",
    "Plan",
    "RawFrame",
    "RawPerson",
    "Unit",
    "VideoFrame",
]
