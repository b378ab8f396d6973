"""What a converter says: units of work, and the frames inside a unit.

A converter only *reads*. Selection, cropping, packing, resuming and reporting are shared and live
beside this module, so that adding a dataset means writing two short methods.
"""

from __future__ import annotations

import functools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from posepile_torch.camera import Camera
from posepile_torch.errors import (
    ConversionError,
    JointCountError,
    MissingRawFileError,
    UnknownNameError,
)
from posepile_torch.intake import AnnotationFrame
from posepile_torch.masks import Mask
from posepile_torch.record import BodyParameters, DensePosePoints

if TYPE_CHECKING:
    from posepile_torch.convert.plan import Plan
    from posepile_torch.sources.base import Source


Option = str | int | float | bool
"""Value of a converter's option."""


@dataclass(frozen=True)
class Unit:
    """The smallest resumable piece of a conversion: a video, a sequence, a shard.

    A unit is small and picklable: names only, no open files and no arrays.

    Attributes:
        name: Unique inside the dataset, made of ``[A-Za-z0-9._/-]``; orders the work.
        split: ``"train"``, ``"val"`` or ``"test"``.
        fields: What the converter needs to find the unit's files again.
    """

    name: str
    split: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, key: str) -> str:
        return self.fields[key]


@dataclass(frozen=True)
class FileImage:
    """An image in a file of its own."""

    path: Path


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video; ``index`` counts frames in presentation order from 0."""

    path: Path
    index: int


@dataclass(frozen=True)
class ArchiveMember:
    """An image file inside a zip or tar archive, as the download comes.

    Nothing is unpacked. A tar is walked through once, forwards, for all consecutive frames that
    lie in it, so frames are best yielded in the order of its members.

    Attributes:
        path: The ``.zip``, ``.tar``, ``.tar.gz``, ``.tgz``, ``.tar.bz2`` or ``.tar.xz`` file.
        member: Name of the image inside it, with forward slashes.
    """

    path: Path
    member: str


@dataclass(frozen=True)
class Hdf5Image:
    """An image in an HDF5 file: encoded bytes, or pixels.

    A one-dimensional dataset of bytes holds an encoded image; ``[H, W]`` and ``[H, W, 3]`` of
    uint8 are pixels.

    Attributes:
        path: The HDF5 file.
        dataset: Path of the dataset inside it.
        index: Entry along the first axis; None takes the dataset as a whole.
        channels: Order of the channels of pixels, ``"rgb"`` or ``"bgr"``.
    """

    path: Path
    dataset: str
    index: int | None = None
    channels: Literal["rgb", "bgr"] = "rgb"


@dataclass(frozen=True)
class EncodedImage:
    """Encoded image bytes that are read only when the frame is kept.

    Attributes:
        name: Where the bytes come from, for messages and provenance.
        read: Returns the encoded bytes.
    """

    name: str
    read: Callable[[], bytes]


ImageRef = FileImage | VideoFrame | ArchiveMember | Hdf5Image | EncodedImage
"""A lazy reference to an image: nothing is decoded until the frame has been selected."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RawPerson:
    """One person of a raw frame, in the conventions of the library.

    Lengths are millimetres in world axes, pixels are those of the raw image, missing joints are
    NaN. A mask may be a function, called only if the person is kept.

    Attributes:
        joints3d: ``[J, 3]`` world millimetres.
        joints2d: ``[J, 2]`` pixels of the raw (distorted) image.
        visible: ``[J]`` int8: -1 unknown, 0 occluded, 1 visible.
        confidence: ``[J]`` in 0..1.
        joints3d_univ: Height-normalised second 3D field of some sources.
        box: ``[x, y, w, h]``; None lets the plan's box provider decide.
        mask: Mask of this person in the raw image.
        scene_mask: Mask of everything that must survive a background swap.
        body: Body-model parameters.
        densepose: DensePose points, in pixels of the raw image.
        subject: Who this is, if the source says.
        track: Identity inside the sequence, stable over its frames.
    """

    joints3d: NDArray[np.float64] | None = None
    joints2d: NDArray[np.float64] | None = None
    visible: NDArray[np.int8] | None = None
    confidence: NDArray[np.float32] | None = None
    joints3d_univ: NDArray[np.float64] | None = None
    box: NDArray[np.float64] | None = None
    mask: Mask | Callable[[], Mask | None] | None = None
    scene_mask: Mask | Callable[[], Mask | None] | None = None
    body: BodyParameters | None = None
    densepose: DensePosePoints | None = None
    subject: str | None = None
    track: str = "0"


@dataclass(frozen=True, eq=False, kw_only=True)
class RawFrame:
    """One image with its camera and people, before any selection.

    Attributes:
        index: Frame number inside the sequence; orders motion-adaptive sampling.
        image: Lazy reference to the pixels.
        people: Everybody annotated in the image.
        camera: Camera of the raw image with its lens; None for camera-less 2D data.
        image_size: ``(width, height)`` of the raw image; None takes it from the camera.
        sequence: Name of the sequence.
        camera_name: Name of the camera.
        activity: What is being done, if the source says.
        scene: Where, if the source says.
        annotation_frame: Whether the annotators saw the image turned as its EXIF orientation says
            (``"upright"``) or as its rows are stored (``"stored"``).
    """

    index: int
    image: ImageRef
    people: Sequence[RawPerson]
    camera: Camera | None = None
    image_size: tuple[int, int] | None = None
    sequence: str | None = None
    camera_name: str | None = None
    activity: str | None = None
    scene: str | None = None
    annotation_frame: AnnotationFrame = "upright"

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` of the raw image, as stated or as its camera says.

        Raises:
            ConversionError: If neither is known.
        """
        if self.image_size is not None:
            return self.image_size
        if self.camera is not None:
            return self.camera.size
        raise ConversionError(
            "frame has neither a camera nor an image size",
            where=f"frame {self.index} of {self.sequence}",
            rule="the size of an image is known before it is decoded",
            fix="set RawFrame.image_size in the converter",
        )


class Converter(ABC):
    """Reads the raw files of one source.

    Subclasses set :attr:`source` (and so know card and skeleton), :attr:`version`, optionally
    :attr:`plan`, and implement :meth:`units` and :meth:`frames`. Converters are pickled to where
    units are converted; what is worth keeping between units belongs into a
    ``functools.cached_property``, which every process fills for itself.

    Attributes:
        source: The source class whose card, skeleton and keys describe the data.
        version: Raised whenever the converter's output changes; part of the fingerprint.
        plan: The numeric choices that suit this source.
        default_options: Choices of the converter itself, such as which annotation is read: name to
            default. A choice keeps the type of its default.
        options: The choices of this instance; part of the fingerprint.
        root: Folder of the raw download.

    Args:
        root: Folder of the raw download.
        **options: Choices that differ from :attr:`default_options`.

    Raises:
        MissingRawFileError: If there is no such folder.
        UnknownNameError: If the converter has no such option.
        ConversionError: If an option has another type than its default.
    """

    source: ClassVar[type[Source[Any]]]
    version: ClassVar[str]
    plan: ClassVar[Plan]
    default_options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, root: Path | str, **options: Option) -> None:
        self.options = {**self.default_options, **self._checked_options(options)}
        self.root = Path(root)
        if not self.root.is_dir():
            raise MissingRawFileError(
                f"no folder {str(self.root)!r}",
                where=f"raw data of {self.source.card.name}",
                fix=f"download it as `posepile info {self.source.card.name}` says and pass its "
                "folder as --raw",
            )

    @classmethod
    def _checked_options(cls, options: Mapping[str, Option]) -> Mapping[str, Option]:
        where = f"converter of {cls.source.card.name}"
        for name, value in options.items():
            if name not in cls.default_options:
                raise UnknownNameError.among("option", name, cls.default_options, where=where)
            kind = type(cls.default_options[name])
            if type(value) is not kind:
                raise ConversionError(
                    f"option {name} is {value!r}",
                    where=where,
                    rule=f"it is {kind.__name__}, for example {cls.default_options[name]!r}",
                )
        return options

    @abstractmethod
    def units(self) -> Iterator[Unit]:
        """List the units in a stable order, without decoding anything."""

    @abstractmethod
    def frames(self, unit: Unit) -> Iterator[RawFrame]:
        """Parse the annotation of ``unit`` and yield its frames in order of their index."""

    def __getstate__(self) -> dict[str, Any]:
        # What was parsed once for all units is parsed again where the converter goes: it may be
        # gigabytes, and workers may lie on other machines.
        cached = {
            name
            for kind in type(self).__mro__
            for name, value in vars(kind).items()
            if isinstance(value, functools.cached_property)
        }
        return {name: value for name, value in vars(self).items() if name not in cached}

    def relative(self, path: Path) -> str:
        """Return ``path`` relative to the raw root, with forward slashes, for provenance."""
        try:
            text = path.relative_to(self.root).as_posix()
        except ValueError:
            raise ConversionError(
                f"{str(path)!r} is not below the raw folder",
                where=self.root,
                rule="archives hold only paths relative to the raw folder",
                fix="build paths of the converter from self.root",
            ) from None
        # A name that is not UTF-8 stays readable, with its bytes as \\xNN.
        return os.fsencode(text).decode("utf-8", "backslashreplace")

    def checked(self, person: RawPerson, *, where: str) -> RawPerson:
        """Return ``person`` unchanged if its arrays fit the source's skeleton."""
        expected = len(self.source.native)
        for name, width in (("joints3d", 3), ("joints2d", 2), ("joints3d_univ", 3)):
            array = getattr(person, name)
            if array is not None and array.shape != (expected, width):
                raise JointCountError.of(expected, array.shape, where=f"{name} of {where}")
        for name in ("visible", "confidence"):
            array = getattr(person, name)
            if array is not None and array.shape != (expected,):
                raise JointCountError.of(expected, array.shape, where=f"{name} of {where}")
        return person
