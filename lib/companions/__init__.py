"""Companions of the paper: a chapter each, with experiments of three sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd
from torch import Tensor

from ..protocol import Profile, Protocol
from ..published import FOLDER, part
from ..store import Store

__all__ = ["Sizes", "shown"]


class Sizes:
    """Base of a chapter's ``Settings``: its defaults are the default build's,
    ``SMOKE`` and ``FULL`` the fields that differ.

    The defaults are set by time and not by outcome: lengths, batches, samples and seeds were cut, in
    proportion to the measured time of longer ones, to about twenty-five processor-seconds of training for all
    five chapters together, before any figure of theirs was seen. ``FULL`` names every field in which the
    published run differs, whatever the defaults become.
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
        """Protocol and settings of the chapter's published results, or None while there are none."""
        chapter = cls.__module__.split(".")[-1]
        about = part("companions", chapter, folder=folder)
        if about is None:
            return None
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in about["settings"].items()}
        return Protocol.from_mapping(about["protocol"]), cls(**given)

    def only(self, *names: str) -> dict[str, Any]:
        """The fields of these names: those that an experiment depends on."""
        return {name: getattr(self, name) for name in names}


def shown(
    chapter: str,
    fields: Mapping[str, Any],
    tables: Mapping[str, Callable[[], pd.DataFrame]],
    store: Store | None = None,
    **tensors: Callable[[], Mapping[str, Tensor]],
) -> dict[str, pd.DataFrame | dict[str, Tensor]]:
    """What a chapter's page shows, by name: loaded if stored or published for `fields`, else computed."""
    store, found = store or Store(), {}
    for keep, parts in ((store.table, tables), (store.tensors, tensors)):
        for name, compute in parts.items():
            found[name] = keep(chapter, fields | {"table": name}, compute, f"companions/{chapter}-{name}")
    return found
