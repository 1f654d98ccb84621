"""Many small fully connected networks as one program of batched matrix products."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

__all__ = ["Stack", "fit"]


def _tanh(a: Tensor) -> tuple[Tensor, Tensor]:
    h = a.tanh()
    return h, 1 - h * h


def _silu(a: Tensor) -> tuple[Tensor, Tensor]:
    s = a.sigmoid()
    h = a * s
    return h, s + h * (1 - s)


def _linear(a: Tensor) -> tuple[Tensor, Tensor]:
    return a, torch.ones_like(a)


#: Activations with act(0) = 0, which keeps padded units at zero; the second gives value and slope.
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "tanh": (torch.tanh, _tanh), "silu": (functional.silu, _silu), "linear": (lambda a: a, _linear),
}  # fmt: skip


class Stack:
    """k networks of equal depth, zero-padded to the widest layer of each.

    Member i draws PyTorch's default initialisation, uniform on ±1/√fan-in, from a generator
    of its own. A padded unit has zero weights on both sides and a zero gradient, so each
    member is the network trained alone.

    Parameters
    ----------
    sizes : for each member, its widths from input to output
    seeds : for each member, the seed of its initial weights
    hidden, last : names in `ACTIVATIONS`, after the hidden layers and after the last

    Examples
    --------
    >>> net = Stack([(5, 8, 1), (5, 4, 2)], seeds=(0, 1))
    >>> net(torch.zeros(7, 5)).shape
    torch.Size([2, 7, 2])
    """

    def __init__(
        self,
        sizes: Sequence[Sequence[int]],
        seeds: Sequence[int],
        hidden: str = "silu",
        last: str = "linear",
        dtype: torch.dtype = torch.float32,
    ):
        self.sizes = tuple(tuple(s) for s in sizes)
        self.hidden, self.last = hidden, last
        widths = [max(column) for column in zip(*self.sizes, strict=True)]
        self.parameters = [
            torch.zeros(len(self.sizes), *shape, dtype=dtype)
            for m, n in zip(widths, widths[1:])
            for shape in ((m, n), (1, n))
        ]
        for i, (member, seed) in enumerate(zip(self.sizes, seeds, strict=True)):
            generator = torch.Generator().manual_seed(seed)
            for layer, (m, n) in enumerate(zip(member, member[1:])):
                for p, shape in zip(self.parameters[2 * layer : 2 * layer + 2], ((m, n), (1, n))):
                    draw = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
                    p[i, : shape[0], :n] = draw / math.sqrt(m)

    def __len__(self) -> int:
        return len(self.sizes)

    def layers(self) -> list[tuple[Tensor, Tensor, str]]:
        """(weights, biases, activation) from input to output."""
        weights, biases = self.parameters[0::2], self.parameters[1::2]
        return list(zip(weights, biases, [self.hidden] * (len(weights) - 1) + [self.last]))

    def __call__(self, x: Tensor) -> Tensor:
        """``x (b, m)`` or ``(k, b, m) -> (k, b, n)``; a padded output is zero."""
        h = x.expand(len(self), *x.shape[-2:])
        for w, b, act in self.layers():
            h = ACTIVATIONS[act][0](torch.baddbmm(b, h, w))
        return h

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values ``(k, b, n)`` and derivatives ``(k, b, n, m)`` at ``x (b, m)`` or ``(k, b, m)``."""
        h = x.expand(len(self), *x.shape[-2:])
        k, b, m = h.shape
        t = torch.eye(m, dtype=x.dtype).expand(k, b, m, m)  # row j is the image of direction j
        for w, bias, act in self.layers():
            h, slope = ACTIVATIONS[act][1](torch.baddbmm(bias, h, w))
            t = (t.flatten(1, 2) @ w).view(k, b, m, -1) * slope[:, :, None]
        return h, t.transpose(2, 3)

    def to(self, dtype: torch.dtype) -> Stack:
        """A copy in another precision, without gradients."""
        return self._with([p.detach().to(dtype, copy=True) for p in self.parameters], self.sizes)

    def member(self, i: int) -> Stack:
        """One network without padding, as a stack of one."""
        s = self.sizes[i]
        shapes = [shape for m, n in zip(s, s[1:]) for shape in ((m, n), (1, n))]
        return self._with(
            [p[i : i + 1, :a, :b].detach().clone() for p, (a, b) in zip(self.parameters, shapes)], (s,)
        )

    def _with(self, parameters: list[Tensor], sizes: Sequence[Sequence[int]]) -> Stack:
        other = Stack.__new__(Stack)
        other.sizes, other.hidden, other.last, other.parameters = (
            tuple(sizes),
            self.hidden,
            self.last,
            parameters,
        )
        return other

    def tensors(self, prefix: str = "", members: Sequence[int] | slice = slice(None)) -> dict[str, Tensor]:
        """Copies of the parameters by name, of all networks or of some."""
        return {f"{prefix}{i}": p.detach()[members].clone() for i, p in enumerate(self.parameters)}

    def load(
        self, tensors: Mapping[str, Tensor], prefix: str = "", members: Sequence[int] | None = None
    ) -> Stack:
        """The same networks, all or some, with the parameters in `tensors`."""
        sizes = self.sizes if members is None else tuple(self.sizes[i] for i in members)
        return self._with([tensors[f"{prefix}{i}"].clone() for i in range(len(self.parameters))], sizes)


def fit(
    parameters: Sequence[Tensor],
    loss: Callable[[int], Tensor],
    steps: int,
    rate: float = 3e-3,
    after: Callable[[int], None] | None = None,
    label: str = "networks",
    progress: bool = True,
    threads: int | None = 1,
) -> None:
    """Minimise a loss in place with Adam; the rate falls along a cosine to a hundredth.

    Parameters
    ----------
    parameters : leaves to train
    loss : step (from 1) -> scalar, a sum over independent networks, so that none sees another
    after : called with the number of steps done
    threads : of torch while training; one is best for small products, above all on a machine
        that others use too, where threads that wait for one another wait long. None leaves it as it is.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    for p in parameters:
        p.requires_grad_(True)
    optimiser = torch.optim.Adam(parameters, lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=rate / 100)
    try:
        for step in tqdm(range(1, steps + 1), desc=label, unit="step", disable=not progress, leave=False):
            optimiser.zero_grad()
            loss(step).backward()
            optimiser.step()
            schedule.step()
            if after is not None:
                after(step)
    finally:
        torch.set_num_threads(before)
    for p in parameters:
        p.requires_grad_(False)
