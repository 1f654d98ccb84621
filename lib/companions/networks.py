"""Stacks of small networks for the companions, and the one loop that trains them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor
from tqdm import tqdm

from .. import model
from ..training import subnormals_flushed

__all__ = ["Stack", "fit"]


class Stack(model.Stack):
    """`lib.model.Stack` with one activation in the hidden layers and one after the last.

    Member i draws PyTorch's default initialisation, uniform on ±1/√fan-in, from a generator of
    its own, seeded with ``seeds[i]``.
    """

    def __init__(
        self,
        sizes: Sequence[Sequence[int]],
        seeds: Sequence[int] = (),
        hidden: str = "silu",
        last: str = "linear",
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__(sizes, [hidden] * (len(sizes[0]) - 2) + [last], dtype)
        for i, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            for layer, (m, n) in enumerate(zip(self.sizes[i], self.sizes[i][1:])):
                for p, shape in ((self.weights[layer], (m, n)), (self.biases[layer], (1, n))):
                    draw = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
                    p[i, : shape[0], :n] = draw / math.sqrt(m)

    def _like(self, parameters: Sequence[Tensor], sizes: Sequence[Sequence[int]]) -> Self:
        """The same kind of stack around other parameters, which are copied."""
        other = object.__new__(type(self))
        other.__dict__ |= vars(self) | {"sizes": tuple(sizes), "shapes": [tuple(p.shape) for p in parameters]}
        other.bind(torch.cat([p.detach().flatten() for p in parameters]))
        return other

    def to(self, target: torch.dtype | torch.device) -> Self:
        """A copy in another precision or on another device, without gradients."""
        return self._like([p.to(target) for p in self.parameters], self.sizes)

    def member(self, i: int) -> Self:
        """One network without padding, as a stack of one."""
        s = self.sizes[i]
        shapes = [shape for m, n in zip(s, s[1:]) for shape in ((m, n), (1, n))]
        return self._like([p[i : i + 1, :a, :b] for p, (a, b) in zip(self.parameters, shapes)], (s,))

    def tensors(self, prefix: str = "", members: Sequence[int] | slice = slice(None)) -> dict[str, Tensor]:
        """Copies of the parameters by name, of all networks or of some."""
        return {f"{prefix}{i}": p.detach()[members].clone() for i, p in enumerate(self.parameters)}

    def load(
        self, tensors: Mapping[str, Tensor], prefix: str = "", members: Sequence[int] | None = None
    ) -> Self:
        """The same networks, all or some, with the parameters in `tensors`."""
        sizes = self.sizes if members is None else tuple(self.sizes[i] for i in members)
        return self._like([tensors[f"{prefix}{i}"] for i in range(len(self.shapes))], sizes)


@subnormals_flushed()
def fit(
    stacks: Sequence[model.Stack],
    loss: Callable[[int], Tensor],
    steps: int,
    rate: float = 3e-3,
    fall: float = 100.0,
    after: Callable[[int], None] | None = None,
    label: str = "networks",
    threads: int | None = 1,
) -> None:
    """Minimise a loss of `stacks` in place with Adam; the rate falls along a cosine to its `fall`-th part.

    Parameters
    ----------
    loss : step (from 1) -> scalar, a sum over independent networks, so that none sees another
    after : called with the number of steps done
    threads : of torch while training; one is best for small products, above all on a machine
        that others use too, where threads that wait for one another wait long. None leaves it as it is.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    leaves = [s.theta.detach().requires_grad_(True) for s in stacks]
    optimiser = torch.optim.Adam(leaves, lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=rate / fall)
    try:
        for step in tqdm(range(1, steps + 1), desc=label, unit="step", leave=False):
            for stack, theta in zip(stacks, leaves):
                stack.bind(theta)  # anew: autograd forgets views of a leaf that has changed
            optimiser.zero_grad()
            loss(step).backward()
            optimiser.step()
            schedule.step()
            for stack, theta in zip(stacks, leaves):
                stack.bind(theta.detach())
            if after is not None:
                after(step)
    finally:
        torch.set_num_threads(before)
        for stack, theta in zip(stacks, leaves):
            stack.bind(theta.detach())
