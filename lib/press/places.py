"""The folders of builds: one for each while it runs, and the place of the finished pages,
where only whole books are ever seen."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..protocol import ProtocolError
from ..store import locked

__all__ = ["private_folder", "made_from", "swap", "recover", "RECORD"]

#: What finished pages say that they were made from, and by which they are known for a book of this project.
RECORD = ".book"
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def private_folder(output: Path) -> Iterator[Path]:
    """A folder for one build, locked while it runs; those of killed builds are taken away."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob(".run-*"):
        with contextlib.suppress(OSError), (old / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
    with contextlib.ExitStack() as stack:
        while True:
            run = Path(tempfile.mkdtemp(dir=output, prefix=".run-"))
            lock = stack.enter_context((run / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (run / "lock").exists():  # another build may have found it before it was locked
                break
        try:
            yield run
        finally:
            shutil.rmtree(run, ignore_errors=True)


def made_from(place: Path) -> str:
    """What the pages at `place` say that they were made from; empty where there are none, or others."""
    try:
        return (place / RECORD).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def swap(html: Path, place: Path) -> None:
    """Let finished pages and those at `place` change places; at no moment are there none."""
    with locked(place.with_name(".lock"), str(place)):
        _check_free(place)
        if not place.exists():
            os.rename(html, place)
        elif not _exchange(html, place):
            previous = place.with_name(f".{place.name}-previous")  # `recover` puts it back
            os.rename(place, previous)
            os.rename(html, place)
            os.rename(previous, html)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return bool(rename) and 0 == rename(
        AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE
    )


def recover(place: Path) -> None:
    """Refuse a folder that is no book, and put back pages whose exchange was interrupted."""
    with locked(place.with_name(".lock"), str(place)):
        _check_free(place)
        previous = place.with_name(f".{place.name}-previous")
        if made_from(place):
            if previous.exists():  # whole, or what an interrupted removal left of it
                shutil.rmtree(previous)
        elif made_from(previous):
            os.rename(previous, place)


def _check_free(place: Path) -> None:
    if os.path.lexists(place) and not made_from(place) and not (place.is_dir() and not any(place.iterdir())):
        raise ProtocolError(
            f"{place}: expected nothing there or a book of this project, got something else, which stays; "
            "take it away or name another folder"
        )
