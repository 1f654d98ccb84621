"""The law of the codes: what the encoder makes of the classes, measured by optimal transport."""

from .settings import Settings

__all__ = ["Settings"]
