"""Why autoencoders work, and what they cannot do (Kvalheim & Sontag, TMLR 2024, arXiv:2310.02250)."""

from .settings import Settings

__all__ = ["Settings"]
