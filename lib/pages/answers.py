"""The numbers of Figures 1 to 6 for their drawing in the browser, which answers: `table -> dict`, one function a figure.

Beside the picture that `lib.figures.paper` draws, a page carries the same numbers; a script (``book/_assets/live/src/figures.js``)
draws them with uPlot in the picture's place. Functions are named after those of `lib.figures.paper`.
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
from ..figures.sets import chosen
from ..figures.style import BLUE, COLORS, DARK, LABELS, RED
from ..figures.tables import ordered

__all__ = ["figure1", "figure2", "figure3", "figure4", "figure5", "figure6", "script", "Answers"]

Answers = dict[str, Any]
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
    """Arithmetic and geometric means of |λ| for J_I and J_L, all data sets."""
    panels = [
        {
            "title": f"J_{j}, {word} mean",
            "row": row,
            "series": _series(
                table, ordered(table, "train"), {"values": f"{j}_{statistic}"}, what=f"{word} mean of |λ|"
            ),
        }
        for row, (statistic, word) in enumerate((("mean", "arithmetic"), ("geometric", "geometric")))
        for j in "IL"
    ]
    return _about(table, panels, "mean of |λ|", log=True)


def figure3(table: pd.DataFrame) -> Answers:
    """Box plots of log|λ|, first seed."""
    return _boxes(table, "log", "log |λ|")


def figure4(table: pd.DataFrame) -> Answers:
    """Standard deviation of log|λ|, all data sets."""
    return _pair(table, "sd_log", "standard deviation of log |λ|")


def figure5(table: pd.DataFrame) -> Answers:
    """Share of points at which orientation is reversed, all data sets."""
    return _pair(table, "reversed", "share of points reversed") | {"limits": [0, 1]}


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


def _pair(table: pd.DataFrame, statistic: str, label: str) -> Answers:
    sets = ordered(table, "train")
    panels = [
        {"title": f"J_{j}", "series": _series(table, sets, {"values": f"{j}_{statistic}"}, what=label)}
        for j in "IL"
    ]
    return _about(table, panels, label)


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
    """One for each data set and seed: ``columns`` of the table against all its d, None where a cell is missing."""
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
    names = dict.fromkeys(one["set"] for panel in panels for one in panel["series"])
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
    """Which cells the explorer can open: it shows the published networks where there are any, and else this build's, trained ones."""
    about = published.manifest()
    training_set = about["protocol"]["training_set"] if about else table.training_set.iloc[0]
    if (table.epochs == 0).any() or not (table.training_set == training_set).all():
        return None
    return {
        "page": "explorer.html",
        "sets": [name for name in table.set.unique() if name != "test"],
        "seeds": sorted(map(int, table.seed.unique())),
        "d": [int(d) for d in chosen(sorted(table.d.unique()))],
    }
