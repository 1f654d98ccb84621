"""Denoisers of Gaussian mixtures and of a spiral, held against scores that are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...protocol import Protocol
from ...store import Store
from .. import shown
from . import VERSION, Settings
from .denoiser import Residual, train_residual
from .optimum import Mixture, cloud, ring, spiral

__all__ = [
    "mixture_errors",
    "spiral_networks",
    "spiral_fields",
    "ray_crossings",
    "crossing_table",
    "zeros",
    "zero_table",
    "spiral_tables",
    "KINDS",
]

#: Raise when what `spiral_tables` makes of the same networks changes.
SHOWN = 1
#: Members of the spiral's stack of networks.
KINDS = ("denoising", "contractive")
#: Settings that these depend on.
SPIRAL = ("spiral_sigma", "spiral_steps", "spiral_hidden", "spiral_batch")


def mixture(n: int) -> Mixture:
    """The mixture of the chapter in n dimensions."""
    return ring() if n == 2 else cloud(n)


def mixture_errors(
    protocol: Protocol, settings: Settings, store: Store | None = None, dims: Sequence[int] = (2, 10)
) -> pd.DataFrame:
    """Relative error of denoisers as score estimates, by σ and training length. The protocol plays no part.

    Columns ``n, sigma, seed, step``; ``smoothed``: √(E‖ŝ − s_σ‖²/E‖s_σ‖²) over x ~ p ∗ N_σ;
    ``clean``: the same against ∇log p over x ~ p; ``floor``: the latter for s_σ itself, the
    bias that no training removes.
    """

    def compute() -> pd.DataFrame:
        rows = []
        for n in dims:
            law = mixture(n)
            levels = [(s, seed) for seed in settings.mixture_seeds for s in settings.sigmas]
            generator = torch.Generator().manual_seed(n)
            net = Residual(n, settings.hidden, [s for s, _ in levels], generator)
            marks = sorted({max(1, settings.mixture_steps * k // 100) for k in (1, 3, 10, 30, 100)})
            sizes, label = (settings.mixture_steps, settings.batch), f"{n}-D mixture"
            kept = train_residual(net, law.sample, *sizes, generator, snapshots=marks, label=label)
            fresh = torch.Generator().manual_seed(1_000 + n)
            clean = law.sample(4_000, fresh)
            truth = law.score(clean)
            for i, (s, seed) in enumerate(levels):
                x = law.sample(4_000, fresh, s)
                smoothed = law.score(x, s)
                floor = relative(law.score(clean, s), truth)
                for step, weights in kept.items():
                    field = net.load(weights, "p").field(i)
                    errors = relative(field(x), smoothed), relative(field(clean), truth)
                    rows.append((n, s, seed, step, *errors, floor))
        return pd.DataFrame(rows, columns=["n", "sigma", "seed", "step", "smoothed", "clean", "floor"])

    fields = {"experiment": "mixtures", "version": VERSION, "dims": tuple(dims)}
    fields |= settings.only("sigmas", "mixture_steps", "mixture_seeds", "hidden", "batch")
    return (store or Store()).table("score", fields, compute, "companions/score-mixtures")


def relative(estimate: Tensor, truth: Tensor, base: Tensor | float = 0.0) -> float:
    """√(Σ‖estimate − truth‖²/Σ‖truth − base‖²)."""
    return float(((estimate - truth).square().sum() / (truth - base).square().sum()).sqrt())


def spiral_networks(protocol: Protocol, settings: Settings, store: Store | None = None) -> Residual:
    """The denoiser and the contractive autoencoder of the spiral (`KINDS`), loaded or trained.
    The protocol plays no part."""
    sigma, steps, batch = settings.spiral_sigma, settings.spiral_steps, settings.spiral_batch
    net = Residual(2, settings.spiral_hidden, [sigma] * 2, torch.Generator().manual_seed(7))

    def compute() -> dict[str, Tensor]:
        parts = []
        # the contractive loss has no noise in its target: half the steps on half the points serve as well
        for i, (kind, share) in enumerate(zip(KINDS, (1, 2))):
            generator = torch.Generator().manual_seed(7 + i)
            one = Residual(2, settings.spiral_hidden, [sigma], generator)
            kept = train_residual(
                one, spiral().sample, steps // share, batch // share, generator,
                contractive=kind == "contractive", label=f"spiral, {kind}",
            )  # fmt: skip
            parts.append(kept[steps // share])
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    fields = {"experiment": "spiral", "version": VERSION} | settings.only(*SPIRAL)
    return net.load((store or Store()).tensors("score", fields, compute, "companions/score-spiral"), "p")


def spiral_results(
    protocol: Protocol, settings: Settings, store: Store | None = None
) -> tuple[dict[str, Callable[[Tensor], Tensor]], pd.DataFrame]:
    """`spiral_fields` and their zeros, of `spiral_tables`."""
    fields = spiral_fields(settings, spiral_networks(protocol, settings, store))
    return fields, spiral_tables(protocol, settings, store)["zeros"]


def spiral_fields(settings: Settings, net: Residual) -> dict[str, Callable[[Tensor], Tensor]]:
    """Score of p ∗ N_σ, and its two estimates, by name."""
    law, sigma = spiral(), settings.spiral_sigma
    return {"exact": law.kernel_score(sigma)} | {kind: net.field(i) for i, kind in enumerate(KINDS)}


def ray_crossings(
    field: Callable[[Tensor], Tensor],
    angles: int = 72,
    low: float = 0.2,
    high: float = 1.65,
    nodes: int = 291,
) -> pd.DataFrame:
    """Radii at which the field's radial component changes sign, along rays from the origin.

    Columns ``angle, radius, kind``: ``attracting`` from outward to inward (for the exact field
    a maximum of the density along the ray), ``repelling`` the other way (a minimum).
    """
    angle = 2 * np.pi * np.arange(angles) / angles
    r = np.linspace(low, high, nodes)
    unit = np.stack([np.cos(angle), np.sin(angle)], 1)
    points = torch.from_numpy(r[None, :, None] * unit[:, None])
    v = field(points.flatten(0, 1)).view(points.shape).numpy()
    radial = (v * unit[:, None]).sum(2)
    rows = []
    for i, a in enumerate(angle):
        for j in np.flatnonzero((radial[i, 1:] > 0) != (radial[i, :-1] > 0)):
            t = radial[i, j] / (radial[i, j] - radial[i, j + 1])
            rows.append((a, r[j] + t * (r[j + 1] - r[j]), "attracting" if radial[i, j] > 0 else "repelling"))
    return pd.DataFrame(rows, columns=["angle", "radius", "kind"])


def crossing_table(fields: dict[str, Callable[[Tensor], Tensor]]) -> pd.DataFrame:
    """How well each field's crossings match the exact ones, one row a field and kind.

    ``exact`` and ``found`` are numbers of crossings; ``matched`` is the share of exact ones with
    a crossing of the same kind within 0.1 on the same ray, ``offset`` the median gap of those,
    and ``spurious`` the share of found ones with no exact one that near. ``length`` is the median
    of ‖s‖ at the exact crossings.
    """
    crossings = {name: ray_crossings(field) for name, field in fields.items()}
    truth = crossings["exact"]
    rows = []
    for name, field in fields.items():
        found = crossings[name]
        for kind in ("attracting", "repelling"):
            a, b = (t[t.kind == kind] for t in (truth, found))
            gap = np.abs(a.radius.to_numpy()[:, None] - b.radius.to_numpy())
            gap += 10.0 * (a.angle.to_numpy()[:, None] != b.angle.to_numpy())  # on another ray
            near = gap.min(1, initial=np.inf)
            back = gap.min(0, initial=np.inf)
            at = torch.from_numpy(np.stack([a.radius * np.cos(a.angle), a.radius * np.sin(a.angle)], 1))
            length = field(at).norm(dim=1).median().item()
            offset = float(np.median(near[near < 0.1])) if (near < 0.1).any() else np.nan
            spurious = (back >= 0.1).mean() if len(b) else 0.0
            rows.append((name, kind, len(a), len(b), (near < 0.1).mean(), offset, spurious, length))
    columns = ["field", "kind", "exact", "found", "matched", "offset", "spurious", "length"]
    return pd.DataFrame(rows, columns=columns)


def zeros(
    field: Callable[[Tensor], Tensor],
    slope: Callable[[Tensor], Tensor],
    extent: float = 1.7,
    starts: int = 24,
    steps: int = 80,
) -> pd.DataFrame:
    """Zeros of a planar field, by damped Newton steps from a grid, duplicates removed.

    Parameters
    ----------
    slope : ``(b, 2) -> (b, 2, 2)``, the field's Jacobian

    Returns
    -------
    DataFrame with columns ``x, y, kind``: ``maximum`` (both eigenvalues of the Jacobian have a
    negative real part), ``minimum`` (both positive) or ``saddle``.
    """
    axis = torch.linspace(-extent, extent, starts, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    eye = torch.eye(2, dtype=torch.float64)
    damping = torch.full((len(x), 1, 1), 1e-2, dtype=torch.float64)
    v = field(x)
    for _ in range(steps):
        j = slope(x)
        gram = j.transpose(1, 2) @ j
        scale = gram.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] / 2
        pull = -(j.transpose(1, 2) @ v[:, :, None])
        move = torch.linalg.solve(gram + damping * scale * eye, pull).squeeze(2)
        y = x + move.clamp(-0.1, 0.1)
        w = field(y)
        better = w.norm(dim=1) < v.norm(dim=1)
        x, v = torch.where(better[:, None], y, x), torch.where(better[:, None], w, v)
        damping = torch.where(better[:, None, None], damping / 3, damping * 3).clamp(1e-12, 1e6)
    done = (v.norm(dim=1) < 1e-7) & (x.abs().amax(1) < extent)
    unique: list[Tensor] = []
    for point in x[done]:
        if all((point - other).norm() > 1e-4 for other in unique):
            unique.append(point)
    if not unique:
        return pd.DataFrame(columns=["x", "y", "kind"])
    points = torch.stack(unique)
    real = torch.linalg.eigvals(slope(points)).real
    kinds = np.array(["maximum", "saddle", "minimum"])[(real > 0).sum(1).numpy()]
    return pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "kind": kinds})


def spiral_tables(
    protocol: Protocol, settings: Settings, store: Store | None = None
) -> dict[str, pd.DataFrame]:
    """``zeros`` (`zero_table`) and ``crossings`` (`crossing_table`) of the spiral's fields:
    loaded if stored or published."""
    networks = lambda: spiral_networks(protocol, settings, store)
    tables = {
        "zeros": lambda: zero_table(settings, networks()),
        "crossings": lambda: crossing_table(spiral_fields(settings, networks())),
    }
    return shown("score", settings.only(*SPIRAL) | {"version": VERSION, "shown": SHOWN}, tables, store)


def zero_table(settings: Settings, net: Residual) -> pd.DataFrame:
    """The zeros of the exact field of the spiral and of its two estimates, with the density there.

    Columns of `zeros`, with ``field`` and ``log_density``, log (p ∗ N_σ)
    less its largest value on the spiral.
    """
    law, sigma = spiral(), settings.spiral_sigma
    eye = torch.eye(2, dtype=torch.float64)
    slopes = {"exact": lambda x: law.hessian(x, sigma)}
    for i, kind in enumerate(KINDS):
        slopes[kind] = lambda x, i=i: (net.slope(i, x.double()) - eye) / sigma**2
    top = law.log_density(law.means, sigma).max()
    parts = []
    for name, field in spiral_fields(settings, net).items():
        found = zeros(field, slopes[name])
        at = torch.tensor(found[["x", "y"]].to_numpy(dtype=float)).reshape(-1, 2)
        found.insert(0, "field", name)
        parts.append(found.assign(log_density=(law.log_density(at, sigma) - top).numpy()))
    return pd.concat(parts, ignore_index=True)
