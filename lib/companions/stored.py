"""Compute-or-load in one line, for the experiments of the companions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from torch import Tensor

from ..store import Store

__all__ = ["stored_table", "stored_tensors"]


def stored_table(stage: str, fields: Mapping[str, Any], compute: Callable[[], pd.DataFrame], store: Store | None = None) -> pd.DataFrame:
    """The stored table under `fields`; computed and stored where there is none. What is shown is what is stored."""
    store = store or Store()
    found = store.load_table(stage, fields)
    if found is None:
        store.save_table(stage, fields, compute())
        found = store.load_table(stage, fields)
    return found


def stored_tensors(stage: str, fields: Mapping[str, Any], compute: Callable[[], Mapping[str, Tensor]], store: Store | None = None) -> dict[str, Tensor]:
    """The stored tensors under `fields`; computed and stored where there are none."""
    store = store or Store()
    found = store.load_tensors(stage, fields)
    if found is None:
        store.save_tensors(stage, fields, compute())
        found = store.load_tensors(stage, fields)
    return found
