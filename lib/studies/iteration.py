"""The round trip iterated on codes: until it settles at a fixed point or in a cycle, or for so many steps.

What counts as settled, and why, is said in `lib.studies.attractors`.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from scipy.spatial import cKDTree
from torch import Tensor

from ..model import Autoencoder
from ..spectrum import eigenvalues
from .theory import latent_jacobian

__all__ = ["iterate", "round_trips", "Ends", "radius", "merged", "effective", "STEPS", "TOLERANCE", "MERGED"]

#: Steps at most, and the relative step that counts as none.
STEPS, TOLERANCE = 2_000, 1e-8
#: Steps in single precision at most, and the relative step at which they end; the shortest step of a cycle.
SINGLE, COARSE, APART = 1_000, 1e-5, 1e-4
#: How far Newton's method may go, relative to ‖z‖; ends nearer than this,
#: relative to their median norm, are one.
REACH, MERGED = 0.1, 1e-3
#: Codes that go through a network together.
PART = 500


class Ends(NamedTuple):
    """Where n starts end.

    Attributes
    ----------
    z : Tensor, shape (n, d), float64: the end's code; of a cycle,
        its member with the smallest first coordinate
    steps : int array, shape (n,): steps taken
    period : int array, shape (n,): 1 a fixed point, p > 1 a cycle, 0 slow, −1 open
    """

    z: Tensor
    steps: np.ndarray
    period: np.ndarray


def round_trips(net: Autoencoder, z: Tensor) -> Tensor:
    """f_enc(f_dec(z)), a few codes at a time: their images then stay in the cache."""
    return torch.cat([net.encoder(net.decoder(part)) for part in z.split(PART)])


@torch.no_grad()
def iterate(net: Autoencoder, z: Tensor, steps: int = STEPS, tolerance: float = TOLERANCE) -> Ends:
    """Iterate z ↦ f_enc(f_dec(z)) from ``z (n, d)`` until it settles, as `lib.studies.attractors` says.

    Parameters
    ----------
    net : Autoencoder, in float64
    """
    near, taken, close = _approached(net, z, min(SINGLE, steps))
    # those that have nearly arrived at one place go on as one, all others by themselves
    group = np.arange(len(z)) + len(z)
    if close.any():
        within = 0.1 * MERGED * float(near[close].norm(dim=1).median())
        group[close] = merged(near[close].numpy(), np.ones(close.sum(), int), within)
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    ends = _settled(net, near[first], taken[first], steps, tolerance)
    out, period = ends.z, ends.period
    for p in np.unique(period[period > 1]):
        rows = torch.from_numpy(period == p)
        out[rows] = _first_member(net, out[rows], int(p))
    left = torch.from_numpy(period == -1)
    out[left], found = _newton(net, out[left], tolerance)
    period[left.numpy()] = np.where(found, 0, -1)
    return Ends(out[group], taken + (ends.steps - taken[first])[group], period[group])


def _approached(net: Autoencoder, z: Tensor, steps: int) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Codes after at most so many steps in single precision, the steps taken,
    and whether one was shorter than `COARSE`."""
    net, z, taken, close = (
        copy.deepcopy(net).float(),
        z.clone(),
        np.zeros(len(z), int),
        np.zeros(len(z), bool),
    )
    here, at = z.float(), np.arange(len(z))
    for _ in range(steps if len(z) else 0):
        after = round_trips(net, here)
        going = ((after - here).norm(dim=1) > COARSE * after.norm(dim=1)).numpy()
        taken[at] += 1
        close[at], z[at] = ~going, after.double()
        here, at = after[going], at[going]
        if not len(at):
            break
    return z, taken, close


def _settled(net: Autoencoder, z: Tensor, taken: np.ndarray, steps: int, tolerance: float) -> Ends:
    """Codes after some steps, iterated on in double precision to a fixed point, a cycle or the last step."""
    z, taken, period = z.clone(), taken.copy(), np.full(len(z), -1)
    at = np.flatnonzero(taken < steps)
    here, anchor = z[at], z[at]
    since, power = np.zeros(len(at), int), np.ones(len(at), int)
    while len(at):
        after = round_trips(net, here)
        size, step = (v.norm(dim=1).numpy() for v in (after, after - here))
        since, back = since + 1, (after - anchor).norm(dim=1).numpy() <= tolerance * size
        fixed = step <= tolerance * size
        done = fixed | (back & (since > 1) & (step > APART * size))
        z[at], taken[at] = after, taken[at] + 1
        period[at[done]] = np.where(fixed, 1, since)[done]
        moved = since == power  # Brent: the anchor moves up at powers of two
        anchor = torch.where(torch.from_numpy(moved)[:, None], after, anchor)
        power, since = np.where(moved, 2 * power, power), np.where(moved, 0, since)
        on = ~done & (taken[at] < steps)
        at, here, anchor, since, power = at[on], after[on], anchor[on], since[on], power[on]
    return Ends(z, taken, period)


def _first_member(net: Autoencoder, z: Tensor, p: int) -> Tensor:
    """Of the cycle of length p through each code, the member with the smallest first coordinate."""
    best = z
    for _ in range(p - 1):
        z = net.encoder(net.decoder(z))
        best = torch.where((z[:, :1] < best[:, :1]), z, best)
    return best


def _derivative(net: Autoencoder, z: Tensor) -> Tensor:
    """K_L at codes ``z (n, d)``, a few at a time."""
    return torch.cat([latent_jacobian(net, part) for part in z.split(PART)])


def _newton(net: Autoencoder, start: Tensor, tolerance: float, tries: int = 8) -> tuple[Tensor, np.ndarray]:
    """Stable fixed points near codes that have not settled, which were found; a code without one stays."""
    if not len(start):
        return start, np.zeros(0, bool)
    z, one = start.clone(), torch.eye(start.shape[1], dtype=start.dtype)
    for _ in range(tries):
        step = torch.linalg.lstsq(one - _derivative(net, z), (round_trips(net, z) - z)[:, :, None]).solution
        z = z + step.squeeze(2).nan_to_num()
    residual = (round_trips(net, z) - z).norm(dim=1)
    near = (z - start).norm(dim=1) <= REACH * start.norm(dim=1)
    found = near & (residual <= tolerance * z.norm(dim=1)) & (radius(net, z) < 1)
    return torch.where(found[:, None], z, start), found.numpy()


@torch.no_grad()
def radius(net: Autoencoder, z: Tensor, period: int = 1) -> Tensor:
    """Spectral radius of the derivative of the p-th iterate at codes ``z (n, d)``: of K_L,
    or of the product along a cycle."""
    product = torch.eye(z.shape[1], dtype=z.dtype)
    for _ in range(period):
        product = _derivative(net, z) @ product
        z = net.encoder(net.decoder(z))
    lam = eigenvalues(product)
    return lam.abs().amax(1) if len(z) else lam.real.new_empty(0)


def merged(z: np.ndarray, period: np.ndarray, within: float) -> np.ndarray:
    """A number for each end, the same for those within a distance of one another,
    directly or through others, and of one period.

    Parameters
    ----------
    z : shape (n, d); period : shape (n,), slow ends counting as fixed points
    """
    # ends that lie far closer than that count once: there may be thousands at one place
    rounded = np.column_stack([np.maximum(period, 1), np.round(z / (within / 64))])
    _, first, label = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    points, kinds = z[first], np.maximum(period[first], 1)
    pairs = cKDTree(points).query_pairs(within, output_type="ndarray")
    pairs = pairs[kinds[pairs[:, 0]] == kinds[pairs[:, 1]]]
    graph = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(first),) * 2)
    return sparse.csgraph.connected_components(graph, directed=False)[1][label.ravel()]


def effective(counts: np.ndarray) -> float:
    """exp of the entropy of shares: an effective number.

    >>> effective(np.array([5, 5, 0])), effective(np.array([7]))
    (2.0, 1.0)
    """
    p = np.asarray(counts, float)
    p = p[p > 0] / p.sum() if p.sum() else p[:0]
    return round(float(np.exp(-(p * np.log(p)).sum())), 12) if len(p) else np.nan
