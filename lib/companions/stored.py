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

from ..store import Store, digest, read_table
from ..training import subnormals_flushed

try:
    import fcntl
except ImportError:  # not on Windows: there both compute, and write the same file
    fcntl = None

__all__ = ["stored_table", "stored_tensors", "PUBLISHED"]

#: The tables of the chapters' full size, published with the paper's results.
PUBLISHED = Path(__file__).resolve().parents[2] / "book" / "published" / "companions"


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


def stored_table(stage: str, fields: Mapping[str, Any], compute: Callable[[], pd.DataFrame], store: Store | None = None, name: str | None = None) -> pd.DataFrame:
    """The stored table under `fields`; computed and stored where there is none. What is shown is what is stored.

    A table with a `name` may be published under it (`lib.published.publish_companions`). A published one whose fields are
    these is as good as a stored one. In its ``attrs`` a table carries ``name`` and ``fields``.
    """
    store = store or Store()
    with _alone(store.path(stage, fields, "csv")):
        found = store.load_table(stage, fields)
        if found is None:
            found = _published(name, fields)
        if found is None:
            store.save_table(stage, fields, compute())
            found = store.load_table(stage, fields)
    found.attrs |= {"name": name, "fields": dict(fields)}
    return found


def _published(name: str | None, fields: Mapping[str, Any]) -> pd.DataFrame | None:
    path = PUBLISHED / f"{name}.csv"
    if name is None or not path.exists():
        return None
    table, meta = read_table(path)
    return table if digest(meta) == digest(fields) else None


def stored_tensors(stage: str, fields: Mapping[str, Any], compute: Callable[[], Mapping[str, Tensor]], store: Store | None = None) -> dict[str, Tensor]:
    """The stored tensors under `fields`; computed and stored where there are none."""
    store = store or Store()
    with _alone(store.path(stage, fields, "safetensors")):
        found = store.load_tensors(stage, fields)
        if found is None:
            with subnormals_flushed():  # what is stored as tensors has mostly been trained
                store.save_tensors(stage, fields, compute())
            found = store.load_tensors(stage, fields)
    return found
