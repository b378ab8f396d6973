"""Exceptions that carry their own remedy.

Every error of the library is a :class:`PosepileError`. Its text always has the same shape: what is
wrong, where it was found, the rule that was broken, and what to do about it. Callers catch the
narrow class; users read the message.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any


class PosepileError(Exception):
    """Base of all errors raised on purpose by the library.

    The message is built from four parts so that no error can forget to say how to go on.

    Args:
        what: One sentence that names the offending value.
        where: File, archive, record or argument in which it was found.
        rule: The rule that the value breaks.
        fix: What the user can do about it.
    """

    def __init__(
        self, what: str, *, where: object = None, rule: str | None = None, fix: str | None = None
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.rule = rule
        self.fix = fix
        lines = [what]
        for label, text in (("where", self.where), ("rule", rule), ("fix", fix)):
            if text is not None:
                lines.append(f"  {label}: {text}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process borders; the default would pass the joined text as `what`.
        return _rebuild, (type(self), self.what, self.where, self.rule, self.fix, self.__dict__)


def _rebuild(
    kind: type[PosepileError],
    what: str,
    where: str | None,
    rule: str | None,
    fix: str | None,
    state: dict[str, Any],
) -> PosepileError:
    error = kind.__new__(kind)
    PosepileError.__init__(error, what, where=where, rule=rule, fix=fix)
    error.__dict__.update(state)
    return error


class MissingDependencyError(PosepileError, ImportError):
    """An optional package is needed; the message names the extra that installs it."""


class UnknownNameError(PosepileError, KeyError):
    """A name (source, skeleton, joint, protocol, ...) is not known; near misses are listed."""

    __str__ = Exception.__str__  # KeyError would print the repr of the message

    @classmethod
    def among(
        cls, kind: str, name: object, known: Iterable[str], *, where: object = None
    ) -> UnknownNameError:
        """Build the error for ``name`` of the given ``kind``, with the closest known names."""
        names = sorted(known)
        near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
        shown = ", ".join(near or names[:12]) + ("" if near or len(names) <= 12 else ", ...")
        hint = f"did you mean {shown}?" if near else f"known names: {shown or '(none)'}"
        return cls(f"unknown {kind} {name!r}", where=where, fix=hint)


class SkeletonError(PosepileError, ValueError):
    """A skeleton definition or a mapping between skeletons is inconsistent."""


class JointCountError(SkeletonError):
    """An array has another number of joints than its skeleton."""

    @classmethod
    def of(cls, expected: int, got: object, *, where: object) -> JointCountError:
        """Build the error for an array whose joint axis has the wrong length."""
        return cls(
            f"expected {expected} joints, got {got}",
            where=where,
            rule="the joint axis of every array follows its skeleton",
            fix="check the skeleton named for this source and the order of the array's axes",
        )


class CameraError(PosepileError, ValueError):
    """A camera has values that no camera can have, or is used outside its model."""


class BoxError(PosepileError, ValueError):
    """A box is not a finite ``[x, y, w, h]``."""


class MaskError(PosepileError, ValueError):
    """A mask cannot be decoded or does not fit its image."""


class ImageError(PosepileError, ValueError):
    """Image bytes cannot be decoded as promised; ``reason`` is a short machine-readable word."""

    def __init__(
        self,
        what: str,
        *,
        reason: str = "unreadable",
        where: object = None,
        rule: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(what, where=where, rule=rule, fix=fix)
        self.reason = reason


class RawFileError(PosepileError):
    """A raw file of a dataset cannot be used."""


class UnreadableRawFileError(RawFileError, ValueError):
    """A raw file is cut short, damaged, or of another format than its name says."""


class MissingRawFileError(RawFileError, FileNotFoundError):
    """A raw file is not there; the message says where it comes from."""

    __str__ = Exception.__str__


class PointerFileError(UnreadableRawFileError):
    """A git-lfs pointer or a web page lies where data should be."""


class RawFileTooLargeError(RawFileError):
    """A raw file is larger than the limit of its reader, or than the memory at hand."""


class UnsafePickleError(UnreadableRawFileError):
    """A pickle asks for something outside its allowlist; nothing of it was executed."""


class ExtractionError(RawFileError, ValueError):
    """A zip or tar file breaks the extraction policy; nothing was left in the target folder."""


class BodyModelError(PosepileError):
    """A body-model file, or parameters given to a body model, are not what they should be."""


class BodyModelNotFoundError(BodyModelError, FileNotFoundError):
    """A licensed body-model file is not there; the message says where to get and put it."""

    __str__ = Exception.__str__


class RecordError(PosepileError, ValueError):
    """A record has fields that contradict each other or the conventions."""


class CardError(PosepileError, ValueError):
    """A card lacks something that every source must declare."""


class PluginError(PosepileError):
    """An installed plugin cannot be loaded, or two distributions claim one name."""


class ArchiveError(PosepileError):
    """Base of all errors about archives."""


class ArchiveNotFoundError(ArchiveError, FileNotFoundError):
    """No archive lies at the given place."""

    __str__ = Exception.__str__


class ArchiveIncompleteError(ArchiveError):
    """An archive is still being written, or lacks files that its manifest lists."""


class ArchiveCorruptError(ArchiveError, ValueError):
    """Stored bytes differ from what was written.

    The attributes locate the damage as far as it is known: ``archive`` (folder), ``key`` of the
    entry, ``shard`` (file name) and ``offset`` (bytes).
    """

    def __init__(
        self,
        what: str,
        *,
        archive: object = None,
        key: str | None = None,
        shard: str | None = None,
        offset: int | None = None,
        where: object = None,
        rule: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.archive = None if archive is None else str(archive)
        self.key = key
        self.shard = shard
        self.offset = offset
        if where is None and archive is not None:
            parts = (key and f"key {key}", shard and f"file {shard}")
            place = None if offset is None else f"byte {offset}"
            where = ", ".join(str(p) for p in (archive, *parts, place) if p)
        super().__init__(what, where=where, rule=rule, fix=fix)


class ArchiveLockedError(ArchiveError):
    """Another process is writing this archive."""


class ArchivePathError(ArchiveError, ValueError):
    """An archive path or key contains characters that the format cannot hold safely."""


class ManifestError(ArchiveError, ValueError):
    """A manifest is missing, edited, or contradicts the files beside it."""


class SchemaVersionError(ManifestError):
    """An archive was written by a newer, incompatible version of the library."""


class StorageError(ArchiveError):
    """The disk refused a write, or has too little room; sizes are in bytes, -1 when unknown."""

    def __init__(
        self,
        what: str,
        *,
        needed_bytes: int = -1,
        free_bytes: int = -1,
        where: object = None,
        rule: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(what, where=where, rule=rule, fix=fix)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class ResumeError(ArchiveError):
    """A half-written archive was begun with other code, options or raw data."""


class ConversionError(PosepileError):
    """A conversion cannot go on."""


class SelectionError(PosepileError, ValueError):
    """A view asks for something that its archive does not hold, or that is no selection."""


class MixtureError(PosepileError, ValueError):
    """The members, weights or sizes of a mixture make no stream of batches."""


class RecipeError(PosepileError, ValueError):
    """The numbers of a recipe contradict each other, or do not fit the data they are used on."""


class BankError(PosepileError, ValueError):
    """A bank of backgrounds or occluders cannot be built or read."""


class MannequinError(PosepileError, ValueError):
    """Settings of the synthetic source that cannot be rendered, or a folder that is in use."""


class MetricError(PosepileError, ValueError):
    """Predictions, ground truth or the settings of a metric do not fit each other."""


class ProtocolError(PosepileError, ValueError):
    """The definition of an evaluation protocol contradicts itself, or does not fit its data."""


class PredictionError(PosepileError, ValueError):
    """Predictions are in another form, unit or frame of reference than the protocol asks for."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or name the extra that installs it.

    Args:
        module: Dotted name, for example ``"scipy.io"``.
        extra: The extra of posepile-torch that brings it, for example ``"convert"``.

    Raises:
        MissingDependencyError: If the top-level package of ``module`` is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name is None or error.name.split(".")[0] != package:
            raise
        raise MissingDependencyError(
            f"the package {package!r} is needed here and is not installed",
            fix=f"pip install 'posepile-torch[{extra}]'",
        ) from None
