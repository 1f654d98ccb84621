"""A network on a set: counts of negative eigenvalues, orientations by layer, and where negative ones live.

What is counted is defined in `lib.studies.orientation`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from .. import jacobian, spectrum
from ..jacobian import RoundTrip, weights
from ..model import Autoencoder

__all__ = [
    "Cell", "independent", "by_rank", "subsets", "parts", "mixed", "by_layers", "contributions", "halves",
    "idle_units", "binomial_counts", "CLOSE", "EDGES", "COUNTS",
]  # fmt: skip

#: Points at which eigenvectors are taken, points taken in together,
#: upper edges of the bins of the Hamming distance.
CLOSE, PART, EDGES = 500, 250, (0, 2, 5, 10, 20, 40, 224)
#: Counts that are told apart; the last stands for itself and all above.
COUNTS = 12


def independent(q: float, r: np.ndarray) -> float:
    """The share of points that are reversed if each of r nonzero eigenvalues is negative with
    probability q, independently.

    ½(1 − mean (1 − 2q)^r): the probability that a binomial number is odd.

    >>> independent(0.5, np.array([3, 7])), independent(0.25, np.array([1]))
    (0.5, 0.25)
    """
    return float(0.5 - np.mean((1 - 2 * q) ** np.asarray(r)) / 2)


def by_rank(small: np.ndarray, r: np.ndarray) -> float:
    """The share of points that are reversed if the k-th smallest eigenvalue is negative with a probability
    p_k of its own, independently.

    ½(1 − mean Π_{k ≤ r(x)} (1 − 2p_k)), p_k from the points that have so many. With the same mean
    the product is largest where all p_k are equal, so that unequal ones reverse more points, and
    make the count vary less.

    Parameters
    ----------
    small : bool, shape (n, d): whether the k-th smallest of a point's nonzero eigenvalues is negative
    r : shape (n,)

    >>> by_rank(np.array([[1, 0], [0, 0]]), np.array([2, 2]))
    0.5
    """
    there = np.arange(small.shape[1]) < np.asarray(r)[:, None]
    p = (small * there).sum(0) / there.sum(0).clip(1)
    return float(0.5 - np.where(there, 1 - 2 * p, 1.0).prod(1).mean() / 2)


def subsets() -> list[tuple[int, ...]]:
    """The eight sets of the encoder's hidden layers 1, 2, 3, the smallest first."""
    return [s for k in range(4) for s in itertools.combinations((1, 2, 3), k)]


def parts(reversed_by: dict[tuple[int, ...], float]) -> np.ndarray:
    """Shapley's value of each layer: its mean effect on v(S), what K_S reverses, over the six orders.

    >>> parts({s: 0.5 - 0.2 * (1 in s) - 0.1 * (3 in s) for s in subsets()}).round(12).tolist()
    [-0.2, 0.0, -0.1]
    """
    effects = np.zeros(3)
    for order in itertools.permutations((1, 2, 3)):
        for i, layer in enumerate(order):
            before, after = (tuple(sorted(order[:k])) for k in (i, i + 1))
            effects[layer - 1] += (reversed_by[after] - reversed_by[before]) / 6
    return effects


def halves(net: Autoencoder, trip: RoundTrip) -> tuple[Tensor, Tensor]:
    """The transpose of G(z) = Df_dec and E(x) = Df_enc, each by itself and of shape (n, d, 784)."""
    down, up = weights(net.decoder), weights(net.encoder)
    g = down[0].T.expand(len(trip.z), -1, -1)
    for w, m in zip(down[1:], trip.at_z):
        g = (g * m[:, None]) @ w.T
    e = up[-1].expand(len(trip.z), -1, -1)
    for w, m in zip(up[-2::-1], trip.at_x[::-1]):
        e = (e * m[:, None]) @ w
    return g * trip.slope[:, None], e


def mixed(trip: RoundTrip, layers: Sequence[int]) -> list[Tensor]:
    """The encoder's activation pattern at y in these `layers`, at x in the others."""
    return [b if i in layers else a for i, (a, b) in enumerate(zip(trip.at_x, trip.at_y), 1)]


def by_layers(net: Autoencoder, trip: RoundTrip, g: Tensor) -> dict[tuple[int, ...], tuple[Tensor, Tensor]]:
    """K_S (n, d, d) and its orientation (n,) for each set S of `subsets`; K_∅ = K_I and K_{1,2,3} = K_L.

    The branches of a tree: at each hidden layer of the encoder the pattern at x or the one at y.
    What comes before, Gᵀ, is nearly all of the work and is done once.

    Parameters
    ----------
    g : Gᵀ of `halves`, shape (n, d, 784)
    """
    first, *rest = weights(net.encoder)
    branches = {(): g @ first.T}
    for i, (w, x, y) in enumerate(zip(rest, trip.at_x, trip.at_y), 1):
        branches = {
            s + more: (h * m[:, None]) @ w.T for s, h in branches.items() for more, m in (((), x), ((i,), y))
        }
    out = {}
    for s in subsets():
        at, k = mixed(trip, s), branches[s].transpose(1, 2)
        out[s] = k, spectrum.orientation(net, trip, at, k, jacobian.rank(trip, at))
    return out


def _sorted(lam: Tensor, vectors: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues by falling modulus with their vectors."""
    order = lam.abs().argsort(dim=1, descending=True, stable=True)
    return lam.gather(1, order).numpy(), vectors.gather(2, order[:, None].expand_as(vectors)).numpy()


def _counts(lam: np.ndarray, r: np.ndarray) -> dict[str, np.ndarray]:
    """Among the first r eigenvalues of each row: negative real ones, those with negative real
    part, non-real ones, each ``(n,)``, and ``small (n, d)``: whether the smallest, the second
    smallest, … of them is negative."""
    n, d = lam.shape
    kept = np.arange(d) < r[:, None]
    negative = (lam.imag == 0) & (lam.real < 0) & kept
    upward = r[:, None] - 1 - np.arange(d)
    return {
        "count": negative.sum(1), "left": ((lam.real < 0) & kept).sum(1),
        "nonreal": ((lam.imag != 0) & kept).sum(1),
        "small": np.where(upward >= 0, np.take_along_axis(negative, upward.clip(0), 1), False),
    }  # fmt: skip


def contributions(
    net: Autoencoder, trip: RoundTrip, rows: Tensor, right: Tensor, left: Tensor
) -> list[Tensor]:
    """What each hidden unit on the path contributes to λ = aᵀK_I b, a list of ``(m, units)``,
    the decoder's layers first.

    In every layer the contributions sum to λ: the path is cut there,
    and what arrives is multiplied with what is yet to come.

    Parameters
    ----------
    rows : shape (m,), the points of the m eigenvalues
    right, left : shape (m, d), eigenvectors b and a with aᵀb = 1
    """
    down, up = weights(net.decoder), weights(net.encoder)
    layers, slopes = [*down, *up], [*trip.at_z, trip.slope, *trip.at_x]
    slopes = [s[rows].to(right.dtype) for s in slopes]  # one a layer but the last
    arriving, coming = [], []
    h = right
    for w, s in zip(layers, slopes):
        h = (h @ w.T) * s
        arriving.append(h)
    h = left
    for w, s in zip(layers[:0:-1], slopes[::-1]):
        h = (h @ w) * s
        coming.append(h)
    # a slope is on either side of the cut; a ReLU's is 0 or 1, so that it may count twice
    found = [a * c for a, c in zip(arriving, coming[::-1])]
    image = len(down) - 1
    return found[:image] + found[image + 1 :]


class Cell:
    """One network's counts, orientations and eigenvectors on one set, reduced to a row.

    Parameters
    ----------
    net : Autoencoder, in float64
    idle : for each of the six hidden layers the units that are active at none of the
        training points, bool (units,)
    """

    def __init__(self, net: Autoencoder, idle: Sequence[Tensor]):
        self.net, self.idle = net, idle
        self.columns: dict[str, list[np.ndarray]] = {}
        self.close: list[pd.DataFrame] = []
        self.points = 0

    @torch.no_grad()
    def add(self, x: Tensor) -> None:
        """Take in the points ``x (n, 784)``."""
        for part in x.split(PART):
            trip = jacobian.round_trip(self.net, part)
            g, e = halves(self.net, trip)
            found = by_layers(self.net, trip, g)
            columns = {"hamming": sum((a != b).sum(1) for a, b in zip(trip.at_x, trip.at_y)).numpy()}
            for j, s, at in (("I", (), trip.at_x), ("L", (1, 2, 3), trip.at_y)):
                k, sign = found[s]
                lam, r = spectrum.eigenvalues(k).numpy(), jacobian.rank(trip, at).numpy()
                columns |= {f"{j}_{name}": v for name, v in _counts(lam, r).items()}
                columns |= {f"{j}_rank": r, f"{j}_sign": sign.numpy()}
            columns |= {f"v{''.join(map(str, s))}": (sign < 0).numpy() for s, (_, sign) in found.items()}
            for name, values in columns.items():
                self.columns.setdefault(name, []).append(values)
            if self.points < CLOSE:
                few = slice(0, CLOSE - self.points)
                self.close.append(self._eigenvectors(trip.take(few), found[()][0][few], g[few], e[few]))
            self.points += len(part)

    def _eigenvectors(self, trip: RoundTrip, k: Tensor, g: Tensor, e: Tensor) -> pd.DataFrame:
        """Each real nonzero eigenvalue of K_I with its rank, its place,
        and whether it hangs on switched and on idle units."""
        r = jacobian.rank(trip, trip.at_x).numpy()
        (lam, right), (also, left) = (_sorted(*torch.linalg.eig(m)) for m in (k, k.transpose(1, 2)))
        at, i = np.nonzero((lam.imag == 0) & (np.arange(lam.shape[1]) < r[:, None]) & (r > 1)[:, None])
        value, rank, b = lam[at, i].real, r[at], right[at, :, i].real
        twin = np.abs(also[at] - value[:, None]).argmin(1)  # the same eigenvalue of the transpose
        a = left[at, :, twin].real
        a /= (a * b).sum(1, keepdims=True)
        rows, b, a = (torch.from_numpy(v) for v in (at, b, a))
        told = contributions(self.net, trip, rows, b, a)
        switched = [(x & ~y)[rows] for x, y in zip(trip.at_x, trip.at_y)]
        hangs = {
            "switched": _hangs(told[3:], switched, value),
            "idle": _hangs(told, [m.expand(len(rows), -1) for m in self.idle], value),
        }
        return pd.DataFrame(
            {"value": value, "rank": i / (rank - 1), "place": _places(g, e, rows, b, rank), **hangs}
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything taken in so far, by name, one entry a point."""
        return {name: np.concatenate(parts) for name, parts in self.columns.items()}

    def row(self) -> dict[str, object]:
        """The cell as one row of `table`."""
        a = self.arrays()
        row: dict[str, object] = {"points": self.points}
        for j in "IL":
            row |= {f"{j}_{name}": value for name, value in _count(a, j, self.net.d).items()}
        v = {s: float(a[f"v{''.join(map(str, s))}"].mean()) for s in subsets()}
        effects, whole = parts(v), v[1, 2, 3] - v[()]
        row |= {f"v{''.join(map(str, s))}": share for s, share in v.items()}
        row |= {f"part_{i}": effect for i, effect in enumerate(effects, 1)}
        row |= {f"share_{i}": effect / whole if whole else np.nan for i, effect in enumerate(effects, 1)}
        order, third = np.argsort(a["hamming"], kind="stable"), self.points // 3
        far, near = (a["I_sign"][rows] < 0 for rows in (order[self.points - third :], order[:third]))
        row |= {"hamming": a["hamming"].mean(), "far_less_near": far.mean() - near.mean()}
        bins = np.searchsorted(EDGES, a["hamming"])
        changed = (a["I_sign"] < 0) != (a["L_sign"] < 0)
        row["hamming_points"] = _words(np.bincount(bins, minlength=len(EDGES)))
        for name, what in (("I", a["I_sign"] < 0), ("L", a["L_sign"] < 0), ("changed", changed)):
            row[f"hamming_{name}"] = _words(np.bincount(bins, what, len(EDGES)).astype(int))
        eig = pd.concat(self.close)
        for word, some in (("negative", eig[eig.value < 0]), ("positive", eig[eig.value > 0])):
            row[f"{word}s"] = len(some)
            row |= {f"{c}_{word}": some[c].mean() for c in ("rank", "place", "switched", "idle")}
        return row


def _places(g: Tensor, e: Tensor, rows: Tensor, b: Tensor, rank: np.ndarray) -> np.ndarray:
    """Σ ⟨u, u_i⟩² (i − 1)/(r − 1) of u = Gb/‖Gb‖ on the left singular vectors of GE, by falling σ."""
    _, triangle = torch.linalg.qr(g.transpose(1, 2))
    u, _, _ = torch.linalg.svd(triangle @ torch.linalg.qr(e.transpose(1, 2)).R.transpose(1, 2))
    direction = triangle[rows] @ b[:, :, None]
    weight = (u[rows].transpose(1, 2) @ direction).squeeze(2).square()
    weight = (weight / weight.sum(1, keepdim=True)).numpy()
    index = np.minimum(np.arange(weight.shape[1]) / (rank[:, None] - 1), 1.0)
    return (weight * index).sum(1)


def _count(a: dict[str, np.ndarray], j: str, d: int) -> dict[str, object]:
    """The columns of one Jacobian: counts, what independent signs would give, and their histogram."""
    count, left, r = a[f"{j}_count"], a[f"{j}_left"], a[f"{j}_rank"]
    nonzero = max(r.sum(), 1)
    q, turned = count.sum() / nonzero, a[f"{j}_sign"] < 0
    variance = q * (1 - q) * r.mean() + q**2 * r.var()
    capped = np.minimum(count, COUNTS)
    expected = sum(n * binomial_counts(int(rank), q) for rank, n in zip(*np.unique(r, return_counts=True)))
    return {
        "deficient": (r < d).mean(),
        "rank": r.mean(),
        "reversed": turned.mean(),
        "count": count.mean(),
        "share": q,
        "nonreal": a[f"{j}_nonreal"].sum() / nonzero,
        "independent": independent(q, r),
        "excess": turned.mean() - independent(q, r),
        "ranked": by_rank(a[f"{j}_small"], r),
        "ranked_excess": turned.mean() - by_rank(a[f"{j}_small"], r),
        "smallest": a[f"{j}_small"][:, 0].sum() / max(count.sum(), 1),
        "dispersion": count.var() / variance if variance else np.nan,
        "left": left.mean(),
        "left_independent": independent(left.sum() / nonzero, r),
        "unlike": ((count % 2 == 1) != turned).mean(),
        "counts": _words(np.bincount(capped, minlength=COUNTS + 1)),
        "binomial": _words(np.round(expected, 2)),
    }


def binomial_counts(r: int, q: float) -> np.ndarray:
    """Probabilities of 0, …, `COUNTS` or more successes in r trials."""
    p = stats.binom.pmf(np.arange(COUNTS + 1), r, q)
    p[-1] = stats.binom.sf(COUNTS - 1, r, q)
    return p


def _words(values: np.ndarray) -> str:
    return " ".join(f"{v:g}" for v in values)


def _hangs(told: Sequence[Tensor], group: Sequence[Tensor], value: np.ndarray) -> np.ndarray:
    """Whether the sum without a group of units has, in some layer, another sign than λ, or is zero;
    a group without active units moves nothing."""
    out = np.zeros(len(value), bool)
    for c, units in zip(told, group, strict=True):
        without = value - (c * units).sum(1).numpy()
        out |= np.sign(without) != np.sign(value)
    return out


@torch.no_grad()
def idle_units(net: Autoencoder, x: Tensor) -> list[Tensor]:
    """The hidden units that none of the points ``x (n, 784)`` activates, the decoder's three layers first."""
    active = None
    for part in x.split(PART):
        trip = jacobian.round_trip(net, part)
        here = [m.any(0) for m in (*trip.at_z, *trip.at_x)]
        active = here if active is None else [a | b for a, b in zip(active, here)]
    return [~a for a in active]
