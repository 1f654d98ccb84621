"""The one look of every figure: a style sheet, applied around the functions that draw."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

__all__ = ["styled", "STYLE", "COLORS", "LABELS", "BLUE", "RED"]

STYLE = Path(__file__).with_name("book.mplstyle")

#: Figures 3 and 6 of the paper draw J_I in blue and J_L in red.
BLUE, RED = "#0072B2", "#D55E00"

#: The same colour for the same data set on every page: dark sets in blues, middle ones in
#: greens, bright ones in warm tones, the training data in a neutral that stands out from all.
#: Each data set's label and colour; those of the noise sets in the order of `lib.protocol.NOISE_SETS`.
SETS = {
    "train": (r"$\mathcal{D}_{train}$", "#8A8F98"),
    "test": ("held out", "#B9BEC6"),
    "bernoulli_0.13": (r"$\mathcal{D}_{.13}$", "#1F4E9C"),
    "beta_0.8_5": (r"$\mathcal{D}_{.8,5}$", "#3D86D8"),
    "bernoulli_0.25": (r"$\mathcal{D}_{.25}$", "#56B4E9"),
    "bernoulli_0.5": (r"$\mathcal{D}_{.5}$", "#006D5B"),
    "normal": (r"$\mathcal{D}_{norm}$", "#009E73"),
    "uniform": (r"$\mathcal{D}_{unif}$", "#5BBE8C"),
    "beta_0.5_0.5": (r"$\mathcal{D}_{.5,.5}$", "#9BC53D"),
    "bernoulli_0.75": (r"$\mathcal{D}_{.75}$", "#E69F00"),
    "bernoulli_0.87": (r"$\mathcal{D}_{.87}$", "#D55E00"),
    "beta_5_0.8": (r"$\mathcal{D}_{5,.8}$", "#C2387A"),
}
LABELS = {name: label for name, (label, _) in SETS.items()}
COLORS = {name: color for name, (_, color) in SETS.items()}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the book's style sheet, and leave no global state and no open figure behind.

    A figure so drawn answers back: ``figure.by`` is the function that drew it, and ``figure.data``
    maps a name to each table it was drawn from, which is every table among the arguments unless
    the function has set it. `lib.pages.page.figure` shows both.
    """

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with plt.style.context(STYLE):
            fig = draw(*args, **kwargs)
            fig.draw_without_rendering()  # ticks and layout, which are made late, in this style too
        plt.close(fig)
        fig.by = wrapper
        if not hasattr(fig, "data"):
            given = inspect.signature(draw).bind(*args, **kwargs).arguments
            fig.data = {name: table for name, value in given.items() if (table := _table(value)) is not None}
        return fig

    return wrapper


def _table(value: Any) -> pd.DataFrame | None:
    """A table, or tables by the title of their panel put below one another; None for anything else."""
    if isinstance(value, Mapping) and value and all(isinstance(v, pd.DataFrame) for v in value.values()):
        return pd.concat(value, names=["panel"]).reset_index("panel").reset_index(drop=True)
    return value if isinstance(value, pd.DataFrame) else None
