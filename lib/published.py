"""The published results, read: the paper's protocol on MNIST, with their provenance, in ``book/published/``.

``cells.csv``, ``untrained.csv`` and ``characters.csv`` are the tables, ``networks-seedS.safetensors`` the
trained networks with their training curves; the rest is what the book's chapters draw. The folder `JUDGES`
has the same of the seeds that judge the claims. ``manifest.json`` says what all that is, how it came about,
and the SHA-256 of every file. `lib.press.publish` writes the folder.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from . import noise, paths, results, spectrum
from .model import Ensemble
from .protocol import Protocol
from .store import Store, digest, read_table, read_tensors

__all__ = [
    "FOLDER",
    "JUDGES",
    "Mismatch",
    "manifest",
    "part",
    "digests",
    "file",
    "table",
    "whole",
    "tensors",
    "cells",
    "ensembles",
    "again",
]

FOLDER = paths.PUBLISHED
#: Within the folder, what belongs to the seeds that judge.
JUDGES = "judges"


class Mismatch(RuntimeError):
    """A published number or file that is not what the manifest or a recomputation says."""


def manifest(folder: Path = FOLDER) -> dict[str, Any] | None:
    """What is published, or None while nothing is; held to its own digest, which older manifests lack."""
    _note(folder, "manifest.json")
    return _manifest(folder)


def part(*names: str, folder: Path = FOLDER) -> Any:
    """One part of the manifest, ``part("companions", "score")``, or None where it has none:
    what reads no more depends on no more."""
    _note(folder, "#".join(("manifest.json", *names)))
    found = _manifest(folder)
    for name in names:
        found = (found or {}).get(name)
    return found


def _note(folder: Path, name: str) -> None:
    if folder == paths.PUBLISHED:
        paths.note(name)


def _manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / "manifest.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except ValueError as error:
        raise Mismatch(
            f"{path}: expected JSON, got {error}; restore it from the repository, or publish anew"
        ) from None
    if about is not None:
        given = about.pop("digest", None) if isinstance(about, dict) else "none"
        if given not in (None, digest({"manifest": about})):
            raise Mismatch(f"{path}: it does not match its own digest; restore it from the repository")
    return about


def digests(folder: Path = FOLDER) -> dict[str, str]:
    """The SHA-256 of every table and network in the folder, by its path there."""
    _note(folder, "*")
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".csv", ".safetensors"))
    return {p.relative_to(folder).as_posix(): _sha256(p) for p in files}


def file(name: str, folder: Path = FOLDER) -> Path | None:
    """A published file by its path in the folder, or None where the manifest does not name it.

    Raises
    ------
    Mismatch
        When it is not, byte for byte, the file that the manifest names.
    """
    _note(folder, name)
    expected = (_manifest(folder) or {"files": {}})["files"].get(name)
    if expected is None:
        return None
    path = folder / name
    if not path.is_file() or _sha256(path) != expected:
        raise Mismatch(
            f"published: {path} is missing or not the file that was published; restore it from the repository"
        )
    return path


def table(name: str, folder: Path = FOLDER) -> pd.DataFrame | None:
    """A published table by the name of its file, or None while there is none."""
    path = file(f"{name}.csv", folder)
    return None if path is None else read_table(path)[0]


def whole(name: str, folder: Path = FOLDER) -> pd.DataFrame | None:
    """A published table with the rows of the judging seeds after the others, or None while there is none."""
    parts = [t for t in (table(name, folder), table(f"{JUDGES}/{name}", folder)) if t is not None]
    return pd.concat(parts, ignore_index=True) if parts else None


def tensors(name: str, folder: Path = FOLDER) -> dict[str, Tensor] | None:
    """Published tensors by the name of their file, or None while there are none."""
    path = file(f"{name}.safetensors", folder)
    return None if path is None else read_tensors(path)[0]


def cells(folder: Path = FOLDER) -> pd.DataFrame | None:
    """The published table of all cells (`lib.results`), or None while there is none."""
    return table("cells", folder)


def ensembles(folder: Path = FOLDER, within: str = "") -> list[Ensemble]:
    """The published networks, an ensemble a seed, by seed; those that judge are ``within=JUDGES``.
    Empty while there are none."""
    prefix = posixpath.join(within, "networks-seed")
    _note(folder, prefix + "*")
    names = [n for n in (_manifest(folder) or {"files": ()})["files"] if n.startswith(prefix)]
    read = [read_tensors(file(name, folder)) for name in names]
    return sorted((Ensemble.from_tensors(t, meta["seed"]) for t, meta in read), key=lambda e: e.seed)


def again(points: int, store: Store | None = None, folder: Path = FOLDER) -> pd.DataFrame | None:
    """The published networks evaluated here and now, on the first `points` points of each noise set:
    that needs no training data.

    Returns
    -------
    DataFrame with those columns of ``cells.csv`` that the noise sets alone determine,
    or None while nothing is published.
    """
    _note(folder, "networks-seed*")
    published = part("protocol", folder=folder)
    if published is None:
        return None
    about = _manifest(folder)
    store, protocol = store or Store(), Protocol.from_mapping(published | {"points": points})
    fields = {
        "networks": {name: sha for name, sha in about["files"].items() if name.startswith("networks-seed")},
        "sets": protocol.sets,
        "points": points,
        "spectrum": spectrum.VERSION,
        "noise": noise.VERSION,
    }

    def compute() -> pd.DataFrame:
        found = ensembles(folder)
        tables = [t for name in protocol.sets for t in results.evaluate(found, protocol, name, laws={})]
        whole = pd.concat(tables, ignore_index=True)
        return whole[[c for c in whole.columns if not c.startswith("mahalanobis")]]

    return store.table("again", fields, compute)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
