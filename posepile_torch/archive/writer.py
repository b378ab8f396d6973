"""Writing an archive: resumable, one writer at a time, visible only when whole."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from posepile_torch.archive.bones import BoneSums
from posepile_torch.archive.differences import differences
from posepile_torch.archive.finishing import write_published_files
from posepile_torch.archive.journal import Journal
from posepile_torch.archive.layout import (
    ANNOTATIONS,
    CONTAINERS,
    DEFAULT_SHARD_LIMIT_BYTES,
    IMAGES,
    building_folder,
    flags_of,
    lock_file,
)
from posepile_torch.archive.lock import WriterLock
from posepile_torch.archive.manifest import ArchiveHeader, plain_json
from posepile_torch.archive.publish import (
    DATA_FOLDER,
    JOURNAL_FILE,
    check_target,
    finish_interrupted_publish,
    publish_data,
)
from posepile_torch.archive.shards import ShardWriter
from posepile_torch.archive.storage import check_free_space, remove_folder, storage_errors
from posepile_torch.errors import ArchiveError, RecordError, ResumeError
from posepile_torch.images import jpeg_size
from posepile_torch.keys import check_archive_name, check_archive_path, check_key, is_absolute_path
from posepile_torch.record import Record, decode_record, encode_record, validate_record

_CHECKPOINT_INTERVAL_S = 30.0


class ArchiveWriter:
    """Writes one archive beside its final place and publishes it when it is whole.

    Use it as a context manager. Leaving the block never publishes: without :meth:`publish`, and
    after any error, a building folder remains from which the next writer with an equal header
    goes on, byte for byte as if nothing had happened.

    The caller reports its progress with :meth:`checkpoint`; a resumed write starts behind the
    last durable checkpoint, whose state is :attr:`resumed_state`. Whatever was added after it is
    gone and must be added again.

    A writer is used by one thread at a time, and not by forked children: those must leave
    through ``os._exit``, as the workers of ``multiprocessing`` do, because SQLite cannot be
    carried over a fork.

    Args:
        root: Folder of archives; made if it is not there.
        name: Name of the archive below ``root``.
        header: What is known before the first record.
        shard_limit_bytes: Largest size of a shard; exactly the limit still fits.
        checkpoint_every: Records after which a call of :meth:`checkpoint` becomes durable; it
            also does after 30 seconds.
        force_unlock: Take over the lock of a writer that cannot be shown to be dead.
        lock: The lock of this archive, if the caller holds it already; it is then left to them.
        restart: Throw an unfinished write of this archive away instead of resuming it.
        expected_bytes: Estimate of the output; refused at once if the disk has less room.

    Raises:
        ArchiveLockedError: If another process is writing this archive.
        ArchivePathError: If plain BareCat tools could not open an archive with that path.
        ResumeError: If the unfinished write had another header; the message lists what differs.
        StorageError: If the disk refuses, or has less than ``expected_bytes``.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        name: str,
        *,
        header: ArchiveHeader,
        shard_limit_bytes: int = DEFAULT_SHARD_LIMIT_BYTES,
        checkpoint_every: int = 1000,
        force_unlock: bool = False,
        lock: WriterLock | None = None,
        restart: bool = False,
        expected_bytes: int | None = None,
    ) -> None:
        self.root = check_archive_path(root)
        self.name = check_archive_name(name)
        self.header = header
        self.shard_limit_bytes = shard_limit_bytes
        self._checkpoint_every = checkpoint_every
        if shard_limit_bytes < 1 or checkpoint_every < 1:
            raise ArchiveError("shard_limit_bytes and checkpoint_every must be positive")
        self._header_json = header.to_json() | {"shard_limit_bytes": shard_limit_bytes}
        check_target(self.root, name)
        with storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        self._pid = os.getpid()
        self._state = "closed"
        self._owns_lock = lock is None
        self._lock = lock or WriterLock(lock_file(self.root, name), force=force_unlock)
        try:
            if expected_bytes is not None:
                check_free_space(self.root, expected_bytes, where=self.root / name)
            self._open_building_folder(restart)
        except BaseException:
            self._give_lock_back()
            raise

    def _open_building_folder(self, restart: bool) -> None:
        finish_interrupted_publish(self.root, self.name)
        folder = building_folder(self.root, self.name)
        if restart:
            remove_folder(folder)
        data = folder / DATA_FOLDER
        if folder.exists() and not data.exists():
            remove_folder(folder)  # a removal that was cut off
        with storage_errors(folder):
            data.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(folder / JOURNAL_FILE)
        self._shards: dict[str, ShardWriter] = {}
        try:
            self._bones = BoneSums(self.header.skeleton)
            self.resumed_state: Mapping[str, Any] | None = self._resume()
            ends = self._journal.shard_ends()
            for container in CONTAINERS:
                self._shards[container] = ShardWriter(
                    data, container, limit_bytes=self.shard_limit_bytes, ends=ends[container]
                )
            if self._journal.get("header") is None:
                self._journal.set("header", self._header_json)
                self._make_durable()
        except BaseException:
            self._close_files()
            raise
        self._marked = self._counts()
        self._durable_records = self._journal.record_count
        self._durable_time_s = time.monotonic()
        self._state = "open"

    def _resume(self) -> Mapping[str, Any] | None:
        begun_with = self._journal.get("header")
        if begun_with is None:
            return None
        different = differences(begun_with, self._header_json)
        if different:
            raise ResumeError(
                "an unfinished write of this archive was begun with other settings",
                where=building_folder(self.root, self.name),
                rule="; ".join(different[:20]),
                fix="run it with the same settings to resume, or with --restart to start over",
            )
        self._bones.restore(self._journal.get("bones"))
        state = self._journal.get("state")
        return None if state is None else MappingProxyType(state)

    @property
    def data_folder(self) -> Path:
        """Folder in which the shards grow until :meth:`publish`."""
        return building_folder(self.root, self.name) / DATA_FOLDER

    @property
    def record_count(self) -> int:
        """Records so far, those of resumed writes included."""
        return self._journal.record_count

    @property
    def image_count(self) -> int:
        """Images so far, those of resumed writes included."""
        return self._journal.image_count

    # ---- adding ----

    def add_image(self, key: str, jpeg: bytes) -> None:
        """Store a JPEG crop under ``key``, before the records that show it.

        Raises:
            ImageError: If the bytes are no complete JPEG.
            RecordError: If the key is taken or not usable.
        """
        self._require_open()
        check_key(key, where=self.name)
        if not key.endswith(".jpg") or any(f.endswith(".jpg") for f in key.split("/")[:-1]):
            raise RecordError(
                f"image key {key!r}",
                where=self.name,
                rule="an image key ends in .jpg, and none of its folders does",
            )
        size = jpeg_size(jpeg, where=f"{self.name}: {key}")
        if not jpeg.endswith(b"\xff\xd9"):
            raise RecordError(
                f"image {key!r} does not end like a JPEG",
                where=self.name,
                rule="stored images are complete",
                fix="encode the crop again",
            )
        shards = self._shards[IMAGES]
        self._journal_then_append(
            shards, jpeg, lambda address: self._journal.add_image(key, address, size)
        )

    def has_image(self, key: str) -> bool:
        """Tell whether an image is stored under ``key`` already."""
        self._require_open()
        return self._journal.find_image(key) is not None

    def add(self, record: Record) -> None:
        """Check and store a record; its image must have been added.

        Raises:
            RecordError: If the record breaks a convention; nothing was stored then.
        """
        self._require_open()
        data = encode_record(
            record, self.header.precision, skeleton=self.header.skeleton, where=self.name
        )
        # What is counted is what readers will see, in its stored precision.
        self._store(data, decode_record(data, where=f"{self.name}: {record.key}"))

    def add_encoded(self, data: bytes) -> None:
        """Check and store a record as :func:`~posepile_torch.record.encode_record` wrote it.

        The bytes must have been written with the precision of this archive's header.

        Raises:
            RecordError: If it is no record or breaks a convention; nothing was stored then.
        """
        self._require_open()
        record = decode_record(data, where=self.name)
        validate_record(record, self.header.skeleton, where=self.name)
        self._store(data, record)

    def _store(self, data: bytes, record: Record) -> None:
        image = self._journal.find_image(record.image_key)
        if image is None or image[1] != record.image_size:
            stored = "not there" if image is None else f"{image[1]}"
            raise RecordError(
                f"the image {record.image_key!r} is {stored}, the record says {record.image_size}",
                where=f"{self.name}: {record.key}",
                rule="a record's image is stored before it and has the stated (width, height)",
            )
        self._journal_then_append(
            self._shards[ANNOTATIONS],
            data,
            lambda address: self._journal.add_record(record, address, image[0], flags_of(record)),
        )
        self._bones.add(record)
        self._lock.beat()

    def _journal_then_append(self, shards: ShardWriter, data: bytes, note: Any) -> None:
        # The journal refuses duplicates before a byte is written; both become durable together.
        address = shards.place(data)
        try:
            note(address)
            shards.append(data)
        except RecordError:
            raise
        except BaseException:
            self._state = "failed"
            raise

    def skip(self, reason: str, item: str, *, count: int = 1) -> None:
        """Count an item that is left out; reasons and first items go into the manifest.

        Args:
            reason: Short and general, for example ``"fewer than 4 joints in the box"``.
            item: Which one, with paths relative to the raw folder. Bytes of file names that are
                no valid Unicode are written as escapes.
            count: How many items it stands for; one of them is named.
        """
        self._require_open()
        reason, item = (s.encode(errors="backslashreplace").decode() for s in (reason, item))
        if not reason or is_absolute_path(item) or count < 1:
            raise RecordError(
                f"skip({reason!r}, {item!r}, count={count})",
                where=self.name,
                rule="a skip has a reason and a count, and archives hold no absolute paths",
            )
        self._journal.add_skip(reason, item, count)

    def end_unit(self, name: str) -> None:
        """Declare that everything added since the previous unit belongs to unit ``name``."""
        self._require_open()
        check_key(name, where=f"{self.name}, name of a unit")
        if self.header.units and name not in self.header.units:
            raise RecordError(
                f"unit {name!r} was not planned",
                where=self.name,
                rule="the units of a conversion are listed in its header",
            )
        self._journal.end_unit(name)

    # ---- progress ----

    def checkpoint(self, state: Mapping[str, Any], *, durable: bool = False) -> None:
        """Note that everything up to here is consistent, with the caller's own ``state``.

        Cheap: most calls only note the state. It becomes durable (shards fsynced, then the
        journal committed) after ``checkpoint_every`` records or 30 seconds, at the end of the
        ``with`` block, or at once with ``durable``.

        Args:
            state: JSON data from which the caller can go on (next item, random state, ...).
            durable: Wait until the disk has it.
        """
        self._require_open()
        self._journal.set("state", plain_json(state, where="checkpoint state"))
        self._marked = self._counts()
        due = (
            durable
            or self._journal.record_count - self._durable_records >= self._checkpoint_every
            or time.monotonic() - self._durable_time_s >= _CHECKPOINT_INTERVAL_S
        )
        if due:
            self._make_durable()
        self._lock.beat()

    def _make_durable(self) -> None:
        try:
            for shards in self._shards.values():
                shards.sync()  # the bytes first, then the rows that point at them
            ends = {container: shards.ends for container, shards in self._shards.items()}
            self._journal.commit(ends, self._bones)
        except BaseException:
            self._state = "failed"
            raise
        self._durable_records = self._journal.record_count
        self._durable_time_s = time.monotonic()

    def _counts(self) -> tuple[int, int, int, int]:
        journal = self._journal
        return (
            journal.image_count,
            journal.record_count,
            journal.skip_count,
            journal.unit_count,
        )

    def publish(self, *, allow_empty: bool = False) -> Path:
        """Finish the archive and make it visible; the only way to a visible archive.

        Indexes and manifest are written, everything is fsynced, the folder is renamed, and
        ``<root>/<name>`` is pointed at it in one step.

        Args:
            allow_empty: Accept an archive without a single record.

        Returns:
            ``<root>/<name>``.

        Raises:
            ArchiveError: If there are no records, or a planned unit was not ended.
            StorageError: If the disk refuses; free some space and resume.
        """
        self._require_open()
        if not self._journal.record_count and not allow_empty:
            raise ArchiveError(
                "the archive has no records",
                where=self.name,
                rule="an empty archive is published only on request",
                fix="look at the reasons for skipping, or pass allow_empty=True",
            )
        self._check_units()
        self._state = "failed"  # until the end is reached
        for shards in self._shards.values():
            shards.sync()
            shards.close()
        manifest = write_published_files(
            self.data_folder, self.header, self.shard_limit_bytes, self._journal, self._bones
        )
        self._journal.close()
        path = publish_data(self.root, self.name, manifest)
        self._state = "published"
        self._give_lock_back()
        return path

    def _check_units(self) -> None:
        units = self._journal.units()
        if units and units[-1][1:3] != (self.record_count, self.image_count):
            raise ArchiveError(
                "records or images were added behind the last unit",
                where=self.name,
                rule="with units, everything belongs to one",
                fix="call end_unit behind the last record of each unit",
            )
        ended = {unit[0] for unit in units}
        missing = [name for name in self.header.units if name not in ended]
        if missing:
            raise ArchiveError(
                f"{len(missing)} planned units were not finished: {', '.join(missing[:5])}",
                where=self.name,
                rule="an archive is published when all its units are in it",
                fix="run the conversion again to finish them",
            )

    # ---- ending ----

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop without publishing; the last checkpoint is kept for the next writer."""
        if self._state in ("closed", "published") or os.getpid() != self._pid:
            return
        try:
            if self._state == "open" and self._marked == self._counts():
                self._make_durable()
        finally:
            self._state = "closed"
            self._close_files()
            self._give_lock_back()

    def _give_lock_back(self) -> None:
        if self._owns_lock:
            self._lock.release()

    def _close_files(self) -> None:
        for shards in self._shards.values():
            shards.close()
        self._journal.close()

    def _require_open(self) -> None:
        if self._state != "open" or os.getpid() != self._pid:
            reason = "in another process" if self._state == "open" else self._state
            raise ArchiveError(
                f"this writer is {reason}",
                where=self.root / self.name,
                rule="after an error, a writer is left and opened anew: it resumes",
            )
