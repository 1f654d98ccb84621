"""Checking the published folder: every byte against the manifest, and cells against a recomputation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import published, results
from ..model import Ensemble
from ..protocol import Protocol
from ..published import FOLDER, Mismatch
from ..training import torch_device
from ..workers import processes

__all__ = ["verify", "TOLERANCE"]

#: Largest difference, relative to the larger of 1 and the value, that rounding may make in a cell.
TOLERANCE = 1e-4


def verify(
    count: int = 4, seed: int | None = None, progress: bool = True, folder: Path = FOLDER
) -> tuple[pd.DataFrame, int]:
    """Check every published file against the manifest, then recompute a random sample of cells from the published networks.

    Each data set is drawn once for all networks that are asked about on it; data sets go to several processes.

    Parameters
    ----------
    count : int
        Cells to recompute; at least as many as there are: all of them.
    seed : int, optional
        Of the sample; default: a new one each time.

    Returns
    -------
    DataFrame: the cells recomputed, the largest difference in each and the column it is in.
    int: the published cells whose networks are not published, which nobody can recompute from here.

    Raises
    ------
    Mismatch
        On a changed byte, a missing file, or a difference beyond `TOLERANCE`.
    """
    about = published.manifest(folder)
    if about is None:
        raise Mismatch(
            "verify: expected book/published/manifest.json, found nothing published; make publish writes it"
        )
    for name in about["files"]:
        published.file(name, folder)
    whole, networks = published.cells(folder), {e.seed: e for e in published.ensembles(folder)}
    here = [seed in networks and d in networks[seed].dims for seed, d in zip(whole.seed, whole.d)]
    chosen = whole[here].sample(min(count, sum(here)), random_state=np.random.default_rng(seed))
    protocol, rows = Protocol.from_mapping(about["protocol"]), []
    bar = tqdm(total=len(chosen), desc="recomputing cells", unit="cell", disable=not progress)
    with bar:
        for table in _recomputed(chosen, networks, protocol):
            both = table.merge(chosen, on=["seed", "d", "set"], suffixes=("", " published"))
            rows += [_difference(row) for _, row in both.iterrows()]
            bar.update(len(both))
    return pd.DataFrame(rows), len(whole) - sum(here)


def _recomputed(
    chosen: pd.DataFrame, networks: dict[int, Ensemble], protocol: Protocol
) -> Iterator[pd.DataFrame]:
    """The chosen cells evaluated anew, a table for each data set and seed."""

    def those_of(part: pd.DataFrame) -> list[Ensemble]:
        dims = {seed: sorted(set(rows.d)) for seed, rows in part.groupby("seed")}
        return [
            Ensemble([networks[s].member(d) for d in dims[s]], s, networks[s].curves) for s in sorted(dims)
        ]

    laws = results.training_codes(those_of(chosen), protocol)
    sets = sorted(chosen.groupby("set"), key=lambda item: -item[1].d.sum())  # the longest first
    workers = joblib.cpu_count() if torch_device().type == "cpu" else 1
    with processes(min(workers, max(1, len(sets)))):
        tasks = (
            joblib.delayed(results.evaluate)(those_of(part), protocol, name, False, laws)
            for name, part in sets
        )
        for tables in joblib.Parallel(return_as="generator_unordered", batch_size=1)(tasks):
            yield from tables


def _difference(row: pd.Series) -> dict[str, object]:
    """The largest difference between a recomputed cell and the published one."""
    gaps = {}
    for column in (c for c in row.index if f"{c} published" in row.index):
        now, before = row[column], row[f"{column} published"]
        if isinstance(before, (int, float)) and not (pd.isna(now) and pd.isna(before)):
            gaps[column] = abs(now - before) / max(1.0, abs(before))
    worst = max(gaps, key=lambda column: np.inf if np.isnan(gaps[column]) else gaps[column])
    if not gaps[worst] <= TOLERANCE:
        raise Mismatch(
            f"verify: seed {row.seed}, d={row.d}, {row.set}: {worst} is published as {row[f'{worst} published']}, recomputed as {row[worst]}"
        )
    return {"seed": row.seed, "d": row.d, "set": row.set, "largest difference": gaps[worst], "in": worst}
