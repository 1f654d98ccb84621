"""Where things lie: this project's folders, and the folders that the environment names.

Environment variables are read here and nowhere else, and made absolute at once: a relative
one means the folder that the command was given in, whatever folder a kernel works in later.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "ROOT",
    "PROFILES",
    "PUBLISHED",
    "CONTENTS",
    "results",
    "named",
    "pictures",
    "device",
    "note",
    "scheduler",
    "absolute_environment",
]

ROOT = Path(__file__).resolve().parent.parent
PROFILES = ROOT / "book" / "profiles"
PUBLISHED = ROOT / "book" / "published"
CONTENTS = ROOT / "_toc.yml"
#: The variables that name folders of the reader's.
FOLDERS = ("BOOK_RESULTS", "MNIST_DIR", "FASHION_MNIST_DIR")


def results() -> Path:
    """The folder of this run's artefacts: ``BOOK_RESULTS``, else ``results/`` beside ``lib/``,
    or here where there is no book."""
    return Path(
        os.environ.get("BOOK_RESULTS") or (ROOT if PROFILES.is_dir() else Path()) / "results"
    ).absolute()


def named(variable: str) -> Path | None:
    """The folder that a variable of `FOLDERS` names, or None where it names none."""
    folder = os.environ.get(variable)
    return Path(folder).absolute() if folder else None


def pictures() -> Path | None:
    """Where a notebook that is being executed for the book puts its pictures,
    relative to itself; None in JupyterLab."""
    folder = os.environ.get("BOOK_PICTURES")
    return Path(folder) if folder else None


def note(place: Path | str) -> None:
    """Tell the build which published file a notebook has asked for, there or not:
    a line in the file ``BOOK_READS``.

    `place` is a file below `PUBLISHED`, or its path there, which may be a pattern,
    and with a ``#`` a part of the manifest.
    """
    if (told := os.environ.get("BOOK_READS")) and not (
        isinstance(place, Path) and PUBLISHED not in place.parents
    ):
        name = place.relative_to(PUBLISHED).as_posix() if isinstance(place, Path) else place
        with open(told, "a", encoding="utf-8") as file:
            file.write(f"{name}\n")


def device() -> str:
    """Where to compute, ``BOOK_DEVICE``: ``auto`` (the default), ``cpu`` or ``cuda``."""
    return os.environ.get("BOOK_DEVICE") or "auto"


def scheduler() -> str | None:
    """The Dask scheduler that work items are given to, ``DASK_SCHEDULER_ADDRESS``,
    or None where none is named."""
    return os.environ.get("DASK_SCHEDULER_ADDRESS") or None


def absolute_environment() -> dict[str, str]:
    """The environment with its folders made absolute, for a process that will work in another folder.

    >>> os.environ["MNIST_DIR"] = "here"
    >>> Path(absolute_environment()["MNIST_DIR"]).is_absolute()
    True
    >>> del os.environ["MNIST_DIR"]
    """
    return os.environ | {name: os.path.abspath(os.environ[name]) for name in FOLDERS if os.environ.get(name)}
