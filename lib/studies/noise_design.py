"""Which property of noise does it? A space-filling design of noise sets, and models of what networks do on them.

**Design.** A scrambled Sobol sequence in the box of mean pixel, variance, logarithm of the correlation length and share of
zeros; its first `COUNT` places that some field of `lib.noise` has are the design. The factors of the models are those four,
but for the zeros: a Beta distribution puts pixels so near to zero that no image of 8 bits tells them from it, so the share
of *black* pixels, P(x < 1/510), stands for it. What has independent pixels counts as of the shortest correlation length.

**Responses**, one number a network and noise set, as the claims define and scale them (`RESPONSES`): share of points with
reversed orientation (logit), standard deviation of log|λ|, mean |λ| and mean |Arg λ| of K_I, median Mahalanobis distance of
the codes from the training codes, and spread of the reconstructions over points (logarithms).

**Models.** Least squares on the standardised factors, for each response of each network: *linear*, whose coefficients, for a
standardised response, are the standardised effects; and *quadratic*, with all squares and products. How well a model
predicts is its held-out R² by `FOLDS`-fold cross-validation over distributions.

**Brightness or variance?** A factor's *share* is what the quadratic model's held-out R² loses when every term with that
factor is left out. The answer is the share of the mean less the share of the variance, averaged over the six responses and
over the networks with d in `JUDGED` of a seed. It is *brightness* if its 95 % interval lies above zero, *variance* if
below, else *open*. The interval is Student's over the seeds 3–10, once they are there; until then only the bootstrap over
distributions, which is conditional on the networks, is shown. Everything else is exploration. These definitions were
committed before any network was evaluated on a field; seeds 0 and 1 explore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor
from tqdm import tqdm

from .. import noise, results
from ..model import Ensemble
from ..protocol import NOISE_SETS, REPRESENTATIVES, Protocol, ProtocolError
from ..spectrum import Cell
from ..store import Store
from ..training import train, training_fields
from . import statistics
from .claims import JUDGES
from .detection_data import TRANSFORMED
from .evidence import SCALES

__all__ = [
    "names", "factors", "table", "scaled", "responses", "terms", "held_out", "effects", "predictive", "shares", "differences", "answer",
    "dependence", "placed", "paths", "pictures", "published", "own", "FACTORS", "RESPONSES", "DIMS", "COUNT", "POINTS",
]  # fmt: skip

#: Raise when a number changes; stored tables are then computed anew.
VERSION = 1
#: Distributions of the design, points of each, latent dimensions, and those that the answer averages over.
COUNT, POINTS, DIMS, JUDGED = 128, 1_000, (2, 5, 8, 14, 17, 20), (14, 17, 20)
#: The box: mean, variance, natural logarithm of the correlation length in pixels, share of zeros.
LOW, HIGH = (0.03, 0.0, np.log(0.3), 0.0), (0.97, 0.25, np.log(5.0), 0.97)
#: The variance of the pixels that are not zero, as a share of the largest that their mean allows, is between these.
RELATIVE = (0.01, 0.95)
#: Below this a pixel is 0 in an image of 8 bits.
BLACK = 1 / 510
FOLDS, DRAWS = 8, 1_000
#: Distributions and points of this build's own version; distributions of which the first points are shown.
OWN_COUNT, OWN_POINTS, SHOWN = 40, 100, 8

FACTORS = {"mean": "mean pixel", "variance": "variance", "length": "log correlation length", "black": "share of black pixels"}  # fmt: skip
#: response → column of the results table, its scale (`lib.studies.evidence.SCALES`), what it is called.
RESPONSES = {
    "reversed": ("I_reversed", "logit", "reversal (logit)"),
    "sd_log": ("I_sd_log", "log", r"sd of $\log|\lambda|$ (log)"),
    "modulus": ("I_mean", "log", r"mean $|\lambda|$ (log)"),
    "arg": ("I_arg_mean", "log", r"mean $|\mathrm{Arg}\,\lambda|$ (log)"),
    "codes": ("mahalanobis_median", "log", "distance of codes (log)"),
    "variety": ("y_sd", "log", "variety of $y$ (log)"),
}
KEPT = ["seed", "d", "set", "points", "brightness", *(column for column, _, _ in RESPONSES.values())]
#: Straight paths: steps, images, and where they end: noise sets, and the images themselves with their pixels in another order.
STEPS, IMAGES, ENDS = (
    np.linspace(0, 1, 11),
    500,
    (*REPRESENTATIVES.values(), "bernoulli_0.5", "pixels shuffled"),
)


def names(count: int = COUNT) -> tuple[str, ...]:
    """The first `count` distributions of the design, in the words of `lib.noise.distribution`.

    >>> names(2) == names(3)[:2]
    True
    """
    places = stats.qmc.scale(stats.qmc.Sobol(4, seed=16).random_base2(12), LOW, HIGH)
    found: list[str] = []
    for mean, variance, length, zeros in places:
        mu = mean / (1 - zeros)
        own = (variance + mean**2) / (1 - zeros) - mu**2
        if mu < HIGH[0] and RELATIVE[0] <= own / (mu * (1 - mu)) <= RELATIVE[1]:
            found.append(f"field_{mean:.3f}_{variance:.4f}_{np.exp(length):.2f}_{zeros:.3f}")
        if len(found) == count:
            return tuple(found)
    raise ProtocolError(f"noise design: expected at most {len(found)} distributions, got {count}")


def factors(sets: Sequence[str]) -> pd.DataFrame:
    """The factors of noise sets, exactly, from their distributions: a row a set, a column a factor."""
    rows = []
    for name in sets:
        law, words = noise.distribution(name), name.split("_")
        length = float(words[3]) if words[0] == "field" else 0.0
        rows.append((law.mean(), law.var(), max(np.log(length or 1e-9), LOW[2]), law.cdf(BLACK)))
    return pd.DataFrame(rows, index=pd.Index(sets, name="set"), columns=list(FACTORS), dtype=float)


def table(
    networks: Sequence[Ensemble],
    protocol: Protocol,
    store: Store | None = None,
    sets: Sequence[str] | None = None,
    dims: Sequence[int] = DIMS,
    points: int = POINTS,
) -> pd.DataFrame:
    """The columns `KEPT` of the results table on the sets of a design, loaded where stored and computed where not.

    Parameters
    ----------
    networks : those of `lib.training.train`.
    sets : default: the whole design.
    dims : latent dimensions, those of the protocol among them.
    """
    store, sets = store or Store(), tuple(sets or names())
    dims, few = tuple(d for d in dims if d in protocol.dims), protocol.replace(points=points)
    fields = {e.seed: _fields(protocol, e, dims, points) | {"sets": sets} for e in networks}
    stored = {seed: store.load_table("noise design", f) for seed, f in fields.items()}
    missing = [_some(e, dims) for e in networks if stored[e.seed] is None]
    if missing:
        laws = results.training_codes(missing, few)
        bar = tqdm(sets, desc="design", unit="set", leave=False)
        # each set is drawn once for all networks
        found = pd.concat([t for name in bar for t in results.evaluate(missing, few, name, False, laws)])
        for e in missing:
            own = found[found.seed == e.seed][KEPT].reset_index(drop=True)
            stored[e.seed] = store.table("noise design", fields[e.seed], lambda own=own: own)
    return pd.concat(stored.values(), ignore_index=True)


def _some(e: Ensemble, dims: Sequence[int]) -> Ensemble:
    return Ensemble([e.member(d) for d in dims], e.seed, e.curves)


def _fields(protocol: Protocol, e: Ensemble, dims: Sequence[int], points: int) -> dict:
    return {
        "networks": training_fields(protocol, e.seed, len(e.curves.get("train", ()))),
        "dims": dims,
        "points": points,
        "noise": noise.VERSION,
        "spectrum": results.spectrum.VERSION,
        "version": VERSION,
    }


def scaled(found: pd.DataFrame) -> pd.DataFrame:
    """The table with a further column for each response, on its scale."""
    return found.assign(
        **{
            name: SCALES[scale][0](found[c].astype(float), found.points)
            for name, (c, scale, _) in RESPONSES.items()
        }
    )


def responses(found: pd.DataFrame, sets: Sequence[str] | None = None) -> pd.DataFrame:
    """The responses on their scales: a row a set, columns (response, seed, d); networks with a gap are left out."""
    wide = scaled(found).pivot(index="set", columns=["seed", "d"], values=list(RESPONSES))
    wide.columns.names = ["response", "seed", "d"]
    return wide.loc[list(sets or dict.fromkeys(found.set))].dropna(axis=1)


def terms(f: pd.DataFrame, of: Sequence[str] = tuple(FACTORS), degree: int = 2, like: pd.DataFrame | None = None) -> np.ndarray:  # fmt: skip
    """The columns of a model, a constant first: the factors `of`, standardised as in the design `like`, and their products up to `degree`.

    Returns
    -------
    ndarray, shape (sets, terms)
    """
    like = f if like is None else like
    z = ((f - like.mean()) / like.std(ddof=0))[list(of)].to_numpy()
    return PolynomialFeatures(degree).fit_transform(z)


def _solve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(x, y, rcond=None)[0]


def held_out(x: np.ndarray, y: np.ndarray, fold: np.ndarray | None = None) -> np.ndarray:
    """1 − Σ (y − ŷ)² / Σ (y − ȳ)², both ŷ and ȳ from the other folds.

    Parameters
    ----------
    x : (sets, terms)
    y : (sets, responses)
    fold : number of the fold of each set; default: its place modulo `FOLDS`

    Returns
    -------
    ndarray, shape (responses,)
    """
    fold = np.arange(len(x)) % FOLDS if fold is None else fold
    left, whole = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for k in range(FOLDS):
        out = fold == k
        left += ((y[out] - x[out] @ _solve(x[~out], y[~out])) ** 2).sum(0)
        whole += ((y[out] - y[~out].mean(0)) ** 2).sum(0)
    return 1 - left / whole


def effects(f: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Standardised effects, the linear model's coefficients: columns ``response, seed, d, factor, effect``."""
    z = (y - y.mean()) / y.std(ddof=0)
    found = pd.DataFrame(_solve(terms(f, degree=1), z.to_numpy())[1:], index=list(FACTORS), columns=y.columns)
    return found.rename_axis("factor").T.stack().rename("effect").reset_index()


def _models() -> dict[str, tuple[tuple[str, ...], int]]:
    """Name of a model → its factors and its degree."""
    every = tuple(FACTORS)
    found = {"quadratic": (every, 2), "linear": (every, 1)}
    found |= {f"without {f}": (tuple(g for g in every if g != f), 2) for f in every}
    return found | {f"{f} alone": ((f,), 2) for f in every}


def predictive(f: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Held-out R² of every model: columns ``response, seed, d`` and one a model."""
    found = {name: held_out(terms(f, of, degree), y.to_numpy()) for name, (of, degree) in _models().items()}
    return pd.DataFrame(found, index=y.columns).reset_index()


def shares(skill: pd.DataFrame) -> pd.DataFrame:
    """What the quadratic model's held-out R² loses without a factor: columns ``response, seed, d`` and one a factor."""
    lost = {f: skill.quadratic - skill[f"without {f}"] for f in FACTORS}
    return skill[["response", "seed", "d"]].assign(**lost)


def differences(skill: pd.DataFrame) -> pd.DataFrame:
    """Share of the mean less share of the variance, a row a seed, a column a response, and ``all``, their mean."""
    by = _difference(shares(skill)).unstack("response")
    return pd.DataFrame({"all": by.mean(axis=1)}).join(by)


def _difference(lost: pd.DataFrame) -> pd.Series:
    """Share of the mean less share of the variance, over the judged d (all, where there is none of them), by seed and response."""
    kept = lost[lost.d.isin(JUDGED)] if lost.d.isin(JUDGED).any() else lost
    return (kept["mean"] - kept["variance"]).groupby([kept.seed, kept.response]).mean()


def answer(f: pd.DataFrame, y: pd.DataFrame, draws: int = DRAWS) -> pd.DataFrame:
    """Brightness or variance? A row for all responses together, the one that answers, and one a response.

    The bootstrap draws distributions with replacement; all that are the same are in the same fold.

    Returns
    -------
    DataFrame: ``response``; ``difference`` over the seeds there are, ``low`` and ``high`` by the bootstrap over
    distributions; ``judges``, the number of judging seeds, and their ``mean, t_low, t_high``; ``verdict`` of these.
    """
    x = {name: terms(f, *_models()[name]) for name in ("quadratic", "without mean", "without variance")}
    values, place = y.to_numpy(), np.arange(len(f)) % FOLDS

    def found(rows: np.ndarray) -> pd.DataFrame:
        """Differences of shares, a row a seed, a column a response and one for all."""
        r = {name: held_out(t[rows], values[rows], place[rows]) for name, t in x.items()}
        lost = {factor: r["quadratic"] - r[f"without {factor}"] for factor in ("mean", "variance")}
        by = _difference(pd.DataFrame(lost, index=y.columns).reset_index()).unstack("response")
        return pd.DataFrame({"all": by.mean(axis=1)}).join(by)

    by_seed, rng = found(np.arange(len(f))), np.random.default_rng(16)
    drawn = pd.DataFrame([found(rng.integers(len(f), size=len(f))).mean() for _ in range(draws)])
    low, high = (drawn.quantile((1 + side * statistics.CONFIDENCE) / 2) for side in (-1, 1))
    rows = []
    for name, of_seed in by_seed.items():
        judged = of_seed[of_seed.index.isin(JUDGES)]
        t = statistics.t_test(judged.to_numpy(), above=0.0)
        side = "brightness" if t.low > 0 else "variance" if t.high < 0 else "open"
        rows.append(
            {"response": name, "difference": of_seed.mean(), "low": low[name], "high": high[name]}
            | {"judges": len(judged), "mean": t.value, "t_low": t.low, "t_high": t.high}
            | {"verdict": side if len(judged) == len(JUDGES) else "not judged yet"}
        )
    return pd.DataFrame(rows)


def dependence(f: pd.DataFrame, y: pd.DataFrame, grid: int = 25) -> pd.DataFrame:
    """Partial dependence of the quadratic model (Friedman 2001): its mean over the design with one factor set to a value.

    The values run between the factor's 5 % and 95 % quantile in the design.

    Returns
    -------
    DataFrame: ``factor, value`` and the columns ``response, seed, d, predicted``
    """
    beta, parts = _solve(terms(f), y.to_numpy()), []
    for factor in FACTORS:
        for value in np.linspace(*f[factor].quantile([0.05, 0.95]), grid):
            mean = (terms(f.assign(**{factor: value}), like=f) @ beta).mean(0)
            parts.append(
                pd.DataFrame({"predicted": mean}, index=y.columns)
                .assign(factor=factor, value=value)
                .reset_index()
            )
    return pd.concat(parts, ignore_index=True)


def placed(
    f: pd.DataFrame, y: pd.DataFrame, cells: pd.DataFrame, sets: Sequence[str] = NOISE_SETS
) -> pd.DataFrame:
    """The paper's noise sets in the design: their factors, the quadratic model's prediction, what is seen, and the leverage.

    Parameters
    ----------
    cells : the results table with the rows of `sets`

    Returns
    -------
    DataFrame: ``response, seed, d, set, predicted, seen``, the factors, and ``leverage``: tᵀ(XᵀX)⁻¹t over the largest in the
    design; above 1 the prediction is an extrapolation.
    """
    x, at = terms(f), terms(here := factors(sets), like=f)
    inverse = np.linalg.pinv(x.T @ x)
    leverage = lambda t: np.einsum("ij,jk,ik->i", t, inverse, t)
    keep = cells.set.isin(sets) & pd.MultiIndex.from_frame(cells[["seed", "d"]]).isin(
        {c[1:] for c in y.columns}
    )
    seen = responses(cells[keep], sets)
    predicted = pd.DataFrame(at @ _solve(x, y.to_numpy()), index=here.index, columns=y.columns)
    both = pd.DataFrame({"predicted": predicted.unstack(), "seen": seen.unstack()}).dropna().reset_index()
    return both.join(here.assign(leverage=leverage(at) / leverage(x).max()), on="set")


@torch.no_grad()
def paths(
    networks: Sequence[Ensemble],
    protocol: Protocol,
    store: Store | None = None,
    dims: Sequence[int] = DIMS,
    images: int = IMAGES,
    ends: Sequence[str] = ENDS,
) -> pd.DataFrame:
    """The responses along (1 − t) x + t n, from held-out images x to points n of each of `ends`.

    Returns
    -------
    DataFrame: ``end, t``; ``mean, variance`` of all pixels there; the columns `KEPT`, of which ``set`` is left out
    """
    store, few = store or Store(), protocol.replace(points=images)
    dims, found = tuple(d for d in dims if d in protocol.dims), []
    for whole in networks:

        def compute(whole=whole) -> pd.DataFrame:
            e, x = _some(whole, dims), torch.cat(list(results.blocks(few, "test")))
            laws, rows = results.training_codes([e], protocol), []
            bar = tqdm(ends, desc=f"paths, seed {e.seed}", unit="path", leave=False)
            for end in bar:
                n = _end(end, x)
                for t, d in ((t, d) for t in STEPS for d in dims):
                    at, cell = (1 - t) * x + t * n, Cell(e.member(d).double())
                    cell.add(at)
                    head = {
                        "end": end,
                        "t": t,
                        "mean": float(at.mean()),
                        "variance": float(at.var(correction=0)),
                    }
                    row = cell.row(laws[e.seed, d])
                    rows.append(head | {"seed": e.seed, "d": d} | {c: row[c] for c in KEPT[3:]})
            return pd.DataFrame(rows)

        fields = _fields(protocol, whole, dims, images) | {"ends": tuple(ends), "steps": STEPS.tolist()}
        found.append(store.table("noise paths", fields, compute))
    return pd.concat(found, ignore_index=True)


def _end(name: str, x: Tensor) -> Tensor:
    """What the path from the images ``x`` ends at."""
    return TRANSFORMED[name](x) if name in TRANSFORMED else noise.sample(name, 0, len(x))


def pictures(sets: Sequence[str], count: int = 6) -> dict[str, Tensor]:
    """The first points of noise sets as grey values of 8 bits, ``(count, 784)`` uint8."""
    return {name: (255 * noise.sample(name, 0, count)).round().byte() for name in sets}


def published(networks: Sequence[Ensemble], protocol: Protocol, store: Store) -> Mapping[str, object]:
    """The tables and pictures that are published, by the name of their file."""
    found = table(networks, protocol, store)
    f, y = factors(names()), responses(found, names())
    return {
        "noise-design": found.round(6),
        "noise-answer": answer(f, y).round(6),
        "noise-paths": paths(networks, protocol, store).round(6),
        "noise-pictures": pictures(names()[:SHOWN]),
    }


def own(protocol: Protocol, store: Store | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """This build's version, in seconds: factors and responses of the first seed's two largest networks on a smaller design."""
    store, first = store or Store(), protocol.replace(seeds=protocol.seeds[:1])
    sets = names(OWN_COUNT)
    found = table(train(first, store), first, store, sets, protocol.dims[-2:], OWN_POINTS)
    return factors(sets), responses(found, sets)
