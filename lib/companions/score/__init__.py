"""What regularised autoencoders learn: the score of the data (Alain & Bengio, JMLR 15, 2014)."""

from .settings import Settings

__all__ = ["Settings"]
