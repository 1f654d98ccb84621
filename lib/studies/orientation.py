"""What orientation means: the number of negative eigenvalues, its parity, and where a reversal comes from.

At a point x with rank r the matrix K has r nonzero eigenvalues, m of them negative and real. Orientation is reversed
where m is odd.

**Definitions, fixed before any number of this study was computed.** All are of K_I unless K_L is named; a cell is one
network on one set, with 2,000 points.

* *Count*: m(x). Its *share* is q = Σm/Σr over the points of a cell.
* *Independent signs*: m ~ Bin(r(x), q). Reversed would then be the share ½(1 − mean (1−2q)^r(x)), and the variance of
  m would be q(1−q) mean r + q² var r. *Excess* is the reversed share less this one; *dispersion* the variance of m over
  this one. If signs were independent given the point, but q differed from point to point, the dispersion would be above
  one and, since q ↦ (1−2q)^r is convex below one half, the excess not above zero.
* *Left half-plane*: n(x), the eigenvalues with negative real part, conjugate pairs included. Pairs count twice, so n
  and m have one parity.
* *Layers*: for a set S of the encoder's three hidden layers, K_S has in S the activation pattern at y = f(x) and
  elsewhere that at x: K_∅ = K_I, and K_S = K_L for all three. v(S) is the share of points that K_S reverses. A *layer's
  part* is the mean of v(S ∪ ℓ) − v(S) over the six orders in which the layers can be replaced (Shapley's value); the three
  parts sum to v(all) − v(∅). Its *share* is the part over that sum.
* *Hamming distance*: units of the encoder that are active at one of x and y alone. *Far less near* is the reversed
  share among the third of a cell's points with the largest distance less that among the third with the smallest.
* *Where*, at the first 500 points: the *rank* of a negative eigenvalue among the r by falling modulus, (i−1)/(r−1), and
  the *place* of its eigenvector among the singular directions of J_I in the space of images: with u = Gv/‖Gv‖ and left
  singular vectors u₁, …, u_r of J_I = GE by falling singular value, Σ ⟨u, u_i⟩² (i−1)/(r−1). Both are one half where
  nothing is preferred, more where small ones are.
* *Units*: with right and left eigenvectors b, a (aᵀb = 1), λ = aᵀKb is in each hidden layer a sum over its active units.
  A real eigenvalue *hangs on* a group of units if in some layer the sum without them has another sign, or is zero. The
  groups are the units that are *switched*, active at x and not at y, and those that are *idle*, active at none of the
  2,000 training points.

**How the seeds 3–10 will judge.** `STATEMENTS` are means over the ten noise sets (or the training data) and over the d of
a range, one number a seed; a t interval over the eight seeds judges, with Holm's method for refutation, as for the claims
(`lib.studies.claims`). Until all eight are there, seeds 0 and 1 are shown as points. All else is exploration.
"""

from __future__ import annotations

from .claims import LARGE, MODERATE
from .evidence import NOISE, Evidence, Part

__all__ = ["STATEMENTS", "DIMS", "POINTS"]

#: Latent dimensions, points of each set, and of these the ones at which eigenvectors are taken.
DIMS, POINTS, CLOSE = (2, 5, 8, 14, 17, 20), 2_000, 500


def _noise(column: str):
    """Mean over the noise sets."""
    return lambda e: e[column][NOISE].mean(axis=1)


def _train(column: str):
    return lambda e: e[column]["train"]


def _kept(e: Evidence):
    """Negative eigenvalues a point, trained over untrained."""
    return _noise("I_count")(e) / _noise("I_count")(Evidence(e.null))


#: What the judging seeds are asked; the order is that of the page.
STATEMENTS = (
    Part("the count on noise varies less than independent signs would: dispersion", _noise("I_dispersion"), LARGE, "log mean", "log", below=1.0),
    Part("noise is reversed more often than with independent signs: excess", _noise("I_excess"), LARGE, "mean", "plain", above=0.0),
    Part("the training data are reversed as often as with independent signs: excess", _train("I_excess"), LARGE, "mean", "plain", above=-0.02, below=0.02),
    Part("training halves the number of negative eigenvalues on noise: trained over untrained", _kept, MODERATE, "log mean", "log", below=0.5),
    Part("the first layer restores most of the orientation on noise: its share", _noise("share_1"), LARGE, "mean", "plain", above=0.5),
    Part("the second layer does", _noise("share_2"), LARGE, "mean", "plain", above=0.5),
    Part("the third layer does", _noise("share_3"), LARGE, "mean", "plain", above=0.5),
    Part("noise is reversed more often the more units switch: far less near", _noise("far_less_near"), LARGE, "mean", "plain", above=0.0),
    Part("negative eigenvalues on noise are small ones: rank by modulus", _noise("rank_negative"), LARGE, "mean", "plain", above=0.5),
    Part("their directions are weak ones: place among the singular directions", _noise("place_negative"), LARGE, "mean", "plain", above=0.5),
    Part("most of them hang on switched units", _noise("switched_negative"), LARGE, "mean", "logit", above=0.5),
    Part("most of them hang on idle units", _noise("idle_negative"), LARGE, "mean", "logit", above=0.5),
)  # fmt: skip
