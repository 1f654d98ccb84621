"""Companions of the paper: a chapter each, with experiments of three sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from ..protocol import Profile, Protocol
from ..published import FOLDER, part


class Sizes:
    """Base of a chapter's ``Settings``: its defaults are the default build's, ``SMOKE`` and ``FULL`` the fields that differ.

    The defaults are set by time and not by outcome: lengths, batches, samples and seeds were cut, in proportion to the
    measured time of longer ones, to about fifteen processor-seconds of training for all five chapters together, before
    any figure of theirs was seen.
    ``FULL`` names every field in which the published run differs, whatever the defaults become.
    """

    @classmethod
    def preset(cls, size: str) -> Self:
        """The settings of one size: ``smoke``, ``default`` or ``full``."""
        return cls(**{"smoke": cls.SMOKE, "default": {}, "full": cls.FULL}[size])

    @classmethod
    def of(cls, profile: str, overrides: str = "") -> Self:
        """The settings of the size that a profile asks for, as `lib.protocol.Profile.read` takes it."""
        return cls.preset(Profile.read(profile, overrides).companions)

    @classmethod
    def published(cls, folder: Path = FOLDER) -> tuple[Protocol, Self] | None:
        """Protocol and settings under which the chapter's published results are found, or None while there are none."""
        chapter = cls.__module__.split(".")[-2]
        about = part("companions", chapter, folder=folder)
        return about and (Protocol.from_mapping(about["protocol"]), cls(**about["settings"]))
