"""The working folder of a conversion: what it was begun with, and whether it may go on."""

from __future__ import annotations

import hashlib
import inspect
import json
import uuid
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from posepile_torch.archive.differences import differences
from posepile_torch.archive.layout import converting_folder
from posepile_torch.archive.storage import fsync_path, remove_folder, storage_errors, write_file
from posepile_torch.convert.base import Converter
from posepile_torch.convert.part import incidents_of
from posepile_torch.convert.plan import Plan
from posepile_torch.convert.snapshot import (
    RawChange,
    changes,
    changes_since,
    read_snapshot,
    take_snapshot,
)
from posepile_torch.convert.unit import choices
from posepile_torch.errors import ConversionError, ResumeError
from posepile_torch.quarantine import read_quarantine

_MOST_NAMED = 5
_MOST_REPLACED = 10_000  # files; more are another download, not a repair


class Job:
    """The working folder of one conversion, ``.converting-<name>`` beside the archive.

    It holds ``job.json`` (what the conversion was begun with), ``raw.tsv`` and ``now.tsv`` (the
    raw files when it was begun, and when this run began), the parts, and the job files of a
    cluster. The lock of the archive must be held by whoever writes here.

    Args:
        root: Folder of archives.
        converter: The converter.
        plan: The numbers of the conversion.
    """

    def __init__(self, root: Path, converter: Converter, plan: Plan) -> None:
        self.converter = converter
        self.folder = converting_folder(root, converter.source.card.name)
        self._layout = converter.source.card.layout
        self._wanted = choices(converter, plan) | {"code": code_digest(type(converter))}
        self._state: dict[str, Any] = {}
        #: Summary of the raw files by pattern, for the manifest; filled by :meth:`begin`.
        self.raw_files: Mapping[str, Any] = {}

    @property
    def parts(self) -> Path:
        """Folder of the parts; another one after every fresh start, for workers that linger."""
        return self.folder / f"parts-{self._state['id']}"

    @property
    def quarantine_list(self) -> Path:
        """Where the quarantine list of the whole conversion is put together."""
        return self.folder / "quarantine.jsonl"

    def begin(self, *, restart: bool = False) -> None:
        """Make the folder, or check that what lies there was begun with the same choices.

        Raises:
            ResumeError: If it was not; the message lists what differs.
            RawFileError: If the raw folder cannot be walked through.
            StorageError: If the disk refuses a write.
        """
        if restart:
            remove_folder(self.folder)
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.raw_files = take_snapshot(self.converter.root, self._layout, self._now)
        begun = self._read()
        if begun is None:
            remove_folder(self.folder / "jobs")
            self._state = {"id": uuid.uuid4().hex[:8], "choices": self._wanted}
            self._keep_raw()
            self._write()
        else:
            self._state = begun
            self._check_choices(begun)
            self._check_raw(begun)
        with storage_errors(self.folder):
            self.parts.mkdir(exist_ok=True)

    def check_raw_unchanged(self) -> None:
        """Compare the raw files with what they were when this run began.

        Raises:
            ConversionError: If a file was changed meanwhile. Its parts cannot be trusted then, so
                the conversion must be started over.
        """
        found = list(islice(changes_since(self._now, self.converter.root, self._layout), 1000))
        if not found:
            return
        self._state["changed"] = [str(change) for change in found[:_MOST_NAMED]]
        self._write()
        raise ConversionError(
            f"raw files were changed during the conversion: {_listed(found)}",
            where=self.converter.root,
            rule="all parts of an archive are made from the same raw files",
            fix="see that nothing writes to the raw folder, then start over with --restart",
        )

    def remove(self) -> None:
        """Remove the folder."""
        remove_folder(self.folder)

    @property
    def _now(self) -> Path:
        return self.folder / "now.tsv"

    @property
    def _raw(self) -> Path:
        return self.folder / "raw.tsv"

    @property
    def _file(self) -> Path:
        return self.folder / "job.json"

    def _read(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise ResumeError(
                "the file that says how this conversion was begun is damaged",
                where=self._file,
                fix="start the conversion over with --restart",
            ) from None
        return dict(content)

    def _write(self) -> None:
        temporary = self._file.with_suffix(".new")
        write_file(temporary, json.dumps(self._state, indent=1, sort_keys=True).encode())
        with storage_errors(self._file):
            temporary.replace(self._file)
        fsync_path(self.folder)

    def _keep_raw(self) -> None:
        with storage_errors(self._raw):
            self._raw.unlink(missing_ok=True)
            self._raw.hardlink_to(self._now)

    def _check_choices(self, begun: Mapping[str, Any]) -> None:
        wanted = json.loads(json.dumps(self._wanted))
        different = differences(begun["choices"], wanted)
        if different:
            raise ResumeError(
                f"an unfinished conversion was begun differently: {'; '.join(different[:20])}",
                where=self.folder,
                rule="all parts of an archive are made by one version with one plan",
                fix="repeat the earlier options to finish it, or start over with --restart",
            )

    def _check_raw(self, begun: Mapping[str, Any]) -> None:
        if "changed" in begun:
            raise ResumeError(
                f"raw files were changed during an earlier run: {'; '.join(begun['changed'])}",
                where=self.folder,
                rule="all parts of an archive are made from the same raw files",
                fix="start over with --restart",
            )
        found = changes(read_snapshot(self._raw), read_snapshot(self._now))
        # A time that differs alone proves nothing: downloads are moved and unpacked again.
        different = list(
            islice((change for change in found if change.what != "touched"), _MOST_REPLACED)
        )
        if different and not self._redo_quarantined({change.path for change in different}):
            raise ResumeError(
                f"raw files are not those that the conversion was begun with: "
                f"{_listed(different)}",
                where=self.converter.root,
                rule="all parts of an archive are made from the same raw files; only files that "
                "were missing or broken may be fetched again",
                fix="put the earlier files back to finish it, or start over with --restart",
            )
        self._keep_raw()

    def _redo_quarantined(self, changed: set[str]) -> bool:
        """Drop the parts that missed exactly the files that have changed, if that explains all."""
        if len(changed) >= _MOST_REPLACED:
            return False
        stale, explained = set(), set()
        for incidents in sorted(self.parts.glob("*.part.jsonl")):
            for incident in read_quarantine(incidents):
                path = _file_of(incident.path, changed)
                if path is not None:
                    explained.add(path)
                    stale.add(incidents)
        if explained != changed:
            return False
        for incidents in stale:
            part = incidents.with_name(incidents.name.removesuffix(".jsonl"))
            part.unlink(missing_ok=True)  # before its list, which tells what to do again
            incidents_of(part).unlink(missing_ok=True)
        return True


def code_digest(kind: type[Converter]) -> str:
    """Hash of the converter's module, so that a change of its code is noticed on resuming."""
    try:
        source = inspect.getsourcefile(kind)
    except TypeError:  # made in an interpreter
        source = None
    if source is None or not Path(source).is_file():
        return ""
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()


def _file_of(place: str, paths: set[str]) -> str | None:
    """The raw file of a place such as ``file:member``, if it is among ``paths``."""
    while place:
        if place in paths:
            return place
        place = place.rpartition(":")[0]
    return None


def _listed(found: list[RawChange]) -> str:
    shown = ", ".join(str(change) for change in found[:_MOST_NAMED])
    return shown if len(found) <= _MOST_NAMED else f"{shown} and {len(found) - _MOST_NAMED} more"
