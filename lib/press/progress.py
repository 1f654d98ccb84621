"""What the terminal shows while one waits."""

from __future__ import annotations

import shutil
import sys

__all__ = ["Status", "seconds"]


class Status:
    """One line at the bottom of a terminal that is rewritten in place; nothing where there is no terminal."""

    def __init__(self):
        self.terminal = sys.stderr.isatty()
        self.shown = ""

    def show(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        if self.terminal and text != self.shown:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self.shown = text

    def clear(self) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self.shown = ""


def seconds(elapsed: float) -> str:
    """A duration as people say it.

    >>> seconds(3.21), seconds(75), seconds(7_300)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if elapsed < 60:
        return f"{elapsed:.1f} s"
    minutes, rest = divmod(round(elapsed), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
