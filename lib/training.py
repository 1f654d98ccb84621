"""Training: one ensemble a seed, resumable, bit for bit the same when interrupted.

The step is written out by hand on preallocated buffers: forward, backward and optimiser
for all networks of a seed at once. The tests hold it to autograd in float64.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from . import data, paths, workers
from .model import Ensemble
from .protocol import Protocol, ProtocolError
from .store import Store, digest

__all__ = [
    "train",
    "train_side_by_side",
    "untrained",
    "training_fields",
    "small",
    "batch_order",
    "torch_device",
    "subnormals_flushed",
    "Trainer",
]

#: Raise when the result of training changes; stored networks are then trained anew.
VERSION = 1
#: A longer run leaves these shorter ones behind as finished results of their own.
SNAPSHOTS = (10, 30, 100)
#: Images passed through training from which several processes are worth their start.
WORTHWHILE = 100_000
#: Seconds of training that a kill may cost. A store that takes longer than the second number for a checkpoint
#: gets fewer, in proportion: however many write to it, they spend 2 % of their time on that at most.
CHECKPOINT_SECONDS, WRITING_SECONDS = 20.0, 0.4


@contextlib.contextmanager
def subnormals_flushed() -> Iterator[None]:
    """Numbers below the smallest normal one count as zero, for speed alone: weights stay what they are.

    Adam's running mean of a gradient that has become zero decays by .9 a step until it is
    subnormal, and then stays so. On MNIST a quarter of all of them are after some twenty epochs,
    and a step takes nearly twice as long. Threads that exist already keep their own setting.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def torch_device() -> torch.device:
    """Where this process computes, ``BOOK_DEVICE``: ``auto`` is a CUDA GPU if there is one.
    Apple's MPS has no float64 and is not used."""
    name = paths.device()
    if name not in ("auto", "cpu", "cuda"):
        raise ProtocolError(
            f"BOOK_DEVICE: expected one of auto, cpu, cuda, got {name!r}; for instance BOOK_DEVICE=cpu"
        )
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def training_fields(protocol: Protocol, seed: int, epochs: int | None = None) -> dict[str, Any]:
    """What determines the networks of one seed: the key of everything trained."""
    names = ("dims", "batch_size", "optimizer", "learning_rate", "loss")
    fields = {name: getattr(protocol, name) for name in names}
    fields |= {"seed": seed, "epochs": protocol.epochs if epochs is None else epochs}
    return fields | {"images": data.digest(protocol.training_set), "version": VERSION}


def batch_order(seed: int, epoch: int, n: int) -> Tensor:
    """The order in which `n` images are visited: a function of (seed, epoch) and of nothing that runs.

    >>> bool((batch_order(0, 3, 9) == batch_order(0, 3, 9)).all())
    True
    """
    word = hashlib.sha256(f"batch order|{seed}|{epoch}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(word[:7], "big"))
    return torch.randperm(n, generator=generator)


def untrained(protocol: Protocol) -> list[Ensemble]:
    """The networks before the first step: the null baseline of every claim."""
    return [Ensemble.initial(protocol.dims, seed) for seed in protocol.seeds]


def train(protocol: Protocol, store: Store | None = None, progress: bool = True) -> list[Ensemble]:
    """The trained ensembles of a protocol, one a seed: loaded if stored, else trained.

    Training is float32. After a kill it goes on from the last
    checkpoint, and ends bit-identical to an uninterrupted run on the same device and with
    the same number of threads.
    """
    store = store or Store()
    train_side_by_side([protocol], store, progress)
    return [_train_seed(protocol, seed, store, progress) for seed in protocol.seeds]


def train_side_by_side(
    protocols: Sequence[Protocol], store: Store | None = None, progress: bool = True
) -> None:
    """Train what is not stored yet of all protocols and seeds, several at once,
    each in a process of its own (`lib.workers`).

    One step has little work for many threads: two processes with one thread each train two seeds
    in four fifths of the time that both threads need for one after the other.
    """
    store = store or Store()
    # those that differ in length alone go together, the longest first: it passes through the others
    runs: dict[str, list[Protocol]] = {}
    for p in sorted(protocols, key=lambda p: -p.epochs):
        for seed in p.seeds:
            if not store.path("networks", training_fields(p, seed), "safetensors").exists():
                family = digest(training_fields(p, seed, epochs=0))
                runs.setdefault(family, []).append(p.replace(seeds=(seed,)))
    longest = [p for p, *_ in runs.values()]
    label = f"training {sum(len(p.dims) for p in longest)} networks"
    for _ in workers.run(
        _train_all, [(run,) for run in runs.values()], store, weights=[p.epochs for p in longest],
        here=all(map(small, longest)), label=label, unit="epoch", progress=progress,
    ):  # fmt: skip
        pass


def small(protocol: Protocol) -> bool:
    """Whether its training, and what is done with its networks in the same order of time,
    is too short for other processes."""
    return protocol.epochs * data.trained(protocol.training_set) < WORTHWHILE


def _train_all(store: Store, protocols: Sequence[Protocol]) -> None:
    for protocol in protocols:
        for seed in protocol.seeds:
            _train_seed(protocol, seed, store, progress=False)


def _train_seed(protocol: Protocol, seed: int, store: Store, progress: bool) -> Ensemble:
    fields = training_fields(protocol, seed)
    compute = lambda: _trained(protocol, seed, store, progress).tensors()
    return Ensemble.from_tensors(store.tensors("networks", fields, compute), seed)


def _trained(protocol: Protocol, seed: int, store: Store, progress: bool) -> Ensemble:
    """The networks of one seed, trained on from the last checkpoint."""
    images = data.load(protocol.training_set)
    device = torch_device()
    trainer = Trainer(Ensemble.initial(protocol.dims, seed), protocol, device)
    place = training_fields(protocol, seed, epochs=0)  # a checkpoint serves every number of epochs
    checkpoint = store.load_tensors("checkpoints", place)
    if checkpoint is not None and len(checkpoint["curves.train"]) <= protocol.epochs:
        trainer.load(checkpoint)

    x, held_out = (t.to(device, torch.float32) for t in (images.train, images.test))
    saved, took = time.monotonic(), 0.0
    bar = tqdm(
        total=protocol.epochs, initial=trainer.epoch, disable=not progress, unit="epoch", smoothing=0.05,
        desc=f"training {len(protocol.dims)} networks, seed {seed}",
    )  # fmt: skip
    with subnormals_flushed(), bar:
        while trainer.epoch < protocol.epochs:
            trainer.run_epoch(x, held_out)
            bar.update()
            workers.report(trainer.epoch)
            if trainer.epoch in SNAPSHOTS and trainer.epoch < protocol.epochs:
                store.save_tensors(
                    "networks", training_fields(protocol, seed, trainer.epoch), trainer.ensemble.tensors()
                )
            began = time.monotonic()
            if began - saved > CHECKPOINT_SECONDS * max(1.0, took / WRITING_SECONDS):
                store.save_tensors("checkpoints", place, trainer.tensors())
                saved = time.monotonic()
                took = saved - began
    # the optimiser's state stays: a later run with more epochs continues from it
    store.save_tensors("checkpoints", place, trainer.tensors())
    return trainer.ensemble


class Trainer:
    """The state of training: an ensemble, its optimiser, and the buffers of one step.

    Parameters
    ----------
    ensemble : Ensemble
        Trained in place, in its own dtype.
    protocol : Protocol
        ``batch_size``, ``optimizer``, ``learning_rate`` and ``loss`` are used.
    device : torch.device
    """

    def __init__(self, ensemble: Ensemble, protocol: Protocol, device: torch.device | str = "cpu"):
        self.ensemble, self.protocol = ensemble, protocol
        ensemble.bind(ensemble.theta.to(device))
        self.theta = ensemble.theta
        self.theta.grad = torch.zeros_like(self.theta)
        grads = ensemble.unflatten(self.theta.grad)
        self.weight_grads, self.bias_grads = grads[0::2], grads[1::2]
        self.optimizer = {
            "adam": lambda: torch.optim.Adam([self.theta], lr=protocol.learning_rate, fused=True),
            "sgd": lambda: torch.optim.SGD([self.theta], lr=protocol.learning_rate, momentum=0.9, fused=True),
        }[protocol.optimizer]()
        self.buffers: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        self.curves: dict[str, list[Tensor]] = {"train": [], "test": []}

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return len(self.curves["train"])

    def run_epoch(self, x: Tensor, held_out: Tensor) -> None:
        """Visit every row of `x` once, in the order of (seed, epoch); then measure on `held_out`."""
        order = batch_order(self.ensemble.seed, self.epoch, len(x)).to(x.device)
        error = torch.zeros(len(self.ensemble), dtype=torch.float64, device=x.device)
        for rows in order.split(self.protocol.batch_size):
            error += self.step(x[rows])
        test = torch.zeros_like(error)
        for block in held_out.split(1_000):
            _, y = self.ensemble.forward(block)
            test += torch.linalg.vector_norm(y.sub_(block), dim=(1, 2)).double().square()
        self.curves["train"].append((error / x.numel()).cpu())
        self.curves["test"].append((test / held_out.numel()).cpu())
        self.ensemble.curves = {name: torch.stack(rows) for name, rows in self.curves.items()}

    @torch.no_grad()
    def step(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """One optimiser step of every network on one batch.

        Parameters
        ----------
        x : Tensor, shape (b, 784)
        target : Tensor, shape (b, 784), optional
            What is to be reconstructed; default `x` itself.

        Returns
        -------
        Tensor, shape (k,), float64: the squared error of each network, summed over the
        batch and the pixels, before the step.
        """
        target = x if target is None else target
        inputs, deltas = self._forward(x)
        y, delta = inputs[-1], deltas[-1]
        torch.sub(y, target, out=delta)  # (k, b, 784)
        error = torch.linalg.vector_norm(delta, dim=(1, 2)).double().square()
        if self.protocol.loss == "mse":
            delta.mul_(2 / target.numel())
        else:  # mean over the batch of ‖y − x‖, whose gradient is the unit vector
            norms = torch.linalg.vector_norm(delta, dim=2, keepdim=True)
            delta.div_(norms.clamp_min_(torch.finfo(delta.dtype).tiny)).div_(len(x))
        torch.ops.aten.tanh_backward.grad_input(delta, y, grad_input=delta)
        self._backward(inputs, deltas)
        self.optimizer.step()
        return error

    def _forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Inputs of every layer, the output last, and the buffers for their gradients."""
        ensemble = self.ensemble
        if len(x) not in self.buffers:  # two sizes at most: the full batch and the remainder
            shapes = [(len(ensemble), len(x), w.shape[2]) for w in ensemble.weights]
            self.buffers[len(x)] = tuple([x.new_empty(s) for s in shapes] for _ in range(2))
        outputs, deltas = self.buffers[len(x)]
        h = x.expand(len(ensemble), *x.shape)
        inputs = [h]
        for i, (w, b, out) in enumerate(zip(ensemble.weights, ensemble.biases, outputs)):
            torch.baddbmm(b, h, w, out=out)
            if i == len(outputs) - 1:
                out.tanh_()
            elif i != ensemble.waist:
                out.relu_()
            inputs.append(h := out)
        return inputs, deltas

    def _backward(self, inputs: list[Tensor], deltas: list[Tensor]) -> None:
        """Gradients of all weights and biases from the gradient at the last pre-activation."""
        weights = self.ensemble.weights
        for i in reversed(range(len(weights))):
            torch.bmm(inputs[i].transpose(1, 2), deltas[i], out=self.weight_grads[i])
            torch.sum(deltas[i], 1, keepdim=True, out=self.bias_grads[i])
            if i:
                torch.bmm(deltas[i], weights[i].transpose(1, 2), out=deltas[i - 1])
                if i - 1 != self.ensemble.waist:
                    # a unit at exactly 0 passes no gradient, as in PyTorch
                    torch.ops.aten.threshold_backward.grad_input(
                        deltas[i - 1], inputs[i], 0, grad_input=deltas[i - 1]
                    )

    def tensors(self) -> dict[str, Tensor]:
        """The whole state, as named tensors."""
        state = self.optimizer.state[self.theta]
        named = {f"optimizer.{name}": t for name, t in state.items() if isinstance(t, Tensor)}
        curves = {f"curves.{name}": torch.stack(rows) for name, rows in self.curves.items()}
        return named | {"theta": self.theta} | curves

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `tensors`."""
        self.theta.copy_(tensors["theta"])
        device = self.theta.device
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            if group == "optimizer":
                self.optimizer.state[self.theta][rest] = tensor.to(device)
            elif group == "curves":
                self.curves[rest] = list(tensor)
        self.ensemble.curves = {name: torch.stack(rows) for name, rows in self.curves.items()}
