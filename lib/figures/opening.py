"""The figure of the first page."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from .style import COLORS, FAINT, WIDTH, styled

__all__ = ["opening"]

#: The part of the complex plane that is shown: from, to, on the real axis and on the imaginary one.
FRAME = (-1.5, 3.0), (-1.5, 1.5)


@styled
def opening(tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> Figure:
    """Images, their reconstructions and the eigenvalues of K_I, a row of two strips and a plane for each data set.

    Parameters
    ----------
    tensors : those of `lib.studies.findings.opening`
    words : name of a data set → what it is called
    """
    fig = plt.figure(figsize=(WIDTH, 1.45 * len(words)))
    grid = fig.add_gridspec(2 * len(words), 2, width_ratios=[2, 1])
    angle = np.linspace(0, 2 * np.pi, 200)
    for i, (name, word) in enumerate(words.items()):
        for j, (label, images) in enumerate((("in", tensors[f"x/{name}"]), ("out", tensors[f"y/{name}"]))):
            ax = fig.add_subplot(grid[2 * i + j, 0])
            framed = np.pad(images.numpy().reshape(-1, 28, 28), ((0, 0), (0, 0), (1, 1)), constant_values=0.5)
            ax.imshow(framed.transpose(1, 0, 2).reshape(28, -1), vmin=0, vmax=1, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
            ax.set_ylabel(label, rotation=0, ha="right", va="center")
            if j == 0:
                ax.set_title(word, loc="left")
        ax = fig.add_subplot(grid[2 * i : 2 * i + 2, 1])
        ax.plot(np.cos(angle), np.sin(angle), color=FAINT, ls="--", lw=0.9)
        real, imag = (tensors[f"{part}/{name}"].flatten() for part in ("real", "imag"))
        ax.plot(real, imag, ".", ms=1.6, mew=0, color=COLORS[name], alpha=0.45, rasterized=True)
        ax.set(xlim=FRAME[0], ylim=FRAME[1], aspect="equal", xticks=[-1, 0, 1, 2, 3], yticks=[-1, 0, 1])
        ax.tick_params(labelbottom=i == len(words) - 1)
        if i == 0:
            ax.set_title("eigenvalues")
    return fig
