"""Embeddings of low bending and low distortion (Braunsmann, Rajković, Wirth, Rumpf; M2AN 58(1), 2024)."""

from .settings import Settings

__all__ = ["Settings"]
