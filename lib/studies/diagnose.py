"""The paper's diagnostics for any autoencoder: any encoder, any decoder, any shape of input.

`lib.jacobian` writes the chain rule out for the paper's networks. Here the two d×d matrices come
from automatic differentiation of the *round trip through the bottleneck*,

    K_I(x) = D f_enc(x) · D f_dec(z)   and   K_L(z) = D f_enc(y) · D f_dec(z),

with z = f_enc(x) and y = f_dec(z). Row i of K is eᵢ pulled back through the encoder and then through
the decoder. Rows of a batch do not depend on one another, so d such vector-Jacobian products of a
whole batch give all its matrices, with the memory of one forward pass, and whatever can be trained
can be diagnosed. Nothing of the size of a picture squared is formed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from ..spectrum import eigenvalues
from .differentiable import Function, check, confirm, generators, inputs, pull, steady, untouched

__all__ = ["Diagnosis", "diagnose", "matrices", "compare"]

#: Singular values at most this share of the largest count as zero, unless told otherwise.
RTOL = 1e-10
#: Bytes that the forward passes of the points differentiated together may keep, and most such points.
#: What the passes themselves need comes on top, about once more; K_I and K_L take 16 n d² bytes in float64.
MEMORY, POINTS = 2**28, 256


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` finds at n points of a network whose codes have d entries.

    A point where z, y or K is not finite has NaN in `k`, `lam`, `singular`, `orientation`, `distance`
    and `error`, and rank −1; the other points are not touched by it.

    Attributes
    ----------
    z : Tensor, shape (n, d)
    y : Tensor, shape (n, …), as one input
    k : dict of Tensor, shape (n, d, d)
        ``"I"``: K_I(x), whose eigenvalues are the nonzero ones of the Jacobian of f_dec ∘ f_enc
        at x, and zeros; ``"L"``: K_L(z), the Jacobian of f_enc ∘ f_dec at z.
    lam : dict of complex Tensor, shape (n, d), by falling modulus.
    singular : dict of Tensor, shape (n, d), falling: of K, not of the Jacobian of the round trip.
    rank : dict of int64 Tensor, shape (n,)
        Numerical: singular values of K above ``rtol`` times the largest. For ReLU networks
        `lib.jacobian.rank` counts active units instead.
    orientation : dict of Tensor, shape (n,)
        Sign of det K, −1 or 1; 0 where the rank is less than d: the sign of a computed
        determinant would be rounding noise there.
    distance : Tensor, shape (n,)
        ‖λ_I − λ_L‖²/d, Figure 1 of the paper.
    error : Tensor, shape (n,)
        Mean squared difference of x and y over entries.
    """

    z: Tensor
    y: Tensor
    k: dict[str, Tensor]
    lam: dict[str, Tensor]
    singular: dict[str, Tensor]
    rank: dict[str, Tensor]
    orientation: dict[str, Tensor]
    distance: Tensor
    error: Tensor


def matrices(
    encoder: Function, decoder: Function, x: Any, batch: int | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes, reconstructions and both matrices: ``z (n, *code)``, ``y (n, *shape)``,
    ``K_I`` and ``K_L (n, d, d)``.

    A code may have any shape, for instance channels × height × width; d is its number of entries.
    Parameters and errors are those of `diagnose`.

    Examples
    --------
    >>> encoder, decoder = torch.nn.Linear(9, 2).double(), torch.nn.Linear(2, 9).double()
    >>> z, y, k_i, k_l = matrices(encoder, decoder, torch.zeros(4, 9).double())
    >>> bool(torch.allclose(k_i[0], encoder.weight @ decoder.weight)), bool(torch.equal(k_i, k_l))
    (True, True)
    """
    if batch is not None and (type(batch) is not int or batch < 1):
        raise ValueError(
            f"batch: expected a whole number of at least 1, got {batch!r}; for instance batch=64"
        )
    # what is differentiated is the module itself: a compiled one frees its graph after the first pull-back
    encoder, decoder = (getattr(f, "_orig_mod", f) for f in (encoder, decoder))
    x = inputs(encoder, decoder, x)
    with untouched(encoder, decoder):
        states = [state for state, _ in generators(encoder, decoder)]
        tried, code, size = check(encoder, decoder, x, states)
        encoder, decoder = (f for _, f, *_ in tried)
        d, step = code.numel(), min(len(x), batch or max(1, min(POINTS, MEMORY // size)))
        z, y, k = x.new_empty(len(x), *code), torch.empty_like(x), x.new_empty(2, len(x), d, d)
        parts = zip(*(t.split(step) for t in (x, z, y, *k)))
        with tqdm(total=len(x) * d, desc="Jacobians", unit="row", delay=3) as bar:
            for part, z_part, y_part, *k_part in parts:
                at_x, out_x = steady("encoder", encoder, part, states)
                at_z, out_z = steady("decoder", decoder, z_part.copy_(out_x.detach()), states)
                at_y, out_y = steady("encoder", encoder, y_part.copy_(out_z.detach()), states)
                unit = torch.zeros_like(z_part)
                for i in range(d):
                    unit.view(-1, d).zero_()[:, i] = 1
                    for at, out, rows in ((at_x, out_x, k_part[0]), (at_y, out_y, k_part[1])):
                        back = pull("encoder", out, at, unit)
                        rows[:, i] = pull("decoder", out_z, at_z, back).reshape(-1, d)
                    bar.update(len(part))
        confirm(tried, x, z, y)
    return z, y, k[0], k[1]


def diagnose(
    encoder: Function, decoder: Function, x: Any, batch: int | None = None, rtol: float = RTOL
) -> Diagnosis:
    """Everything the paper measures of an autoencoder, at the inputs ``x (n, *shape)``.

    Nothing of the caller's is changed: inputs, weights, gradients, buffers, modes, random generators.
    In float32 the small eigenvalues, and with them ranks and orientations, are rounding noise.

    Parameters
    ----------
    encoder, decoder : nn.Module, or a function
        Batched: ``(n, *shape) -> (n, *code) -> (n, *shape)``, deterministic, real, each row on its own.
    x : Tensor, array, or list of these
        Taken to the modules' device and to float64 if they are; never to a lower precision.
    batch : int, optional
        Points differentiated together; default: as many as `MEMORY` has room for.
    rtol : float
        Of the numerical rank; at least 100 units of rounding of the dtype.

    Raises
    ------
    ValueError
        One line, if inputs or outputs are not as above, if one point alone does not give what it
        gives in a batch, or if automatic differentiation does not give the derivative of the outputs.
    """
    if not isinstance(rtol, (int, float)) or not 0 <= rtol < 1:
        raise ValueError(f"rtol: expected a number from 0 to below 1, got {rtol!r}; for instance rtol=1e-10")
    x = inputs(encoder, decoder, x)
    z, y, *both = matrices(encoder, decoder, x, batch)
    z, n, d = z.reshape(len(z), -1), len(z), both[0].shape[1]
    known = torch.stack([t.reshape(n, -1).isfinite().all(1) for t in (z, y, *both)]).all(0)
    rtol = max(rtol, 100 * torch.finfo(z.dtype).eps)
    k, lam, singular, rank, orientation = ({} for _ in range(5))
    for j, m in zip("IL", both):
        m[~known] = 0  # LAPACK gives up a whole batch for one number
        s = torch.linalg.svdvals(m)
        r = (s > rtol * s[:, :1]).sum(1)
        sign = torch.where(r == d, torch.linalg.slogdet(m).sign, 0.0)
        k[j], lam[j], singular[j] = m, eigenvalues(m), s
        orientation[j], rank[j] = sign, r.masked_fill(~known, -1)
        for t in (m, lam[j], s, sign):
            t[~known] = torch.nan
    distance = (lam["I"] - lam["L"]).abs().square().sum(1) / d
    error = (y - x).reshape(n, -1).square().mean(1).masked_fill(~known, torch.nan)
    return Diagnosis(z, y, k, lam, singular, rank, orientation, distance, error)


def compare(diagnoses: Mapping[str, Diagnosis]) -> pd.DataFrame:
    """Several data sets side by side, one row each, in the statistics of the paper's figures.

    Means, geometric means and standard deviations are over points and nonzero eigenvalues
    (the first r of a point of numerical rank r); *reversed* is the share of full-rank points
    with det K < 0; *codes* is the median of √(Mahalanobis²/d) of the codes from the distribution of
    the codes of the first data set. Points without finite values are left out, and counted in a
    last column where there are any.
    """
    check_all(diagnoses)
    known = {name: found.rank["I"].cpu() >= 0 for name, found in diagnoses.items()}
    codes = {name: found.z.cpu()[known[name]] for name, found in diagnoses.items()}
    first = next(iter(codes.values()))
    mean, d = first.mean(0), first.shape[1]
    spread = torch.atleast_2d(torch.cov(first.T)) if len(first) > 1 else None
    precision = (
        first.new_full((d, d), torch.nan) if spread is None else torch.linalg.pinv(spread, hermitian=True)
    )
    rows = []
    for name, found in diagnoses.items():
        here, centred = known[name], codes[name] - mean
        far = torch.einsum("ni,ij,nj->n", centred, precision, centred).clamp_min(0).div(d).sqrt()
        row = {
            "data set": name,
            "error": found.error.cpu()[here].mean().item(),
            "distance": found.distance.cpu()[here].median().item(),
            "codes": far.median().item(),
        }
        for j in "IL":
            lam, rank, sign = (v[j].cpu()[here] for v in (found.lam, found.rank, found.orientation))
            kept = lam[torch.arange(d) < rank[:, None]]
            log, full = kept.abs().log(), rank == d
            row |= {
                f"{j}: mean": kept.abs().mean().item(),
                f"{j}: geometric": log.mean().exp().item(),
                f"{j}: sd log": log.std(correction=0).item(),
                f"{j}: arg": kept.angle().abs().mean().item(),
                f"{j}: reversed": (sign[full] < 0).double().mean().item(),
                f"{j}: deficient": (~full).double().mean().item(),
            }
        rows.append(row | {"left out": (~here).sum().item()})
    table = pd.DataFrame(rows)
    return table if table["left out"].any() else table.drop(columns="left out")


def check_all(diagnoses: Mapping[str, Diagnosis]) -> None:
    """Refuse what is not a name for each diagnosis, all of codes of one size."""
    some = diagnoses.values() if isinstance(diagnoses, Mapping) else (diagnoses,)
    got = [found.z.shape[1] if isinstance(found, Diagnosis) else type(found).__name__ for found in some]
    if len(set(got)) != 1 or not isinstance(got[0], int) or not isinstance(diagnoses, Mapping):
        raise ValueError(
            f"diagnoses: expected some by name, of codes of one size, got {got}; "
            f"for instance {{'test': diagnose(encoder, decoder, x)}}"
        )
