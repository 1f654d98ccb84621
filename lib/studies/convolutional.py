"""A small convolutional autoencoder, for the page on diagnosing one's own: nothing of the paper's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .. import data
from ..store import Store
from ..training import batch_order

__all__ = ["convolutional", "trained", "inputs"]

#: Raise when the result of training changes.
VERSION = 1
#: Training images used at most: enough for a demonstration that trains in seconds.
IMAGES = 1_500


def convolutional(d: int, generator: torch.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder ``(n, 1, 28, 28) -> (n, d)`` and decoder back, two strided convolutions, one affine layer each.

    >>> encoder, decoder = convolutional(4, torch.Generator().manual_seed(0))
    >>> decoder(encoder(torch.zeros(2, 1, 28, 28))).shape
    torch.Size([2, 1, 28, 28])
    """
    down = nn.Conv2d(1, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 4, 2, 1), nn.ReLU()
    encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(784, d))
    up = nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Sigmoid()
    decoder = nn.Sequential(nn.Linear(d, 784), nn.ReLU(), nn.Unflatten(1, (16, 7, 7)), *up)
    with torch.no_grad():
        for layer in (*encoder, *decoder):
            if hasattr(layer, "weight"):
                fan = layer.weight[0].numel()  # PyTorch's default bound
                for t in (layer.weight, layer.bias):
                    t.uniform_(-(fan**-0.5), fan**-0.5, generator=generator)
    return encoder, decoder


def inputs(x: Tensor) -> Tensor:
    """``(n, 784) -> (n, 1, 28, 28)``."""
    return x.unflatten(1, (1, 28, 28))


def trained(
    training_set: str, d: int = 4, epochs: int = 15, seed: int = 0, store: Store | None = None
) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder and decoder in float64, trained with Adam on mean squared error: loaded if stored,
    else trained in seconds."""
    store, images = store or Store(), data.load(training_set)
    fields = {"d": d, "epochs": epochs, "seed": seed, "count": IMAGES}
    fields |= {"images": images.sha256, "version": VERSION}
    encoder, decoder = convolutional(d, torch.Generator().manual_seed(seed))
    both = nn.ModuleDict({"encoder": encoder, "decoder": decoder})

    def compute() -> dict[str, Tensor]:
        x = inputs(images.train[:IMAGES].float())
        optimizer = torch.optim.Adam(both.parameters(), lr=3e-3)
        for epoch in tqdm(range(epochs), desc="training a convolutional autoencoder", unit="epoch"):
            for rows in batch_order(seed, epoch, len(x)).split(64):
                optimizer.zero_grad()
                (decoder(encoder(x[rows])) - x[rows]).square().mean().backward()
                optimizer.step()
        return both.state_dict()

    both.load_state_dict(store.tensors("convolutional", fields, compute))
    both.double().eval().requires_grad_(False)
    return encoder, decoder
