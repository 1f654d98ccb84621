"""Does regularisation cure the instability? Variants of the paper's networks through the paper's protocol."""

from .settings import REGULARISERS, Settings

__all__ = ["Settings", "REGULARISERS"]
