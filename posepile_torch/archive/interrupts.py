"""Stopping a long write on purpose: Ctrl-C, and the SIGTERM of a job scheduler."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Turns the first SIGINT or SIGTERM into a wish to stop, the second into an immediate end.

    Within the ``with`` block a loop finishes its item, looks at :attr:`requested`, makes a
    durable checkpoint and leaves with :meth:`exit_code`. The second signal ends the process at
    once, in the way the signal ends any process; the last checkpoint is still good then.

    Only the main thread may enter the block (Python's rule for signal handlers).
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._previous: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    def exit_code(self) -> int:
        """Return 130 after Ctrl-C, 143 after SIGTERM, 0 if no signal came."""
        return 0 if self.signal is None else 128 + int(self.signal)

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = signal.Signals(number)
            return
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
