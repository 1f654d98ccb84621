"""What the manifolds of the topology chapter and those of the bending chapter share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Sampled", "bisect"]


class Sampled:
    """A manifold that is filled evenly from the unit cube of `cube` dimensions."""

    cube: int

    def fill(self, u: Tensor) -> Tensor:
        """``u (n, cube)`` in the unit cube to points, equal volumes to equal measure."""
        raise NotImplementedError

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n points, uniform with respect to the Riemannian measure, float64."""
        return self.fill(torch.rand(n, self.cube, generator=generator, dtype=torch.float64))


def bisect(f: Callable[[Tensor], Tensor], target: Tensor, high: float) -> Tensor:
    """Where an increasing function takes the values `target`, between 0 and `high`, to rounding.

    >>> bisect(torch.square, torch.tensor([4.0, 9.0], dtype=torch.float64), 10.0).round(decimals=6).tolist()
    [2.0, 3.0]
    """
    low, top = torch.zeros_like(target), torch.full_like(target, high)
    for _ in range(52):
        middle = (low + top) / 2
        above = f(middle) > target
        low, top = low.where(above, middle), middle.where(above, top)
    return (low + top) / 2
