"""Checking the published folder: every byte against the manifest, and cells against a recomputation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from .. import published, results, workers
from ..model import Ensemble
from ..protocol import Protocol
from ..published import FOLDER, Mismatch
from ..store import digest

__all__ = ["verify", "TOLERANCE"]

#: Largest difference, relative to the larger of 1 and the value, that rounding may make in a cell.
TOLERANCE = 1e-4


def verify(
    count: int = 4, seed: int | None = None, progress: bool = True, folder: Path = FOLDER
) -> tuple[pd.DataFrame, int]:
    """Check every published file against the manifest,
    then recompute a random sample of cells from the published networks.

    Each data set is drawn once for all networks of a seed that are asked about on it;
    seeds and data sets go to `lib.workers`.

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
    whole, networks = published.whole("cells", folder), {e.seed: e for e in _ensembles(folder)}
    here = [seed in networks and d in networks[seed].dims for seed, d in zip(whole.seed, whole.d)]
    chosen = whole[here].sample(min(count, sum(here)), random_state=np.random.default_rng(seed))
    protocol, rows = Protocol.from_mapping(about["protocol"]), []
    asked = {seed: tuple(sorted(set(part.d))) for seed, part in chosen.groupby("seed")}
    place = (folder, digest(about), protocol)
    codes = [(*place, seed, dims) for seed, dims in asked.items()]
    laws = dict(
        law
        for _, found in workers.run(_codes, codes, label="training codes", unit="seed", progress=progress)
        for law in found.items()
    )
    cells = [
        (*place, seed, tuple(sorted(part.d)), name, {(seed, d): laws[seed, d] for d in part.d})
        for (name, seed), part in sorted(chosen.groupby(["set", "seed"]), key=lambda item: -item[1].d.sum())
    ]  # the longest first
    for _, table in workers.run(
        _cells, cells, weights=[len(item[4]) for item in cells],
        label="recomputing cells", unit="cell", progress=progress,
    ):  # fmt: skip
        both = table.merge(chosen, on=["seed", "d", "set"], suffixes=("", " published"))
        rows += [_difference(row) for _, row in both.iterrows()]
    return pd.DataFrame(rows), len(whole) - sum(here)


def _networks(folder: Path, wanted: str, seed: int, dims: tuple[int, ...]) -> Ensemble:
    """Published networks, wherever this runs: held to the digest of the manifest that was asked about."""
    if not folder.is_dir():
        folder = FOLDER  # of another checkout
    if wanted != (found := digest(published.manifest(folder) or {})):
        raise Mismatch(
            f"verify: expected the published manifest {wanted} in {folder}, found {found}; "
            "check out the same version"
        )
    return next(e for e in _ensembles(folder) if e.seed == seed).part(dims)


def _ensembles(folder: Path) -> list[Ensemble]:
    return published.ensembles(folder) + published.ensembles(folder, published.JUDGES)


def _codes(_, folder: Path, wanted: str, protocol: Protocol, seed: int, dims: tuple[int, ...]):
    return results.training_codes([_networks(folder, wanted, seed, dims)], protocol)


def _cells(
    _, folder: Path, wanted: str, protocol: Protocol, seed: int, dims: tuple[int, ...], name: str, laws
) -> pd.DataFrame:
    return results.evaluate([_networks(folder, wanted, seed, dims)], protocol, name, False, laws)[0]


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
            f"verify: seed {row.seed}, d={row.d}, {row.set}: "
            f"{worst} is published as {row[f'{worst} published']}, recomputed as {row[worst]}"
        )
    return {"seed": row.seed, "d": row.d, "set": row.set, "largest difference": gaps[worst], "in": worst}
