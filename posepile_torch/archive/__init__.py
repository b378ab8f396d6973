"""Archives: what a dataset becomes when it is converted, and how it is read back.

:class:`ArchiveWriter` builds one, :func:`open_archive` reads any. The format is described in
``docs/archive-format.md``.
"""

from posepile_torch.archive.manifest import ArchiveHeader, Manifest
from posepile_torch.archive.reader import Archive, open_archive
from posepile_torch.archive.report import VerifyReport
from posepile_torch.archive.verify import verify_archive
from posepile_torch.archive.writer import ArchiveWriter

__all__ = [
    "Archive",
    "ArchiveHeader",
    "ArchiveWriter",
    "Manifest",
    "VerifyReport",
    "open_archive",
    "verify_archive",
]
