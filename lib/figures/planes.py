"""Eigenvalues in the complex plane, a plane a data set: of `lib.studies.diagnose`, and on the first page."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..studies.diagnose import Diagnosis, check_all
from .style import COLORS, FAINT, WIDTH, plane, styled

__all__ = ["planes", "opening"]

#: The part of the complex plane that the first page shows: from, to,
#: on the real axis and on the imaginary one.
FRAME = (-1.5, 3.0), (-1.5, 1.5)


@styled
def planes(diagnoses: Mapping[str, Diagnosis], reach: float = 2.0) -> Figure:
    """All eigenvalues of K_I and K_L of each data set in the complex plane, with the unit circle."""
    check_all(diagnoses)
    columns = min(2, len(diagnoses))
    rows = -(-len(diagnoses) // columns)
    size = (WIDTH, 3.4 * rows + 0.4)
    fig, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(diagnoses) :]:
        ax.remove()
    for ax, (name, found) in zip(axes.flat, diagnoses.items()):
        both = [found.lam[j].flatten().cpu() for j in "IL"]
        both = [lam[lam.isfinite()] for lam in both]
        plane(ax, *both, reach=reach, size=3, alpha=0.45, mew=0.7, rasterized=True)
        outside = (float((torch.view_as_real(lam).abs().amax(-1) > reach).double().mean()) for lam in both)
        ax.set(title=name, xlabel="beyond the frame: " + ", ".join(f"{share:.0%}" for share in outside))
        ax.tick_params(labelbottom=True)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    legend = fig.legend(handles, labels, loc="outside upper center", ncols=2, markerscale=2)
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    return fig


@styled
def opening(tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> Figure:
    """Images, their reconstructions and the eigenvalues of K_I, two strips and a plane a data set.

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
