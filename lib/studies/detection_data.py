"""The data of the detection study: three disjoint parts of held-out images, and the sets held against them.

Nothing here has been trained on. The held-out images of a training set (MNIST's 10,000 test images)
are put in an order of their own and cut into a part for *calibration*, a part that is
*in distribution*, and a part that is the *source* of all transformed images.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font, LoadFlags
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from .. import data, noise
from ..protocol import NOISE_SETS

__all__ = [
    "Parts",
    "parts",
    "points",
    "letters",
    "centred",
    "stated",
    "TRANSFORMED",
    "SETS",
    "POINTS",
]

#: Points of a set, as many as there are where there are fewer; a noise set,
#: trivial to tell, has a quarter of them.
POINTS = 2_000
#: Shares of the held-out images: calibration, in distribution, source.
SHARES = (0.4, 0.2, 0.4)
#: Fonts that matplotlib ships, all with upright or slanted Latin letters.
FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmr10", "cmb10", "cmss10", "cmtt10",
)  # fmt: skip
#: Letters of both cases without those that are a digit in some hand: B b g I i l O o q S s Z z.
LETTERS = "ACDEFGHJKLMNPQRTUVWXY" + "acdefhjkmnprtuvwxy"
#: Degrees by which a letter is turned at most.
TURN = 15.0


@dataclass(frozen=True)
class Parts:
    """Disjoint held-out images, each ``(n, 784)`` float64 with labels ``(n,)``.

    Attributes
    ----------
    fit, rank : the two halves of the calibration part: densities and regressions are fitted to the first,
        thresholds and empirical p-values come from the second
    inside : in distribution
    source : what is transformed
    left_out : images of the digit that a training set is without, from all parts;
        empty where it is without none
    """

    fit: Tensor
    rank: Tensor
    inside: Tensor
    source: Tensor
    left_out: Tensor


def generator(*words: object) -> np.random.Generator:
    """A counter-based generator that depends on `words` alone."""
    word = hashlib.sha256("|".join(map(str, ("detection", *words))).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(word[:16], "big")))


@functools.lru_cache(maxsize=2)
def parts(training_set: str) -> Parts:
    """The parts of the held-out images of ``training_set``.

    The cut is made before a digit is left out,
    so that an image is in the same part for every training set made of the same images.
    """
    base, digit = data.without(training_set)
    images = data.load(base)
    x, labels = images.test, images.labels[images.trained :]
    order = torch.from_numpy(generator("parts", base).permutation(len(x)))
    ends = np.cumsum([round(share * len(x)) for share in SHARES[:-1]])
    calibration, inside, source = (order[rows] for rows in np.split(np.arange(len(x)), ends))
    kept = labels != (-1 if digit is None else digit)
    fit, rank = calibration[: len(calibration) // 2], calibration[len(calibration) // 2 :]
    return Parts(*(x[rows[kept[rows]]] for rows in (fit, rank, inside, source)), x[~kept])


def points(name: str, training_set: str, n: int = POINTS) -> Tensor:
    """The first `n` points of a set, a quarter of them of a noise set, ``(≤ n, 784)`` float64;
    no point depends on `n`.

    ``"untouched"`` is the source part as it is, a control whose AUROC is one half but for chance;
    ``"left out"`` the digit that the training set is without; ``"fashion"`` the test images of Fashion-MNIST;
    ``"letters"``; a key of `TRANSFORMED`; or a noise set of `lib.noise`.
    """
    if name == "fashion":
        return data.load("fashion-mnist").test[:n]
    if name == "letters":
        return letters(n, data.without(training_set)[0])
    if name in ("untouched", "left out"):
        own = parts(training_set)
        return (own.source if name == "untouched" else own.left_out)[:n]
    if name in TRANSFORMED:
        return TRANSFORMED[name](parts(training_set).source)[:n]
    return noise.sample(name, 0, n // 4)


def _pictures(x: Tensor) -> Tensor:
    return x.unflatten(1, (28, 28))


def rotated_90(x: Tensor) -> Tensor:
    """A quarter turn, counter-clockwise."""
    return _pictures(x).rot90(1, (1, 2)).flatten(1)


def rotated_180(x: Tensor) -> Tensor:
    """A half turn."""
    return x.flip(1)


def flipped_left_right(x: Tensor) -> Tensor:
    """The mirror image, left and right exchanged."""
    return _pictures(x).flip(2).flatten(1)


def flipped_top_bottom(x: Tensor) -> Tensor:
    """The mirror image, top and bottom exchanged."""
    return _pictures(x).flip(1).flatten(1)


def shifted(x: Tensor) -> Tensor:
    """Four pixels to the right and four down; black comes in, what leaves is lost."""
    return functional.pad(_pictures(x), (4, -4, 4, -4)).flatten(1)


def inverted(x: Tensor) -> Tensor:
    """1 − x."""
    return 1 - x


def half_brightness(x: Tensor) -> Tensor:
    """x/2."""
    return x / 2


def blurred(x: Tensor) -> Tensor:
    """Convolved with a Gaussian of standard deviation 1.5 pixels, black outside the frame."""
    pictures = ndimage.gaussian_filter(_pictures(x).numpy(), (0, 1.5, 1.5), mode="constant")
    return torch.from_numpy(pictures).flatten(1)


def occluded(x: Tensor) -> Tensor:
    """The ten by ten pixels in the middle black."""
    out = _pictures(x).clone()
    out[:, 9:19, 9:19] = 0
    return out.flatten(1)


def mean_of_two(x: Tensor) -> Tensor:
    """The mean of an image and another, whatever their digits."""
    half = len(x) // 2  # image i of the first half with image i of the second
    return (x[:half] + x[half : 2 * half]) / 2


def noise_added(x: Tensor) -> Tensor:
    """x + .2 g cut to [0, 1], g standard normal, the same for the same row."""
    g = generator("noise added").standard_normal((POINTS, x.shape[1]))
    return (x + 0.2 * torch.from_numpy(np.resize(g, x.shape))).clamp(0, 1)


def pixels_shuffled(x: Tensor) -> Tensor:
    """All pixels in another order, one order for all images."""
    return x[:, torch.from_numpy(generator("pixels shuffled").permutation(x.shape[1]))]


#: Transformations of the source part, each (n, 784) → (n, 784); of the mean of two come half as many.
TRANSFORMED = {
    "rotated 90": rotated_90,
    "rotated 180": rotated_180,
    "flipped left-right": flipped_left_right,
    "flipped top-bottom": flipped_top_bottom,
    "shifted": shifted,
    "inverted": inverted,
    "half brightness": half_brightness,
    "blurred": blurred,
    "occluded": occluded,
    "mean of two": mean_of_two,
    "noise added": noise_added,
    "pixels shuffled": pixels_shuffled,
}
#: All sets of a network that has seen every digit.
SETS = ("untouched", "fashion", "letters", *TRANSFORMED, *NOISE_SETS)


def letters(n: int, framing: str) -> Tensor:
    """Letters, each of a font, character and angle drawn from `generator`; ``(n, 784)`` float64 in [0, 1].

    Framed as the digits of `framing` are: ``mnist``, fitted into a box of 20 by 20 with the centre of mass in
    the middle of 28 by 28; ``digits``, fitted into 32 by 32, averaged over blocks of four by four, and
    resampled as `lib.data` does.
    """
    rng, drawn = generator("letters"), []
    for _ in range(n):
        font, letter, angle = rng.integers(len(FONTS)), rng.integers(len(LETTERS)), rng.uniform(-TURN, TURN)
        drawn.append(_framed(_glyph(FONTS[font], LETTERS[letter], angle), framing))
    return torch.stack(drawn) if drawn else torch.empty(0, 784, dtype=torch.float64)


def _glyph(font: str, letter: str, angle: float) -> Tensor:
    """A letter some hundred pixels high, cut out, ``(h, w)``; drawn by matplotlib's FreeType."""
    face = FT2Font(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf"))
    face.set_size(128, 72)
    face.set_text(letter, angle, LoadFlags.NO_HINTING)
    face.draw_glyphs_to_bitmap(antialiased=True)
    image = torch.from_numpy(np.array(face.get_image(), dtype=np.float64)) / 255
    inked = image.nonzero()
    (top, left), (bottom, right) = inked.amin(0), inked.amax(0)
    return image[top : bottom + 1, left : right + 1]


def _framed(glyph: Tensor, framing: str) -> Tensor:
    box = {"mnist": 20, "digits": 32}[framing]
    scale = box / max(glyph.shape)
    size = [max(1, round(scale * s)) for s in glyph.shape]
    small = functional.interpolate(glyph[None, None], size=size, mode="area")[0, 0]
    if framing == "digits":
        frame = torch.zeros(32, 32, dtype=torch.float64)
        top, left = ((32 - s) // 2 for s in small.shape)
        frame[top : top + size[0], left : left + size[1]] = small
        blocks = functional.avg_pool2d(frame[None, None], 4)
        return functional.interpolate(blocks, size=(28, 28), mode="bilinear", align_corners=False).flatten()
    return centred(small).flatten()


def centred(ink: Tensor) -> Tensor:
    """A picture of at most 28×28 in a black frame, its centre of mass in the middle, to whole pixels."""
    frame, corner = torch.zeros(28, 28, dtype=ink.dtype), []
    for axis, length in enumerate(ink.shape):
        centre = (ink.sum(1 - axis) * torch.arange(length)).sum() / ink.sum()
        corner.append(min(max(round(13.5 - centre.item()), 0), 28 - length))
    frame[corner[0] : corner[0] + ink.shape[0], corner[1] : corner[1] + ink.shape[1]] = ink
    return frame


def stated(name: str, training_set: str) -> str:
    """What the set is, in one sentence."""
    if name in TRANSFORMED:
        return TRANSFORMED[name].__doc__.strip()
    digit = data.without(training_set)[1]
    return {
        "untouched": "Held-out images as they are: the control.",
        "fashion": "Test images of Fashion-MNIST, in their order.",
        "letters": f"{len(LETTERS)} letters in {len(FONTS)} fonts, turned by up to {TURN:g} degrees.",
        "left out": f"Held-out images of the digit {digit}, of which the network has seen none.",
    }.get(name, "Independent pixels.")
