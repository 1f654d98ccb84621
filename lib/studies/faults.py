"""What the last run of ``make faults`` found, as published: its table, and the words about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from .. import published
from ..store import read_table

__all__ = ["OUTCOMES", "NAME", "summary", "told"]

OUTCOMES = ("tried", "survived", "wrong", "lost", "unclear")
#: The published table.
NAME = "faults"


def summary(*folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """The published table by kind of fault, its kills by stage, and what is known of the run;
    empty while nothing is published."""
    path = published.file(f"{NAME}.csv", *folder)
    whole, about = read_table(path) if path else (pd.DataFrame(columns=["kind", "what", *OUTCOMES]), {})
    kinds = whole.groupby("kind", sort=False, as_index=False)[list(OUTCOMES)].sum()
    kills = whole[whole.kind == "kill"].drop(columns="kind").rename(columns={"what": "stage"})
    return kinds, kills.reset_index(drop=True), about


def told(about: Mapping[str, Any]) -> str:
    """Where the published figures come from, in a sentence for the page."""
    if not about:
        return "No run of `make faults` is published yet."
    tried = about["tried at"]
    seeds, commits = (", ".join(map(str, tried[name])) for name in ("seed", "commit"))
    machine = about["hardware"]
    return (
        f"The figures are those of the last run, written on {about['written'][:10]}: "
        f"seed {seeds}, at commit {commits}, "
        f"on {machine['cores']} cores ({machine['processor']})."
    )
