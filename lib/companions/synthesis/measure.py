"""The paper's protocol on the variants: its results table, and what becomes of the instability."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from ... import data, jacobian, noise, spectrum
from ...model import Autoencoder
from ...protocol import Protocol
from ...results import blocks, evaluate
from ...store import Store
from ...training import untrained
from . import REGULARISERS, TWINS, VERSION, Settings
from .variants import _fields, variants

__all__ = [
    "part",
    "cells",
    "named",
    "every_statistic",
    "instability",
    "summary_table",
    "verdicts",
    "chance",
    "nearest_image",
    "asymmetry",
    "symmetry_shares",
    "label",
    "STATISTICS",
    "SIGNS",
]

#: Columns of the results table behind each figure of the paper, with a short name.
STATISTICS = {
    "distance_median": r"$\|\lambda_I-\lambda_L\|^2/d$, median", "distance_mean": "mean",
    "I_mean": r"mean $|\lambda_I|$", "L_mean": r"mean $|\lambda_L|$", "I_geometric": r"geometric, $I$",
    "L_geometric": r"geometric, $L$",
    "I_log_median": r"median $\log|\lambda_I|$", "L_log_median": r"median $\log|\lambda_L|$",
    "I_sd_log": r"sd $\log|\lambda_I|$", "L_sd_log": r"sd $\log|\lambda_L|$",
    "I_reversed": r"reversed, $I$", "L_reversed": r"reversed, $L$",
    "I_arg_mean": r"$|\mathrm{Arg}\,\lambda_I|$", "L_arg_mean": r"$|\mathrm{Arg}\,\lambda_L|$",
    "error": "error",
}  # fmt: skip

#: The paper's signs of instability: statistic → what it is called here.
#: Each is larger off the training distribution than on it.
SIGNS = {
    "distance_median": r"$\|\lambda_I-\lambda_L\|^2/d$", "I_sd_log": r"sd $\log|\lambda_I|$",
    "I_reversed": "reversed", "I_arg_mean": r"$|\mathrm{Arg}\,\lambda_I|$",
}  # fmt: skip


def label(regulariser: str, strength: float) -> str:
    """``plain``, ``twin 1``, ``twin 2``, or the regulariser with its strength."""
    if strength in TWINS:
        return f"twin {TWINS.index(strength) + 1}"
    return "plain" if strength == 0 else f"{regulariser} {strength:g}"


def part(
    protocol: Protocol, settings: Settings, store: Store | None = None, *, regulariser: str
) -> pd.DataFrame:
    """The part of `cells` of one regulariser, or of the ``untrained`` networks."""
    small = protocol.replace(points=settings.points, dims=settings.dims, seeds=settings.seeds)
    fields = {"networks": [_fields(protocol, settings, regulariser, seed) for seed in settings.seeds]}
    fields |= {"points": settings.points, "dtype": protocol.dtype, "sets": protocol.sets}
    fields |= {"spectrum": spectrum.VERSION, "noise": noise.VERSION}

    def compute() -> pd.DataFrame:
        if regulariser == "untrained":
            found = {0.0: untrained(small)}
        else:
            found = variants(protocol, settings, regulariser, store)
        flat, rows = [(s, e) for s, ensembles in found.items() for e in ensembles], []
        names = ("train", "test", *protocol.sets)
        for name in tqdm(names, desc=f"spectra, {regulariser}", unit="set", leave=False):
            for (s, _), table in zip(flat, evaluate([e for _, e in flat], small, name, progress=False)):
                rows.append(table.assign(regulariser=regulariser, strength=s))
        return pd.concat(rows, ignore_index=True)

    return (store or Store()).table("synthesis", fields, compute, f"companions/synthesis-{regulariser}")


def cells(protocol: Protocol, settings: Settings, store: Store | None = None) -> pd.DataFrame:
    """The results table of `lib.results` for every variant, and for the untrained networks.

    Two columns are added: ``regulariser`` and ``strength``. The plain networks stand under
    ``denoising`` with strength 0, the untrained ones under ``untrained``.
    """
    parts = [part(protocol, settings, store, regulariser=r) for r in ("untrained", *REGULARISERS)]
    return pd.concat(parts, ignore_index=True)


def named(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``network``: ``plain``, a twin, ``untrained``, or regulariser and strength."""
    names = [r if r == "untrained" else label(r, s) for r, s in zip(table.regulariser, table.strength)]
    return table.assign(network=names)


def every_statistic(table: pd.DataFrame) -> pd.DataFrame:
    """Every statistic of Figures 1–6 by network and data set, means over d and seeds."""
    cell_table = named(table)
    order = {name: i for i, name in enumerate(dict.fromkeys(cell_table.network))}
    sets = {name: i for i, name in enumerate(dict.fromkeys(cell_table.set))}
    mean = cell_table.groupby(["network", "set"], sort=False)[list(STATISTICS)].mean().reset_index()
    mean = mean.sort_values(["network", "set"], key=lambda c: c.map(order if c.name == "network" else sets))
    return mean.rename(columns=STATISTICS | {"set": "data set"})


def instability(table: pd.DataFrame) -> pd.DataFrame:
    """The signs of instability, one row a network: on the training law, and the mean over the noise sets.

    Columns ``network``; for each of `SIGNS` ``<sign>`` (a mean over noise sets, d and seeds) and
    ``<sign>_train``; ``worse``, the share of noise cells (sign, set, d, seed) above the training
    cell of the same network; ``error``, mean squared pixel error on held-out images, and ``cost``, its
    ratio to the plain networks' (geometric mean over d and seeds).
    """
    cell_table = named(table)
    cell = ["network", "d", "seed"]
    train = cell_table[cell_table.set == "train"].set_index(cell)
    off = cell_table[~cell_table.set.isin(["train", "test"])]
    test = cell_table[cell_table.set == "test"].set_index(cell).error
    base = off.set_index(cell).index
    rows = []
    for name in dict.fromkeys(cell_table.network):
        mine = off[off.network == name]
        row = {"network": name}
        for sign in SIGNS:
            row |= {f"{sign}_train": train.loc[[name]][sign].mean(), sign: mine[sign].mean()}
        own = train[list(SIGNS)].reindex(base[off.network == name]).to_numpy()
        row["worse"] = (mine[list(SIGNS)].to_numpy() > own).mean()
        row["error"] = test.loc[name].mean()
        row["cost"] = np.exp(np.log(test.loc[name] / test.loc["plain"]).mean())
        rows.append(row)
    return pd.DataFrame(rows)


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """`instability` for a page: each sign as ``training → noise``."""
    summary = instability(table)
    out = {"network": summary.network}
    for sign, title in SIGNS.items():
        out[title] = [f"{a:.2g} → {b:.2g}" for a, b in zip(summary[f"{sign}_train"], summary[sign])]
    out |= {"share above": summary.worse, "held-out error": summary.error, "relative cost": summary.cost}
    return pd.DataFrame(out)


def verdicts(table: pd.DataFrame, near: float = 0.1) -> pd.DataFrame:
    """One verdict a variant, its signs with the gap over the plain networks'.

    The *gap* of a sign is its mean over the noise sets less its value on the training law, in the same
    network; the plain networks and their twins give it a range, from chance alone. A sign is *cured* where
    the variant's gap is at most `near` times the low end of that range, *eased* where it is at most half of
    it, *worse* where it exceeds the high end by half; else it *stays*. A sign whose range reaches zero is not
    compared. A variant *cures* when every sign is cured and the held-out error grows by no more than a tenth,
    and *eases* when at least half of the signs are eased or cured.
    """
    summary = instability(table).set_index("network")
    gaps, alike = _gaps(summary)
    rows = []
    for name, row in summary.drop(index=[*alike, "untrained"], errors="ignore").iterrows():
        words = {}
        for title, gap in gaps.items():
            before, after = gap[alike], gap[name]
            low, high = before.min(), before.max()
            if low <= 0:
                words[title] = "not compared"
                continue
            reached = {"cured": after <= near * low, "eased": after <= low / 2, "worse": after > 1.5 * high}
            word = next((word for word, yes in reached.items() if yes), "stays")
            words[title] = f"{word} ({after / before.mean():.2f})"
        kinds = [w.split()[0] for w in words.values() if not w.startswith("not")]
        cured = bool(kinds) and all(k == "cured" for k in kinds) and row.cost <= 1.1
        eased = sum(k in ("cured", "eased") for k in kinds) >= max(1, len(kinds) / 2)
        verdict = "cures" if cured else "eases" if eased else "does not cure"
        rows.append({"network": name} | words | {"cost": row.cost, "verdict": verdict})
    return pd.DataFrame(rows)


def chance(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Sign → lowest and highest gap among the plain networks and their twins."""
    gaps, alike = _gaps(instability(table).set_index("network"))
    return {title: (gap[alike].min(), gap[alike].max()) for title, gap in gaps.items()}


def _gaps(summary: pd.DataFrame) -> tuple[dict[str, pd.Series], list[str]]:
    """Sign → its mean over noise less its value on the training law, by network;
    and the networks that are plain, or twins."""
    alike = [n for n in summary.index if n == "plain" or n.startswith("twin")]
    return {title: summary[sign] - summary[f"{sign}_train"] for sign, title in SIGNS.items()}, alike


def nearest_image(
    protocol: Protocol, settings: Settings | None = None, store: Store | None = None, points: int = 200
) -> pd.DataFrame:
    """Median Euclidean distance of a noise set's points to the nearest of (at most 20,000) training images:
    columns ``set, distance``."""

    def compute() -> pd.DataFrame:
        train = data.load(protocol.training_set).train[:20_000]
        near = lambda name: torch.cdist(noise.sample(name, 0, points), train).amin(1).median().item()
        return pd.DataFrame([(s, near(s)) for s in protocol.sets], columns=["set", "distance"])

    fields = {"images": data.digest(protocol.training_set), "sets": protocol.sets, "points": points}
    fields |= {"noise": noise.VERSION, "version": VERSION}
    return (store or Store()).table("synthesis", fields, compute, "companions/synthesis-nearest")


def symmetry_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Shares of non-real and of negative real eigenvalues of the round trip by network and data set,
    means over d and seeds."""
    columns = ["I_nonreal", "I_negative_real"]
    return named(table).groupby(["network", "set"], sort=False)[columns].mean().reset_index()


def asymmetry(
    protocol: Protocol, settings: Settings, store: Store | None = None, points: int = 40
) -> pd.DataFrame:
    """The raw ratio ‖J − Jᵀ‖/(2‖J‖) of J = J_I, Frobenius norms, mean over points: ``network, set, ratio``.

    With J = GE it is √((‖J‖² − tr K²)/(2‖J‖²)), ‖J‖² = tr(GᵀG EEᵀ), so no 784×784 matrix is needed.
    It is 0 for a symmetric J, and 1/√2 where tr K² is small beside ‖J‖².
    """
    regularisers, names = ("denoising", "contractive"), ("train", "uniform")

    @torch.no_grad()
    def compute() -> pd.DataFrame:
        found, rows = [], []
        for r in regularisers:
            for s, ensembles in variants(protocol, settings, r, store).items():
                found += [(label(r, s), e) for e in ensembles]
        for name in names:
            x = next(blocks(protocol, name))[:points]
            for network, ensemble in found:
                values = [_ratio(ensemble.member(d).double(), x) for d in ensemble.dims]
                rows.append((network, name, float(torch.cat(values).mean())))
        return pd.DataFrame(rows, columns=["network", "set", "ratio"])

    trained = [_fields(protocol, settings, r, seed) for r in regularisers for seed in settings.seeds]
    fields = {"networks": trained, "sets": names, "points": points}
    fields |= {"noise": noise.VERSION, "asymmetry": VERSION}
    return (store or Store()).table("synthesis", fields, compute, "companions/synthesis-asymmetry")


def _ratio(net: Autoencoder, x: torch.Tensor) -> torch.Tensor:
    """‖J − Jᵀ‖/(2‖J‖) at each row of `x`."""
    e = jacobian.derivative(net.encoder, x)  # (n, d, 784)
    g = jacobian.derivative(net.decoder, net.encoder(x), forward=True)  # (n, 784, d)
    square = torch.einsum("nij,nji->n", g.transpose(1, 2) @ g, e @ e.transpose(1, 2))
    k = e @ g
    return ((square - torch.einsum("nij,nji->n", k, k)) / (2 * square)).clamp_min(0).sqrt()
