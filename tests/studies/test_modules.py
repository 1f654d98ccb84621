"""Kinds of modules, in the modes people use them in, against whole Jacobians taken one point at a time.

The reference is deliberately naive: `torch.autograd.functional.jacobian` of encoder and decoder at a
single point in float64, their product, and LAPACK's eigenvalues. What has no Jacobian at a single
point, or another one than automatic differentiation gives, must be refused in one line that names why.
"""

from __future__ import annotations

import contextlib
import copy
import random
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

from lib.figures.planes import planes
from lib.studies import diagnose as diagnosing
from lib.studies.detect import FEWEST, detect
from lib.studies.diagnose import compare, diagnose, matrices

N, D = 4, 3


class Call(nn.Module):
    """A function as a module, with the modules it uses."""

    def __init__(self, f, *parts: nn.Module):
        super().__init__()
        self.f, self.parts = f, nn.ModuleList(parts)

    def forward(self, x):
        return self.f(x, *self.parts)


class Cube(torch.autograd.Function):
    """x ↦ x³ with a backward of its own, which cannot be mapped over."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g


class Reversal(torch.autograd.Function):
    """The identity, with its derivative turned round."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return -g


class Recurrent(nn.Module):
    """With the types that scripting needs."""

    def __init__(self):
        super().__init__()
        self.rnn, self.layer = nn.LSTM(2, 4, batch_first=True), nn.Linear(4, D)

    def forward(self, x):
        return self.layer(self.rnn(x.view(x.size(0), 3, 2))[0][:, -1])


def lin(a, b=D, **kw):
    return nn.Linear(a, b, **kw)


def flat(*layers, out=6):
    """Six numbers in, through `layers`, three out."""
    return nn.Sequential(*layers, lin(out))


def dec(*layers):
    return nn.Sequential(lin(D, 6), *layers)


def in_place(x, layer):
    x -= x.mean(1, keepdim=True)
    x /= x.norm(dim=1, keepdim=True)
    return layer(x)


def recurrent(kind, **kw):
    def run(x, rnn, layer):
        return layer(rnn(x.view(len(x), 3, 2))[0][:, -1])

    return Call(run, kind(2, 4, batch_first=True, **kw), lin(8 if kw.get("bidirectional") else 4))


def attention():
    def run(x, mha, layer):
        t = x.view(len(x), 3, 2)
        return layer(mha(t, t, t, need_weights=False)[0].flatten(1))

    return Call(run, nn.MultiheadAttention(2, 1, batch_first=True), lin(6))


def transformer(**kw):
    def run(x, block, layer):
        return layer(block(x.view(len(x), 3, 2)).flatten(1))

    return Call(run, nn.TransformerEncoderLayer(2, 1, 5, batch_first=True, **kw), lin(6))


def hooked():
    net = flat(nn.Tanh())
    net[0].register_forward_hook(lambda m, i, o: 2 * o)
    net[0].register_full_backward_hook(lambda m, i, o: None)
    return net


def shared():
    layer = lin(6, 6)
    return flat(layer, nn.Tanh(), layer)


def image(*layers, numbers):
    """1×4×4 in, three out."""
    return nn.Sequential(nn.Unflatten(1, (1, 4, 4)), *layers, nn.Flatten(), lin(numbers))


def conv(*layers, numbers=16, channels=2):
    return image(nn.Conv2d(1, channels, 3, 2, 1), *layers, numbers=4 * channels)


def back16(*layers):
    return nn.Sequential(lin(D, 16), *layers)


def counting():
    class Counting(nn.Module):
        """Writes down how often it was called, in a buffer and in an attribute."""

        def __init__(self):
            super().__init__()
            self.layer, self.calls = lin(6), 0
            self.register_buffer("total", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            self.total += 1
            self.last = x
            return self.layer(x)

    return Counting()


def recording():
    class Recording(nn.Module):
        """Draws from generators of its own, keeps a record in lists and dicts, and lets neither matter."""

        def __init__(self):
            super().__init__()
            self.layer, self.seen, self.shapes, self.sizes = lin(6), [], {}, set()
            self.generators = torch.Generator(), np.random.default_rng(0), random.Random(0)
            self.torch, self.numpy, self.python = self.generators

        def forward(self, x):
            noise = (
                torch.randn(x.shape, generator=self.torch).norm() + self.numpy.random() + self.python.random()
            )
            self.seen.append(noise)
            self.shapes[len(self.seen)] = x.shape
            self.sizes.add(len(x))
            return self.layer(x)

        def record(self):
            states = self.torch.get_state().tolist(), self.numpy.bit_generator.state, self.python.getstate()
            return len(self.seen), dict(self.shapes), set(self.sizes), states

    return Recording()


def telling(how):
    """An encoder that tells its decoder of the batch that it saw last."""

    class Teller(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = lin(6)

        def forward(self, x):
            told.append(how(x.detach()))
            return self.layer(x)

    told = []
    return Teller(), Call(lambda z, f: f(z) * told[-1], lin(D, 6))


def hamiltonian(x, layer):
    with torch.enable_grad():
        (g,) = torch.autograd.grad(layer(x).tanh().sum(), x, create_graph=True)
    return g[:, :D]


# kind → encoder and decoder; six or sixteen numbers in, three or fewer between
ACTIVATIONS = (
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid,
    nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.ReLU6, nn.LogSigmoid,
    nn.Tanhshrink, nn.Softshrink,
)  # fmt: skip
GOOD = {a.__name__: lambda a=a: (flat(lin(6, 6), a()), dec(a(), lin(6, 6))) for a in ACTIVATIONS} | {
    "affine": lambda: (lin(6), dec()),
    "no bias": lambda: (lin(6, bias=False), lin(D, 6, bias=False)),
    "PReLU": lambda: (flat(nn.PReLU(6)), dec(nn.PReLU())),
    "RReLU in evaluation mode": lambda: (flat(nn.RReLU()), dec()),
    "GLU": lambda: (flat(nn.GLU(), out=3), dec()),
    "softmax of entries": lambda: (flat(nn.Softmax(1)), dec(nn.Softmax(1))),
    "log-softmax": lambda: (flat(nn.LogSoftmax(1)), dec()),
    "ReLU in place": lambda: (flat(lin(6, 6), nn.ReLU(True)), dec(nn.ReLU(True), lin(6, 6))),
    "first layer in place": lambda: (nn.Sequential(nn.LeakyReLU(0.1, True), lin(6)),
        nn.Sequential(nn.ELU(1.0, True), lin(D, 6))),
    "normalises its input": lambda: (
        Call(lambda x, f: f(F.normalize(x - x.mean(1, keepdim=True))), lin(6)),
        Call(lambda z, f: f(2 * z), lin(D, 6)),
    ),
    "normalises its input in place": lambda: (Call(in_place, lin(6)),
        Call(lambda z, f: f(z.mul_(2)), lin(D, 6))),
    "layer norm": lambda: (flat(nn.LayerNorm(6)), dec(nn.LayerNorm(6))),
    "RMS norm": lambda: (flat(nn.RMSNorm(6)), dec()),
    "batch norm in evaluation mode": lambda: (flat(nn.BatchNorm1d(6)), dec(nn.BatchNorm1d(6))),
    "dropout in evaluation mode": lambda: (flat(nn.Dropout(0.5), nn.Tanh()), dec(nn.AlphaDropout(0.5))),
    "dropout of nothing, in training mode": lambda: (flat(nn.Dropout(0.0).train(), nn.Tanh()), dec()),
    "instance norm": lambda: (conv(nn.InstanceNorm2d(2)), back16()),
    "group norm": lambda: (conv(nn.GroupNorm(1, 2)), back16()),
    "local response norm": lambda: (conv(nn.LocalResponseNorm(2)), back16()),
    "2d batch norm in evaluation mode": lambda: (conv(nn.BatchNorm2d(2), nn.ReLU()), back16()),
    "convolution": lambda: (conv(nn.SiLU()), back16(nn.Tanh())),
    "dilated convolution": lambda: (image(nn.Conv2d(1, 2, 2, dilation=2), numbers=8), back16()),
    "grouped convolution": lambda: (conv(nn.Conv2d(4, 4, 3, 1, 1, groups=2), channels=4), back16()),
    "circular padding": lambda: (conv(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")), back16()),
    "1d convolution": lambda: (Call(lambda x, f, g: g(f(x[:, None]).flatten(1)), nn.Conv1d(1, 2, 3), lin(8)),
        dec()),
    "3d convolution": lambda: (
        Call(lambda x, f, g: g(f(x.view(-1, 1, 2, 2, 4)).flatten(1)), nn.Conv3d(1, 1, 2), lin(3)),
        back16()),
    "transposed convolution": lambda: (conv(),
        Call(lambda z, f, g: g(f(z)[:, :, None, None]).flatten(1), lin(D, 2), nn.ConvTranspose2d(2, 1, 4))),
    "max pooling": lambda: (image(nn.MaxPool2d(2), numbers=4), back16()),
    "average pooling": lambda: (image(nn.AvgPool2d(2), numbers=4), back16()),
    "adaptive pooling": lambda: (image(nn.AdaptiveAvgPool2d(3), numbers=9), back16()),
    "power pooling": lambda: (image(nn.Softplus(), nn.LPPool2d(2, 2), numbers=4), back16()),
    "nearest upsampling": lambda: (image(nn.Upsample(scale_factor=2), numbers=64), back16()),
    "bilinear upsampling": lambda: (image(nn.Upsample(scale_factor=2, mode="bilinear"), numbers=64),
        back16()),
    "pixel shuffle": lambda: (conv(channels=4),
        nn.Sequential(lin(D, 16), nn.Unflatten(1, (4, 2, 2)), nn.PixelShuffle(2), nn.Flatten())),
    "unfold": lambda: (image(nn.Unfold(2), numbers=36), back16()),
    "channels last": lambda: (conv(nn.Tanh()).to(memory_format=torch.channels_last), back16()),
    "a code that is an image": lambda: (nn.Sequential(nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 1, 3, 2, 1)),
        nn.Sequential(nn.ConvTranspose2d(1, 1, 4, 2, 1), nn.Flatten())),
    "a code of one number": lambda: (lin(6, 1), lin(1, 6)),
    "a code without a dimension of its own": lambda: (Call(lambda x, f: f(x)[:, 0], lin(6, 1)),
        Call(lambda z, f: f(z[:, None]).tanh(), lin(1, 6))),
    "a code wider than the input": lambda: (nn.Sequential(lin(6, 9), nn.Tanh()), lin(9, 6)),
    "LSTM": lambda: (recurrent(nn.LSTM), dec()),
    "LSTM of two layers": lambda: (recurrent(nn.LSTM, num_layers=2, dropout=0.5), dec()),
    "LSTM in training mode": lambda: (recurrent(nn.LSTM).train(), dec()),
    "bidirectional LSTM": lambda: (recurrent(nn.LSTM, bidirectional=True), dec()),
    "LSTM with projection": lambda: (
        Call(lambda x, f, g: g(f(x.view(-1, 3, 2))[0][:, -1]),
             nn.LSTM(2, 4, proj_size=2, batch_first=True), lin(2)),
        dec()),
    "GRU": lambda: (recurrent(nn.GRU), dec()),
    "RNN": lambda: (recurrent(nn.RNN), dec()),
    "GRU cell": lambda: (Call(lambda x, f, g: g(f(x)), nn.GRUCell(6, 4), lin(4)), dec()),
    "LSTM cell": lambda: (Call(lambda x, f, g: g(f(x)[1]), nn.LSTMCell(6, 4), lin(4)), dec()),
    "attention": lambda: (attention(), dec()),
    "transformer block": lambda: (transformer(), dec()),
    "transformer block, norm first, GELU": lambda: (transformer(norm_first=True, activation="gelu"), dec()),
    "scaled dot-product attention": lambda: (
        Call(lambda x, g: g(F.scaled_dot_product_attention(*[x.view(-1, 1, 3, 2)] * 3).flatten(1)), lin(6)),
        dec()),
    "bilinear form": lambda: (Call(lambda x, f: f(x, x), nn.Bilinear(6, 6, D)), dec()),
    "residual": lambda: (flat(Call(lambda x, f: x + f(x).tanh(), lin(6, 6))), dec()),
    "a layer used twice": lambda: (shared(), dec()),
    "tied weights": lambda: (lambda e: (e, Call(lambda z, f: F.linear(z, f.weight.T).tanh(), e)))(lin(6)),
    "weight norm by hook": lambda: (flat(torch.nn.utils.weight_norm(lin(6, 6)), nn.Tanh()), dec()),
    "weight norm by parametrisation": lambda: (flat(nn.utils.parametrizations.weight_norm(lin(6, 6))), dec()),
    "spectral norm in evaluation mode": lambda: (flat(nn.utils.parametrizations.spectral_norm(lin(6, 6))),
        dec()),
    "orthogonal": lambda: (flat(nn.utils.parametrizations.orthogonal(lin(6, 6))), dec()),
    "pruned": lambda: (flat(prune.l1_unstructured(lin(6, 6), "weight", 0.5), nn.Tanh()), dec()),
    "Fourier transform": lambda: (Call(lambda x, f: f(torch.fft.rfft(x).abs()), lin(4)), dec()),
    "complex inside": lambda: (Call(lambda x, f: f((torch.complex(x, x**2) ** 2).imag), lin(6)), dec()),
    "sine": lambda: (flat(Call(lambda x, f: (30 * f(x)).sin(), lin(6, 6))), dec()),
    "sorting": lambda: (flat(Call(lambda x: x.sort(1).values)), dec()),
    "cumulative sum": lambda: (flat(Call(lambda x: x.cumsum(1) ** 2)), dec()),
    "gather": lambda: (Call(lambda x, f: f(x.gather(1, x.argsort(1))), lin(6)), dec()),
    "top k": lambda: (Call(lambda x: x.topk(3).values), dec()),
    "log-sum-exp": lambda: (Call(lambda x, f: torch.cat([f(x)[:, :2], x.logsumexp(1, True)], 1), lin(6)),
        dec()),
    "matrix inverse": lambda: (
        Call(lambda x, f: f(torch.linalg.inv(x[:, :4].view(-1, 2, 2) + 3 * torch.eye(2)).flatten(1)), lin(4)),
        dec()),
    "custom function": lambda: (flat(Call(lambda x: Cube.apply(x))), dec(Call(lambda x: Cube.apply(x)))),
    "hooks": lambda: (hooked(), dec()),
    "checkpointing": lambda: (
        Call(lambda x, f: checkpoint(f, x, use_reentrant=False), flat(nn.Tanh(), lin(6, 6), nn.Tanh())),
        dec()),
    "reentrant checkpointing": lambda: (
        Call(lambda x, f: checkpoint(f, x, use_reentrant=True), flat(nn.Tanh(), lin(6, 6), nn.Tanh())),
        dec()),
    "gradients inside": lambda: (Call(hamiltonian, lin(6, 6)), dec()),
    "data parallel": lambda: (nn.DataParallel(flat(nn.Tanh())), dec()),
    "scripted": lambda: (torch.jit.script(flat(nn.Tanh())), torch.jit.script(dec(nn.Sigmoid()))),
    "traced": lambda: (torch.jit.trace(flat(nn.Tanh()), torch.rand(2, 6)), dec()),
    "scripted LSTM": lambda: (torch.jit.script(Recurrent()), dec()),
    "counting its calls": lambda: (counting(), dec()),
    "keeping a record, with generators of its own": lambda: (recording(), dec()),
    "a sample beside the mean": lambda: (
        Call(lambda x, f: (f(x), f(x) + torch.randn(len(x), D))[0], lin(6)), dec()),
    "a plain function": lambda: (
        lambda x: torch.stack([x[:, 0] * x[:, 1], x[:, 2].sin(), x[:, 3:].prod(1)], 1),
        lambda z: torch.cat([z, z**2], 1)),
    "identity": lambda: (nn.Identity(), nn.Identity()),
    "view of its input": lambda: (Call(lambda x: x[:, :D]), Call(lambda z: torch.cat([z, z.flip(1)], 1))),
    "a constant decoder": lambda: (lin(6), Call(lambda z: z.new_ones(len(z), 6))),
    "a constant encoder": lambda: (Call(lambda x: x.new_ones(len(x), D)), dec()),
    "dead units": lambda: (flat(Call(lambda x: (x - 100).relu())), dec()),
    "exact zeros of a code": lambda: (flat(Call(lambda x: x.clamp(0.3, 0.6))),
        nn.Sequential(nn.ReLU(), lin(D, 6))),
}  # fmt: skip

#: What the naive reference cannot differentiate is the same function as another kind, of the same weights.
REFERENCE = {
    "reentrant checkpointing": "checkpointing",
    "normalises its input in place": "normalises its input",
}


def made(kind: str, table=GOOD):
    """Encoder, decoder and points, the same at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            pair = table[kind]()
        finally:
            torch.set_default_dtype(before)
        for f in pair:
            keep = isinstance(f, nn.Module) and [
                m for m in f.modules() if "in training" in kind and m.training
            ]
            if isinstance(f, nn.Module) and not keep:
                f.eval()
        for width in (6, 16):
            x = torch.rand(N, width, dtype=torch.float64)
            with contextlib.suppress(RuntimeError):
                if pair[1](pair[0](x.clone().requires_grad_().clone())).shape == x.shape:
                    break
    return *pair, x


def naive(encoder, decoder, x):
    """K_I, K_L and eigenvalues, one whole Jacobian at a time."""
    whole = torch.autograd.functional.jacobian
    found = []
    for point in x:
        e, g = (lambda v, f=f: f(v[None].clone())[0] for f in (encoder, decoder))
        z = e(point.clone().requires_grad_()).detach()
        y = g(z.clone().requires_grad_()).detach()
        d, m = z.numel(), y.numel()
        slope = whole(g, z).reshape(m, d)
        found.append([whole(e, at).reshape(d, m) @ slope for at in (point, y)])
    return [torch.stack(k).detach() for k in zip(*found)]


def apart(lam, mu):
    """The largest distance of an eigenvalue of one spectrum to the nearest of the other, both ways."""
    gaps = (lam[:, :, None] - mu[:, None]).abs()
    return max(gaps.amin(1).max().item(), gaps.amin(2).max().item())


@pytest.mark.parametrize("kind", GOOD)
def test_it_is_what_whole_jacobians_give_one_point_at_a_time(kind):
    encoder, decoder, x = made(kind)
    found = diagnose(encoder, decoder, x, batch=3)
    again = made(
        REFERENCE.get(kind, kind)
    )  # the reference has modules of its own: nothing is left over from the first run
    for j, k in zip("IL", naive(*again)):
        scale = max(1.0, k.abs().max().item())
        assert (found.k[j] - k).abs().max() <= 1e-11 * scale
        assert apart(found.lam[j], torch.linalg.eigvals(k)) <= 1e-7 * scale


@pytest.mark.parametrize("kind", GOOD)
def test_detect_has_the_scores_that_whole_jacobians_give(kind, monkeypatch):
    """Where K is regular; elsewhere its rank, and with it a score, hangs on the last digit."""
    encoder, decoder, x = made(kind)
    g = torch.Generator().manual_seed(1)
    reference = torch.rand(FEWEST, *x.shape[1:], dtype=torch.float64, generator=g)
    x = x[:2]
    k = torch.cat([*naive(*made(REFERENCE.get(kind, kind))[:2], torch.cat([reference, x]))])
    if not k.isfinite().all() or torch.linalg.cond(k).max() > 1e6:
        pytest.skip("a singular K")
    found = detect(encoder, decoder, reference, x)
    again = made(REFERENCE.get(kind, kind))[:2]

    def whole(encoder, decoder, x, batch=None):
        leaf = lambda p: p[None].clone().requires_grad_().clone()
        z = torch.cat([again[0](leaf(p)) for p in x]).detach()
        y = torch.cat([again[1](leaf(p)) for p in z]).detach()
        return z, y, *naive(*again, x)

    monkeypatch.setattr(diagnosing, "matrices", whole)
    expected = detect(*again, reference, x)
    assert len(found.scores.columns) >= 4 and [*found.scores] == [*expected.scores]
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.threshold, expected.threshold, rtol=1e-5, atol=1e-7)


def state(f):
    if not isinstance(f, nn.Module):
        return {}
    tensors = {f"tensor {n}": t.detach().clone() for n, t in (*f.named_parameters(), *f.named_buffers())}
    flags = {f"mode {n}": m.training for n, m in f.named_modules()}
    wanted = {f"wanted {n}": p.requires_grad for n, p in f.named_parameters()}
    given = {f"gradient {n}": p.grad for n, p in f.named_parameters()}
    own = {"record": f.record()} if hasattr(f, "record") else {}
    return tensors | flags | wanted | given | {"calls": getattr(f, "calls", None)} | own


@pytest.mark.parametrize("kind", GOOD)
def test_nothing_of_the_callers_is_changed(kind):
    encoder, decoder, x = made(kind)
    for f in (encoder, decoder):
        for p in f.parameters() if isinstance(f, nn.Module) else ():
            p.grad = torch.ones_like(p)
    before, points = [copy.copy(state(f)) for f in (encoder, decoder)], x.clone()
    generators = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    diagnose(encoder, decoder, x)
    assert torch.equal(x, points) and not x.requires_grad
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == generators[1:]
    for f, then in zip((encoder, decoder), before):
        now = state(f)
        assert now.keys() == then.keys()
        for name, value in then.items():
            same = torch.equal(now[name], value) if isinstance(value, torch.Tensor) else now[name] == value
            assert same, name


def no_grad(x, f):
    with torch.no_grad():
        return f(x)


def inference(x, f):
    with torch.inference_mode():
        return f(x)


def no_running(**kw):
    return nn.BatchNorm1d(6, track_running_stats=False, **kw)


def failing(x):
    raise KeyError("weights")


def remembering():
    class Remembering(nn.Module):
        h = 0.0

        def forward(self, x):
            self.h = self.h + 1
            return x[:, :D] * self.h

    return Remembering()


BAD = {
    "batch statistics without running averages": (lambda: (flat(no_running()), dec()),
        r"encoder: .*one point alone.*no batch statistics"),
    "batch norm in training mode": (lambda: (flat(nn.BatchNorm1d(6)), dec()),
        r"encoder: .*one point alone.*evaluation mode"),
    "batch statistics in the decoder": (lambda: (lin(6), dec(no_running())), r"decoder: .*one point alone"),
    "mean over the batch": (lambda: (flat(Call(lambda x: x - x.mean(0))), dec()),
        r"encoder: .*one point alone .* other values"),
    "softmax over the batch": (lambda: (flat(Call(lambda x: x.softmax(0))), dec()),
        r"encoder: .*one point alone"),
    "only the derivative mixes points": (
        lambda: (flat(Call(lambda x: x - x.mean(0) + x.mean(0).detach())), dec()),
        r"encoder: .*one point alone .* other derivatives"),
    "sequence first": (lambda: (Call(lambda x, f, g: g(f(x)[0]), nn.LSTM(6, 4), lin(4)), dec()),
        r"encoder: .*one point alone"),
    "squeeze": (lambda: (Call(lambda x, f: f(x).squeeze(), lin(6)), dec()), r"encoder: .*rror .*squeeze"),
    "squeeze of a single number": (
        lambda: (Call(lambda x, f: f(x).squeeze(), lin(6, 1)), Call(lambda z, f: f(z[:, None]), lin(1, 6))),
        r"encoder: .*squeeze"),
    "a fixed batch": (lambda: (Call(lambda x, f: f(x.view(4, 6)), lin(6)), dec()),
        r"encoder: expected a function of a batch of inputs.*RuntimeError"),
    "the whole batch as one row": (lambda: (Call(lambda x, f: f(x).flatten()[None], lin(6)), dec()),
        r"encoder: expected a row of numbers for each of 3 inputs, got shape \(1, 9\)"),
    "a number": (lambda: (Call(lambda x: x.sum()), dec()), r"encoder: expected a row of numbers"),
    "dropout in training mode": (lambda: (flat(nn.Dropout(0.5)), dec()),
        r"encoder: .*same outputs.*evaluation mode"),
    "rare dropout in training mode": (lambda: (lin(6), nn.Sequential(dec(), nn.Dropout(0.005))),
        r"decoder: .*same outputs.*evaluation mode"),
    "a norm of the batch, told to the decoder": (lambda: telling(torch.norm),
        r"decoder: expected outputs that its inputs alone determine, .*after another call of the encoder"),
    "norms of the points, told to the decoder": (lambda: telling(lambda x: x.norm(dim=1, keepdim=True)),
        r"decoder: "),
    "functional dropout": (lambda: (Call(lambda x, f: F.dropout(f(x), 0.5), lin(6)), dec()),
        r"encoder: .*same outputs"),
    "noise in the code": (lambda: (Call(lambda x, f: f(x) + torch.randn(D), lin(6)), dec()),
        r"encoder: .*same outputs"),
    "numpy's noise in the decoder": (lambda: (lin(6), Call(lambda z, f: f(z) * np.random.rand(), lin(D, 6))),
        r"decoder: .*same outputs"),
    "memory of earlier calls": (lambda: (remembering(), dec()), r"encoder: .*same outputs"),
    "a tuple": (lambda: (Call(lambda x, f, g: (f(x), g(x)), lin(6), lin(6)), dec()),
        r"encoder: expected one tensor as output, got a tuple of 2; wrap"),
    "a tuple from the decoder": (lambda: (lin(6), Call(lambda z, f: (f(z), z), lin(D, 6))),
        r"decoder: expected one tensor as output, got a tuple of 2"),
    "a dict": (lambda: (Call(lambda x, f: {"z": f(x)}, lin(6)), dec()),
        r"encoder: expected one tensor as output, got a dict of 1"),
    "nothing": (lambda: (Call(lambda x: None), dec()),
        r"encoder: expected one tensor as output, got a NoneType"),
    "an LSTM as it is": (lambda: (nn.LSTM(6, 3), dec()),
        r"encoder: expected one tensor as output, got a tuple of 2"),
    "an array": (lambda: (Call(lambda x: x.detach().numpy()), dec()),
        r"encoder: expected one tensor as output, got a ndarray"),
    "no_grad inside": (lambda: (Call(no_grad, lin(6)), dec()),
        r"encoder: .*derivative.*zero everywhere.*no_grad"),
    "inference mode inside": (lambda: (Call(inference, lin(6)), dec()),
        r"encoder: .*derivative.*zero everywhere"),
    "no_grad in the decoder": (lambda: (lin(6), Call(no_grad, lin(D, 6))),
        r"decoder: .*derivative.*zero everywhere"),
    "no_grad on a part": (lambda: (Call(lambda x, f: f(x).tanh() + no_grad(x, f), lin(6)), dec()),
        r"encoder: .*derivative.*another one.*detach"),
    "detached norm": (lambda: (Call(lambda x, f: f(x / x.norm(dim=1, keepdim=True).detach()), lin(6)), dec()),
        r"encoder: .*derivative.*another one"),
    "rounding": (lambda: (Call(lambda x, f: (9 * f(x)).round(), lin(6)), dec()),
        r"encoder: .*derivative.*zero everywhere"),
    "signs": (lambda: (Call(lambda x, f: f(x - 0.5).sign(), lin(6)), dec()),
        r"encoder: .*derivative.*zero everywhere"),
    "straight-through estimator": (
        lambda: (Call(lambda x, f: f(x) + (f(x).round() - f(x)).detach(), lin(6)), dec()),
        r"encoder: .*derivative.*another one.*straight-through"),
    "a reversed gradient": (lambda: (Call(lambda x, f: Reversal.apply(f(x)), lin(6)), dec()),
        r"encoder: .*derivative.*another one"),
    "through numpy": (
        lambda: (Call(lambda x, f: f(torch.from_numpy(np.sin(x.detach().numpy()))), lin(6)), dec()),
        r"encoder: .*derivative.*zero everywhere"),
    "complex code": (lambda: (Call(torch.fft.rfft), Call(lambda z: torch.fft.irfft(z, 6))),
        r"encoder: expected outputs of float64.*got complex128; return real and imaginary parts"),
    "complex weights": (lambda: (nn.Linear(6, 3, dtype=torch.complex128), dec()),
        r"encoder: expected parameters of float64 or float32, got complex128"),
    "half precision": (lambda: (lin(6).half(), dec().half()),
        r"encoder: expected parameters of float64 or float32, got float16; call encoder.double\(\)"),
    "single precision": (lambda: (lin(6).float(), dec().float()),
        r"encoder: expected parameters of float64 like x, got float32; call encoder.double\(\)"),
    "single precision of one half": (lambda: (lin(6), dec().float()),
        r"decoder: expected parameters of float64 like x, got float32"),
    "single precision inside": (lambda: (Call(lambda x, f: f(x).float(), lin(6)), dec()),
        r"encoder: expected outputs of float64.*got float32; call encoder.double"),
    "codes that are indices": (lambda: (Call(lambda x, f: f(x).argmax(1), lin(6)), dec()),
        r"encoder: expected outputs of float64.*got int64"),
    "meta tensors": (lambda: (nn.Linear(6, 3, device="meta"), dec()),
        r"encoder: expected parameters with values, got meta tensors"),
    "a lazy module": (lambda: (nn.LazyLinear(3), dec()),
        r"encoder: expected parameters with values, got those of a lazy module"),
    "another size of input": (lambda: (lin(5), dec()),
        r"encoder: expected a function of a batch of inputs, here shape \(3, 6\).*RuntimeError"),
    "another size of code": (lambda: (lin(6, 2), dec()),
        r"decoder: expected a function of a batch of inputs, here shape \(3, 2\)"),
    "another size of reconstruction": (lambda: (lin(6), lin(D, 5)),
        r"decoder: expected reconstructions of shape \(6,\), got shape \(5,\)"),
    "flattened reconstruction": (lambda: (lin(6), Call(lambda z, f: f(z)[:, None], lin(D, 6))),
        r"decoder: expected reconstructions of shape \(6,\), got shape \(1, 6\)"),
    "an error inside": (lambda: (Call(failing), dec()), r"encoder: .*KeyError: 'weights'"),
    "no module": (lambda: ("encoder", dec()), r"encoder: expected a module, got str"),
    "no decoder": (lambda: (lin(6), None), r"decoder: expected a module, got NoneType"),
    "an empty code": (lambda: (Call(lambda x: x[:, :0]), dec()),
        r"encoder: expected a row of numbers.*\(3, 0\)"),
    "not differentiable": (lambda: (flat(Call(lambda x: Broken.apply(x))), dec()),
        r"encoder: expected derivatives of its outputs, got .*NotImplementedError"),
}  # fmt: skip


class Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x


def one_line(error) -> str:
    message = str(error.value)
    assert (
        "\n" not in message
        and len(message) < 700
        and "expected" in message
        and "got" in message
        and ";" in message
    )
    return message


@pytest.mark.parametrize("kind", BAD)
def test_what_has_no_jacobian_at_a_point_is_refused_in_one_line(kind):
    with torch.random.fork_rng():
        torch.manual_seed(7)
        torch.set_default_dtype(torch.float64)
        try:
            encoder, decoder = BAD[kind][0]()
        finally:
            torch.set_default_dtype(torch.float32)
        x = torch.rand(5, 6, dtype=torch.float64)
    if "training mode" not in kind:
        for f in (encoder, decoder):
            if isinstance(f, nn.Module):
                f.eval()
    with pytest.raises(ValueError) as error:
        diagnose(encoder, decoder, x)
    assert re.search(BAD[kind][1], one_line(error))


@pytest.mark.parametrize(
    "kind", ["batch statistics without running averages", "mean over the batch", "squeeze of a single number"]
)
@pytest.mark.parametrize(
    "x", [torch.rand(1, 6).double(), torch.zeros(4, 6).double(), torch.ones(1, 6).double()]
)
def test_one_point_and_equal_points_do_not_hide_what_a_batch_does(kind, x):
    encoder, decoder = BAD[kind][0]()
    with pytest.raises(ValueError, match="encoder"):
        diagnose(encoder.double().eval(), decoder.double().eval(), x)


ENCODER, DECODER = made("Tanh")[:2]
GIVEN = {
    "a loader": (lambda x: torch.utils.data.DataLoader(x),
        r"x: expected a tensor.*got DataLoader;.*torch\.cat"),
    "a data set": (lambda x: torch.utils.data.TensorDataset(x), r"x: expected a tensor.*got TensorDataset"),
    "a pair": (lambda x: (x, x), r"x: expected a tensor.*got tuple"),
    "a dict": (lambda x: {"x": x}, r"x: expected a tensor.*got dict"),
    "None": (lambda x: None, r"x: expected a tensor.*got NoneType"),
    "text": (lambda x: "mnist", r"x: expected a tensor.*got str"),
    "meta": (lambda x: x.to("meta"), r"x: expected a dense tensor with values.*meta"),
    "sparse": (lambda x: x.to_sparse(), r"x: expected a dense tensor.*sparse"),
    "integers": (lambda x: (9 * x).long(), r"x: expected real floating-point numbers, got int64; scale"),
    "bytes": (lambda x: (255 * x).byte(), r"x: expected real floating-point numbers, got uint8"),
    "complex": (lambda x: x + 0j, r"x: expected real floating-point numbers, got complex128"),
    "no points": (lambda x: x[:0], r"x: expected at least one input, got shape \(0, 6\)"),
    "empty list": (lambda x: [], r"x: expected at least one input"),
    "a number": (lambda x: x[0, 0], r"x: expected at least one input, got shape \(\)"),
    "nested": (lambda x: torch.nested.nested_tensor([x[0], x[1]]),
        r"x: expected a dense tensor with values, got a nested tensor"),
    "ragged lists": (lambda x: [[1.0, 2.0], [3.0]], r"x: expected numbers, each input of one shape"),
    "ragged tensors": (lambda x: [x[0], x[1, :3]], r"x: expected numbers, each input of one shape"),
    "words": (lambda x: [["a"] * 6], r"x: expected numbers, each input of one shape"),
    "one point without batch": (lambda x: x[0],
        r"encoder: expected a function of a batch of inputs, here shape \(3,\)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", GIVEN)
def test_inputs_that_are_none_are_refused_in_one_line(kind):
    change, told = GIVEN[kind]
    with pytest.raises(ValueError) as error:
        diagnose(ENCODER, DECODER, change(torch.rand(4, 6, dtype=torch.float64)))
    assert re.search(told, one_line(error))


@pytest.mark.parametrize("change", [
    torch.Tensor.numpy, torch.Tensor.tolist, list, lambda x: [v.numpy() for v in x],
    lambda x: x.requires_grad_(), lambda x: nn.Parameter(x), lambda x: x.T.contiguous().T, torch.Tensor.float,
    torch.Tensor.half, lambda x: np.asfortranarray(x.numpy()), lambda x: x.float().numpy(),
    lambda x: x.flip(0).numpy()[::-1], lambda x: x.numpy().astype(">f8"),
    lambda x: torch.cat([x, x], 1)[:, :6],
])  # fmt: skip
def test_inputs_are_taken_as_they_come(change):
    x = (
        torch.rand(4, 6, generator=torch.Generator().manual_seed(0)) * 64
    ).round().double() / 64  # exact in half
    assert torch.equal(
        diagnose(ENCODER, DECODER, change(x.clone())).k["L"], diagnose(ENCODER, DECODER, x).k["L"]
    )


def test_single_precision_stays_single_and_agrees_with_double():
    encoder, decoder, x = made("SiLU")
    single = diagnose(copy.deepcopy(encoder).float(), copy.deepcopy(decoder).float(), x.float())
    double = diagnose(encoder, decoder, x)
    assert single.lam["I"].dtype == torch.complex64 and apart(single.lam["I"], double.lam["I"]) < 1e-5


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu")])
def test_the_callers_context_does_not_matter(context):
    encoder, decoder, x = made("GELU")
    expected = diagnose(encoder, decoder, x)
    with context():
        found = diagnose(encoder, decoder, x)
    assert torch.equal(found.k["I"], expected.k["I"]) and torch.equal(found.lam["L"], expected.lam["L"])


def test_a_compiled_module_is_differentiated_as_itself():
    encoder, decoder, x = made("GELU")
    one, two = nn.Module(), nn.Module()  # of a compiled module: importing the compiler takes seconds
    one._orig_mod, two._orig_mod = encoder, decoder
    found = diagnose(one, two, x)
    assert torch.equal(found.k["I"], diagnose(encoder, decoder, x).k["I"])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_one_point_that_is_not_finite_is_a_row_of_nan_and_nothing_else(bad):
    encoder, decoder, _ = made("SiLU")
    x = torch.rand(100, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = diagnose(encoder, decoder, x)
    x[17, 2] = bad
    found, rest = diagnose(encoder, decoder, x), torch.arange(100) != 17
    for name in ("k", "lam", "singular", "orientation", "rank"):
        for j in "IL":
            a, b = (getattr(d, name)[j] for d in (found, whole))
            assert torch.equal(a[rest], b[rest])
            assert (a[17] == -1).all() if name == "rank" else a[17].isnan().all()
    for name in ("distance", "error"):
        assert getattr(found, name)[17].isnan() and torch.equal(
            getattr(found, name)[rest], getattr(whole, name)[rest]
        )
    table = compare({"all": found})
    without = compare({"all": diagnose(encoder, decoder, x[rest])})
    assert table["left out"].tolist() == [1]
    assert table.drop(columns="left out").iloc[0, 1:].tolist() == pytest.approx(
        without.iloc[0, 1:].tolist(), rel=1e-12
    )
    assert planes({"all": found}).axes


def test_points_that_are_all_not_finite_are_rows_of_nan():
    encoder, decoder, x = made("Tanh")
    found = diagnose(encoder, decoder, torch.full_like(x, torch.nan))
    assert found.lam["I"].isnan().all() and found.rank["L"].tolist() == [-1] * N
    assert compare({"none": found})["left out"].tolist() == [N]


def test_data_sets_that_cannot_be_compared_are_refused():
    one, two = (diagnose(*made(kind)) for kind in ("Tanh", "a code of one number"))
    some = {}, {"a": one, "b": two}, one, [one], {"a": one, "b": 3}
    for call, several in ((call, several) for call in (compare, planes) for several in some):
        with pytest.raises(ValueError, match="diagnoses: expected some by name, of codes of one size, got"):
            call(several)


def test_a_reference_in_another_precision_is_refused():
    encoder, decoder = (lambda x: x[:, :D] ** 2), (lambda z: torch.cat([z, z.sin()], 1))
    x = torch.rand(FEWEST, 6, dtype=torch.float64)
    for reference, points in ((x, x.float()), (x.float(), x)):
        with pytest.raises(ValueError, match="reference: expected float.. like x, got float.."):
            detect(encoder, decoder, reference, points)


@pytest.mark.parametrize("of", [0, 1])
def test_one_call_that_gives_something_else_is_refused_or_without_effect(of, monkeypatch):
    """Whichever call it is: what is drawn seldom must not reach a number."""
    monkeypatch.setattr("lib.studies.differentiable.CALLS", 1)
    monkeypatch.setattr("lib.studies.differentiable.WIDER", 4)
    pair, calls = (lin(6).double(), lin(D, 6).double()), 0
    x = torch.rand(4, 6, dtype=torch.float64)
    expected = diagnose(*pair, x)

    def seldom(v):
        nonlocal calls
        calls += 1
        return pair[of](v) + torch.rand(1).ceil() * (calls == other)

    outcomes, other = [], 0
    while other == 0 or calls >= other:
        calls, other = 0, other + 1
        try:
            found = diagnose(*(seldom if i == of else f for i, f in enumerate(pair)), x)
        except ValueError as error:
            outcomes.append("refused")
            assert str(error).startswith(("encoder: expected", "decoder: expected"))
        else:
            outcomes.append("the same")
            assert all(torch.equal(found.k[j], expected.k[j]) for j in "IL")
            assert torch.equal(found.z, expected.z) and torch.equal(found.y, expected.y)
        calls = max(calls, other) if outcomes[-1] == "refused" else calls
    assert outcomes.count("refused") > 10


SMOOTH = [
    "Tanh",
    "GRU",
    "attention",
    "convolution",
    "scripted",
    "custom function",
    "layer norm",
    "checkpointing",
]


@settings(max_examples=12, deadline=None)
@given(kind=st.sampled_from(SMOOTH), n=st.integers(1, 7), batch=st.integers(1, 8), seed=st.integers(0, 2**16))
def test_a_batch_is_a_loop_and_permuting_points_permutes_rows(kind, n, batch, seed):
    encoder, decoder, x = made(kind)
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(n, x.shape[1], dtype=torch.float64, generator=g)
    found = matrices(encoder, decoder, x, batch)
    loop = [torch.cat(t) for t in zip(*(matrices(encoder, decoder, x[i : i + 1]) for i in range(n)))]
    order = torch.randperm(n, generator=g)
    mixed = matrices(encoder, decoder, x[order], batch)
    for a, b, c in zip(found, loop, mixed):
        assert torch.allclose(a, b, rtol=0, atol=1e-12) and torch.allclose(a[order], c, rtol=0, atol=1e-12)


def test_points_go_together_as_far_as_memory_allows(monkeypatch):
    """The forward passes of points differentiated together keep no more than is allowed; all come out."""
    seen = []

    def encoder(x):
        seen.append(len(x))
        return x.repeat(1, 1000).tanh().view(len(x), 1000, 6).mean(1)[:, :D]

    decoder = lambda z: torch.cat([z, z], 1).sin()
    x = torch.rand(70, 6, dtype=torch.float64)
    free = matrices(encoder, decoder, x)
    assert max(seen) == 70
    a_point = 2 * 6000 * 8  # what tanh keeps of one point, at x and at y
    monkeypatch.setattr("lib.studies.diagnose.MEMORY", 10 * a_point)
    monkeypatch.setattr("lib.studies.differentiable.WIDER", 3)
    seen.clear()
    bounded = matrices(encoder, decoder, x)
    assert 7 <= max(seen) <= 10
    for a, b in zip(free, bounded):
        assert torch.allclose(a, b, rtol=0, atol=1e-14)
    seen.clear()
    monkeypatch.setattr("lib.studies.diagnose.MEMORY", 1)  # never less than one point
    assert matrices(encoder, decoder, x[:5])[0].shape == (5, D)
