"""Spectra of K_I and K_L, their rank and orientation, and the reduction of one cell to one row.

A *cell* is one network on one data set. Its spectra live in memory while it is evaluated;
what is kept is a row of numbers from which every figure and claim of the paper is made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from torch import Tensor

from . import eigen, jacobian
from .model import Autoencoder

__all__ = ["eigenvalues", "orientation", "matched_distance", "Cell", "LOG_BINS", "ARG_BINS", "VERSION"]

#: Raise when a row changes; stored cells are then computed anew.
VERSION = 1
#: Edges of the histograms of log|λ| (natural logarithm) and |Arg λ| in a row.
LOG_BINS = np.linspace(-16.0, 8.0, 97)
ARG_BINS = np.linspace(0.0, np.pi, 37)
#: Points of a cell at which Figure 1's distance is also taken under the best matching.
MATCHED = 1_000
#: Points taken in together: what is allocated for them is small enough for the allocator to keep and reuse.
PART = 250


def eigenvalues(k: Tensor) -> Tensor:
    """Eigenvalues by falling modulus, the member of a pair with positive imaginary part first.

    Parameters
    ----------
    k : Tensor, shape (n, d, d), real

    Returns
    -------
    Tensor, shape (n, d), complex of the same precision.

    Examples
    --------
    >>> eigenvalues(torch.tensor([[[0.0, -2.0], [2.0, 0.0]]]).double()).tolist()
    [[2j, -2j]]
    """
    # small eigenproblems are processor's work: on a GPU the batch is small change to move
    lam = torch.from_numpy(eigen.eigvals(k.cpu().numpy(), torch.get_num_threads()))
    return lam.to(device=k.device, dtype=k.dtype.to_complex())


def orientation(net: Autoencoder, trip: jacobian.RoundTrip, at: list[Tensor], k: Tensor, r: Tensor) -> Tensor:
    """Sign of the product of the nonzero eigenvalues: −1, 0 or 1, shape (n,).

    Where r = d it is the sign of det K. Where r < d the matrix is structurally singular and
    the sign of its computed determinant is rounding noise; there K is compressed to its
    r-dimensional range, and the sign is that of the determinant of the r×r matrix.
    """
    deficient = (r < k.shape[1]).nonzero().squeeze(1)
    if len(deficient):
        k = k.clone()
        k[deficient] = jacobian.reduced(net, trip.take(deficient), [m[deficient] for m in at], k[deficient])
    return torch.linalg.slogdet(k).sign


class Cell:
    """Accumulates one network's spectra over the blocks of one data set, then reduces them.

    Parameters
    ----------
    net : Autoencoder
        In the dtype in which Jacobians are to be taken.
    """

    def __init__(self, net: Autoencoder):
        self.net = net
        self.points = 0
        self.sums = {"y": 0.0, "y_square": 0.0}  # over points, (784,)
        self.columns: dict[str, np.ndarray] = {}  # with room for more points

    @torch.no_grad()
    def add(self, x: Tensor) -> None:
        """Take in the points ``x (n, 784)``."""
        for part in x.split(PART):
            self._add(part)

    def _add(self, x: Tensor) -> None:
        net, trip = self.net, jacobian.round_trip(self.net, x)
        part = {"z": trip.z, "brightness": trip.y.mean(1), "error": (trip.y - x).square_().mean(1)}
        part["hamming"] = sum((a != b).sum(1) for a, b in zip(trip.at_x, trip.at_y))
        for j, k, at in zip("IL", jacobian.matrices(net, trip), (trip.at_x, trip.at_y)):
            r = jacobian.rank(trip, at)
            part |= {f"lam_{j}": eigenvalues(k), f"rank_{j}": r}
            part[f"sign_{j}"] = orientation(net, trip, at, k, r)
            part[f"trace_{j}"] = k.diagonal(dim1=1, dim2=2).mean(1)
        for name, value in part.items():
            self._put(name, value.cpu().numpy())
        self.points += len(x)
        self.sums["y"] += trip.y.sum(0).cpu().numpy()
        self.sums["y_square"] += trip.y.square().sum(0).cpu().numpy()

    def _put(self, name: str, values: np.ndarray) -> None:
        """Append to a column. Many small arrays among large ones that come and go would fragment memory."""
        end = self.points + len(values)
        if name not in self.columns or len(self.columns[name]) < end:
            grown = np.empty((2 * end, *values.shape[1:]), values.dtype)
            grown[: self.points] = self.arrays()[name] if name in self.columns else 0
            self.columns[name] = grown
        self.columns[name][self.points : end] = values

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything taken in so far, by name, one row a point."""
        return {name: column[: self.points] for name, column in self.columns.items()}

    def row(self, codes: tuple[np.ndarray, np.ndarray] | None = None) -> dict[str, Any]:
        """The cell as one row of the results table; its columns are described in `lib.results`.

        Parameters
        ----------
        codes : (mean, covariance) of the training codes, optional
            Law against which the Mahalanobis distance of this cell's codes is taken;
            default: this cell's own.
        """
        a = self.arrays()
        n, d = a["lam_I"].shape
        row: dict[str, Any] = {"points": n}
        for j in "IL":
            row |= _spectral(j, a[f"lam_{j}"], a[f"rank_{j}"], a[f"sign_{j}"], a[f"trace_{j}"])
        distance = (np.abs(a["lam_I"] - a["lam_L"]) ** 2).sum(1) / d
        row |= _quartiles("distance", distance)
        matched = matched_distance(a["lam_I"][:MATCHED], a["lam_L"][:MATCHED])
        row |= {"matched_mean": matched.mean(), "matched_median": np.median(matched)}
        row["ordered_median"] = np.median(distance[:MATCHED])
        row |= {"pattern_equal": (a["hamming"] == 0).mean(), "hamming": a["hamming"].mean()}
        row["hamming_distance_rho"] = _rho(a["hamming"], distance)
        row |= {"error": a["error"].mean(), "brightness": a["brightness"].mean()}
        row["brightness_sd"] = a["brightness"].std()
        mean = self.sums["y"] / n
        row["y_sd"] = np.sqrt(np.maximum(self.sums["y_square"] / n - mean**2, 0).mean())
        mu, cov = codes or self.codes()
        centred = a["z"] - mu
        mahalanobis = np.sqrt(np.einsum("ni,ni->n", centred @ np.linalg.pinv(cov), centred).clip(0) / d)
        row["mahalanobis_median"] = np.median(mahalanobis)
        return row | {"mahalanobis_q1": np.quantile(mahalanobis, 0.25)}

    def codes(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean ``(d,)`` and covariance ``(d, d)`` of the latent codes."""
        z = self.arrays()["z"]
        return z.mean(0), np.atleast_2d(np.cov(z.T))


def _spectral(j: str, lam: np.ndarray, r: np.ndarray, sign: np.ndarray, trace: np.ndarray) -> dict[str, Any]:
    """The columns of one Jacobian, prefixed ``I_`` or ``L_``."""
    d = lam.shape[1]
    nonzero = np.arange(d) < r[:, None]  # sorted by modulus: the structural zeros come last
    kept = lam[nonzero]
    modulus = np.abs(kept)
    with np.errstate(divide="ignore"):
        log = np.log(modulus)
    finite = np.isfinite(log)
    arg = np.abs(np.angle(kept))
    full = r == d
    out: dict[str, Any] = {
        "mean": _mean(modulus),
        "trace": trace.mean(),
        "geometric": np.exp(_mean(log[finite])),
        "sd_log": log[finite].std() if finite.any() else np.nan,
        "zeros": 1 - finite.sum() / lam.size,
        "deficient": 1 - full.mean(),
        "reversed": (sign < 0).mean(),
        "reversed_full": _mean(sign[full] < 0),
        "nonreal": _mean(kept.imag != 0),
        "negative_real": _mean((kept.imag == 0) & (kept.real < 0)),
        "arg_mean": _mean(arg),
    }
    out |= _box("log", log[finite]) | _box("arg", arg)
    out["log_hist"] = _counts(np.clip(log[finite], LOG_BINS[0], LOG_BINS[-1]), LOG_BINS)
    out["arg_hist"] = _counts(arg, ARG_BINS)
    return {f"{j}_{name}": value for name, value in out.items()}


def _mean(values: np.ndarray) -> float:
    """Not a number where there are none."""
    return values.mean() if values.size else np.nan


def _box(name: str, values: np.ndarray) -> dict[str, float]:
    """Quartiles, and whiskers at the last values within 1.5 interquartile ranges of the box (Tukey)."""
    box = [f"{name}_{k}" for k in ("low", "q1", "median", "q3", "high")]
    if not values.size:
        return dict.fromkeys(box, np.nan)
    q1, median, q3 = np.quantile(values, (0.25, 0.5, 0.75))
    reach = 1.5 * (q3 - q1)
    low, high = values[values >= q1 - reach].min(), values[values <= q3 + reach].max()
    return dict(zip(box, (low, q1, median, q3, high)))


def _quartiles(name: str, values: np.ndarray) -> dict[str, float]:
    q1, median, q3 = np.quantile(values, (0.25, 0.5, 0.75))
    return {f"{name}_mean": values.mean(), f"{name}_median": median, f"{name}_q1": q1, f"{name}_q3": q3}


def _counts(values: np.ndarray, edges: np.ndarray) -> str:
    return " ".join(map(str, np.histogram(values, edges)[0]))


def matched_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """min over permutations of ‖a − b∘π‖²/d, row by row."""
    cost = np.abs(a[:, :, None] - b[:, None, :]) ** 2
    return np.array([c[linear_sum_assignment(c)].sum() for c in cost]) / a.shape[1]


def _rho(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, not a number where one side is constant."""
    return spearmanr(a, b).statistic if np.ptp(a) > 0 and np.ptp(b) > 0 else np.nan
