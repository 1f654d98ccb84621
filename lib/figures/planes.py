"""The figure of `lib.studies.diagnose`: eigenvalues in the complex plane, a plane for each data set."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..studies.diagnose import Diagnosis, check_all
from .style import BLUE, RED, styled

__all__ = ["planes"]


@styled
def planes(diagnoses: Mapping[str, Diagnosis], reach: float = 2.0) -> Figure:
    """All eigenvalues of K_I and K_L of each data set in the complex plane, with the unit circle."""
    check_all(diagnoses)
    fig, axes = plt.subplots(
        1, len(diagnoses), figsize=(7.2, 7.2 / len(diagnoses) + 0.5), sharex=True, sharey=True, squeeze=False
    )
    for ax, (name, found) in zip(axes.flat, diagnoses.items()):
        ax.add_patch(plt.Circle((0, 0), 1, fill=False, ls="--", lw=0.8, ec="#8A8F98"))
        outside = []
        for j, marker, color in (("I", "o", BLUE), ("L", "x", RED)):
            lam = found.lam[j].flatten().cpu().numpy()
            lam = lam[np.isfinite(lam)]
            ax.plot(
                lam.real,
                lam.imag,
                marker,
                mfc="none",
                color=color,
                ms=2.5,
                alpha=0.4,
                mew=0.6,
                ls="",
                label=f"$K_{j}$",
            )
            outside.append(np.mean(np.maximum(abs(lam.real), abs(lam.imag)) > reach))
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title=name)
        ax.set_xlabel(f"beyond the frame: {outside[0]:.0%}, {outside[1]:.0%}")
    for handle in axes[0, 0].legend(markerscale=2, loc="upper left").legend_handles:
        handle.set_alpha(1)
    return fig
