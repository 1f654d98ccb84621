"""Scores that should tell a point off the distribution from one on it: one number a point, from one network.

Every score is written so that *more is further out*. Signs, numbers of neighbours and components, and
tolerances were fixed on the published seeds 0 and 1, once for all sets: of the two signs of a score the one
with the larger mean AUROC over Fashion-MNIST, letters and transformed images. Against what one would expect,
that makes the pixels' variance and the drift under iteration count the other way round: less of either is
further out. Densities, regressions and p-values are fitted to held-out calibration images alone: no score has
seen a point from outside.

With z = f_enc(x), y = f_dec(z), f = f_dec ∘ f_enc, K_I(x) = Df_enc(x) Df_dec(z), K_L(z) = Df_enc(y)
Df_dec(z): where f_enc ∘ f_dec is the identity near z, K_L = 1; where in addition x lies on the learned
manifold, K_I = 1. How far either is from 1 is the first order of what the re-encoding shift f_enc(y) − z
measures at order zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from .. import jacobian, spectrum
from ..model import Autoencoder

__all__ = [
    "Probe",
    "probe",
    "iterated",
    "Fitted",
    "fit",
    "evaluate",
    "fisher",
    "SCORES",
    "PIXELS",
    "COMBINED",
]

#: The neighbour whose distance is the score.
NEIGHBOUR = 5
#: Components of the mixture at most, the codes that each needs per entry,
#: and what is added to variances of standardised codes.
COMPONENTS, CODES_PER_ENTRY, RIDGE = 10, 10, 1e-3
#: Round trips at most, and the step ‖f(x) − x‖ below which they end.
ITERATIONS, STEP = 25, 1e-2
#: Moduli below this count as zero: computed zeros lie near 1e-13, eigenvalues above 1e-7.
ZERO = 1e-10
#: Points sent through a network together.
PART = 250


@dataclass(frozen=True)
class Probe:
    """What one network makes of n points: all that the scores are functions of, as float64 arrays.

    Attributes
    ----------
    x, y : shape (n, p), points and reconstructions, flattened
    z, again : shape (n, d), codes of x and of y
    twice : shape (n, p), reconstructions of y
    k_I, k_L : shape (n, d, d); lam_I, lam_L : shape (n, d), by falling modulus
    sign : shape (n,), of the product of the nonzero eigenvalues of K_I; 0 where it is not known
    hamming : shape (n, layers), units of each hidden layer of the encoder that are active at one of x and y
        alone; no columns for an encoder without ReLUs
    """

    x: np.ndarray
    z: np.ndarray
    y: np.ndarray
    again: np.ndarray
    twice: np.ndarray
    k_I: np.ndarray
    k_L: np.ndarray
    lam_I: np.ndarray
    lam_L: np.ndarray
    sign: np.ndarray
    hamming: np.ndarray

    def take(self, rows) -> Probe:
        """The same for some of the points."""
        return Probe(*(getattr(self, f.name)[rows] for f in fields(self)))


@torch.no_grad()
def probe(net: Autoencoder, x: Tensor) -> Probe:
    """The probe of one of the paper's networks, by the chain of `lib.jacobian`; in the dtype of `net`."""
    found = [_probe(net, part) for part in x.split(PART)]
    return Probe(*(np.concatenate([getattr(p, f.name) for p in found]) for f in fields(Probe)))


def _probe(net: Autoencoder, x: Tensor) -> Probe:
    trip = jacobian.round_trip(net, x)
    again = net.encoder(trip.y)
    k_i, k_l = jacobian.matrices(net, trip)
    r = jacobian.rank(trip, trip.at_x)
    tensors = (
        x, trip.z, trip.y, again, net.decoder(again), k_i, k_l, spectrum.eigenvalues(k_i),
        spectrum.eigenvalues(k_l),
        spectrum.orientation(net, trip, trip.at_x, k_i, r),
        torch.stack([(a != b).sum(1) for a, b in zip(trip.at_x, trip.at_y)], 1),
    )  # fmt: skip
    return Probe(*(t.cpu().numpy() for t in tensors))


@torch.no_grad()
def iterated(f: Callable[[Tensor], Tensor], y: Tensor) -> np.ndarray:
    """‖fᵗ(y) − y‖², t the first of at most `ITERATIONS` whose step ‖fᵗ⁺¹(y) − fᵗ(y)‖
    is below `STEP`; ``(n,)``.

    Each point stops by its own step: what else is in the batch does not matter.
    """
    now, moving = y.clone(), torch.arange(len(y))
    for _ in range(ITERATIONS):
        following = f(now[moving])
        step = (following - now[moving]).flatten(1).norm(dim=1)
        now[moving] = following
        moving = moving[step >= STEP]
        if not len(moving):
            break
    return (now - y).flatten(1).square().sum(1).cpu().numpy()


def _square(a: np.ndarray) -> np.ndarray:
    """Squared norm of each row."""
    return np.einsum("ni,ni->n", a, a)


@dataclass(frozen=True)
class Fitted:
    """What is fitted to the calibration images: by `fit`.

    Attributes
    ----------
    regression : error on ‖x‖
    codes, near, mixture : of the codes
    pca, pixels : of the images themselves; ``pixels`` None where its score is not asked for
    ranks : sorted scores of other calibration images, by the name of a score, for p-values
    """

    regression: LinearRegression
    codes: EmpiricalCovariance
    near: NearestNeighbors
    mixture: Pipeline
    pca: PCA
    pixels: NearestNeighbors | None
    ranks: dict[str, np.ndarray]


def fit(first: Probe, second: Probe, pixels: bool = True) -> Fitted:
    """Fit densities, regressions to the probe of the calibration images' first half, p-values to the second.

    The mixture has `COMPONENTS` components or as many as the codes can support;
    the principal components of the images are as many as a code has entries.
    """
    n, d = first.z.shape
    components = min(COMPONENTS, max(1, n // (CODES_PER_ENTRY * d)))
    fitted = Fitted(
        LinearRegression().fit(*_regressed(first)),
        EmpiricalCovariance().fit(first.z),
        NearestNeighbors(n_neighbors=NEIGHBOUR).fit(first.z),
        make_pipeline(StandardScaler(), GaussianMixture(components, reg_covar=RIDGE, random_state=0)).fit(
            first.z
        ),
        # randomised: the other solvers may form a matrix of the size of an image squared
        PCA(min(d, n), svd_solver="randomized", random_state=0).fit(first.x),
        NearestNeighbors(n_neighbors=NEIGHBOUR, algorithm="brute").fit(first.x) if pixels else None,
        {},
    )
    return replace(fitted, ranks={name: np.sort(SCORES[name].of(second, fitted)) for name in COMBINED})


def _regressed(p: Probe) -> tuple[np.ndarray, np.ndarray]:
    """‖x‖ ``(n, 1)`` and ‖y − x‖² ``(n,)``."""
    return np.sqrt(_square(p.x))[:, None], _square(p.y - p.x)


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes
    ----------
    formula : MyST mathematics without dollars
    kind : the group it stands in on the page
    of : (probe, fitted) → array (n,)
    """

    formula: str
    kind: str
    of: Callable[[Probe, Fitted], np.ndarray]


def _distance_to_one(k: np.ndarray) -> np.ndarray:
    """‖K − 1‖_F ``(n,)``."""
    return np.linalg.norm(k - np.eye(k.shape[1]), axis=(1, 2))


def _moduli(lam: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(lam), ZERO)


def _over_nonzero(lam: np.ndarray, values: np.ndarray, statistic: Callable) -> np.ndarray:
    """`statistic` of the `values` that belong to nonzero eigenvalues, row by row; 0 where there are none."""
    kept = np.ma.masked_array(values, np.abs(lam) <= ZERO)
    return statistic(kept, axis=1).filled(0.0)


def _residual(p: Probe, f: Fitted) -> np.ndarray:
    at, error = _regressed(p)
    return error - f.regression.predict(at)


def _beyond_pca(p: Probe, f: Fitted) -> np.ndarray:
    d = p.z.shape[1]
    centred = p.x - f.pca.mean_
    return _square(centred - (centred @ f.pca.components_[:d].T) @ f.pca.components_[:d])


def _neighbour(near: NearestNeighbors, points: np.ndarray) -> np.ndarray:
    return near.kneighbors(points)[0][:, -1]


#: Every score of a network, by name. ``hamming 1`` and so on are those of the encoder's hidden layers.
SCORES: dict[str, Score] = {
    "error": Score(r"\|y-x\|^2", "rivals", lambda p, f: _square(p.y - p.x)),
    "relative error": Score(
        r"\|y-x\|^2/\|x\|^2", "rivals", lambda p, f: _square(p.y - p.x) / np.maximum(_square(p.x), ZERO)
    ),
    "regressed error": Score(r"\|y-x\|^2-(a+b\|x\|)", "rivals", _residual),
    "mean pixel": Score(r"\bar x", "rivals", lambda p, f: p.x.mean(1)),
    "pixel variance": Score(r"-\overline{(x-\bar x)^2}", "rivals", lambda p, f: -p.x.var(1)),
    "PCA residual": Score(r"\|x-Px\|^2", "rivals", _beyond_pca),
    "k-NN of pixels": Score(
        rf"\|x-x_{{({NEIGHBOUR})}}\|", "rivals", lambda p, f: _neighbour(f.pixels, p.x)
    ),
    "Mahalanobis": Score(
        r"(z-\mu)^\top\Sigma^{-1}(z-\mu)", "densities of codes", lambda p, f: f.codes.mahalanobis(p.z)
    ),
    "k-NN of codes": Score(
        rf"\|z-z_{{({NEIGHBOUR})}}\|", "densities of codes", lambda p, f: _neighbour(f.near, p.z)
    ),
    "mixture of codes": Score(
        r"-\log p(z)", "densities of codes", lambda p, f: -f.mixture.score_samples(p.z)
    ),
    "re-encoding shift": Score(
        r"\|f_{enc}(y)-z\|", "second round trip", lambda p, f: np.sqrt(_square(p.again - p.z))
    ),
    "image shift": Score(r"\|f(y)-y\|", "second round trip", lambda p, f: np.sqrt(_square(p.twice - p.y))),
    "hamming": Score(
        r"\#\{\text{units active at one of }x,y\}", "linear regions",
        lambda p, f: p.hamming.sum(1).astype(float)
    ),
    **{
        f"hamming {i + 1}": Score(
            rf"\text{{the same, hidden layer }}{i + 1}",
            "linear regions",
            lambda p, f, i=i: p.hamming[:, i].astype(float),
        )
        for i in range(3)
    },
    "K_L defect": Score(r"\|K_L-1\|_F", "Jacobians", lambda p, f: _distance_to_one(p.k_L)),
    "K_I defect": Score(r"\|K_I-1\|_F", "Jacobians", lambda p, f: _distance_to_one(p.k_I)),
    "spectral L": Score(r"\sum|\lambda_L-1|^2", "spectra", lambda p, f: (np.abs(p.lam_L - 1) ** 2).sum(1)),
    "spectral I": Score(r"\sum|\lambda_I-1|^2", "spectra", lambda p, f: (np.abs(p.lam_I - 1) ** 2).sum(1)),
    "spectral distance": Score(
        r"\|\lambda_I-\lambda_L\|^2/d", "spectra", lambda p, f: (np.abs(p.lam_I - p.lam_L) ** 2).mean(1)
    ),
    "log determinant": Score(
        r"-\sum\log|\lambda_I|", "spectra", lambda p, f: -np.log(_moduli(p.lam_I)).sum(1)
    ),
    "spectral radius": Score(r"\max|\lambda_I|", "spectra", lambda p, f: np.abs(p.lam_I[:, 0])),
    "spread": Score(
        r"\operatorname{sd}\log|\lambda_I|",
        "spectra",
        lambda p, f: _over_nonzero(p.lam_I, np.log(_moduli(p.lam_I)), np.ma.std),
    ),
    "argument": Score(
        r"\overline{|\operatorname{Arg}\lambda_I|}",
        "spectra",
        lambda p, f: _over_nonzero(p.lam_I, np.abs(np.angle(p.lam_I)), np.ma.mean),
    ),
    "orientation": Score(
        r"-\operatorname{sign}\prod\lambda_I", "spectra", lambda p, f: -p.sign.astype(float)
    ),
}  # fmt: skip
#: Scores of the image alone, the same for every network.
PIXELS = ("mean pixel", "pixel variance", "k-NN of pixels")
#: Scores whose p-values Fisher's method puts together: the primary two, and what each is held against.
COMBINED = ("relative error", "re-encoding shift", "hamming", "K_L defect")
#: Scores that need more than one probe, by name: their formula and their kind.
FURTHER = {
    "iterations": (rf"-\|f^t(y)-y\|^2,\ t\le{ITERATIONS}", "second round trip"),
    "disagreement": (r"\overline{\|y_d-\bar y\|^2}", "several networks"),
    "combination": (r"-2\sum\log p", "combination"),
}


def evaluate(p: Probe, fitted: Fitted, names: tuple[str, ...] = tuple(SCORES)) -> dict[str, np.ndarray]:
    """The scores `names` of every point, each ``(n,)``, and their combination where all are there."""
    layers = p.hamming.shape[1]
    absent = {n for n in SCORES if n.startswith("hamming") and (not layers or n[8:] > str(layers))}
    found = {name: SCORES[name].of(p, fitted) for name in names if name not in absent}
    return found | ({"combination": fisher(found, fitted)} if {*COMBINED} <= {*found} else {})


def fisher(scores: dict[str, np.ndarray], fitted: Fitted) -> np.ndarray:
    """−2 Σ log p over the scores `COMBINED`,
    p = (1 + calibration images that score as high or higher)/(1 + their number).

    The scores depend on one another, so that the sum is no χ² under the null:
    it ranks points, it does not test them.
    """
    total = 0.0
    for name in COMBINED:
        ranks = fitted.ranks[name]
        higher = len(ranks) - np.searchsorted(ranks, scores[name], side="left")
        total = total - 2 * np.log((1 + higher) / (1 + len(ranks)))
    return total
