"""Small networks that learn r(x) = x + σ f(x), many at once in one stacked program.

Denoising:    E‖f(x + σξ) + ξ‖²,          which is E‖r(x + σξ) − x‖²/σ².
Contractive:  E‖f(x)‖² + E‖I + σ ∂f/∂x‖²,  which is (E‖r(x) − x‖² + σ² E‖∂r/∂x‖_F²)/σ².

The residual form lets one network size serve every σ; the score estimate is f/σ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

__all__ = ["Residual", "train_residual"]


class Residual:
    """k networks f: Rⁿ → Rⁿ with two hidden layers of tanh units, one for each noise level.

    Parameters
    ----------
    n, hidden : int
    sigmas : noise levels, one a network; the same level may stand there several times.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(
        self,
        n: int,
        hidden: int,
        sigmas: Sequence[float],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ):
        self.n, self.sigmas = n, tuple(map(float, sigmas))
        self.sigma = torch.tensor(self.sigmas, dtype=dtype)[:, None, None]  # (k, 1, 1)
        sizes = (n, hidden, hidden, n)
        spread = (3.0, 1.0, 1.0)  # a wider first layer finds structure much finer than the unit scale sooner
        self.parameters: list[Tensor] = []
        for a, b, c in zip(sizes, sizes[1:], spread):
            bound = c / math.sqrt(a)
            for shape in ((len(self.sigmas), a, b), (len(self.sigmas), 1, b)):
                self.parameters.append(
                    ((torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1) * bound).to(dtype)
                )

    def tensors(self) -> dict[str, Tensor]:
        return {f"p{i}": p.detach().clone() for i, p in enumerate(self.parameters)}

    def load(self, tensors: Mapping[str, Tensor]) -> Residual:
        """The same networks with the weights `tensors`."""
        self.parameters = [tensors[f"p{i}"].clone() for i in range(len(self.parameters))]
        return self

    def f(self, x: Tensor) -> Tensor:
        """``x (k, b, n) -> (k, b, n)``."""
        w1, b1, w2, b2, w3, b3 = self.parameters
        h = torch.baddbmm(b1, x, w1).tanh()
        h = torch.baddbmm(b2, h, w2).tanh()
        return torch.baddbmm(b3, h, w3)

    def f_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f and ∂f/∂x at ``x (k, b, n)``: ``(k, b, n)`` and ``(k, b, n, n)``, row i the derivative in direction i."""
        w1, b1, w2, b2, w3, b3 = self.parameters
        k, b, n = x.shape
        h = torch.baddbmm(b1, x, w1).tanh()
        t = w1[:, None] * (1 - h**2)[:, :, None]  # (k, b, n, hidden)
        h = torch.baddbmm(b2, h, w2).tanh()
        t = (t.flatten(1, 2) @ w2).view(k, b, n, -1) * (1 - h**2)[:, :, None]
        return torch.baddbmm(b3, h, w3), (t.flatten(1, 2) @ w3).view(k, b, n, n)

    def field(self, member: int) -> Callable[[Tensor], Tensor]:
        """The score estimate (r(x) − x)/σ² of one network, ``(b, n) -> (b, n)`` in the dtype of its argument."""
        w1, b1, w2, b2, w3, b3 = (p[member].double() for p in self.parameters)
        sigma = self.sigmas[member]

        def score(x: Tensor) -> Tensor:
            h = (x.double() @ w1 + b1).tanh()
            return (((h @ w2 + b2).tanh() @ w3 + b3) / sigma).to(x.dtype)

        return score

    def slope(self, member: int, x: Tensor) -> Tensor:
        """∂r/∂x of one network at ``x (b, n)``, shape (b, n, n): entry [i, j] is ∂r_i/∂x_j."""
        one = Residual.__new__(Residual)
        one.parameters = [p[member : member + 1].to(x.dtype) for p in self.parameters]
        jacobian = one.f_and_slope(x[None])[1][0].transpose(1, 2)
        return torch.eye(x.shape[1], dtype=x.dtype) + self.sigmas[member] * jacobian


def train_residual(
    net: Residual,
    draw: Callable[[int, torch.Generator], Tensor],
    steps: int,
    batch: int,
    generator: torch.Generator,
    contractive: bool = False,
    snapshots: Sequence[int] = (),
    rate: float = 1.5e-2,
    label: str = "denoisers",
    progress: bool = True,
) -> dict[int, dict[str, Tensor]]:
    """Train all networks of `net` in place with Adam and a cosine schedule, on fresh draws.

    Parameters
    ----------
    draw : (count, generator) -> Tensor, shape (count, n)
        Points of the data; every network sees the same points and the same noise ξ.
    contractive : the contractive loss in place of the denoising one
    snapshots : numbers of steps after which the weights are kept

    Returns
    -------
    dict from step to tensors, the last step included.
    """
    for p in net.parameters:
        p.requires_grad_(True)
    optimiser = torch.optim.Adam(net.parameters, lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=rate / 100)
    kept = {}
    dtype, k = net.parameters[0].dtype, len(net.sigmas)
    eye = torch.eye(net.n, dtype=dtype)
    for step in tqdm(range(1, steps + 1), desc=label, unit="step", disable=not progress, leave=False):
        x = draw(batch, generator).to(dtype)
        if contractive:
            f, slope = net.f_and_slope(x.expand(k, -1, -1))
            loss = f.square().sum(2) + (eye + net.sigma[..., None] * slope).square().sum((2, 3))
        else:
            xi = torch.randn(batch, net.n, generator=generator, dtype=torch.float64).to(dtype)
            loss = (net.f(x + net.sigma * xi) + xi).square().sum(2)
        optimiser.zero_grad()
        (loss.mean(1).sum() / k).backward()
        optimiser.step()
        schedule.step()
        if step in snapshots or step == steps:
            kept[step] = net.tensors()
    for p in net.parameters:
        p.requires_grad_(False)
    return kept
