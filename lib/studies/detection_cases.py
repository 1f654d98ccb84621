"""Single cases of the detection study: what one score alone finds, ROC curves, costs, a summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from sklearn import metrics
from torch import Tensor

from .. import data, jacobian, spectrum
from ..model import Ensemble
from ..protocol import NOISE_SETS, Protocol
from ..store import Store
from ..training import train
from . import detection, detection_data, detection_scores
from .claims import JUDGES
from .detection_scores import FURTHER, SCORES

__all__ = [
    "cases",
    "costs",
    "summary",
    "differences",
    "first_order",
    "described",
    "near",
    "own",
    "SHOWN",
    "SHOWN_DIM",
    "TELLING",
]

#: Latent dimension of the network that is looked at closely,
#: the scores of its ROC curves and pictures, and the sets.
SHOWN_DIM = 14
SHOWN = ("error", "relative error", "hamming", "K_L defect")
TELLING = ("half brightness", "mean of two", "fashion")
#: Pictures of each case, and places of the grid on which a ROC curve is kept.
PICTURES, GRID = 8, 101
#: Points a set in this build's own version.
OWN_POINTS = 300
#: Points and repetitions of a timing.
TIMED, REPEATED = 500, 5


def near(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of sets that are neither noise nor the control: those that decide."""
    return found[~found.set.isin((*NOISE_SETS, "untouched"))]


def cases(
    ensemble: Ensemble,
    training_set: str,
    d: int = SHOWN_DIM,
    sets: Sequence[str] = TELLING,
    points: int = detection_data.POINTS,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Tensor]]:
    """ROC curves of one network, and the points that one score alone finds.

    A point is found where its score is above the 95 % quantile of the second half of the calibration images.

    Returns
    -------
    curves : DataFrame, ``set, score, alarms, hits``: the curve at `GRID` shares of false alarms
    counts : DataFrame, ``set, score, found, alone``: shares of the set that the score finds,
        and finds alone of `SHOWN`
    pictures : dict of uint8 Tensor, shape (≤ `PICTURES`, 784), of 255 grey values, by ``"<set>|<score>"``:
        the first points that it finds alone
    """
    parts, net = detection_data.parts(training_set), ensemble.member(d).double()
    first, second = (detection_scores.probe(net, x) for x in (parts.fit, parts.rank))
    fitted = detection_scores.fit(first, second, pixels=False)
    inside = detection_scores.evaluate(detection_scores.probe(net, parts.inside[:points]), fitted, SHOWN)
    calibrated = detection_scores.evaluate(second, fitted, SHOWN)
    grid, curves, counts, pictures = np.linspace(0, 1, GRID), [], [], {}
    for name in sets:
        x = detection_data.points(name, training_set, points)
        outside = detection_scores.evaluate(detection_scores.probe(net, x), fitted, SHOWN)
        above = np.stack([outside[s] > np.quantile(calibrated[s], 1 - detection.LEVEL) for s in SHOWN])
        for score, mine in zip(SHOWN, above):
            alone = mine & (above.sum(0) == 1)
            truth = np.repeat([0, 1], [len(inside[score]), len(x)])
            alarms, hits, _ = metrics.roc_curve(truth, np.concatenate([inside[score], outside[score]]))
            curve = {"set": name, "score": score, "alarms": grid, "hits": np.interp(grid, alarms, hits)}
            curves.append(pd.DataFrame(curve))
            counts.append({"set": name, "score": score, "found": mine.mean(), "alone": alone.mean()})
            pictures[f"{name}|{score}"] = (255 * x[torch.from_numpy(alone)][:PICTURES]).round().byte()
    return pd.concat(curves, ignore_index=True).round(5), pd.DataFrame(counts).round(5), pictures


def alone(pictures: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The pictures of `cases` by set and score, in [0, 1]; one black image where there is none."""
    shown = {key: p / 255 if len(p) else torch.zeros(1, 784) for key, p in pictures.items()}
    names = dict.fromkeys(key.partition("|")[0] for key in pictures)
    return {name: {score: shown[f"{name}|{score}"] for score in SHOWN} for name in names}


def costs(ensemble: Ensemble, training_set: str, d: int = SHOWN_DIM) -> pd.DataFrame:
    """What a score costs a point, in round trips: median over `REPEATED` timings of `TIMED` points.

    Only ratios are kept: they depend on the machine less than seconds do.
    """
    parts = detection_data.parts(training_set)
    net, single = ensemble.member(d).double(), ensemble.member(d).float()
    first, second = (detection_scores.probe(net, x[:TIMED]) for x in (parts.fit, parts.rank))
    fitted = detection_scores.fit(first, second)
    x = parts.inside[:TIMED]
    trip, p = jacobian.round_trip(net, x), detection_scores.probe(net, x)
    k, _ = jacobian.matrices(net, trip)
    stages: dict[str, Callable] = {
        "round trip": lambda: net(x),
        "re-encoding": lambda: net.encoder(trip.y),
        "second decoding": lambda: net.decoder(trip.z),
        "patterns": lambda: jacobian.round_trip(net, x),
        "Jacobians": lambda: jacobian.matrices(net, trip),
        "eigenvalues": lambda: spectrum.eigenvalues(k),
        "iterations": lambda: detection_scores.iterated(lambda v: single(v)[1], trip.y.float()),
    }
    with torch.no_grad():
        seconds = {name: _median(f) for name, f in stages.items()}
        own = {name: _median(lambda s=score: s.of(p, fitted)) for name, score in SCORES.items()}
    extra = {"second round trip": ("re-encoding",), "linear regions": ("patterns",)}
    extra |= {"Jacobians": ("patterns", "Jacobians"), "spectra": ("patterns", "Jacobians", "eigenvalues")}
    rows = []
    for name, score in SCORES.items():
        total = own[name] + sum(seconds[s] for s in extra.get(score.kind, ()))
        total += seconds["second decoding"] if name == "image shift" else 0
        total += seconds["eigenvalues"] if name == "spectral distance" else 0
        image = name in (*detection_scores.PIXELS, "PCA residual")
        total += 0 if image or "patterns" in extra.get(score.kind, ()) else seconds["round trip"]
        rows.append({"score": name, "d": d, "cost": total / seconds["round trip"]})
    combined = sum(own[n] for n in detection_scores.COMBINED) + seconds["patterns"] + seconds["Jacobians"]
    several = {
        "iterations": seconds["round trip"] + seconds["iterations"],
        "disagreement": seconds["round trip"] * 6,
        "combination": combined,
    }
    rows += [{"score": n, "d": d, "cost": t / seconds["round trip"]} for n, t in several.items()]
    return pd.DataFrame(rows).round(3)


def _median(f: Callable) -> float:
    """Median processor time of `f`, after one call that is not counted."""
    f()
    taken = []
    for _ in range(REPEATED):
        start = time.process_time()
        f()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def summary(found: pd.DataFrame, cost: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a score: formula, mean AUROC over the near sets, its worst set, noise, untrained, cost.

    Means are over all networks of the judged d.
    """
    judged = found[found.d.isin(detection.JUDGED)] if found.d.isin(detection.JUDGED).any() else found
    trained, null = judged[judged.epochs > 0], judged[judged.epochs == 0]
    by_set = near(trained).pivot_table(index="score", columns="set", values="auroc")
    noise = trained[trained.set.isin(NOISE_SETS)].groupby("score").auroc.mean()
    untrained = near(null).groupby("score").auroc.mean()
    formulas = {name: score.formula for name, score in SCORES.items()}
    formulas |= {name: formula for name, (formula, _) in FURTHER.items()}
    by_set = by_set.loc[[name for name in formulas if name in by_set.index]]
    worst = [f"{value:.2f}, {name}" for value, name in zip(by_set.min(axis=1), by_set.idxmin(axis=1))]
    table = pd.DataFrame(
        {
            "score": list(by_set.index),
            "definition": [f"${formulas[name]}$" for name in by_set.index],
            "near sets": by_set.mean(axis=1).to_numpy(),
            "worst": worst,
            "noise": noise.reindex(by_set.index).to_numpy(),
            "untrained": untrained.reindex(by_set.index).to_numpy(),
        }
    )
    return table if cost is None else table.assign(cost=table.score.map(cost.set_index("score").cost))


def differences(found: pd.DataFrame) -> pd.DataFrame:
    """The primary statements seed by seed: ``statement, rival, seed, judges, difference`` and the t interval
    of the judging seeds.

    Statements whose networks are not in the table are left out.
    """
    rows = []
    for score, training_set, name in detection.PRIMARY:
        statement = f"{score}, {'digit 1 left out' if name == 'left out' else name}"
        seeds = sorted(found[(found.set == name) & (found.training_set == training_set)].seed.unique())
        judged = detection.compared(found, score, training_set, name).set_index("rival")
        for seed in seeds:
            for row in detection.compared(found, score, training_set, name, [seed]).itertuples():
                if row.seeds:
                    rows.append({
                        "statement": statement, "rival": row.rival, "seed": seed, "judges": seed in JUDGES,
                        "difference": row.mean, "low": judged.low[row.rival], "high": judged.high[row.rival],
                    })  # fmt: skip
    return pd.DataFrame(rows)


def first_order(found: pd.DataFrame) -> pd.DataFrame:
    """What the first-order defects add to the re-encoding shift: AUROCs by set, over the judged d."""
    judged = near(found[found.d.isin(detection.JUDGED) & (found.epochs > 0)])
    wide = judged.pivot_table(index="set", columns="score", values="auroc", sort=False)
    shift, defect, whole = (wide[name] for name in ("re-encoding shift", "K_L defect", "K_I defect"))
    columns = {"set": wide.index, "re-encoding shift": shift}
    columns |= {r"$\|K_L-1\|$": defect, "added": defect - shift}
    columns |= {r"$\|K_I-1\|$": whole, "added ": whole - shift}
    return pd.DataFrame(columns).sort_values("added", ascending=False)


def described(training_set: str, found: pd.DataFrame) -> pd.DataFrame:
    """The sets of a table with what each is, one row each; the noise sets as one."""
    names = [n for n in dict.fromkeys(found.set) if n not in NOISE_SETS]
    rows = [(n, detection_data.stated(n, training_set), found.set == n) for n in names]
    if (noise := found.set.isin(NOISE_SETS)).any():
        rows.append(("noise", "The ten noise sets.", noise))
    rows = [(name, says, int(found[there].points.max())) for name, says, there in rows]
    return pd.DataFrame(rows, columns=["set", "what it is", "points"])


def own(protocol: Protocol, store: Store | None = None, digit: int = 1) -> pd.DataFrame:
    """This build's version, in seconds: the first seed's networks on a few sets,
    and one network that a digit is left out of.

    The networks are the build's own. The one without the digit is trained for at most a hundred epochs,
    at the largest of the build's d that is at most 8.
    """
    store, first = store or Store(), protocol.replace(seeds=protocol.seeds[:1])
    base = data.without(protocol.training_set)[0]
    sets = ("untouched", "letters", "half brightness", "mean of two", "rotated 90", "uniform")
    if base == "mnist":
        sets += ("fashion",)
    dims = protocol.dims[-2:]
    shown = detection.table(train(first, store), first, store, sets, dims, points=OWN_POINTS)
    d = max([d for d in protocol.dims if d <= 8] or protocol.dims[:1])
    epochs = min(protocol.epochs, 100)
    without = first.replace(training_set=f"{base}-without-{digit}", dims=(d,), epochs=epochs)
    alone = detection.table(train(without, store), without, store, dims=(d,))
    return pd.concat([shown, alone], ignore_index=True)
