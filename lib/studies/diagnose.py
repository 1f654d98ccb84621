"""The paper's diagnostics for any autoencoder: any encoder, any decoder, any shape of input.

`lib.jacobian` writes the chain rule out for the paper's networks. Here the two d×d matrices come
from automatic differentiation of the *round trip through the waist*,

    u(t) = f_enc(x + D f_dec(z) t) at t = 0   gives   K_I(x) = D f_enc(x) · D f_dec(z),
    v(t) = f_enc(f_dec(z + t))     at t = 0   gives   K_L(z) = D f_enc(y) · D f_dec(z),

with z = f_enc(x) and y = f_dec(z): d directional derivatives (forward mode), or d pullbacks
(reverse mode). Nothing of the size of a picture squared is formed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

from ..figures.style import BLUE, RED, styled
from ..spectrum import eigenvalues

__all__ = ["Diagnosis", "diagnose", "matrices", "compare", "planes"]

#: Singular values at most this share of the largest count as zero, unless told otherwise.
RTOL = 1e-10


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` finds at n points of a network whose codes have d entries.

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
    encoder: nn.Module, decoder: nn.Module, x: Tensor, mode: str = "forward"
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes, reconstructions and both matrices: ``z (n, *code)``, ``y (n, *shape)``, ``K_I`` and ``K_L (n, d, d)``.

    A code may have any shape, for instance channels × height × width; d is its number of entries.

    Parameters
    ----------
    mode : ``"forward"`` or ``"reverse"``
        Columns of K by pushing the basis of the code space forward, or rows by pulling it
        back. Forward is faster for narrow codes; reverse is there for modules without a
        forward derivative.

    Examples
    --------
    >>> encoder, decoder = nn.Linear(9, 2).double(), nn.Linear(2, 9).double()
    >>> z, y, k_i, k_l = matrices(encoder, decoder, torch.zeros(4, 9).double())
    >>> bool(torch.allclose(k_i[0], encoder.weight @ decoder.weight)), bool(torch.equal(k_i, k_l))
    (True, True)
    """
    if mode not in ("forward", "reverse"):
        raise ValueError(f"mode: expected 'forward' or 'reverse', got {mode!r}; use mode='forward'")
    f_enc, f_dec = _alone(encoder), _alone(decoder)
    code = f_enc(x[0]).shape
    if f_dec(f_enc(x[0])).shape != x.shape[1:]:
        raise ValueError(
            f"decoder: expected reconstructions of shape {tuple(x.shape[1:])}, got {tuple(f_dec(f_enc(x[0])).shape)}; check both modules"
        )
    basis = torch.eye(code.numel(), dtype=x.dtype, device=x.device).unflatten(1, code)

    def forward(point: Tensor):
        z = f_enc(point)
        y = f_dec(z)
        columns = vmap(lambda t: jvp(f_dec, (z,), (t,))[1])(basis)  # (d, *shape): the columns of G(z)
        k_i, k_l = (vmap(lambda c: jvp(f_enc, (at,), (c,))[1])(columns).flatten(1).T for at in (point, y))
        return z, y, k_i, k_l

    def reverse(point: Tensor):
        z, back = vjp(f_enc, point)
        y, back_dec = vjp(f_dec, z)
        _, back_y = vjp(f_enc, y)
        k_i, k_l = (vmap(lambda t: back_dec(pull(t)[0])[0])(basis).flatten(1) for pull in (back, back_y))
        return z, y, k_i, k_l

    return vmap(forward if mode == "forward" else reverse)(x)


def _alone(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The module as a function of one input without batch dimension, its parameters constants."""
    fixed = {name: t.detach() for name, t in (*module.named_parameters(), *module.named_buffers())}
    return lambda point: functional_call(module, fixed, (point[None],))[0]


def diagnose(
    encoder: nn.Module,
    decoder: nn.Module,
    x: Tensor,
    mode: str = "forward",
    batch: int = 64,
    rtol: float = RTOL,
) -> Diagnosis:
    """Everything the paper measures of an autoencoder, at the inputs ``x (n, *shape)``.

    Modules should be in evaluation mode: dropout and batch statistics make the output of one
    point depend on chance or on the others. They and `x` should be of one dtype; in float32
    the small eigenvalues, and with them ranks and orientations, are rounding noise.

    Parameters
    ----------
    encoder, decoder : nn.Module
        Batched: ``(n, *shape) -> (n, *code) -> (n, *shape)``.
    batch : int
        Points differentiated together.
    rtol : float
        Of the numerical rank.

    Raises
    ------
    ValueError
        If a module is in training mode, there is no point, or the shapes do not fit.
    """
    for name, module in (("encoder", encoder), ("decoder", decoder)):
        if module.training and any(
            isinstance(m, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd))
            for m in module.modules()
        ):
            raise ValueError(
                f"{name}: expected evaluation mode, got training mode with dropout or batch statistics; call {name}.eval()"
            )
    if not len(x):
        raise ValueError("x: expected at least one input, got none; pass x of shape (n, …)")
    parts = [matrices(encoder, decoder, part, mode) for part in x.split(batch)]
    z, y, k_i, k_l = (torch.cat(columns).detach() for columns in zip(*parts))
    k = {"I": k_i, "L": k_l}
    lam = {j: eigenvalues(m) for j, m in k.items()}
    singular = {j: torch.linalg.svdvals(m) for j, m in k.items()}
    rank = {j: (s > rtol * s[:, :1]).sum(1) for j, s in singular.items()}
    d = k_i.shape[1]
    orientation = {j: torch.where(rank[j] == d, torch.linalg.slogdet(m).sign, 0.0) for j, m in k.items()}
    distance = (lam["I"] - lam["L"]).abs().square().sum(1) / d
    return Diagnosis(
        z.flatten(1), y, k, lam, singular, rank, orientation, distance, (y - x).flatten(1).square().mean(1)
    )


def compare(diagnoses: Mapping[str, Diagnosis]) -> pd.DataFrame:
    """Several data sets side by side, one row each, in the statistics of the paper's figures.

    Means, geometric means and standard deviations are over points and nonzero eigenvalues
    (the first r of a point of numerical rank r); *reversed* is the share of full-rank points
    with det K < 0; *codes* is the median of √(Mahalanobis²/d) of the codes from the law of
    the codes of the first data set.
    """
    law = next(iter(diagnoses.values())).z
    mean, precision = law.mean(0), torch.linalg.pinv(torch.atleast_2d(torch.cov(law.T)), hermitian=True)
    rows = []
    for name, found in diagnoses.items():
        d = found.z.shape[1]
        centred = found.z - mean
        far = torch.einsum("ni,ij,nj->n", centred, precision, centred).clamp_min(0).div(d).sqrt()
        row = {
            "data set": name,
            "error": found.error.mean().item(),
            "distance": found.distance.median().item(),
            "codes": far.median().item(),
        }
        for j in "IL":
            kept = found.lam[j][torch.arange(d) < found.rank[j][:, None]]
            log, full = kept.abs().log(), found.rank[j] == d
            row |= {
                f"{j}: mean": kept.abs().mean().item(),
                f"{j}: geometric": log.mean().exp().item(),
                f"{j}: sd log": log.std(correction=0).item(),
                f"{j}: arg": kept.angle().abs().mean().item(),
                f"{j}: reversed": (found.orientation[j][full] < 0).double().mean().item()
                if full.any()
                else float("nan"),
                f"{j}: deficient": (~full).double().mean().item(),
            }
        rows.append(row)
    return pd.DataFrame(rows)


@styled
def planes(diagnoses: Mapping[str, Diagnosis], reach: float = 2.0) -> Figure:
    """All eigenvalues of K_I and K_L of each data set in the complex plane, with the unit circle."""
    fig, axes = plt.subplots(
        1, len(diagnoses), figsize=(7.2, 7.2 / len(diagnoses) + 0.5), sharex=True, sharey=True, squeeze=False
    )
    for ax, (name, found) in zip(axes.flat, diagnoses.items()):
        ax.add_patch(plt.Circle((0, 0), 1, fill=False, ls="--", lw=0.8, ec="#8A8F98"))
        outside = []
        for j, marker, color in (("I", "o", BLUE), ("L", "x", RED)):
            lam = found.lam[j].flatten().numpy()
            ax.plot(
                lam.real,
                lam.imag,
                marker,
                mfc="none",
                color=color,
                ms=2.5,
                alpha=0.4,
                mew=0.6,
                ls="",
                label=f"$K_{j}$",
            )
            outside.append(np.mean(np.maximum(abs(lam.real), abs(lam.imag)) > reach))
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title=name)
        ax.set_xlabel(f"beyond the frame: {outside[0]:.0%}, {outside[1]:.0%}")
    for handle in axes[0, 0].legend(markerscale=2, loc="upper left").legend_handles:
        handle.set_alpha(1)
    return fig
