"""The numbers of Figures 1 to 6 for their drawing in the browser, which answers:
`table -> dict`, one function a figure.

Beside the picture that `lib.figures.paper` draws, a page carries the same numbers; a script
(``book/_assets/live/src/figures.js``) draws them with uPlot in the picture's place. Functions are named after
those of `lib.figures.paper`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .. import published
from ..figures.paper import PANELS
from ..figures.sets import SHOWN, chosen
from ..figures.style import BLUE, COLORS, DARK, LABELS, RED
from ..protocol import GROUPS

__all__ = ["figure1", "figure2", "figure3", "figure4", "figure5", "figure6", "script", "Answers"]

Answers = dict[str, Any]
#: What is drawn of a column at each d.
QUARTILES = {"values": 0.5, "low": 0.25, "high": 0.75}
DISTANCE = "‖λ_I − λ_L‖²/d"


def figure1(table: pd.DataFrame) -> Answers:
    """‖λ_I − λ_L‖²/d: median with quartiles, and mean, one panel a data set."""
    columns = {"values": "distance_median", "low": "distance_q1", "high": "distance_q3"}
    panels = [
        {
            "title": name,
            "series": _series(table, [name], columns, what="median")
            + _series(table, [name], {"values": "distance_mean"}, what="mean", thin=True),
        }
        for name in _panels(table)
    ]
    return _about(table, panels, DISTANCE, log=True, key="thick: median, with quartiles; thin: mean")


def figure2(table: pd.DataFrame) -> Answers:
    """Arithmetic and geometric means of |λ| for J_I and J_L, by group of noise sets."""
    means = {"mean": "arithmetic", "geometric": "geometric"}
    rows = {f"{j}_{statistic}": f"{word} mean, J_{j}" for statistic, word in means.items() for j in "IL"}
    return _by_group(table, rows, "mean of |λ|", log=True)


def figure3(table: pd.DataFrame) -> Answers:
    """Box plots of log|λ|, first seed."""
    return _boxes(table, "log", "log |λ|")


def figure4(table: pd.DataFrame) -> Answers:
    """Standard deviation of log|λ|, by group of noise sets."""
    return _by_group(table, {f"{j}_sd_log": f"J_{j}" for j in "IL"}, "standard deviation of log |λ|")


def figure5(table: pd.DataFrame) -> Answers:
    """Share of points at which orientation is reversed, by group of noise sets."""
    rows = {f"{j}_reversed": f"J_{j}" for j in "IL"}
    return _by_group(table, rows, "share of points reversed", limits=[0, 1])


def figure6(table: pd.DataFrame) -> Answers:
    """Box plots of |Arg λ|, first seed."""
    ticks = [[0, "0"], [round(math.pi / 2, 6), "π/2"], [round(math.pi, 6), "π"]]
    return _boxes(table, "arg", "|Arg λ|") | {"ticks": ticks}


def script(about: Answers) -> str:
    """The numbers as they stand in a page, behind the picture."""
    text = json.dumps(about, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace(
        "<", "\\u003c"
    )
    return f'<script type="application/json" class="answers">{text}</script>'


def _panels(table: pd.DataFrame) -> list[str]:
    return [name for name in PANELS if (table.set == name).any()]


def _by_group(table: pd.DataFrame, rows: dict[str, str], y: str, **more: Any) -> Answers:
    """As `lib.figures.sets.by_group`: a thin line a network, a heavy one for their median,
    with quartiles, in each group."""
    panels = []
    for row, (column, label) in enumerate(rows.items()):
        for group, names in GROUPS.items():
            there = [name for name in ("train", *names) if (table.set == name).any()]
            thin = _series(table, there, {"values": column}, thin=True)
            middles = [
                _middle(
                    table[table.set.isin(names)],
                    table,
                    column,
                    _twofold(COLORS[SHOWN[group]]),
                    f"{group} noise",
                ),
                _middle(
                    table[table.set == "train"], table, column, _twofold(COLORS["train"]), "training data"
                ),
            ]
            panels.append({"title": f"{label}: {group} noise", "row": row, "series": thin + middles})
    return _about(table, panels, y, columns=len(GROUPS), key="heavy: medians, with quartiles", **more)


def _middle(some: pd.DataFrame, table: pd.DataFrame, column: str, colours: list[str], of: str) -> Answers:
    """Median and quartiles of a column at each d, over sets and seeds; hidden while data sets are picked."""
    grouped = some.groupby("d")[column]
    quantile = {key: grouped.quantile(q).reindex(sorted(table.d.unique())) for key, q in QUARTILES.items()}
    values = {key: _rounded(v) for key, v in quantile.items()}
    return values | {"set": None, "seed": None, "what": f"median over networks, {of}", "colours": colours}


def _boxes(table: pd.DataFrame, prefix: str, label: str) -> Answers:
    first = table[table.seed == table.seed.min()]
    keys = ("low", "q1", "median", "q3", "high")
    panels = [
        {
            "title": name,
            "series": [
                one
                for j, colour, shift in (("I", BLUE, -1), ("L", RED, 1))
                for one in _series(
                    first, [name], {k: f"{j}_{prefix}_{k}" for k in keys},
                    matrix=f"J_{j}", shift=shift, colours=_twofold(colour),
                )
            ],
        }
        for name in _panels(table)
    ]  # fmt: skip
    return _about(first, panels, label, kind="boxes", key="blue: J_I, red: J_L")


def _series(table: pd.DataFrame, sets: Iterable[str], columns: dict[str, str], **more: Any) -> list[Answers]:
    """One a data set and seed: ``columns`` of the table against all its d, None where a cell is missing."""
    dims = sorted(table.d.unique())
    found = []
    for name in sets:
        for seed, part in table[table.set == name].groupby("seed"):
            rows = part.set_index("d").reindex(dims)
            values = {key: _rounded(rows[column]) for key, column in columns.items()}
            found.append({"set": name, "seed": int(seed)} | values | more)
    return found


def _rounded(values: Sequence[float]) -> list[float | None]:
    return [float(f"{v:.4g}") if np.isfinite(v) else None for v in values]


def _twofold(colour: str) -> list[str]:
    """The colour on a white and on a dark page."""
    return [colour, DARK.get(colour, colour)]


def _about(table: pd.DataFrame, panels: list[Answers], y: str, **more: Any) -> Answers:
    names = dict.fromkeys(one["set"] for panel in panels for one in panel["series"] if one["set"])
    label = {name: re.search(r"_\{(.*?)\}", LABELS[name]) for name in names}
    return {
        "x": sorted(map(int, table.d.unique())),
        "y": y,
        "panels": panels,
        "sets": {
            name: {
                "label": found[1] if (found := label[name]) and name != "train" else None,
                "colours": _twofold(COLORS[name]),
            }
            for name in names
        },
        "open": _explorer(table),
    } | more


def _explorer(table: pd.DataFrame) -> Answers | None:
    """Which cells the explorer can open: it shows the published networks where there are any,
    and else this build's, trained ones."""
    theirs = published.part("protocol")
    training_set = theirs["training_set"] if theirs else table.training_set.iloc[0]
    if (table.epochs == 0).any() or not (table.training_set == training_set).all():
        return None
    return {
        "page": "explorer.html",
        "sets": [name for name in table.set.unique() if name != "test"],
        "seeds": sorted(map(int, table.seed.unique())),
        "d": [int(d) for d in chosen(sorted(table.d.unique()))],
    }
