"""Progress on standard error: the stage and the share done, only for work that takes longer than two seconds."""

from __future__ import annotations

import sys
import time

QUIET_S = 2.0
level = "normal"
"""quiet: nothing is shown. verbose: every stage on a line of its own, at once. Set by the command line."""


class Progress:
    """A line that is rewritten on a terminal, and a line every five seconds elsewhere. Used as a context manager."""

    def __init__(self, what: str = "samples") -> None:
        self._what = what
        self._start = time.monotonic()
        self._shown = 0.0
        self._stage = ""
        self._first: tuple[float, int] | None = None
        self._width = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")

    def say(self, stage: str) -> None:
        """Name the stage of the work."""
        self._stage, self._first = stage, None
        if level == "verbose":
            sys.stderr.write(f"{time.monotonic() - self._start:6.1f} s  {stage}\n")
            return
        self._line(stage)

    def update(self, done: int, total: int) -> None:
        """Tell how many of the samples of this stage are done."""
        now = time.monotonic()
        text = f"{self._stage or 'run'}: {done} of {total} {self._what}, {now - self._start:.0f} s"
        if self._first is None:
            self._first = (now, done)
        elif done > self._first[1]:
            left = (now - self._first[0]) / (done - self._first[1]) * (total - done)
            text += f", about {left:.0f} s left"
        self._line(text)

    def batches(self, done: int, total: int, text: str) -> None:
        """Tell how many batches of a training are done, and what is to be said of it."""
        spent = time.monotonic() - self._start
        left = spent / max(done, 1) * (total - done)
        self._line(f"{text}: batch {done} of {total}, {spent:.0f} s, about {left:.0f} s left")

    def _line(self, text: str) -> None:
        if level == "quiet":
            return
        now, on_terminal = time.monotonic(), sys.stderr.isatty()
        if now - self._start < QUIET_S or now - self._shown < (0.2 if on_terminal else 5.0):
            return
        self._shown = now
        if on_terminal:
            self._width = max(self._width, len(text))
            sys.stderr.write("\r" + text.ljust(self._width))
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()
