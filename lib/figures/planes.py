"""The figure of `lib.studies.diagnose`: eigenvalues in the complex plane, a plane for each data set."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from ..studies.diagnose import Diagnosis, check_all
from .style import WIDTH, plane, styled

__all__ = ["planes"]


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
