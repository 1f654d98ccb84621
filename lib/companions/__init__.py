"""Companions of the paper: a chapter each, with experiments of three sizes."""

from typing import Self


class Sizes:
    """Base of a chapter's ``Settings``: its defaults are the default build's, ``SMOKE`` and ``FULL`` the fields that differ."""

    @classmethod
    def preset(cls, size: str) -> Self:
        """The settings of ``protocol.companions``: ``smoke``, ``default`` or ``full``."""
        return cls(**{"smoke": cls.SMOKE, "default": {}, "full": cls.FULL}[size])
