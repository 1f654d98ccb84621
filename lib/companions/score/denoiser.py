"""Small networks that learn r(x) = x + σ f(x), many at once in one stack.

Denoising:    E‖f(x + σξ) + ξ‖²,          which is E‖r(x + σξ) − x‖²/σ².
Contractive:  E‖f(x)‖² + E‖I + σ ∂f/∂x‖²,  which is (E‖r(x) − x‖² + σ² E‖∂r/∂x‖_F²)/σ².

The residual form lets one network size serve every σ; the score estimate is f/σ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..networks import Stack, fit

__all__ = ["Residual", "train_residual"]


class Residual(Stack):
    """k networks f: Rⁿ → Rⁿ with two hidden layers of tanh units, one for each noise level.

    Parameters
    ----------
    n, hidden : int
    sigmas : noise levels, one a network; the same level may stand there several times.
    generator : torch.Generator
        Source of the initial weights, of all networks layer by layer.
    """

    def __init__(
        self,
        n: int,
        hidden: int,
        sigmas: Sequence[float],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__([(n, hidden, hidden, n)] * len(sigmas), hidden="tanh", dtype=dtype)
        self.sigmas = tuple(map(float, sigmas))
        for i, p in enumerate(self.parameters):
            # a wider first layer finds structure much finer than the unit scale sooner
            bound = (3.0 if i < 2 else 1.0) / math.sqrt(self.shapes[i - i % 2][1])
            p.copy_((torch.rand(p.shape, generator=generator, dtype=torch.float64) * 2 - 1) * bound)

    def field(self, member: int) -> Callable[[Tensor], Tensor]:
        """The score estimate (r(x) − x)/σ² of one network, ``(b, n) -> (b, n)`` in its argument's dtype."""
        one, sigma = self.member(member).to(torch.float64), self.sigmas[member]
        return lambda x: (one(x.double())[0] / sigma).to(x.dtype)

    def slope(self, member: int, x: Tensor) -> Tensor:
        """∂r/∂x of one network at ``x (b, n)``, shape (b, n, n): entry [i, j] is ∂r_i/∂x_j."""
        one = self.member(member).to(x.dtype)
        return torch.eye(x.shape[1], dtype=x.dtype) + self.sigmas[member] * one.jacobian(x)[1][0]


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
) -> dict[int, dict[str, Tensor]]:
    """Train all networks of `net` in place on fresh draws.

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
    kept: dict[int, dict[str, Tensor]] = {}
    dtype, n = net.theta.dtype, net.sizes[0][0]
    eye, sigma = torch.eye(n, dtype=dtype), torch.tensor(net.sigmas, dtype=dtype)[:, None, None]

    def loss(_: int) -> Tensor:
        x = draw(batch, generator).to(dtype)
        if contractive:
            f, slope = net.jacobian(x)
            each = f.square().sum(2) + (eye + sigma[..., None] * slope).square().sum((2, 3))
        else:
            xi = torch.randn(batch, n, generator=generator, dtype=torch.float64).to(dtype)
            each = (net(x + sigma * xi) + xi).square().sum(2)
        return each.mean(1).sum() / len(net)

    def after(step: int) -> None:
        if step in snapshots or step == steps:
            kept[step] = net.tensors("p")

    fit([net], loss, steps, rate, after=after, label=label, threads=None)
    return kept
