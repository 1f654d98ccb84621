"""Exact mathematics behind section I: what bounds a difference of spectra, and how projections differentiate.

Nothing here is needed to regenerate the paper's figures; it is what the pages of section I
compute. `lib.figures.theory` draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from .. import data, jacobian, noise
from ..model import Autoencoder, Ensemble
from ..protocol import Protocol
from ..spectrum import eigenvalues, matched_distance
from ..store import Store
from ..training import training_fields

__all__ = [
    "nilpotent_pair", "crossing_pair", "eigenvalue_gap", "singular_gap", "frobenius_gap",
    "eigenvector_condition", "bauer_fike",
    "kink_distance", "latent_jacobian", "lipschitz", "ray", "code_pairs", "pairs", "inference", "iterates",
    "project_sphere", "project_ellipse", "ellipse_factor", "projection_jacobian",
]  # fmt: skip

#: Raise when `pairs` changes; the stored table is then computed anew.
VERSION = 1
# --- what bounds a difference of spectra ------------------------------------------------------


def nilpotent_pair(epsilon: float) -> tuple[Tensor, Tensor]:
    """[[0,1],[0,0]] and [[0,1],[ε,0]]: squared distances 2ε of the eigenvalues and ε² of the matrices.

    >>> a, b = nilpotent_pair(0.01)
    >>> round(float(eigenvalue_gap(a, b)), 12), round(float(frobenius_gap(a, b)), 12)
    (0.02, 0.0001)
    """
    a = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    b = a.clone()
    b[1, 0] = epsilon
    return a, b


def crossing_pair(delta: float) -> tuple[Tensor, Tensor]:
    """diag(1, −1−δ) and diag(1+δ, −1): symmetric, a distance δ√2 apart, and of the other order by modulus."""
    a = torch.tensor([1.0, -1.0 - delta], dtype=torch.float64)
    b = torch.tensor([1.0 + delta, -1.0], dtype=torch.float64)
    return torch.diag(a), torch.diag(b)


def eigenvalue_gap(a: Tensor, b: Tensor, best: bool = False) -> Tensor:
    """‖λ(A) − λ(B)‖², with both spectra by falling modulus, or under the best matching.

    Parameters
    ----------
    a, b : Tensor, shape (…, d, d), real
    best : bool
        False: the order of `lib.spectrum.eigenvalues`, as in the paper. True: the least
        value over all permutations of one of the two spectra.

    Returns
    -------
    Tensor, shape (…), float64
    """
    shape, d = a.shape[:-2], a.shape[-1]
    lam, mu = (eigenvalues(m.reshape(-1, d, d)) for m in (a, b))
    if best:
        return (d * torch.from_numpy(matched_distance(lam.numpy(), mu.numpy()))).reshape(shape)
    return (lam - mu).abs().square().sum(1).reshape(shape)


def singular_gap(a: Tensor, b: Tensor) -> Tensor:
    """Σ (σ_i(A) − σ_i(B))², both by falling size; by Mirsky's theorem at most ‖A − B‖_F²."""
    return (torch.linalg.svdvals(a) - torch.linalg.svdvals(b)).square().sum(-1)


def frobenius_gap(a: Tensor, b: Tensor) -> Tensor:
    """‖A − B‖_F²."""
    return (a - b).square().sum((-2, -1))


def eigenvector_condition(a: Tensor) -> Tensor:
    """κ(V) = ‖V‖₂‖V⁻¹‖₂ of the unit eigenvectors; 1 for a normal matrix, infinite for a defective one."""
    s = torch.linalg.svdvals(torch.linalg.eig(a).eigenvectors)
    return s[..., 0] / s[..., -1]


def bauer_fike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """How far an eigenvalue of B can lie from the spectrum of A, and the bound κ(V_A)‖A − B‖₂ on it.

    Returns
    -------
    farthest, bound : Tensors, shape (…)
        max_j min_i |λ_i(A) − λ_j(B)| and the Bauer–Fike bound.
    """
    lam, mu = torch.linalg.eigvals(a), torch.linalg.eigvals(b)
    farthest = (lam[..., :, None] - mu[..., None, :]).abs().amin(-2).amax(-1)
    return farthest, eigenvector_condition(a) * torch.linalg.matrix_norm(a - b, 2)


# --- the same on networks ---------------------------------------------------------------------


def kink_distance(net: Autoencoder, x: Tensor) -> Tensor:
    """The smallest absolute input of any hidden unit on the way of ``x (n, 784)`` to f_enc(f(x));
    0 on a kink. Shape (n,)."""
    inputs = []
    for layer in (*net.encoder, *net.decoder, *net.encoder):
        if isinstance(layer, torch.nn.ReLU):
            inputs.append(x)
        x = layer(x)
    return torch.cat(inputs, 1).abs().amin(1)


def lipschitz(net: Autoencoder, z: Tensor) -> Tensor:
    """A Lipschitz constant of J_L among codes with the active units of ``z (n, d)``,
    in the Frobenius norm; shape (n,).

    There J_L = A·diag(sech² a)·B with constant A = E(y) and B = Da, so that
    ‖J_L(z) − J_L(z')‖_F ≤ 4/(3√3) Σ_k ‖A_k‖ ‖B_k‖² ‖z − z'‖, with the columns of A and the rows of B.
    """
    before = torch.nn.Sequential(*list(net.decoder)[:-1])
    a = jacobian.derivative(net.encoder, net.decoder(z))  # (n, d, 784)
    b = jacobian.derivative(before, z, forward=True)  # (n, 784, d)
    return 4 / 27**0.5 * (a.norm(dim=1) * b.square().sum(2)).sum(1)


def latent_jacobian(net: Autoencoder, z: Tensor) -> Tensor:
    """J_L = D(f_enc ∘ f_dec) at any codes ``z (n, d)``, shape (n, d, d), by automatic differentiation."""
    return jacobian.derivative(lambda v: net.encoder(net.decoder(v)), z)


def ray(net: Autoencoder, z: Tensor, direction: Tensor, steps: Tensor) -> pd.DataFrame:
    """Both sides of the paper's Theorem I.2 along z + t·v, |v| = 1.

    Returns
    -------
    DataFrame with columns ``t``, ``matrices`` (‖J_L(z+tv) − J_L(z)‖_F²), ``eigenvalues``
    (by modulus), ``singular`` and ``switched`` (hidden units on the path from z through the
    decoder and the encoder that are active at one of the two codes only).
    """
    codes = torch.cat([z[None], z + steps[:, None] * direction / direction.norm()])
    j = latent_jacobian(net, codes)
    trip = jacobian.at_codes(net, codes)
    units = torch.cat([*trip.at_z, *trip.at_y], 1)
    return pd.DataFrame({
        "t": steps.numpy(),
        "matrices": frobenius_gap(j[1:], j[:1]).numpy(),
        "eigenvalues": eigenvalue_gap(j[1:], j[:1].expand_as(j[1:])).numpy(),
        "singular": singular_gap(j[1:], j[:1]).numpy(),
        "switched": (units[1:] != units[:1]).sum(1).numpy(),
    })  # fmt: skip


def code_pairs(net: Autoencoder, x: Tensor, codes: Tensor) -> pd.DataFrame:
    """For each point of ``x (n, 784)``, its code z' and the nearest z of ``codes (m, d)``:
    every gap and bound between J_L(z') and J_L(z).

    Returns
    -------
    DataFrame with columns ``distance`` (‖z' − z‖), ``matrices``, ``eigenvalues``, ``matched``,
    ``singular``, ``bauer_fike`` (farthest eigenvalue), ``bauer_fike_bound``, and ``kappa``
    (κ(V_z)·κ(V_z'), the factor of the corrected theorem).
    """
    z = net.encoder(x)
    distance, nearest = torch.cdist(z, codes).min(1)
    a, b = latent_jacobian(net, codes[nearest]), latent_jacobian(net, z)
    farthest, bound = bauer_fike(a, b)
    columns = {
        "distance": distance, "matrices": frobenius_gap(a, b), "eigenvalues": eigenvalue_gap(a, b),
        "matched": eigenvalue_gap(a, b, best=True),
        "singular": singular_gap(a, b), "bauer_fike": farthest, "bauer_fike_bound": bound,
        "kappa": eigenvector_condition(a) * eigenvector_condition(b),
    }  # fmt: skip
    return pd.DataFrame({name: value.numpy() for name, value in columns.items()})


def pairs(
    networks: Ensemble,
    protocol: Protocol,
    sets: Sequence[str],
    points: int = 200,
    dims: Sequence[int] | None = None,
    store: Store | None = None,
) -> pd.DataFrame:
    """`code_pairs` for the trained networks of one seed and every data set, loaded where stored.

    Parameters
    ----------
    dims : those of the networks; default: all.

    Returns
    -------
    DataFrame with columns ``d``, ``set`` and those of `code_pairs`, `points` rows a cell
    (fewer where the set is smaller); the nearest code is sought among those of the training images.
    """
    store, dims = store or Store(), tuple(dims or protocol.dims)
    fields = training_fields(protocol, networks.seed) | {"of": dims, "sets": tuple(sets), "points": points}
    fields |= {"noise": noise.VERSION, "pairs": VERSION}

    def compute() -> pd.DataFrame:
        images = data.load(protocol.training_set)
        tables = []
        for d in tqdm(dims, desc="pairs of codes", unit="network"):
            net = networks.member(d).double()
            codes = torch.cat([net.encoder(block) for block in images.train.split(1_000)])
            for name in sets:
                x = images.test[:points] if name == "test" else noise.sample(name, 0, points)
                tables.append(code_pairs(net, x, codes).assign(d=d, set=name))
        return pd.concat(tables, ignore_index=True)

    return store.table("theory", fields, compute)


def inference(table: pd.DataFrame) -> pd.DataFrame:
    """What the paper infers from Theorem I.2, held against the codes themselves:
    do distant means of λ_L go with distant codes?

    Parameters
    ----------
    table : the results table (`lib.results`)

    Returns
    -------
    DataFrame, one row a noise set, medians over networks: ``means``, |log ratio| of the mean |λ_L| to the
    training data's; ``codes`` and ``own``, the median √(Mahalanobis distance²/d) of the set's codes and of
    the training codes; and ``rho``, the rank correlation of ``means`` and ``codes`` over networks.
    """
    wide = table.pivot(index=["seed", "d"], columns="set", values=["L_mean", "mahalanobis_median"])
    rows = []
    for name in (s for s in table.set.unique() if s not in ("train", "test")):
        means = np.log(wide["L_mean"][name] / wide["L_mean"]["train"]).abs()
        codes = wide["mahalanobis_median"][name]
        own = wide["mahalanobis_median"]["train"].median()
        row = {"set": name, "means": means.median(), "codes": codes.median(), "own": own}
        rows.append(row | {"rho": means.corr(codes, method="spearman")})
    return pd.DataFrame(rows)


def iterates(net: Autoencoder, x: Tensor, steps: int) -> pd.DataFrame:
    """The round trip applied again and again: where patterns at x and y agree, λ_I and λ_L agree exactly.

    Returns
    -------
    DataFrame, one row a point and step, with columns ``step``, ``point``, ``error`` (‖y − x‖),
    ``hamming`` (encoder units that differ between x and y) and ``distance`` (‖λ_I − λ_L‖²/d).
    """
    tables = []
    for step in range(steps):
        trip = jacobian.round_trip(net, x)
        k_i, k_l = jacobian.matrices(net, trip)
        columns = {"error": (trip.y - x).norm(dim=1), "distance": eigenvalue_gap(k_i, k_l) / net.d}
        columns["hamming"] = sum((a != b).sum(1) for a, b in zip(trip.at_x, trip.at_y))
        table = pd.DataFrame({name: value.numpy() for name, value in columns.items()})
        tables.append(table.assign(step=step, point=range(len(x))))
        x = trip.y
    return pd.concat(tables, ignore_index=True)


# --- nearest-point projections ----------------------------------------------------------------


def project_sphere(x: Tensor) -> Tensor:
    """Nearest point of the unit sphere (the circle, in the plane): x/‖x‖, for ``x (…, N)``, x ≠ 0."""
    return x / x.norm(dim=-1, keepdim=True)


def project_ellipse(x: Tensor, axes: tuple[float, float]) -> Tensor:
    """Nearest point of the ellipse (a cos u, b sin u) to each of ``x (n, 2)``:
    a search on a grid, then Newton's method.

    Unique off the medial axis, which for a > b is the segment |x₁| ≤ (a² − b²)/a, x₂ = 0.
    """
    return _on_ellipse(_ellipse_parameter(x, axes), axes)


def _on_ellipse(u: Tensor, axes: tuple[float, float]) -> Tensor:
    return torch.stack([axes[0] * u.cos(), axes[1] * u.sin()], -1)


def _ellipse_parameter(x: Tensor, axes: tuple[float, float], grid: int = 720, newton: int = 8) -> Tensor:
    a, b = axes
    u0 = torch.arange(grid, dtype=x.dtype) * (2 * torch.pi / grid)
    u = u0[torch.cdist(x, _on_ellipse(u0, axes)).argmin(1)]
    for _ in range(newton):  # f is the derivative of half the squared distance
        f = (b**2 - a**2) * u.sin() * u.cos() + a * x[:, 0] * u.sin() - b * x[:, 1] * u.cos()
        slope = (b**2 - a**2) * (2 * u).cos() + a * x[:, 0] * u.cos() + b * x[:, 1] * u.sin()
        u = u - torch.where(slope > 0, f / slope, 0.0)
    return u


def ellipse_factor(x: Tensor, axes: tuple[float, float]) -> Tensor:
    """1/(1 − κt) for ``x (n, 2)``: κ the curvature at the nearest point, t the distance,
    positive towards the centre of curvature."""
    a, b = axes
    u = _ellipse_parameter(x, axes)
    kappa = a * b / (a**2 * u.sin() ** 2 + b**2 * u.cos() ** 2) ** 1.5
    inward = -torch.stack([b * u.cos(), a * u.sin()], -1)
    t = ((x - _on_ellipse(u, axes)) * inward / inward.norm(dim=-1, keepdim=True)).sum(-1)
    return 1 / (1 - kappa * t)


def projection_jacobian(project: Callable[[Tensor], Tensor], x: Tensor, h: float = 1e-5) -> Tensor:
    """Jacobian of any map at ``x (n, N)`` by central differences, ``(n, M, N)``:
    knows nothing of the formula it is compared with."""
    basis = torch.eye(x.shape[1], dtype=x.dtype)
    return torch.stack([(project(x + h * e) - project(x - h * e)) / (2 * h) for e in basis], -1)
