"""One writer per archive.

The lock is an ``flock`` on a file that also says who holds it. The kernel releases it when the
holder dies, so on a local disk a stale lock cannot exist. Where ``flock`` does not reach (some
network file systems), the text in the file decides: a holder on this machine is alive if its
process is, with the same start time and boot; a holder on another machine is alive while it keeps
touching the file. Two time stamps of the same file system are compared, never one with our clock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
import weakref
from pathlib import Path
from typing import Any

from posepile_torch.archive.storage import storage_errors
from posepile_torch.errors import ArchiveLockedError

#: A holder on another machine that has not touched its lock for so long counts as dead.
HEARTBEAT_TIMEOUT_S = 1800.0
_HEARTBEAT_INTERVAL_S = 15.0

_NO_FLOCK = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}

_held: weakref.WeakSet[WriterLock] = weakref.WeakSet()
_fork_hook: list[bool] = []


class WriterLock:
    """The right to write one archive; held until :meth:`release` or the end of the process.

    Args:
        path: Lock file; it stays behind, empty, when the lock is released.
        force: Take over a lock whose holder cannot be shown to be dead (``--force-unlock``). A
            lock that the kernel says is held is never taken over.

    Raises:
        ArchiveLockedError: If another writer holds it; the message names host, pid and start.
    """

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self.path = path
        self._last_beat_s = time.monotonic()
        with storage_errors(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._acquire(force)
        except BaseException:
            os.close(self._descriptor)
            raise
        if not _fork_hook:
            # An flock survives in every forked copy of its descriptor: a worker that outlives a
            # killed writer would keep the archive locked.
            os.register_at_fork(after_in_child=_close_in_child)
            _fork_hook.append(True)
        _held.add(self)

    def _acquire(self, force: bool) -> None:
        kernel_lock = True
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(self.path, self._holder()) from None
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            kernel_lock = False
        holder = self._holder()
        if holder is not None and not force and self._may_be_alive(holder, kernel_lock):
            raise _locked(self.path, holder)
        self._write(json.dumps(_me()).encode())

    def _holder(self) -> dict[str, Any] | None:
        text = os.pread(self._descriptor, 4096, 0)
        if not text.strip():
            return None
        try:
            holder = json.loads(text)
        except ValueError:
            return None  # cut short by a crash while it was written
        return holder if isinstance(holder, dict) else None

    def _may_be_alive(self, holder: dict[str, Any], kernel_lock: bool) -> bool:
        me = _me()
        if holder.get("host") == me["host"]:
            if holder.get("boot_id") != me["boot_id"]:
                return False
            if kernel_lock:
                return False  # the kernel granted us the lock, so the holder is gone
            pid = holder.get("pid")
            return isinstance(pid, int) and _start_ticks(pid) == holder.get("start_ticks")
        return self._age_s() < HEARTBEAT_TIMEOUT_S

    def _age_s(self) -> float:
        """Seconds since the last heartbeat, by the clock of the file system itself."""
        probe = self.path.with_name(f"{self.path.name}.{os.getpid()}.now")
        try:
            probe.touch()
            return probe.stat().st_mtime - os.fstat(self._descriptor).st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _write(self, text: bytes) -> None:
        with storage_errors(self.path, len(text)):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text, 0)

    def beat(self) -> None:
        """Show other machines that the holder lives; cheap, so call it often."""
        now_s = time.monotonic()
        if now_s - self._last_beat_s >= _HEARTBEAT_INTERVAL_S:
            self._last_beat_s = now_s
            os.utime(self._descriptor)

    def release(self) -> None:
        """Give the lock back; more than once is fine."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        _held.discard(self)
        with contextlib.suppress(OSError):  # a full disk must not keep the lock held
            os.ftruncate(descriptor, 0)
        os.close(descriptor)

    def _close_in_child(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _close_in_child() -> None:
    for lock in list(_held):
        lock._close_in_child()
    _held.clear()


def _me() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "start_ticks": _start_ticks(os.getpid()),
        "boot_id": _boot_id(),
    }


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""  # not Linux: the pid and the host still tell


def _start_ticks(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; ``None`` if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19])  # field 22 of proc(5), counted behind the name in parentheses
    except (OSError, IndexError, ValueError):
        return None


def _locked(path: Path, holder: dict[str, Any] | None) -> ArchiveLockedError:
    who = "another process"
    if holder is not None:
        who = f"pid {holder.get('pid')} on {holder.get('host')}, since {holder.get('started')},"
    return ArchiveLockedError(
        f"{who} is writing this archive",
        where=path,
        rule="an archive has one writer at a time",
        fix="wait for it to end; if that process is dead for certain, use --force-unlock",
    )


def is_locked(path: Path) -> bool:
    """Tell whether a living process holds the lock file ``path``."""
    if not path.exists():
        return False
    try:
        lock = WriterLock(path)
    except ArchiveLockedError:
        return True
    lock.release()
    return False
