"""Anyone's module as a function with a Jacobian at every single point: checked, differentiated, left as is.

A derivative of a batch is taken for that of each of its points, and what automatic differentiation
gives for the derivative of the outputs. Both can be wrong in silence: batch statistics, a dimension
squeezed away, dropout, ``no_grad`` inside. `check` puts a few points to a module and refuses it then.
"""

from __future__ import annotations

import contextlib
import random
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

__all__ = ["Function", "inputs", "untouched", "check", "confirm", "call", "steady", "pull"]

Function = Callable[[Tensor], Tensor]

#: How far a derivative may be from its difference quotient, relative, and the step of that quotient.
GAP, STEP = 0.01, 1e-4
#: Points at which a derivative that is zero, or an effect of drawn numbers, is looked for elsewhere,
#: and how often the latter: dropout can leave three points as they are.
WIDER, CALLS = 64, 32


def inputs(encoder: Function, decoder: Function, x: Any) -> Tensor:
    """`x` as a tensor of the modules' dtype and device, where that is unambiguous and loses nothing."""
    if isinstance(x, list) or (hasattr(x, "__array__") and not isinstance(x, Tensor)):
        try:
            tensors = isinstance(x, list) and x and isinstance(x[0], Tensor)
            x = torch.stack(x) if tensors else torch.tensor(_native(np.asarray(x)))
        except Exception as error:
            _fail(
                "x", "numbers, each input of one shape", _line(error), "pass a tensor of shape (n, …)", error
            )
    if not isinstance(x, Tensor):
        todo = "pass a tensor of shape (n, …); of a loader, torch.cat of its batches of inputs"
        _fail("x", "a tensor, an array or a list of them", type(x).__name__, todo)
    if x.is_meta or x.layout != torch.strided or x.is_nested:
        got = f"{'a nested tensor' if x.is_nested else x.layout} on {x.device}"
        _fail("x", "a dense tensor with values", got, "pass the values, made dense")
    if not x.is_floating_point():
        todo = (
            "use real and imaginary parts as entries"
            if x.is_complex()
            else "scale it as in training, in double()"
        )
        _fail("x", "real floating-point numbers", str(x.dtype)[6:], todo)
    if not x.ndim or not x.numel():
        _fail("x", "at least one input", f"shape {tuple(x.shape)}", "pass x of shape (n, …)")
    kinds = {x.dtype}
    for name, f in (("encoder", encoder), ("decoder", decoder)):
        if not callable(f):
            _fail(name, "a module", type(f).__name__, "pass an nn.Module, or a function of a batch")
        for t in f.parameters() if isinstance(f, nn.Module) else ():
            kind, double = str(t.dtype)[6:], f"call {name}.double()"
            if is_lazy(t) or t.is_meta:
                what = "those of a lazy module" if is_lazy(t) else "meta tensors"
                _fail(name, "parameters with values", what, f"load the weights of {name}, or call it once")
            if t.is_complex() or t.dtype in (torch.float16, torch.bfloat16):
                todo = "use real and imaginary parts as entries" if t.is_complex() else double
                _fail(name, "parameters of float64 or float32", kind, todo)
            if t.dtype == torch.float32 and x.dtype == torch.float64:
                _fail(
                    name,
                    "parameters of float64 like x",
                    kind,
                    f"{double} (or x.float(), with less precision)",
                )
            kinds.add(t.dtype)
    single = torch.float32 in kinds and torch.float64 not in kinds
    first = next(encoder.parameters(), x) if isinstance(encoder, nn.Module) else x
    return x.detach().to(first.device, torch.float32 if single else torch.float64)


def _native(a: np.ndarray) -> np.ndarray:
    """The same numbers in the order of bytes and of memory that torch takes."""
    return np.ascontiguousarray(a, a.dtype.newbyteorder("="))


def _parts(*modules: Function) -> list[nn.Module]:
    return [m for f in modules if isinstance(f, nn.Module) for m in f.modules()]


def generators(*modules: Function) -> list[tuple[Callable[[], Any], Callable[[Any], None]]]:
    """How to read and to set the state of each random generator: the common ones and the modules' own."""
    found = [(torch.get_rng_state, torch.set_rng_state), (random.getstate, random.setstate)]
    found.append((np.random.get_state, np.random.set_state))
    parts = _parts(*modules)
    for device in {p.device for m in parts for p in m.parameters(False) if p.is_cuda}:
        there = {"device": device}
        found.append((partial(torch.cuda.get_rng_state, **there), partial(torch.cuda.set_rng_state, **there)))
    for g in (v for m in parts for v in vars(m).values()):
        if isinstance(g, np.random.Generator):
            g = g.bit_generator
            found.append((partial(getattr, g, "state"), partial(setattr, g, "state")))
        elif isinstance(g, (torch.Generator, np.random.RandomState)):
            found.append((g.get_state, g.set_state))
        elif isinstance(g, random.Random):
            found.append((g.getstate, g.setstate))
    return found


@contextlib.contextmanager
def untouched(*modules: Function) -> Iterator[None]:
    """Parameters are constants inside; attributes, buffers and generators are put back, whatever happens.

    Of an attribute that is a list, a dict or a set its entries are put back too.
    """
    parts = _parts(*modules)
    tensors = {
        id(t): t
        for m in parts
        for t in (*m.parameters(False), *m.buffers(False), *vars(m).values())
        if isinstance(t, Tensor)
    }.values()
    contents = [(t, t.detach().clone()) for t in tensors]
    inner = ("_parameters", "_buffers", "_modules")
    dicts = [d for m in parts for d in (vars(m), *(vars(m).get(i) for i in inner)) if isinstance(d, dict)]
    lists = [v for m in parts for v in vars(m).values() if type(v) in (list, set, dict, deque)]
    entries = [(v, copy(v)) for v in lists]
    before = [(d, dict(d)) for d in dicts]
    variables = [t for t in tensors if t.is_leaf and t.requires_grad and not t.is_inference()]
    devices = {t.device for t in tensors if t.is_cuda}
    states = [(put_back, state()) for state, put_back in generators(*modules)]
    with contextlib.ExitStack() as stack:
        for context in (torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad()):
            stack.enter_context(context)
        for kind in {"cpu", *(d.type for d in devices)}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        if any(isinstance(m, nn.RNNBase) for m in parts):  # cuDNN differentiates these in training mode only
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        try:
            for t in variables:
                t.requires_grad_(False)
            yield
        finally:
            for now, then in before:
                for added in now.keys() - then.keys():
                    del now[added]
                now.update(then)
            for now, then in entries:
                now.clear()
                (now.extend if isinstance(now, (list, deque)) else now.update)(then)
            with torch.no_grad():
                for t, content in contents:
                    if not torch.equal(t, content):
                        t.copy_(content)
            for t in variables:
                t.requires_grad_(True)
            for put_back, state in states:
                put_back(state)


def call(name: str, f: Function, at: Tensor) -> tuple[Tensor, Tensor]:
    """The leaf to differentiate by and the output of `f`, which sees a clone: it may write into its input."""
    leaf = at.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    got = f"shape {tuple(at.shape)} of {str(at.dtype)[6:]}"
    try:
        out = f(leaf.clone())
    except Exception as error:
        _fail(name, f"a function of a batch of inputs, here {got}", _line(error), "correct it or x", error)
    if not isinstance(out, Tensor):
        many = f" of {len(out)}" if hasattr(out, "__len__") else ""
        what = f"a {type(out).__name__}{many}"
        _fail(name, "one tensor as output", what, "wrap it in a module that returns the one that is meant")
    if out.dtype != at.dtype:
        hint = "return real and imaginary parts as entries" if out.is_complex() else f"call {name}.double()"
        _fail(name, f"outputs of {str(at.dtype)[6:]} like its inputs", str(out.dtype)[6:], hint)
    if out.device != at.device:
        _fail(name, f"outputs on {at.device} like its inputs", out.device, "move both modules to one device")
    if not out.ndim or len(out) != len(at) or not out.numel():
        todo = "return a first dimension of points, and do not squeeze it"
        _fail(name, f"a row of numbers for each of {len(at)} inputs", f"shape {tuple(out.shape)}", todo)
    return leaf, out


def steady(name: str, f: Function, at: Tensor, states: list[Callable[[], Any]]) -> tuple[Tensor, Tensor]:
    """`call`, refused where it has drawn random numbers that make a second call give something else.

    `states` are functions that give the states of random generators.
    """
    before = [state() for state in states]
    leaf, out = call(name, f, at)
    drawn = not all(map(_same, before, (state() for state in states)))
    if drawn and not _alike(out, call(name, f, at)[1]):
        _unsteady(name, "others at the second call")
    return leaf, out


def _same(a: Any, b: Any) -> bool:
    """Whether two states of one generator are equal, whatever they are made of."""
    if isinstance(a, (Tensor, np.ndarray)):
        return bool((a == b).all())
    if isinstance(a, dict):
        return all(map(_same, a.values(), b.values()))
    if isinstance(a, tuple):
        return all(map(_same, a, b))
    return a == b


def _unsteady(name: str, got: str) -> NoReturn:
    todo = f"use evaluation mode, {name}.eval(), and let it draw and remember nothing"
    _fail(name, "the same outputs for the same inputs", got, todo)


def pull(name: str, out: Tensor, leaf: Tensor, cotangent: Tensor) -> Tensor:
    """The vector-Jacobian product of each row."""
    if not out.requires_grad:
        return torch.zeros_like(leaf)
    try:
        return torch.autograd.grad(
            out, leaf, cotangent, retain_graph=True, allow_unused=True, materialize_grads=True
        )[0]
    except Exception as error:
        if "heckpoint" not in str(error):
            _fail(name, "derivatives of its outputs", _line(error), "differentiate it once by itself", error)
    out.backward(cotangent, retain_graph=True)  # all that reentrant checkpointing offers
    gradient, leaf.grad = leaf.grad, None
    return gradient


def _fail(name: str, expected: str, got: Any, todo: str, cause: Exception | None = None) -> NoReturn:
    raise ValueError(f"{name}: expected {expected}, got {got}; {todo}") from cause


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


class _Bytes(torch.autograd.graph.saved_tensors_hooks):
    """Counts what a forward pass keeps for the backward pass, weights left out."""

    def __init__(self, f: Function):
        weights = {t.data_ptr() for t in f.parameters()} if isinstance(f, nn.Module) else set()
        self.kept: dict[int, int] = {}

        def pack(t: Tensor) -> Tensor:
            if t.data_ptr() not in weights:
                self.kept[t.data_ptr()] = max(t.nbytes, self.kept.get(t.data_ptr(), 0))
            return t.detach()  # not itself: a result that is saved would hold on to itself

        super().__init__(pack, lambda t: t)


#: What `check` has put to a module: its name, the function, three points, what it gave for them.
Tried = tuple[str, Function, Tensor, Tensor]


def check(
    encoder: Function, decoder: Function, x: Tensor, states: list[Callable[[], Any]]
) -> tuple[list[Tried], torch.Size, int]:
    """Both as functions that overwrite nothing they need, what they gave, a code's shape, a point's bytes.

    Refuses what has no Jacobian at a single point: three points, moved off any kink, must give the same
    twice, alone what they give together, whatever the other module was called with before, and
    derivatives that difference quotients confirm.
    """
    g = torch.Generator().manual_seed(0)
    finite = x.reshape(len(x), -1).isfinite().all(1).nonzero()[:, 0]
    many, size, tried = x[finite[:WIDER]], 0, []
    for name, f in (("encoder", encoder), ("decoder", decoder)):
        points = _moved((many if len(many) else x)[[0, len(many) // 2, -1]], g)
        made = _Bytes(f)
        with made:
            at, out = call(name, f, points)
        kept = sum(made.kept.values()) + points.nbytes + out.nbytes
        size += (2 if name == "encoder" else 1) * kept // 3
        at, out = call(name, f, points)
        if name == "decoder" and out.shape[1:] != x.shape[1:]:
            here, there = (f"shape {tuple(t.shape[1:])}" for t in (out, x))
            _fail(name, f"reconstructions of {there}", here, "check both modules")
        before = [state() for state in states]
        if not _alike(out, call(name, f, points)[1]):
            _unsteady(name, "others at the second call")
        if not all(map(_same, before, (state() for state in states))):
            wider = many[torch.arange(WIDER) % len(many)] if len(many) else points
            first = call(name, f, wider)[1]
            if not all(_alike(first, call(name, f, wider)[1]) for _ in range(CALLS)):
                _unsteady(name, "others at a later call")
        v, apart, wrong = _normal(out, g), 0, 0
        try:
            together = pull(name, out, at, v)
        except ValueError as error:
            if "inplace operation" not in str(error):
                raise
            f = torch.func.functionalize(f)  # the same function, which writes over nothing
            at, out = call(name, f, points)
            together = pull(name, out, at, v)
        for point, value, cotangent, row in zip(*(t.split(1) for t in (points, out, v, together))):
            try:
                leaf, alone = call(name, f, point)
            except ValueError as error:
                _mixing(name, f"an error ({error})", error)
            if not _alike(alone, value):
                shapes = f"shapes {tuple(alone.shape)} and {tuple(value.shape)}"
                _mixing(name, "other values" if alone.shape == value.shape else shapes)
            pulled = pull(name, alone, leaf, cotangent)
            apart += not _alike(pulled, row)
            wrong += _contradicted(name, f, point, cotangent, pulled, _normal(point, g))
        if apart == 3:
            _mixing(name, "other derivatives")
        if wrong < 2 and not together.any() and len(many):  # a constant, or steps
            leaf, values = call(name, f, torch.cat([many, many / 2]))
            level = not pull(name, values, leaf, _normal(values, g)).any()
            wrong = 3 * (level and not _alike(values[:1].expand_as(values), values))
        if wrong >= 2:
            got = "another one" if together.any() else "zero everywhere though they change"
            todo = "take no_grad, detach, rounding and straight-through estimators out"
            _fail(name, "automatic differentiation to give the derivative of its outputs", got, todo)
        tried.append((name, f, points, out.detach()))
        many = call(name, f, many)[1].detach() if len(many) else out.detach()
    for (name, f, points, out), (other, g, elsewhere, _) in zip(tried, tried[::-1]):
        for point in (elsewhere[:1], elsewhere[1:]):
            call(other, g, point)
            if not _alike(out, call(name, f, points)[1]):
                got = f"others after another call of the {other}"
                _fail(name, "outputs that its inputs alone determine", got, "let the two share no state")
    return tried, tried[0][3].shape[1:], max(size, 1)


def confirm(tried: list[Tried], x: Tensor, z: Tensor, y: Tensor) -> None:
    """Refuse modules that no longer give what they gave to `check`, or that give no point alone what
    they gave a batch of `x` and `z`."""
    for (name, f, points, out), at, found in zip(tried, (x, z), (z, y)):
        if not _alike(out, call(name, f, points)[1]):
            _unsteady(name, "others after some calls")
        finite = (t.reshape(len(t), -1).isfinite().all(1) for t in (at, found))
        rows = torch.stack([*finite]).all(0).nonzero()[:, 0]
        rows = rows[[0, len(rows) // 2, -1]].tolist() if len(rows) else []
        if rows and not any(_alike(found[i : i + 1], call(name, f, at[i : i + 1])[1]) for i in rows):
            _mixing(name, "other values")


def _mixing(name: str, got: str, cause: Exception | None = None) -> NoReturn:
    todo = f"use evaluation mode, {name}.eval(), no batch statistics, and squeeze no first dimension"
    _fail(name, "one point alone to give what it gives in a batch", got, todo, cause)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, dtype=like.dtype, generator=generator).to(like.device)


def _moved(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Each entry up to 2 % towards the middle of the range, so within it,
    and off the values that many entries have."""
    low, high = rows.min(), rows.max()
    way = (low + high) / 2 - rows if low < high else rows.abs().clamp_min(1)
    return rows + 0.02 * _normal(rows, generator).sigmoid() * way


def _alike(a: Tensor, b: Tensor) -> bool:
    """Equal up to rounding, which may be that of half the digits."""
    a, b = (torch.where(t.isfinite(), t, 0).detach() for t in (a, b))
    if a.shape != b.shape:
        return False
    reach = torch.maximum(a.abs().max(), b.abs().max()) * torch.finfo(a.dtype).eps ** (1 / 3)
    return bool((a - b).abs().max() <= reach)


def _contradicted(name: str, f: Function, x: Tensor, v: Tensor, pulled: Tensor, along: Tensor) -> bool:
    """Whether ⟨v, f(x + hw) − f(x − hw)⟩/2h is far from ⟨vᵀDf, w⟩ for each step h, and not by rounding."""
    scale = x.square().mean().sqrt().item() or 1.0
    for step in (STEP, STEP / 100)[: 1 + (x.dtype == torch.float64)]:
        h = step * scale
        up, down = (v * call(name, f, x + s * h * along)[1].detach() for s in (1, -1))
        slope = (up - down).sum() / (2 * h)
        rounding = 10 * torch.finfo(x.dtype).eps * up.norm() / h
        gap = (slope - (pulled * along).sum()).abs()
        if not gap > GAP * (slope.abs() + pulled.norm()) + rounding:  # nor where one is not finite
            return False
    return True
