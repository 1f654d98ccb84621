"""Compute-or-load in one line, for the experiments of the companions.

Two notebooks may want the same result at the same time; the second waits for the first
instead of computing it again. The lock is the operating system's and dies with its holder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from .. import paths
from ..store import Store, digest, read_table, read_tensors
from ..training import subnormals_flushed

try:
    import fcntl
except ImportError:  # not on Windows: there both compute, and write the same file
    fcntl = None

__all__ = ["stored_table", "stored_tensors", "named_artefacts", "PUBLISHED"]

#: What the chapters' full size gave, published with the paper's results.
PUBLISHED = paths.PUBLISHED / "companions"

_watching: list[dict[str, Path]] = []


@contextmanager
def named_artefacts() -> Iterator[dict[str, Path]]:
    """Collects the named artefacts that are computed or loaded inside: the name of the file each is published under → where it lies."""
    _watching.append(found := {})
    try:
        yield found
    finally:
        _watching.pop()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Only one process at a time is inside for one artefact."""
    if fcntl is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def stored_table(
    stage: str,
    fields: Mapping[str, Any],
    compute: Callable[[], pd.DataFrame],
    store: Store | None = None,
    name: str | None = None,
) -> pd.DataFrame:
    """The stored table under `fields`; computed and stored where there is none. What is shown is what is stored.

    An artefact with a `name` may be published under it (`lib.published.publish_companions`), and a published one whose
    fields are these is as good as a stored one.
    """
    store = store or Store()
    return _stored(
        store.path(stage, fields, "csv"),
        fields,
        lambda: store.load_table(stage, fields),
        lambda: store.save_table(stage, fields, compute()),
        read_table,
        name,
    )


def stored_tensors(
    stage: str,
    fields: Mapping[str, Any],
    compute: Callable[[], Mapping[str, Tensor]],
    store: Store | None = None,
    name: str | None = None,
) -> dict[str, Tensor]:
    """The stored tensors under `fields`; computed and stored where there are none. A `name` as for `stored_table`."""
    store = store or Store()

    def save() -> None:
        with subnormals_flushed():  # what is stored as tensors has mostly been trained
            store.save_tensors(stage, fields, compute())

    return _stored(
        store.path(stage, fields, "safetensors"),
        fields,
        lambda: store.load_tensors(stage, fields),
        save,
        read_tensors,
        name,
    )


def _stored(
    path: Path,
    fields: Mapping[str, Any],
    load: Callable[[], Any],
    save: Callable[[], Any],
    read: Callable[[Path], tuple[Any, dict]],
    name: str | None,
) -> Any:
    with _alone(path):
        found = load()
        published = PUBLISHED / f"{name}{path.suffix}"
        if found is None and name is not None and published.exists():
            content, meta = read(published)
            if digest(meta) == digest(fields):
                found, path = content, published
        if found is None:
            save()
            found = load()
    if name is not None:
        for collected in _watching:
            collected[published.name] = path
    return found
