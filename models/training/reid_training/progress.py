"""What the user sees while something runs: plain lines for logs, one refreshed line on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence


def say(text: str) -> None:
    """One line of output, at once."""
    print(text, flush=True)


def listed(names: Sequence[str], most: int = 20) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = int(max(0.0, seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


class Progress:
    """Loss, rate and time left of a job of `total` pictures.

    On a terminal the line is refreshed twice a second; in a log it is written every `every_s` seconds."""

    def __init__(self, name: str, total: int, done: int = 0, every_s: float = 30.0) -> None:
        self.name, self.total, self.done, self.first = name, total, done, done
        self.terminal = sys.stderr.isatty()
        self.every_s = 0.5 if self.terminal else every_s
        self.start = self.last = time.monotonic()

    def update(self, done: int, text: str = "") -> None:
        """Tells that `done` pictures are behind us."""
        self.done = done
        now = time.monotonic()
        if now - self.last >= self.every_s:
            self.last = now
            self._write(text)

    def close(self, text: str = "") -> None:
        """Writes the final line."""
        self._write(text)
        if self.terminal:
            print(file=sys.stderr)

    def _write(self, text: str) -> None:
        spent = max(1e-6, time.monotonic() - self.start)
        rate = (self.done - self.first) / spent
        left = (self.total - self.done) / rate if rate > 0 else 0.0
        share = 100.0 * self.done / max(1, self.total)
        line = f"{self.name} {share:5.1f}% {self.done}/{self.total} {rate:.0f}/s left {clock(left)} {text}"
        print(f"\r{line:<110}" if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr, flush=True)
