"""Detecting what is off the distribution with anyone's autoencoder:
the scores of the detection study, with thresholds.

The scores are those of `lib.studies.detection_scores`. The matrices come from `lib.studies.diagnose`, so that
any encoder and decoder will do. A reference set of inputs that were *not* trained on says what is usual:
every second of them fits densities and regressions, the others give p-values and thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from . import detection_scores, diagnose
from .detection_scores import NEIGHBOUR, SCORES, Probe
from .differentiable import Function, inputs, untouched

__all__ = ["Detection", "detect"]

#: The fewest reference inputs with which anything is fitted.
FEWEST = 4 * NEIGHBOUR
#: Inputs sent through the modules together where nothing is differentiated.
PART = 256


@dataclass(frozen=True)
class Detection:
    """What `detect` finds: a row for each input, a column for each score; larger is further out.

    Attributes
    ----------
    scores : DataFrame, shape (n, scores); infinite where the network's output or Jacobian is not finite
    p : DataFrame of the same shape
        (1 + reference inputs that score as high or higher) / (1 + their number).
    threshold : Series by score A new input from the reference's own distribution scores above it with
        probability at most the rate asked for.
    why : Series by score
        Why a score's threshold is not to be trusted; empty where it is.
    """

    scores: pd.DataFrame
    p: pd.DataFrame
    threshold: pd.Series
    why: pd.Series

    @property
    def flagged(self) -> pd.DataFrame:
        """Which inputs a score puts above its threshold."""
        return self.scores > self.threshold

    def table(self) -> pd.DataFrame:
        """One row a score: threshold, share of inputs above it, median p,
        and whether the threshold is to be trusted."""
        columns = {"threshold": self.threshold, "flagged": self.flagged.mean(), "median p": self.p.median()}
        columns["trusted"] = pd.Series(np.where(self.why == "", "yes", "no: " + self.why), self.why.index)
        return pd.DataFrame(columns, index=self.scores.columns).rename_axis("score").reset_index()


def detect(
    encoder: Function, decoder: Function, reference: Any, x: Any, rate: float = 0.05, batch: int | None = None
) -> Detection:
    """Scores of the inputs ``x (n, *shape)`` against ``reference (m, *shape)``,
    with thresholds at a rate of false alarms.

    The threshold of a score is the ⌈(1 − rate)(m' + 1)⌉-th smallest of the m' reference inputs kept for it
    (every second one): if x is exchangeable with the reference, it is exceeded with probability at most
    `rate`, whatever the distribution. A score is not to be trusted where m' is too small for the rate, where
    the reference scores are all alike, or, for spectra, in single precision. Nothing of the size of an input
    squared is formed: beside what `diagnose` needs, memory is that of five copies of the inputs and of two
    d×d matrices for each of them: 140 inputs of 3×64×64 with d = 128 through a small convolutional network
    took 400 MB beside what Python had loaded.

    Parameters
    ----------
    encoder, decoder : nn.Module, or a function As `lib.studies.diagnose.diagnose` takes them.
        Hamming distances of activation patterns are there if the encoder has ``nn.ReLU`` modules.
    reference : inputs from the distribution, none of which was trained on.
    rate : float, between 0 and 1
    batch : int, optional
        Inputs differentiated together.

    Raises
    ------
    ValueError
        One line, if the rate is none, if there are too few reference inputs, or one has no finite scores.
    """
    if not isinstance(rate, (int, float)) or not 0 < rate < 1:
        raise ValueError(f"rate: expected a number between 0 and 1, got {rate!r}; for instance rate=0.05")
    reference, x = (inputs(encoder, decoder, v) for v in (reference, x))
    if len(reference) < FEWEST:
        raise ValueError(
            f"reference: expected at least {FEWEST} inputs, got {len(reference)}; pass more of them"
        )
    if reference.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"reference: expected inputs of shape {tuple(x.shape[1:])} like x, "
            f"got {tuple(reference.shape[1:])}; pass inputs of one kind"
        )
    if reference.dtype != x.dtype:
        raise ValueError(
            f"reference: expected {str(x.dtype)[6:]} like x, got {str(reference.dtype)[6:]}; "
            "pass both in one precision"
        )
    usual, known = _probe(encoder, decoder, reference, batch)
    if not known.all():
        raise ValueError(
            f"reference: expected finite scores, got {int((~known).sum())} inputs without; leave them out"
        )
    first, second = usual.take(slice(0, None, 2)), usual.take(slice(1, None, 2))
    fitted = detection_scores.fit(first, second)
    ranks = {name: np.sort(s) for name, s in detection_scores.evaluate(second, fitted).items()}
    p, known = _probe(encoder, decoder, x, batch)
    found = pd.DataFrame(np.inf, index=range(len(x)), columns=list(ranks))
    if known.any():
        found[known] = pd.DataFrame(detection_scores.evaluate(p.take(known), fitted)).to_numpy()
    m = len(second.x)
    at = int(np.ceil((1 - rate) * (m + 1)))
    threshold = {name: r[at - 1] if at <= m else np.inf for name, r in ranks.items()}
    beyond = {name: m - np.searchsorted(r, found[name], side="left") for name, r in ranks.items()}
    single = x.dtype == torch.float32

    def why(name: str, r: np.ndarray) -> str:
        if at > m:
            return f"{m} inputs are too few for a rate of {rate:g}"
        if r[0] == r[-1]:
            return "constant on the reference"
        if single and name in SCORES and SCORES[name].kind == "spectra":
            return "small eigenvalues are rounding noise in single precision"
        return ""

    return Detection(
        found,
        pd.DataFrame({name: (1 + count) / (1 + m) for name, count in beyond.items()}),
        pd.Series(threshold),
        pd.Series({name: why(name, r) for name, r in ranks.items()}),
    )


def _probe(encoder: Function, decoder: Function, x: Tensor, batch: int | None) -> tuple[Probe, np.ndarray]:
    """The probe of any network, and which of the points have one that is finite."""
    found = diagnose.diagnose(encoder, decoder, x, batch)
    with untouched(encoder, decoder), torch.enable_grad():  # a module may differentiate inside
        again, twice, patterns = [], [], []
        for at, y in zip(x.split(PART), found.y.split(PART)):
            before, _ = _active(encoder, at)
            after, code = _active(encoder, y)
            again.append(code.reshape(len(code), -1))
            twice.append(decoder(_leaf(code)).detach().flatten(1))
            changed = [(a != b).sum(1) for a, b in zip(before, after)]
            patterns.append(torch.stack(changed, 1) if changed else x.new_zeros(len(y), 0))
    tensors = (
        x.flatten(1), found.z, found.y.flatten(1), torch.cat(again), torch.cat(twice),
        found.k["I"], found.k["L"], found.lam["I"], found.lam["L"], found.orientation["I"],
        torch.cat(patterns),
    )  # fmt: skip
    known = torch.stack([t.reshape(len(x), -1).isfinite().all(1) for t in tensors[:9]]).all(0)
    return Probe(*(t.cpu().numpy() for t in tensors)), known.cpu().numpy()


def _leaf(x: Tensor) -> Tensor:
    """A copy that the module may change in place, and differentiate by."""
    return x.detach().clone().requires_grad_().clone()


def _active(encoder: Function, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Active units of every ReLU module on the way, each ``(n, units)``, and the codes."""
    seen: list[Tensor] = []
    modules = encoder.modules() if isinstance(encoder, nn.Module) else ()
    record = lambda _, __, out: seen.append((out > 0).flatten(1))
    hooks = [m.register_forward_hook(record) for m in modules if isinstance(m, nn.ReLU)]
    try:
        return seen, encoder(_leaf(x)).detach()
    finally:
        for hook in hooks:
            hook.remove()
