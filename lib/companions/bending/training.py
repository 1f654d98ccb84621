"""An encoder trained alone on pairs, its decoder after it, and a plain autoencoder of the same size;
three manifolds at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from tqdm import tqdm

from ...protocol import Protocol
from ...store import Store
from ..networks import Stack, fit
from . import VERSION, Settings
from .functional import terms
from .geometry import Space
from .render import SPACES, draw

__all__ = ["Trained", "train", "training_curves", "Pairs", "unit_scale"]


@dataclass(frozen=True)
class Trained:
    """One autoencoder of one manifold.

    Attributes
    ----------
    manifold : key in `SPACES`
    kind : ``"bending"`` (encoder first, decoder after it) or ``"plain"``
    encoder, decoder : stacks of one member, float32
    scale : codes are multiplied by it in `encode`: 1, and for a plain autoencoder what makes the median
        quotient ‖φ(y) − φ(x)‖/d equal to 1, since its loss fixes no unit of length
    """

    manifold: str
    kind: str
    encoder: Stack
    decoder: Stack
    scale: float
    pixels: int

    @property
    def space(self) -> Space:
        return SPACES[self.manifold]

    def image(self, p: Tensor) -> Tensor:
        """Images of points, ``(n, pixels²)`` float64."""
        return draw(self.manifold, p, self.pixels)

    def codes(self, images: Tensor) -> Tensor:
        """Codes of images ``(n, pixels²)``, ``(n, d)`` float64."""
        return self.encoder.to(torch.float64)(images)[0] * self.scale

    def encode(self, p: Tensor) -> Tensor:
        """Codes of points, ``(n, d)`` float64."""
        return self.codes(self.image(p))

    def decode(self, z: Tensor) -> Tensor:
        """Images of codes, ``(n, pixels²)`` float64."""
        return self.decoder.to(torch.float64)(z / self.scale)[0]


class Pairs:
    """Pairs of near points with their averages, rendered once for all manifolds; batches are drawn from them.

    Attributes
    ----------
    images : Tensor, shape (3, pool, 3, pixels²), float32: point, partner, average
    distances : Tensor, shape (3, pool), float32
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        generator = torch.Generator().manual_seed(1_000 + settings.seed)
        images, distances = [], []
        bar = tqdm(total=len(SPACES) * settings.pool, desc="rendering", unit="pair", leave=False)
        for name, space in SPACES.items():
            p, q = space.pairs(settings.pool, settings.epsilon, generator)
            distances.append(space.distance(p, q))
            points = torch.stack([p, q, space.average(p, q)], 1)
            parts = []
            for part in points.split(256):
                pictures = draw(name, part.flatten(0, 1), settings.pixels)
                parts.append(pictures.view(*part.shape[:2], -1).float())
                bar.update(len(part))
            images.append(torch.cat(parts))
        bar.close()
        self.images, self.distances = torch.stack(images), torch.stack(distances).float()

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A batch: images ``(3, 3·pairs, pixels²)``, points then partners then averages,
        and distances ``(3, pairs)``."""
        rows = torch.randint(self.settings.pool, (self.settings.pairs,), generator=generator)
        return self.images[:, rows].transpose(1, 2).flatten(1, 2), self.distances[:, rows]


def unit_scale(encoder: Stack, x: Tensor, distance: Tensor) -> None:
    """Divide the last layers in place so that the median quotient ‖φ(y) − φ(x)‖/d of each encoder is
    1 on a batch of `Pairs`.

    γ is infinite at 0, and a fresh encoder contracts.
    """
    with torch.no_grad():
        p, q, _ = encoder(x).chunk(3, 1)
        unit = ((q - p).norm(dim=2) / distance).median(1).values[:, None, None]
        for parameter in encoder.parameters[-2:]:
            parameter /= unit


def train(
    protocol: Protocol, settings: Settings, store: Store | None = None
) -> dict[tuple[str, str], Trained]:
    """Every autoencoder of the chapter by (manifold, kind), loaded if stored. The protocol plays no part."""
    tensors = _tensors(settings, store)
    loaded = {name: stack.load(tensors, f"{name}.") for name, stack in _stacks(settings).items()}
    halves = {"bending": ("encoder", "decoder"), "plain": ("plain_encoder", "plain_decoder")}
    nets = {}
    for i, (manifold, space) in enumerate(SPACES.items()):
        for kind, names in halves.items():
            net = Trained(manifold, kind, *(loaded[name].member(i) for name in names), 1.0, settings.pixels)
            if kind == "plain":
                p, q = space.pairs(1_000, settings.epsilon, torch.Generator().manual_seed(99))
                quotient = (net.encode(q) - net.encode(p)).norm(dim=1) / space.distance(p, q)
                net = replace(net, scale=1 / quotient.median().item())
            nets[manifold, kind] = net
    return nets


def training_curves(protocol: Protocol, settings: Settings, store: Store | None = None) -> dict[str, Tensor]:
    """``stretch`` and ``bending``, the two terms of the encoders' loss, and ``decoder`` and ``plain``,
    mean squared pixel errors.

    Each ``(steps, 3)``, in the order of `SPACES`.
    """
    tensors = _tensors(settings, store)
    return {name.removeprefix("curve."): t for name, t in tensors.items() if name.startswith("curve.")}


def _tensors(settings: Settings, store: Store | None) -> dict[str, Tensor]:
    measured = ("held_out", "sobol", "draws", "repeats")  # these play no part in training
    fields = {name: value for name, value in asdict(settings).items() if name not in measured}
    compute = lambda: _train(settings, _stacks(settings))
    return (store or Store()).tensors(
        "bending", fields | {"version": VERSION}, compute, "companions/bending-networks"
    )


def _stacks(settings: Settings) -> dict[str, Stack]:
    down = (settings.pixels**2, *settings.widths, settings.d)
    sizes, back, stacks = [down] * len(SPACES), [down[::-1]] * len(SPACES), {}
    seeds = range(100 * settings.seed, 100 * settings.seed + len(SPACES))
    for kind in ("", "plain_"):
        stacks[f"{kind}encoder"] = Stack(sizes, seeds)
        stacks[f"{kind}decoder"] = Stack(back, [seed + 10 for seed in seeds], last="tanh")
    return stacks


def _train(settings: Settings, stacks: dict[str, Stack]) -> dict[str, Tensor]:
    encoder, decoder, plain_encoder, plain_decoder = stacks.values()
    # filled in place: small tensors kept between large ones that go fragment the heap
    curves = {name: torch.zeros(settings.encoder_steps, len(SPACES)) for name in ("stretch", "bending")}
    curves["decoder"] = torch.zeros(settings.decoder_steps, len(SPACES))
    curves["plain"] = torch.zeros(settings.plain_steps, len(SPACES))
    pool, how = Pairs(settings), {"rate": settings.rate, "threads": 1 if settings.pixels <= 16 else None}
    # decoder and plain network see the same batches
    orders = [torch.Generator().manual_seed(10 * settings.seed + i) for i in (1, 2, 2)]
    unit_scale(encoder, *pool.draw(orders[0]))

    def pairs_loss(step: int) -> Tensor:
        images, distance = pool.draw(orders[0])
        stretch, bending = (t.mean(1) for t in terms(*encoder(images).chunk(3, 1), distance))
        curves["stretch"][step - 1], curves["bending"][step - 1] = stretch.detach(), bending.detach()
        return (stretch + settings.lam * bending).sum()

    fit([encoder], pairs_loss, settings.encoder_steps, label="encoders alone", **how)

    def pixel_error(name: str, step: int, y: Tensor, images: Tensor) -> Tensor:
        error = (y - images).square().mean((1, 2))
        curves[name][step - 1] = error.detach()
        return error.sum()

    def decoder_loss(step: int) -> Tensor:
        images, _ = pool.draw(orders[1])
        with torch.no_grad():
            z = encoder(images)
        return pixel_error("decoder", step, decoder(z), images)

    fit([decoder], decoder_loss, settings.decoder_steps, label="decoders after them", **how)

    def plain_loss(step: int) -> Tensor:
        images, _ = pool.draw(orders[2])
        return pixel_error("plain", step, plain_decoder(plain_encoder(images)), images)

    both = [plain_encoder, plain_decoder]
    fit(both, plain_loss, settings.plain_steps, label="plain autoencoders", **how)
    tensors = {f"curve.{name}": values for name, values in curves.items()}
    for name, stack in stacks.items():
        tensors |= stack.tensors(f"{name}.")
    return tensors
