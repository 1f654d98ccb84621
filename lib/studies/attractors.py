"""Where iterations end: the round trip applied again and again, from noise and from digits.

With z₀ = f_enc(x) the codes are iterated, z_{t+1} = f_enc(f_dec(z_t)), which is the iteration of images y ↦ f(y) seen in
d numbers instead of 784.

**Definitions, fixed before any number of this study was computed.** Starts are the first 500 points of each noise set
and 500 images of MNIST's test set.

* *Fixed*: ‖z_{t+1} − z_t‖ ≤ 10⁻⁸ ‖z_t‖ within 2,000 steps. *Cycle* of length p > 1: ‖z_{t+p} − z_t‖ ≤ 10⁻⁸ ‖z_t‖ while one
  step is longer than 10⁻⁴ ‖z_t‖ (Brent's method, so that no p is left out that is at most half the number of steps). Both
  are *settled*. The steps are in single precision until one is shorter than 10⁻⁵ ‖z‖, or for 500 of them, and from then
  on in double precision.
* *Slow*: not settled after 2,000 steps, but Newton's method finds from there, within ‖z‖/10, a fixed point with spectral
  radius below one. Its end is that point. *Open*: all others; they have no end.
* *End*: ends whose codes are within 10⁻³ of the median norm of the network's ends, directly or through other ends, are one
  (periods have to be equal; of a cycle its member with the smallest first coordinate counts). Its *basin* is the set of
  starts that lead there, its *spectral radius* that of K_L, of the product along a cycle.
* *Effective number of ends*: exp of the entropy of the basins' shares among the starts that have an end, over all ten
  noise sets. One means that a network sends all noise to one end.
* *Moved*: with y₁ = f(x) and y∞ the image of the end (of a cycle, the member named above), the median of ‖y∞ − y₁‖ over
  the points of a set, over the median of ‖y₁ − y₁'‖ over pairs of its points. Less than one half: what a single round trip
  shows *is* nearly the end, the character is an attractor. More than one: a picture is no nearer to its own end than to
  the picture of another point, the character is a phenomenon of the first step.
* *Shared with digits*: the share of noise starts whose end is also reached from one of the 500 digits.
* *Nearest*: the mean, over the noise starts of a network that have an end, of the distance (root mean square over pixels)
  from its image to the nearest end of another network. *By chance*: the same with the other network's ends replaced by
  as many of its reconstructions of test images, mean over 20 draws. The other networks are those of the same seed with
  another d, or those of the same d with another seed.

**How the seeds 3–10 will judge.** `STATEMENTS` are means over the ten noise sets and over d = 14, 17, 20, one number a
seed; a t interval over the eight seeds judges, with Holm's method for refutation, as for the claims
(`lib.studies.claims`); what compares seeds is judged by the jackknife. Until all eight are there, seeds 0 and 1 are shown
as points. All else is exploration.
"""

from __future__ import annotations

import pandas as pd

from .claims import LARGE
from .evidence import NOISE, Evidence, Part

__all__ = ["STATEMENTS", "DIMS", "STARTS", "STEPS", "TOLERANCE"]

#: Latent dimensions, starts of each set, steps at most, and the relative step that counts as none.
DIMS, STARTS, STEPS, TOLERANCE = (2, 5, 8, 14, 17, 20), 500, 2_000, 1e-8
#: Steps in single precision at most, and the relative step at which they end; the shortest step of a cycle.
SINGLE, COARSE, APART = 500, 1e-5, 1e-4
#: How far Newton's method may go, relative to ‖z‖; ends nearer than this, relative to their median norm, are one.
REACH, MERGED = 0.1, 1e-3
#: Draws of the baseline by chance.
DRAWS = 20


def _noise(column: str):
    """Mean over the noise sets."""
    return lambda e: e[column][NOISE].mean(axis=1)


def _seeds(e: Evidence) -> pd.DataFrame:
    """Distance to the nearest end under other seeds, and by chance, as the pool of pairs takes them."""
    return pd.concat(
        {(where, "noise"): _noise(column)(e) for where, column in (("between", "seeds_nearest"), ("within", "seeds_chance"))},
        axis=1,
    )  # fmt: skip


#: What the judging seeds are asked; the order is that of the page.
STATEMENTS = (
    Part("iterations from noise settle: share of the starts", _noise("settled"), LARGE, "mean", "logit", above=0.95),
    Part("a network sends all noise to one end: effective number of ends", _noise("network_effective"), LARGE, "log mean", "log", below=2.0),
    Part("the picture of one round trip is nearly the end's: moved", _noise("moved"), LARGE, "log mean", "log", below=0.5),
    Part("the picture of one round trip is no nearer to its end than to another's: moved", _noise("moved"), LARGE, "log mean", "log", above=1.0),
    Part("noise ends where digits end: share of the starts", _noise("shared"), LARGE, "mean", "logit", above=0.5),
    Part("ends are shared between latent dimensions: nearest over chance", lambda e: _noise("dims_nearest")(e) / _noise("dims_chance")(e), LARGE, "log mean", "log", below=1.0),
    Part("ends are shared between seeds: nearest over chance", _seeds, LARGE, "pairs", "log", below=1.0),
)  # fmt: skip
