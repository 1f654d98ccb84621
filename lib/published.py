"""The published results: the paper's protocol on MNIST, with their provenance, under ``book/published/``.

``cells.csv``, ``untrained.csv`` and ``characters.csv`` are the tables, ``networks-seedS.safetensors`` the
trained networks with their training curves, ``manifest.json`` says what they are, how they came
about, and the SHA-256 of every file.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from . import data, results
from .characters import characters
from .claims import Evidence
from .model import Ensemble
from .protocol import Protocol
from .store import CorruptArtefact, Store, read_table, read_tensors, write_atomically, write_table, write_tensors
from .training import train

__all__ = ["FOLDER", "cells", "evidence", "ensembles", "manifest", "publish", "verify", "Mismatch", "TOLERANCE"]

FOLDER = Path(__file__).resolve().parent.parent / "book" / "published"

#: Largest difference, relative to the larger of 1 and the value, that rounding may make in a cell.
TOLERANCE = 1e-4
#: Points a set at which the untrained networks are evaluated.
NULL_POINTS = 5_000


class Mismatch(RuntimeError):
    """A published number or file that is not what the manifest or a recomputation says."""


def manifest() -> dict[str, Any] | None:
    """What is published, or None while nothing is."""
    path = FOLDER / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def cells() -> pd.DataFrame | None:
    """The published table of all cells, or None while there is none; raises `CorruptArtefact` when a byte has changed."""
    return _table("cells")


def evidence() -> Evidence | None:
    """All three published tables, for `lib.claims`, or None while there are none."""
    table = cells()
    return None if table is None else Evidence(table, _table("untrained"), _table("characters"))


def ensembles() -> list[Ensemble]:
    """The published networks, an ensemble a seed; empty while there are none."""
    found = []
    for path in sorted(FOLDER.glob("networks-seed*.safetensors")):
        tensors, meta = read_tensors(path)
        found.append(Ensemble.from_tensors(tensors, meta["seed"]))
    return found


def _table(name: str) -> pd.DataFrame | None:
    path = FOLDER / f"{name}.csv"
    return read_table(path)[0] if path.exists() else None


def publish(protocol: Protocol, store: Store | None = None, folder: Path = FOLDER) -> Path:
    """Write the published folder from a finished run; what is stored is loaded, what is not is computed.

    Raises
    ------
    Mismatch
        When the run is not the paper's: another training set, fewer epochs or points, or fewer dimensions.
    """
    paper = Protocol()
    for name in ("training_set", "dims", "epochs", "points", "sets", "dtype", "loss", "optimizer", "learning_rate", "batch_size"):
        if getattr(protocol, name) != getattr(paper, name):
            raise Mismatch(f"publish: expected the paper's {name}={getattr(paper, name)}, got {getattr(protocol, name)}; run make book PROFILE=paper first")
    store = store or Store()
    for ensemble in train(protocol, store):
        write_tensors(folder / f"networks-seed{ensemble.seed}.safetensors", ensemble.tensors(), {"seed": ensemble.seed, "epochs": protocol.epochs})
    write_table(folder / "cells.csv", results.cells(protocol, store))
    write_table(folder / "untrained.csv", results.cells(protocol.replace(points=NULL_POINTS), store, trained=False))
    write_table(folder / "characters.csv", characters(protocol, store))
    files = sorted(p for p in folder.iterdir() if p.suffix in (".csv", ".safetensors"))
    about = {
        "what": "every cell of the protocol, computed in float64 from networks trained in float32",
        "protocol": {k: v for k, v in vars(protocol).items() if k not in ("device", "companions")},
        "untrained points": NULL_POINTS,
        "training data SHA-256": data.load(protocol.training_set).sha256,
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], cwd=FOLDER.parent, capture_output=True, text=True).stdout.strip(),
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn")} | {"python": platform.python_version()},
        "hardware": {"processor": _processor(), "cores": os.cpu_count(), "cuda": torch.cuda.is_available()},
        "files": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files},
    }
    write_atomically(folder / "manifest.json", (json.dumps(about, indent=1, sort_keys=True) + "\n").encode())
    return folder


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def verify(count: int = 4, seed: int | None = None, progress: bool = True) -> pd.DataFrame:
    """Check every published file against the manifest, then recompute a random sample of cells from the published networks.

    Parameters
    ----------
    count : int
        Cells to recompute; at least as many as there are: all of them.
    seed : int, optional
        Of the sample; default: a new one each time.

    Returns
    -------
    DataFrame: the cells recomputed, the largest difference in each and the column it is in.

    Raises
    ------
    Mismatch
        On a changed byte, a missing file, or a difference beyond `TOLERANCE`.
    """
    about = manifest()
    if about is None:
        raise Mismatch("verify: expected book/published/manifest.json, found nothing published; make publish writes it")
    for name, expected in about["files"].items():
        path = FOLDER / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise Mismatch(f"verify: {name} is missing or not the file that was published; restore it from the repository")
    protocol, table = Protocol.from_mapping(about["protocol"]), cells()
    by_seed = {e.seed: e for e in ensembles()}
    chosen = table.sample(min(count, len(table)), random_state=np.random.default_rng(seed))
    rows = []
    for _, row in tqdm(chosen.iterrows(), total=len(chosen), desc="recomputing cells", unit="cell", disable=not progress):
        whole = by_seed[row.seed]
        one = Ensemble([whole.member(row.d)], row.seed, whole.curves)
        again = results.evaluate([one], protocol, row.set, progress=False)[0].iloc[0]
        numbers = [c for c in table.columns if isinstance(row[c], (int, float)) and not (pd.isna(row[c]) and pd.isna(again[c]))]
        gaps = {c: abs(again[c] - row[c]) / max(1.0, abs(row[c])) for c in numbers}
        worst = max(gaps, key=gaps.get)
        rows.append({"seed": row.seed, "d": row.d, "set": row.set, "largest difference": gaps[worst], "in": worst})
        if not gaps[worst] <= TOLERANCE:
            raise Mismatch(f"verify: seed {row.seed}, d={row.d}, {row.set}: {worst} is published as {row[worst]}, recomputed as {again[worst]}")
    return pd.DataFrame(rows)
