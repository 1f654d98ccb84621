"""Can the geometry tell? The scores of `detection_scores` on the sets of `detection_data`, judged.

**Measures.** The area under the ROC curve (AUROC) of a score, points off the distribution being the positive
ones; the share of them that is accepted where 95 % of the points in distribution are (FPR at 95 % TPR, the
points in distribution being the positive ones there); the area under the precision–recall curve both ways.

**Definitions, fixed before any score of the seeds 3–10 existed** (seeds 0 and 1, and 2 in part, are where we
looked). A score *beats* on a set if its difference in AUROC from error, *and* from relative error, *and* from
the re-encoding shift, paired within a network and averaged within a seed over d = 8, 14, 17, 20 (digits left
out of training: 8, 14, 20), has a 95 % t interval over the seeds 3–10 above zero. It *fails* on a set if the
interval of its AUROC, averaged in the same way, lies below one half. Primary are the scores ``hamming`` and
``K_L defect`` on the four sets ``half brightness``, ``mean of two``, digit 1 left out of training, and
``fashion``: eight statements, Holm's method over them, the p-value of each being the largest of its three
comparisons. Everything else is exploration.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn import metrics

from .. import data, noise, results, workers
from ..model import Ensemble
from ..protocol import Protocol
from ..store import Store
from ..training import training_fields
from . import detection_data, detection_scores, statistics
from .claims import JUDGES
from .detection_scores import PIXELS, SCORES

__all__ = [
    "table", "rows", "measures", "DIMS", "RIVALS", "PRIMARY", "held_out",
    "averaged", "compared", "failing", "primary",
]  # fmt: skip

#: Raise when a number changes; stored tables are then computed anew.
VERSION = 1
#: Latent dimensions that are scored, and those of networks that a digit was left out of.
DIMS, HELD_OUT_DIMS = (2, 5, 8, 14, 17, 20), (2, 8, 14, 20)
#: Of these the ones that statements average over.
JUDGED, HELD_OUT_JUDGED = (8, 14, 17, 20), (8, 14, 20)
#: What a score has to beat, each of them.
RIVALS = ("error", "relative error", "re-encoding shift")
#: The primary statements: score, training set, set.
PRIMARY = tuple(
    (score, *place)
    for score in ("hamming", "K_L defect")
    for place in (
        ("mnist", "half brightness"), ("mnist", "mean of two"),
        ("mnist-without-1", "left out"), ("mnist", "fashion"),
    )
)  # fmt: skip
LEVEL = 0.05


def measures(inside: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    """How well a score, larger further out, tells ``outside (m,)`` from ``inside (n,)``; ties count one half.

    >>> measures(np.array([0.0, 1.0]), np.array([1.0, 2.0]))["auroc"]
    0.875
    """
    score = np.concatenate([inside, outside])
    out = np.repeat([0, 1], [len(inside), len(outside)])
    # one sort for all four: shares of both kinds of points that score at least a threshold, from none to all
    alarms, hits, _ = metrics.roc_curve(out, score, drop_intermediate=False)
    n, m = len(inside), len(outside)
    kept, missed = 1 - alarms[::-1], 1 - hits[::-1]  # shares that score less, from none to all
    return {
        "auroc": float(metrics.auc(alarms, hits)),
        "fpr95": float(missed[np.argmax(kept >= 0.95 - 1e-12)]),
        "aupr_out": _average_precision(hits, m * hits, n * alarms),
        "aupr_in": _average_precision(kept, n * kept, m * missed),
    }


def _average_precision(recall: np.ndarray, right: np.ndarray, wrong: np.ndarray) -> float:
    """Σ (R_k − R_{k−1}) P_k, P the share of the `right` among all taken; the first entry takes none."""
    return float((np.diff(recall) * right[1:] / (right[1:] + wrong[1:])).sum())


def rows(
    ensemble: Ensemble, training_set: str, sets: Sequence[str], points: int = detection_data.POINTS
) -> pd.DataFrame:
    """Every measure of every score of the networks of one seed, in float64.

    Returns
    -------
    DataFrame with ``training_set, seed, d, epochs, set, score, points`` and the columns of `measures`; one
    row for each network, set and score. *Disagreement*, the mean over the seed's networks of ‖y_d − ȳ‖², is
    repeated for each of them.
    """
    parts, singles = detection_data.parts(training_set), [ensemble.member(d).float() for d in ensemble.dims]
    nets = [ensemble.member(d).double() for d in ensemble.dims]
    fitted = []
    for net in nets:
        first, second = (detection_scores.probe(net, x) for x in (parts.fit, parts.rank))
        fitted.append(detection_scores.fit(first, second, pixels=not fitted))
    epochs, found = ensemble.epochs, []
    inside = _scores(nets, singles, fitted, parts.inside[:points])
    for done, name in enumerate(sets):
        workers.report(done)
        x = detection_data.points(name, training_set, points)
        for d, here, there in zip(ensemble.dims, inside, _scores(nets, singles, fitted, x)):
            head = {"training_set": training_set, "seed": ensemble.seed, "d": d, "epochs": epochs}
            found += [
                head | {"set": name, "score": score, "points": len(x)} | measures(here[score], there[score])
                for score in here
            ]
    return pd.DataFrame(found)


def _scores(nets, singles, fitted, x) -> list[dict[str, np.ndarray]]:
    """All scores of the points ``x`` from each network of one seed; what needs the image alone, once.

    The iterations are run in single precision: a hundred round trips cost as much as all the rest, and their
    tolerance is far above the rounding.
    """
    probes = [detection_scores.probe(net, x) for net in nets]
    images = detection_scores.evaluate(probes[0], fitted[0], PIXELS)
    own = tuple(name for name in SCORES if name not in PIXELS)
    y = np.stack([p.y for p in probes])
    disagreement = ((y - y.mean(0)) ** 2).sum(2).mean(0)
    out = []
    for single, p, f in zip(singles, probes, fitted):
        orbit = detection_scores.iterated(lambda v, single=single: single(v)[1], single(x.float())[1])
        several = {"iterations": -orbit, "disagreement": disagreement}
        out.append(images | detection_scores.evaluate(p, f, own) | several)
    return out


def table(
    networks: Sequence[Ensemble],
    protocol: Protocol,
    store: Store | None = None,
    sets: Sequence[str] | None = None,
    dims: Sequence[int] = DIMS,
    points: int = detection_data.POINTS,
) -> pd.DataFrame:
    """The rows of the networks of a protocol, loaded where stored and computed where not.

    Parameters
    ----------
    networks : those of `lib.training.train`, or of `untrained`.
    sets : names as `lib.studies.detection_data.points` takes them; default: all, or for networks that a digit
        was left out of that digit alone.
    dims : latent dimensions to be scored, those of the protocol among them.
    """
    store = store or Store()
    sets = sets or (detection_data.SETS if data.without(protocol.training_set)[1] is None else ("left out",))
    dims = tuple(d for d in dims if d in protocol.dims)
    stored = lambda *run: store.load_table("detection", _fields(*run)) is not None
    given = (networks, protocol, store, tuple(sets), dims, points)
    found = results.by_seed(_scored, stored, *given, units=len(sets), label="scores", unit="set")
    return pd.concat(found, ignore_index=True)


def _fields(
    seed: int, trained: bool, protocol: Protocol, sets: tuple[str, ...], dims: tuple[int, ...], points: int
) -> dict[str, object]:
    networks = training_fields(protocol, seed, None if trained else 0)
    fields = {"networks": networks, "sets": sets, "dims": dims, "points": points}
    return fields | {"noise": noise.VERSION, "version": VERSION}


def _scored(store: Store, *run) -> pd.DataFrame:
    """The rows of one seed, loaded where stored and computed where not."""
    seed, trained, protocol, sets, dims, points = run

    def compute() -> pd.DataFrame:
        networks = results.kept(store, protocol, seed, trained)
        return rows(networks.part(dims), protocol.training_set, sets, points).round(6)

    return store.table("detection", _fields(*run), compute)


def held_out(protocol: Protocol, digit: int = 1) -> Protocol:
    """The protocol of the networks that `digit` is left out of: half as many latent dimensions.

    >>> held_out(Protocol(seeds=(3,))).training_set
    'mnist-without-1'
    """
    dims = tuple(d for d in HELD_OUT_DIMS if d in protocol.dims)
    base = data.without(protocol.training_set)[0]
    return protocol.replace(training_set=f"{base}-without-{digit}", dims=dims)


def averaged(found: pd.DataFrame, seeds: Sequence[int] = JUDGES) -> pd.DataFrame:
    """AUROC averaged within a seed over the judged d: rows (training set, set, seed), a column a score."""
    left_out = found.training_set.str.contains("-without-")
    judged = np.where(left_out, found.d.isin(HELD_OUT_JUDGED), found.d.isin(JUDGED))
    kept = found[judged & found.seed.isin(seeds) & (found.epochs > 0)]
    return kept.pivot_table(index=["training_set", "set", "seed"], columns="score", values="auroc")


def _interval(values: np.ndarray) -> dict[str, float]:
    """Mean, 95 % t interval over seeds, two-sided ``p`` for a mean above zero, ``p_below`` below."""
    found = statistics.t_test(values, above=0.0)
    above, below = np.minimum(1.0, 2 * np.array([found.wanted, found.against]))
    return {"mean": found.value, "low": found.low, "high": found.high, "p": above, "p_below": below}


def compared(
    found: pd.DataFrame, score: str, training_set: str, name: str, seeds: Sequence[int] = JUDGES
) -> pd.DataFrame:
    """The score against each of `RIVALS` on one set: mean paired difference in AUROC, its t interval, p.

    Three of the seeds 3–10 give an interval, and all eight a verdict (`primary`). The score *beats* if every
    ``low`` is above zero.
    """
    wide = averaged(found, seeds)
    wide = wide[[place[:2] == (training_set, name) for place in wide.index]]
    none = pd.Series(dtype=float)
    return pd.DataFrame([
        {"rival": rival, "seeds": len(wide)}
        | _interval((wide[score] - wide[rival] if len(wide) else none).to_numpy())
        for rival in RIVALS
    ])  # fmt: skip


def failing(found: pd.DataFrame, seeds: Sequence[int] = JUDGES) -> pd.DataFrame:
    """Mean AUROC of every score on every set, its t interval; ``fails`` where that lies below one half."""
    long = averaged(found, seeds).stack().rename("auroc").reset_index()
    place = ["training_set", "set", "score"]
    out = [
        dict(zip(place, key)) | {"seeds": len(part)} | _interval(part.auroc.to_numpy())
        for key, part in long.groupby(place, sort=False)
    ]
    frame = pd.DataFrame(out, columns=["training_set", "set", "score", "seeds", "mean", "low", "high"])
    return frame.assign(fails=frame.high < 0.5)


def _holm(p: pd.Series) -> np.ndarray:
    """Holm's method over all eight: a statement that cannot be tested yet counts as one with p = 1."""
    return statistics.holm(p.fillna(1.0))


def primary(found: pd.DataFrame) -> pd.DataFrame:
    """The eight primary statements with their verdicts.

    A score *beats* where Holm's p over the eight is below 5 %; it *does not beat* where it is below some
    rival with a p-value under 5 %, corrected by Bonferroni's method over the three and Holm's over the eight;
    else the statement is *open*, and *not judged yet* until all eight seeds are there.

    Returns
    -------
    DataFrame
        One row a statement: the least favourable of the three mean differences and its interval, the largest
        p, Holm's p over the eight, and the verdict.
    """
    out = []
    for score, training_set, name in PRIMARY:
        pairs = compared(found, score, training_set, name)
        judged = pairs["mean"].notna().any()
        worst = pairs.loc[pairs["mean"].idxmin() if judged else 0]
        about = worst.to_dict() | {
            "rival": worst.rival if judged else "–",
            "p": pairs.p.max(skipna=False),
            "p_below": min(1.0, len(RIVALS) * pairs.p_below.min()),
        }
        out.append({"score": score, "training_set": training_set, "set": name} | about)
    frame = pd.DataFrame(out).assign(holm=lambda f: _holm(f.p), holm_below=lambda f: _holm(f.p_below))

    def verdict(row) -> str:
        if row.seeds < len(JUDGES):
            return "not judged yet"
        return "beats" if row.holm < LEVEL else "does not beat" if row.holm_below < LEVEL else "open"

    return frame.assign(verdict=frame.apply(verdict, axis=1))
