"""Which property of noise does it? A space-filling design of noise sets, and models of what networks do.

**Design.** A scrambled Sobol sequence in the box of mean pixel, variance, logarithm of the correlation length
and share of zeros; its first `COUNT` places that some field of `lib.noise` has are the design. The factors of
the models are those four, but for the zeros: a Beta distribution puts pixels so near to zero that no image of
8 bits tells them from it, so the share of *black* pixels, P(x < 1/510), stands for it. What has independent
pixels counts as of the shortest correlation length.

**Responses**, one number a network and noise set, as the claims define and scale them (`RESPONSES`): share of
points with reversed orientation (logit), standard deviation of log|λ|, mean |λ| and mean |Arg λ| of K_I,
median Mahalanobis distance of the codes from the training codes, and spread of the reconstructions over
points (logarithms).

**Models.** Least squares on the standardised factors, for each response of each network: *linear*, whose
coefficients, for a standardised response, are the standardised effects; and *quadratic*, with all squares and
products. How well a model predicts is its held-out R² by `FOLDS`-fold cross-validation over distributions.

**Brightness or variance?** A factor's *share* is what the quadratic model's held-out R² loses when every term
with that factor is left out. The answer is the share of the mean less the share of the variance, averaged
over the six responses and over the networks with d in `JUDGED` of a seed. It is *brightness* if its 95 %
interval lies above `MARGIN`, *variance* if below −`MARGIN`, *neither* if between the two, else *open*. The
interval is Student's over the seeds 3–10, once they are there; until then only the bootstrap over
distributions, which is conditional on the networks, is shown. Everything else is exploration. These
definitions were committed before any network was evaluated on a field; seeds 0 and 1 explore.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor

from .. import noise, results, workers
from .. import published as read
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
    "names", "factors", "table", "scaled", "responses", "terms", "left_over", "held_out", "effects",
    "predictive", "shares", "differences", "answer",
    "dependence", "placed", "paths", "published", "published_evidence", "own", "Evidence", "FACTORS",
    "RESPONSES", "DIMS", "COUNT", "POINTS",
]  # fmt: skip

#: Raise when a number changes; stored tables are then computed anew.
VERSION = 1
#: Distributions of the design, points of each, latent dimensions, and those that the answer averages over.
COUNT, POINTS, DIMS, JUDGED = 64, 1_000, (2, 5, 8, 14, 17, 20), (14, 17, 20)
#: The box: mean, variance, natural logarithm of the correlation length in pixels, share of zeros.
LOW, HIGH = (0.03, 0.0, np.log(0.3), 0.0), (0.97, 0.25, np.log(5.0), 0.97)
#: The variance of the pixels that are not zero,
#: as a share of the largest that their mean allows, is between these.
RELATIVE = (0.01, 0.95)
#: Below this a pixel is 0 in an image of 8 bits.
BLACK = 1 / 510
FOLDS, DRAWS = 8, 2_000
#: A difference of shares that is smaller is of no interest.
MARGIN = 0.05
#: Distributions, and points of each, of this build's own version.
OWN_COUNT, OWN_POINTS = 32, 100

FACTORS = {
    "mean": "mean pixel", "variance": "variance",
    "length": "log correlation length", "black": "share of black pixels",
}  # fmt: skip
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
#: Straight paths: steps, images, and where they end: noise sets,
#: and the images themselves with their pixels in another order.
STEPS, IMAGES = np.linspace(0, 1, 6), 300
ENDS = (*REPRESENTATIVES.values(), "bernoulli_0.5", "pixels shuffled")


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
    """The columns `KEPT` of the results table on the sets of a design, loaded if stored, else computed.

    Parameters
    ----------
    networks : those of `lib.training.train`.
    sets : default: the whole design.
    dims : latent dimensions, those of the protocol among them.
    """
    store, sets = store or Store(), tuple(sets or names())
    dims = tuple(d for d in dims if d in protocol.dims)

    def stored(*run) -> bool:
        return all(
            store.load_table("noise design", _fields(*run[:5]) | {"set": name}) is not None for name in sets
        )

    given = (networks, protocol, store, dims, points, sets)
    found = results.by_seed(_on_sets, stored, *given, units=len(sets), label="design", unit="set")
    return pd.concat([tables[name] for name in sets for tables in found], ignore_index=True)


def _on_sets(store: Store, *run) -> dict[str, pd.DataFrame]:
    """Set → rows of the networks of one seed, loaded where stored and computed where not;
    each set is kept when it is done."""
    seed, trained, protocol, dims, points, sets = run
    few = protocol.replace(points=points)

    @functools.cache
    def networks() -> tuple[Ensemble, results.Laws]:
        e = results.kept(store, protocol, seed, trained).part(dims)
        return e, results.training_codes([e], few)

    def compute(name: str) -> pd.DataFrame:
        e, laws = networks()
        return results.evaluate([e], few, name, False, laws)[0][KEPT]

    found = {}
    for done, name in enumerate(sets):
        workers.report(done)
        fields = _fields(*run[:5]) | {"set": name}
        found[name] = store.table("noise design", fields, lambda name=name: compute(name))
    return found


def _fields(
    seed: int, trained: bool, protocol: Protocol, dims: Sequence[int], points: int
) -> dict[str, object]:
    return {
        "networks": training_fields(protocol, seed, None if trained else 0),
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
    """Responses on their scales: a row a set, columns (response, seed, d); networks with a gap left out."""
    wide = scaled(found).pivot(index="set", columns=["seed", "d"], values=list(RESPONSES))
    wide.columns.names = ["response", "seed", "d"]
    return wide.loc[list(sets or dict.fromkeys(found.set))].dropna(axis=1)


def terms(
    f: pd.DataFrame, of: Sequence[str] = tuple(FACTORS), degree: int = 2, like: pd.DataFrame | None = None
) -> np.ndarray:
    """The columns of a model, a constant first: the factors `of`, standardised as in the design `like`,
    and their products up to `degree`.

    Returns
    -------
    ndarray, shape (sets, terms)
    """
    like = f if like is None else like
    z = ((f - like.mean()) / like.std(ddof=0))[list(of)].to_numpy()
    return PolynomialFeatures(degree).fit_transform(z)


def _solve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(x, y, rcond=None)[0]


def left_over(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared errors (y − ŷ)² of each set, ŷ from the other folds; set i is in fold i modulo `FOLDS`.

    Parameters
    ----------
    x : (sets, terms)
    y : (sets, responses)

    Returns
    -------
    ndarray, shape (sets, responses)
    """
    fold, out = np.arange(len(x)) % FOLDS, np.empty(y.shape)
    for k in range(FOLDS):
        away = fold == k
        out[away] = (y[away] - x[away] @ _solve(x[~away], y[~away])) ** 2
    return out


def held_out(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """1 − Σ (y − ŷ)² / Σ (y − ȳ)², both ŷ and ȳ from the other folds; shape (responses,)."""
    return 1 - left_over(x, y).sum(0) / left_over(x[:, :1], y).sum(0)


def effects(f: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Standardised effects, the linear model's coefficients: ``response, seed, d, factor, effect``."""
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
    """What the quadratic model's held-out R² loses without a factor:
    columns ``response, seed, d`` and one a factor."""
    lost = {f: skill.quadratic - skill[f"without {f}"] for f in FACTORS}
    return skill[["response", "seed", "d"]].assign(**lost)


def differences(skill: pd.DataFrame) -> pd.DataFrame:
    """Share of the mean less share of the variance, a row a seed, a column a response,
    and ``all``, their mean."""
    lost = shares(skill).set_index(["response", "seed", "d"])
    return _by_seed((lost["mean"] - lost["variance"]).to_frame())[0].unstack("response")


def _by_seed(gain: pd.DataFrame) -> pd.DataFrame:
    """Rows (response, seed, d) averaged over the judged d (all, where there is none of them):
    (seed, response), ``all`` among them."""
    judged = gain.index.get_level_values("d").isin(JUDGED)
    by = (gain[judged] if judged.any() else gain).groupby(["seed", "response"]).mean()
    whole = pd.concat({"all": by.groupby("seed").mean()}, names=["response"]).swaplevel()
    return pd.concat([whole, by])


def answer(f: pd.DataFrame, y: pd.DataFrame, draws: int = DRAWS) -> pd.DataFrame:
    """Brightness or variance? A row for all responses together, the one that answers, and one a response.

    The bootstrap draws distributions with replacement, each with its held-out errors under the three models.

    Returns
    -------
    DataFrame: ``response``; ``difference`` over the seeds there are, ``low`` and ``high`` by the bootstrap
    over distributions; ``judges``, the number of judging seeds, and their ``mean, t_low, t_high``;
    ``verdict`` of these.
    """
    values = y.to_numpy()
    without = {g: left_over(terms(f, *_models()[f"without {g}"]), values) for g in ("mean", "variance")}
    null = left_over(np.ones((len(f), 1)), values)

    def found(weights: np.ndarray) -> pd.DataFrame:
        """Differences of shares for each row of ``weights (draws, sets)``: rows (seed, response),
        a column a draw; the whole model's errors cancel."""
        gain = weights @ (without["mean"] - without["variance"]) / (weights @ null)
        return _by_seed(pd.DataFrame(gain.T, index=y.columns))

    by_seed = found(np.ones((1, len(f))))[0].unstack("response")
    counts = np.random.default_rng(16).multinomial(len(f), np.full(len(f), 1 / len(f)), size=draws)
    drawn = found(counts).groupby("response").mean()
    low, high = (drawn.quantile((1 + side * statistics.CONFIDENCE) / 2, axis=1) for side in (-1, 1))
    rows = []
    for name in ("all", *(r for r in RESPONSES if r in by_seed)):
        of_seed = by_seed[name]
        judged = of_seed[of_seed.index.isin(JUDGES)]
        t = statistics.t_test(judged.to_numpy(), above=0.0)
        side = "brightness" if t.low > MARGIN else "variance" if t.high < -MARGIN else "open"
        side = "neither" if -MARGIN < t.low and t.high < MARGIN else side
        rows.append(
            {"response": name, "difference": of_seed.mean(), "low": low[name], "high": high[name]}
            | {"judges": len(judged), "mean": t.value, "t_low": t.low, "t_high": t.high}
            | {"verdict": side if len(judged) == len(JUDGES) else "not judged yet"}
        )
    return pd.DataFrame(rows)


def dependence(f: pd.DataFrame, y: pd.DataFrame, grid: int = 25) -> pd.DataFrame:
    """Partial dependence of the quadratic model (Friedman 2001):
    its mean over the design with one factor set to a value.

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
    """The paper's noise sets in the design: their factors, the quadratic model's prediction,
    what is seen, and the leverage.

    Parameters
    ----------
    cells : the results table with the rows of `sets`

    Returns
    -------
    DataFrame: ``response, seed, d, set, predicted, seen``, the factors, and ``leverage``:
    tᵀ(XᵀX)⁻¹t over the largest in the design; above 1 the prediction is an extrapolation.
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
    DataFrame: ``end, t``; ``mean, variance`` of all pixels there; the columns `KEPT`,
    of which ``set`` is left out
    """
    store, dims = store or Store(), tuple(d for d in dims if d in protocol.dims)
    stored = lambda *run: store.load_table("noise paths", _along(*run)) is not None
    given = (networks, protocol, store, dims, images, tuple(ends))
    found = results.by_seed(_paths, stored, *given, units=len(ends), label="paths", unit="path")
    return pd.concat(found, ignore_index=True)


def _along(*run) -> dict[str, object]:
    return _fields(*run[:5]) | {"ends": run[5], "steps": STEPS.tolist()}


@torch.no_grad()
def _paths(store: Store, *run) -> pd.DataFrame:
    """The rows of one seed, loaded where stored and computed where not."""
    seed, trained, protocol, dims, images, ends = run

    def compute() -> pd.DataFrame:
        e = results.kept(store, protocol, seed, trained).part(dims)
        x = torch.cat(list(results.blocks(protocol.replace(points=images), "test")))
        laws, rows = results.training_codes([e], protocol), []
        for done, end in enumerate(ends):
            workers.report(done)
            n = _end(end, x)
            for t, d in ((t, d) for t in STEPS for d in dims):
                at, cell = (1 - t) * x + t * n, Cell(e.member(d).double())
                cell.add(at)
                head = {"end": end, "t": t, "mean": float(at.mean()), "variance": float(at.var(correction=0))}
                row = cell.row(laws[seed, d])
                rows.append(head | {"seed": seed, "d": d} | {c: row[c] for c in KEPT[3:]})
        return pd.DataFrame(rows)

    return store.table("noise paths", _along(*run), compute)


def _end(name: str, x: Tensor) -> Tensor:
    """What the path from the images ``x`` ends at."""
    return TRANSFORMED[name](x) if name in TRANSFORMED else noise.sample(name, 0, len(x))


def published(networks: Sequence[Ensemble], protocol: Protocol, store: Store) -> Mapping[str, pd.DataFrame]:
    """The tables that are published, by the name of their file; all else follows from them in no time."""
    return {
        "noise-design": table(networks, protocol, store).round(6),
        "noise-paths": paths(networks, protocol, store).round(6),
    }


class Evidence(NamedTuple):
    """What the chapter draws: a design's factors and responses, the paper's sets in it, straight paths."""

    factors: pd.DataFrame
    responses: pd.DataFrame
    placed: pd.DataFrame
    paths: pd.DataFrame

    @classmethod
    def of(cls, found: pd.DataFrame, along: pd.DataFrame, cells: pd.DataFrame) -> Evidence:
        sets = list(dict.fromkeys(found.set))
        f, y = factors(sets), responses(found, sets)
        return cls(f, y, placed(f, y, cells), scaled(along))


def published_evidence() -> Evidence | None:
    """That of the published networks, or None while they have not been studied."""
    found = read.table("noise-design")
    return None if found is None else Evidence.of(found, read.table("noise-paths"), read.cells())


def own(protocol: Protocol, store: Store | None = None) -> Evidence:
    """This build's version, in seconds: the first seed's two largest networks on fewer sets and points."""
    store, first = store or Store(), protocol.replace(seeds=protocol.seeds[:1])
    networks, dims = train(first, store), protocol.dims[-2:]
    found = table(networks, first, store, names(OWN_COUNT), dims, OWN_POINTS)
    along = paths(networks, first, store, dims, OWN_POINTS)
    return Evidence.of(found, along, results.cells(networks, first, store))
