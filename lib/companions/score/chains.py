"""Chains in the plane and on images, measured against held-out data."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from ... import data
from ...protocol import Protocol
from ...store import Store
from ...training import torch_device
from ..networks import Stack, fit
from . import VERSION, Settings
from .denoiser import Residual, train_residual
from .optimum import Mixture, kernel_field, spiral
from .plane import KINDS, SPIRAL, mixture, spiral_fields, spiral_networks
from .sampling import Chain, effective_sample_size, energy_distance, langevin, metropolis, mmd

__all__ = ["plane_chains", "chain_table", "image_denoiser", "image_chains"]

#: Raise when the denoiser of images changes; the published chains were drawn with version 2.
IMAGE_VERSION = 3
#: Noise level of the mixture's chains.
MIXTURE_SIGMA = 0.2
#: Field and sampler of each run on images.
IMAGE_RUNS = (("denoiser", "langevin"), ("denoiser", "adjusted"), ("kernel", "langevin"))


def plane_chains(
    protocol: Protocol, settings: Settings, store: Store | None = None
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """Langevin and Metropolis–Hastings chains on the 2-D mixture and on the spiral.

    Both run on the exact score of p ∗ N_σ and on its trained estimates, from starts spread
    evenly over the square, for the same number of steps. The protocol plays no part.

    Returns
    -------
    DataFrame : columns ``law, field, sampler``; ``smoothed`` and ``data``, energy distances of the
        chains' last states to held-out draws of p ∗ N_σ and of p; ``floor``, the 95 % quantile of that
        distance between independent samples of p ∗ N_σ, as large as the compared ones;
        ``mmd, mmd_floor``, the same with the kernel's discrepancy; ``acceptance``; ``ess``, effective
        sample size of one chain per 1,000 steps.
    dict : last states by ``law.field.sampler``, and ``law.held_out``.
    """

    def compute() -> dict[str, Tensor]:
        out, rows = {}, []
        spiral_parts = spiral_fields(settings, spiral_networks(protocol, settings, store))
        jobs = [
            ("mixture", mixture(2), MIXTURE_SIGMA, _mixture_fields(settings)),
            ("spiral", spiral(), settings.spiral_sigma, spiral_parts),
        ]
        count = sum(2 * len(fields) for *_, fields in jobs)
        bar = tqdm(total=count, desc="chains in the plane", unit="run", leave=False)
        for law_name, law, sigma, fields in jobs:
            generators = (torch.Generator().manual_seed(seed) for seed in range(100, 108))
            held = [law.sample(settings.held_out, g, sigma) for g in generators]
            clean = law.sample(settings.held_out, torch.Generator().manual_seed(99))
            width = torch.cdist(held[0], held[0]).median().item()
            pairs = [(a[: settings.chains], b) for i, a in enumerate(held) for b in held[:i]]
            floor = np.quantile([energy_distance(a, b) for a, b in pairs], 0.95)
            mmd_floor = np.quantile([mmd(a, b, width) for a, b in pairs], 0.95)
            out[f"{law_name}.held_out"] = held[0]
            for field_name, field in fields.items():
                for sampler in ("langevin", "metropolis"):
                    chain = _run(sampler, field, law, settings, sigma)
                    out[f"{law_name}.{field_name}.{sampler}"] = chain.last
                    trace = chain.trace[len(chain.trace) // 5 :]
                    ess = np.mean([effective_sample_size(trace[:, :, i]) for i in (0, 1)])
                    ess *= 1_000 / (0.8 * settings.chain_steps)
                    far, data_far = (energy_distance(chain.last, sample) for sample in (held[0], clean))
                    discrepancy = mmd(chain.last, held[0], width)
                    rows.append((far, data_far, floor, discrepancy, mmd_floor, chain.acceptance, ess))
                    bar.update()
        bar.close()
        return out | {"rows": torch.tensor(rows, dtype=torch.float64)}

    names = ("sigmas", "mixture_steps", "hidden", "batch", *SPIRAL, "chains", "chain_steps", "held_out")
    fields = {"experiment": "plane chains", "version": VERSION} | settings.only(*names)
    stored = (store or Store()).tensors("score", fields, compute, "companions/score-plane-chains")
    values = stored.pop("rows")
    runs = [("mixture", f) for f in ("exact", "denoising")] + [("spiral", f) for f in ("exact", *KINDS)]
    labels = [(*run, sampler) for run in runs for sampler in ("langevin", "metropolis")]
    heads = pd.DataFrame(labels, columns=["law", "field", "sampler"])
    columns = ["smoothed", "data", "floor", "mmd", "mmd_floor", "acceptance", "ess"]
    return pd.concat([heads, pd.DataFrame(values.numpy(), columns=columns)], axis=1), stored


def chain_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The table of `plane_chains` for a page: each distance with what chance would give in brackets."""
    out = runs[["law", "field", "sampler"]].copy()
    out["sampler"] = out.sampler.map({"langevin": "Langevin", "metropolis": "Metropolis"})
    out["energy distance"] = [f"{a:.4f} ({b:.4f})" for a, b in zip(runs.smoothed, runs.floor)]
    out["MMD²"] = [f"{a:.4f} ({b:.4f})" for a, b in zip(runs.mmd, runs.mmd_floor)]
    return out.assign(**{"to the data": runs["data"], "accepted": runs.acceptance, "ESS": runs.ess})


def _mixture_fields(settings: Settings) -> dict[str, Callable[[Tensor], Tensor]]:
    law, generator = mixture(2), torch.Generator().manual_seed(11)
    net = Residual(2, settings.hidden, [MIXTURE_SIGMA], generator)
    sizes = settings.mixture_steps, settings.batch
    train_residual(net, law.sample, *sizes, generator, label="denoiser of the mixture")
    return {"exact": lambda x: law.score(x, MIXTURE_SIGMA), "denoising": net.field(0)}


def _run(
    sampler: str, field: Callable[[Tensor], Tensor], law: Mixture, settings: Settings, sigma: float
) -> Chain:
    """Steps: ε = .1 σ² for Langevin; proposals of twice the noise level's size for Metropolis–Hastings."""
    generator = torch.Generator().manual_seed(3)
    reach = law.means.abs().max() + sigma
    start = (torch.rand(settings.chains, 2, dtype=torch.float64, generator=generator) * 2 - 1) * reach
    if sampler == "langevin":
        return langevin(field, start, settings.chain_steps, 0.1 * sigma**2, generator)
    return metropolis(field, start, settings.chain_steps, 2 * sigma**2, generator, nodes=4)


def image_denoiser(
    protocol: Protocol, settings: Settings, store: Store | None = None
) -> Callable[[Tensor], Tensor]:
    """The reconstruction r of a denoiser trained on the protocol's training images with noise of one level σ.

    Returns
    -------
    Function ``(b, 784) -> (b, 784)``.
    """
    images, device = data.load(protocol.training_set), torch_device()
    sizes = [(784, settings.image_hidden, settings.image_hidden, 784)]
    net = Stack(sizes, (13,), hidden="relu").to(device)

    def compute() -> dict[str, Tensor]:
        x, generator = images.train.float(), torch.Generator().manual_seed(13)

        def loss(_: int) -> Tensor:
            clean = x[torch.randint(len(x), (128,), generator=generator)]
            noisy = clean + settings.image_sigma * torch.randn(clean.shape, generator=generator)
            return (net(noisy.to(device)) - clean.to(device)).square().sum(2).mean()

        fit([net], loss, settings.image_steps, 1e-3, label="denoiser of images", threads=None)
        return net.tensors()

    fields = {"experiment": "image denoiser", "version": IMAGE_VERSION, "images": images.sha256}
    fields |= settings.only("image_sigma", "image_hidden", "image_steps")
    net = net.load((store or Store()).tensors("score", fields, compute)).to(device)
    return lambda x: net(x)[0]


@torch.no_grad()
def image_chains(
    protocol: Protocol, settings: Settings, store: Store | None = None
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """Langevin chains and Metropolis-adjusted ones on images, from white noise.

    Returns
    -------
    DataFrame, one row a run: ``field`` (``denoiser``, or ``kernel`` for `kernel_field` of the training
        images), ``sampler``; ``distance``, energy distance of the denoised last states to denoised noisy
        held-out images; ``floor``, that of as many training images to the same; ``start``, that of
        denoised white noise; ``acceptance``; ``nearest``, the median distance of a denoised
        state to its nearest training image, and ``nearest_held_out`` that of a denoised held-out image;
        ``classes``, the effective number exp(entropy) of labels among nearest training images;
        ``ess`` per 1,000 steps, of the chains' first three principal components.
    dict : ``denoiser.langevin`` and so on, ``(frames, 8, 784)`` denoised states of eight chains.
    """
    names = ("image_sigma", "image_hidden", "image_steps", "image_chains", "image_chain_steps")
    fields = {"experiment": "image chains", "version": VERSION} | settings.only(*names)
    fields["images"] = data.digest(protocol.training_set)

    def compute() -> dict[str, Tensor]:
        images, device = data.load(protocol.training_set), torch_device()
        with torch.enable_grad():
            r = image_denoiser(protocol, settings, store)
        s, n = settings.image_sigma, settings.image_chains
        train, held = images.train.float().to(device), images.test.float().to(device)
        train_part = train[:10_000]
        maps = {"denoiser": r, "kernel": kernel_field(train_part, s)}
        generator = torch.Generator().manual_seed(17)
        noise = lambda x: x + s * torch.randn(x.shape, generator=generator).to(x)
        target = r(noise(held[:n]))
        pick = torch.randperm(len(train), generator=generator)[:n].to(device)
        floor = energy_distance(r(noise(train[pick])), target)
        start = energy_distance(r(noise(0.5 + 0 * held[:n])), target)
        near_held = torch.cdist(target, train_part).amin(1).median().item()
        axes = torch.linalg.svd(train_part - train_part.mean(0), full_matrices=False).Vh[:3].T
        labels = images.labels[: len(train_part)].to(device)
        out, rows = {}, []
        frames, block = 9, max(1, settings.image_chain_steps // 8)
        for name, sampler in tqdm(IMAGE_RUNS, desc="chains on images", unit="run", leave=False):
            generator, field = torch.Generator().manual_seed(19), maps[name]
            move = langevin if sampler == "langevin" else functools.partial(metropolis, drift=True, nodes=2)
            score = lambda x, field=field: (field(x) - x) / s**2
            x = noise(torch.full((n, 784), 0.5, device=device))
            shown, traces, taken = [field(x[:8])], [], []
            for _ in range(frames - 1):
                for _ in range(block):
                    one = move(score, x, 1, 0.1 * s**2, generator, kept=784)
                    x = one.last
                    traces.append(x @ axes)
                    taken.append(one.acceptance)
                shown.append(field(x[:8]))
            y = field(x)
            near = torch.cdist(y, train_part)
            share = torch.bincount(labels[near.argmin(1)], minlength=10).double() / n
            classes = torch.exp(-(share * share.clamp_min(1e-12).log()).sum()).item()
            trace = torch.stack(traces)[len(traces) // 4 :].cpu()
            ess = np.mean([effective_sample_size(trace[:, :, i]) for i in range(3)]) * 1_000 / len(trace)
            distances = energy_distance(y, target), floor, start
            nearest = near.amin(1).median().item(), near_held
            rows.append((*distances, np.mean(taken), *nearest, classes, ess))
            out[f"{name}.{sampler}"] = torch.stack(shown)
        return out | {"rows": torch.tensor(rows, dtype=torch.float64)}

    stored = (store or Store()).tensors("score", fields, compute, "companions/score-image-chains")
    values = stored.pop("rows").numpy()
    heads = pd.DataFrame(IMAGE_RUNS, columns=["field", "sampler"])
    columns = ["distance", "floor", "start", "acceptance", "nearest", "nearest_held_out", "classes", "ess"]
    return pd.concat([heads, pd.DataFrame(values, columns=columns)], axis=1), stored


def frames(protocol: Protocol, settings: Settings) -> dict[str, Tensor]:
    """The denoised states of eight Langevin chains on images (`image_chains`), by the step of each."""
    every, states = max(1, settings.image_chain_steps // 8), image_chains(protocol, settings)[1]
    return {f"step {i * every:,}": x for i, x in enumerate(states["denoiser.langevin"])}
