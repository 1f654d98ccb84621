"""The autoencoder of section II-A, stacks of networks as one program, and the ensemble of one seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Autoencoder", "Stack", "Ensemble", "WIDTHS"]

#: Input and hidden widths of the encoder; the decoder mirrors them (section II-A).
WIDTHS = (784, 128, 64, 32)


class Autoencoder(nn.Module):
    """f_dec ∘ f_enc with encoder widths ``(*widths, d)`` and the mirrored decoder.

    ReLU follows every layer but the latent one, which is linear, and the last, which is
    tanh: z = f_enc(x) ∈ R^d, y = f_dec(z) ∈ (−1, 1)^784.

    Parameters
    ----------
    d : int
        Latent dimension.
    generator : torch.Generator, optional
        Source of PyTorch's default initialisation, drawn layer by layer in order. With a
        generator seeded by s the weights are those of the same ``nn.Linear`` layers built
        after ``torch.manual_seed(s)``.
    widths : input and hidden widths of the encoder.

    Examples
    --------
    >>> net = Autoencoder(3, torch.Generator().manual_seed(0))
    >>> z, y = net(torch.zeros(5, 784))
    >>> z.shape, y.shape
    (torch.Size([5, 3]), torch.Size([5, 784]))
    """

    def __init__(self, d: int, generator: torch.Generator | None = None, widths: Sequence[int] = WIDTHS):
        super().__init__()
        sizes = (*widths, d)
        self.d = d
        self.encoder = _stack(sizes, [nn.ReLU() for _ in sizes[2:]])
        self.decoder = _stack(sizes[::-1], [*(nn.ReLU() for _ in sizes[2:]), nn.Tanh()])
        if generator is not None:
            for layer in self.linears():
                nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
                bound = 1 / math.sqrt(layer.in_features)
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)

    def linears(self) -> Iterator[nn.Linear]:
        """The affine layers from input to output."""
        return (m for half in (self.encoder, self.decoder) for m in half if isinstance(m, nn.Linear))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``x (n, 784) -> z (n, d), y (n, 784)``."""
        z = self.encoder(x)
        return z, self.decoder(z)


def _stack(sizes: Sequence[int], activations: Sequence[nn.Module]) -> nn.Sequential:
    """Linear layers of `sizes` with `activations` between, and after the last if there is one for it."""
    layers: list[nn.Module] = []
    for i, (m, n) in enumerate(zip(sizes, sizes[1:])):
        # skip_init: the caller draws the weights, once, from its own generator
        layers.append(nn.utils.skip_init(nn.Linear, m, n))
        layers.extend(activations[i : i + 1])
    return nn.Sequential(*layers)


def _relu(a: Tensor) -> tuple[Tensor, Tensor]:
    return a.relu(), (a > 0).to(a)


def _tanh(a: Tensor) -> tuple[Tensor, Tensor]:
    h = a.tanh()
    return h, 1 - h * h


def _silu(a: Tensor) -> tuple[Tensor, Tensor]:
    s = a.sigmoid()
    h = a * s
    return h, s + h * (1 - s)


def _linear(a: Tensor) -> tuple[Tensor, Tensor]:
    return a, torch.ones_like(a)


#: Activations, and the same with their slopes. Each maps 0 to 0, which keeps padded units at zero.
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "relu": (torch.relu, _relu), "tanh": (torch.tanh, _tanh), "silu": (functional.silu, _silu),
    "linear": (lambda a: a, _linear),
}  # fmt: skip


class Stack:
    """k fully connected networks of equal depth as one program, zero-padded to the widest layer of each.

    Layer ℓ of all networks is one tensor ``weights[ℓ] (k, in, out)`` (transposed against
    ``nn.Linear``) and ``biases[ℓ] (k, 1, out)``, all of them views of one flat vector ``theta``,
    so that one matrix product per layer and one optimiser step serve all networks. A padded unit
    has zero weights on both sides; its gradient is then zero as well, so it stays zero, and each
    member is exactly the network trained alone.

    Parameters
    ----------
    sizes : for each member, its widths from input to output
    activations : names in `ACTIVATIONS`, one a layer

    Examples
    --------
    >>> net = Stack([(5, 8, 1), (5, 4, 2)], ("silu", "linear"))
    >>> net(torch.zeros(7, 5)).shape
    torch.Size([2, 7, 2])
    """

    def __init__(
        self,
        sizes: Sequence[Sequence[int]],
        activations: Sequence[str],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        self.sizes, self.activations = tuple(map(tuple, sizes)), tuple(activations)
        widths = [max(column) for column in zip(*self.sizes, strict=True)]
        k, steps = len(sizes), zip(widths, widths[1:])
        self.shapes = [shape for m, n in steps for shape in ((k, m, n), (k, 1, n))]
        self.bind(torch.zeros(sum(map(math.prod, self.shapes)), dtype=dtype, device=device))

    def bind(self, theta: Tensor) -> None:
        """Make `theta` the parameters; ``weights`` and ``biases`` become views of it."""
        self.theta = theta
        views = self.unflatten(theta)
        self.weights, self.biases = views[0::2], views[1::2]

    def unflatten(self, flat: Tensor) -> list[Tensor]:
        """Views of a vector laid out like ``theta``: weight, bias, weight, bias, …"""
        parts = flat.split([math.prod(s) for s in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes)]

    @property
    def parameters(self) -> list[Tensor]:
        """Weight, bias, weight, bias, … of all members."""
        return [p for pair in zip(self.weights, self.biases) for p in pair]

    def __len__(self) -> int:
        return len(self.sizes)

    def __call__(self, x: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """``x (b, m)`` or ``(k, b, m) -> (k, b, n)`` through the layers from `start` to before `stop`;
        a padded output is zero."""
        h = x.expand(len(self), *x.shape[-2:])
        for w, b, act in list(zip(self.weights, self.biases, self.activations))[start:stop]:
            h = ACTIVATIONS[act][0](torch.baddbmm(b, h, w))
        return h

    def push(self, x: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """Values ``(k, b, n)`` at ``x``, and what the derivative there makes of
        ``tangents (k, b, j, m)``: ``(k, b, j, n)``."""
        h, t = x.expand(len(self), *x.shape[-2:]), tangents
        for w, b, act in zip(self.weights, self.biases, self.activations):
            h, slope = ACTIVATIONS[act][1](torch.baddbmm(b, h, w))
            t = (t.flatten(1, 2) @ w).unflatten(1, t.shape[1:3]) * slope[:, :, None]
        return h, t

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values ``(k, b, n)`` and derivatives ``(k, b, n, m)`` at ``x (b, m)`` or ``(k, b, m)``."""
        b, m = x.shape[-2:]
        h, t = self.push(x, torch.eye(m, dtype=x.dtype, device=x.device).expand(len(self), b, m, m))
        return h, t.transpose(2, 3)


class Ensemble(Stack):
    """The autoencoders of one seed, all d at once, zero-padded to the widest bottleneck.

    Attributes
    ----------
    dims : tuple of int
    seed : int
    theta : Tensor, shape (p,)
        Every parameter, padding included.
    curves : dict of Tensor, shape (epochs, k)
        Mean squared pixel error by epoch: ``train`` while learning, ``test`` on held-out images.
    """

    def __init__(self, members: Sequence[Autoencoder], seed: int, curves: Mapping[str, Tensor] | None = None):
        self.dims = tuple(m.d for m in members)
        self.seed = seed
        self.curves = dict(curves or {})
        widths = [layer.in_features for layer in members[0].encoder if isinstance(layer, nn.Linear)]
        self.waist = len(widths) - 1  # index of the latent layer
        relus = ("relu",) * self.waist
        first = next(members[0].linears()).weight
        sizes = [(*widths, d, *reversed(widths)) for d in self.dims]
        super().__init__(sizes, (*relus, "linear", *relus, "tanh"), first.dtype, first.device)
        with torch.no_grad():
            for i, member in enumerate(members):
                for w, b, layer in zip(self.weights, self.biases, member.linears()):
                    n, m = layer.weight.shape
                    w[i, :m, :n] = layer.weight.T
                    b[i, 0, :n] = layer.bias

    @classmethod
    def initial(cls, dims: Sequence[int], seed: int, dtype: torch.dtype = torch.float32) -> Ensemble:
        """The untrained networks: each drawn on its own from `seed`, in float32, as PyTorch does."""
        return cls([Autoencoder(d, torch.Generator().manual_seed(seed)).to(dtype) for d in dims], seed)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``x (n, 784) -> z (k, n, max d), y (k, n, 784)``; padded latent entries are zero."""
        z = self(x, stop=self.waist + 1)
        return z, self(z, start=self.waist + 1)

    def member(self, d: int) -> Autoencoder:
        """The network with latent dimension `d`, without padding."""
        return self.network(self.dims.index(d))

    def network(self, i: int) -> Autoencoder:
        """The i-th network, without padding."""
        net = Autoencoder(self.dims[i], widths=self.sizes[i][: self.waist + 1]).to(self.theta)
        with torch.no_grad():
            for w, b, layer in zip(self.weights, self.biases, net.linears()):
                n, m = layer.weight.shape
                layer.weight.copy_(w[i, :m, :n].T)
                layer.bias.copy_(b[i, 0, :n])
        return net.requires_grad_(False)

    @property
    def epochs(self) -> int:
        """Epochs that the networks were trained for; 0 for untrained ones."""
        return len(self.curves.get("train", ()))

    def part(self, dims: Sequence[int]) -> Ensemble:
        """The ensemble of some of its networks, with the curves of all."""
        return Ensemble([self.member(d) for d in dims], self.seed, self.curves)

    def tensors(self) -> dict[str, Tensor]:
        """Everything worth keeping, by name: ``d02.encoder.0.weight``, …, ``curves.train``."""
        named = {f"d{d:02d}.{name}": t for d in self.dims for name, t in self.member(d).state_dict().items()}
        return named | {f"curves.{name}": t for name, t in self.curves.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], seed: int) -> Ensemble:
        """The inverse of `tensors`."""
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in sorted(tensors.items()):  # a file gives its tensors in any order
            group, _, rest = name.partition(".")
            if group != "curves":
                states.setdefault(int(group[1:]), {})[rest] = tensor
        members = []
        for d, state in sorted(states.items()):
            widths = [t.shape[1] for name, t in state.items() if name.startswith("encoder") and t.ndim == 2]
            net = Autoencoder(d, widths=widths).to(next(iter(state.values())).dtype)
            net.load_state_dict(state)
            members.append(net.requires_grad_(False))
        curves = {n.partition(".")[2]: t for n, t in tensors.items() if n.startswith("curves.")}
        return cls(members, seed, curves)
