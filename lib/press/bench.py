"""What the two hot paths cost, beside what one would write instead, on one machine in one run.

Each comparison is done twice: on one thread by that thread's processor time, which says
something on a busy machine as well, and on all cores by the clock, which needs a quiet one.
Times are the best of a few repetitions. Speed and accuracy are taken from the same arrays.
And what a whole book costs, and one edit (`books`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from .. import eigen, jacobian, noise, paths, results, spectrum, workers
from ..model import Autoencoder, Ensemble
from ..protocol import NOISE_SETS, Protocol
from ..training import Trainer, subnormals_flushed
from . import checksums

__all__ = ["main", "measure", "books", "operations", "table", "RESULT", "result"]

#: Where `main` leaves its numbers for the book.
RESULT = paths.PUBLISHED / "bench.json"
#: Latent dimensions of the comparisons with automatic differentiation.
DIMS = (2, 5, 10, 15, 20)
POINTS = 500
#: Images and steps of the comparisons in training.
BATCH, STEPS = 128, 8
#: Multiply-adds of one column of K_I and K_L: down the decoder and into the encoder once,
#: through the rest of it twice.
SHARED, REST = 32 * 64 + 64 * 128 + 2 * 128 * 784, 128 * 64 + 64 * 32


def operations(d: int) -> int:
    """c(d), the floating-point operations that K_I and K_L take at a point, where no unit is left out."""
    return 2 * d * (SHARED + 2 * (REST + 32 * d))


def result() -> dict[str, Any] | None:
    """What the last ``make bench`` that is published measured, or None."""
    return checksums.read_numbers(RESULT)


def main(path: Path = RESULT) -> None:
    """Measure everything, print the table, write the numbers to `path`."""
    numbers = measure()
    checksums.write_numbers(path, numbers)
    print(table(numbers).to_string(index=False))
    print(f"\n{numbers['seconds']:.0f} s; written to {path}")


def measure() -> dict[str, Any]:
    """All measurements, by name, with a description of the machine."""
    os.environ["BOOK_DEVICE"] = "cpu"  # both sides of every comparison
    os.environ.pop("DASK_SCHEDULER_ADDRESS", None)  # this machine is measured
    threads, started = torch.get_num_threads(), time.monotonic()
    numbers: dict[str, Any] = {"environment": environment()}
    torch.set_num_threads(1)
    try:
        parts = [rates, spectra, chain, eigenproblems, training]
        parts += [subnormals, evaluation, all_cores, growth, memory]
        for part in tqdm(parts, desc="benchmarks", unit="part"):
            numbers[part.__name__] = part()
    finally:
        torch.set_num_threads(threads)
    return numbers | {"seconds": round(time.monotonic() - started, 1)}


#: What is changed before a build, and how: a file of the book or of ``lib``, and the line added to it.
EDITS = {
    "nothing there": ("", ""),
    "nothing changed": ("", ""),
    "a sentence of one page": ("book/related.md", "\nOne more sentence.\n"),
    "a sentence of one notebook": ("book/noise.md", "\nOne more sentence.\n"),
    "a module of one companion": ("lib/companions/topology/figures.py", "# one more comment\n"),
    "a module of lib/press": ("lib/press/publish.py", "# one more comment\n"),
}


def books(root: Path, profile: str) -> pd.DataFrame:
    """Whole builds of a copy of the project at `root`, one after another: from nothing, unchanged,
    and after one edit each.

    Returns
    -------
    DataFrame with ``before`` (a key of `EDITS`), seconds by the clock and of the processor,
    the number of notebooks executed, and the size of the site in MB.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="book-") as folder:
        copy = Path(folder) / "project"
        left = shutil.ignore_patterns(".git", ".venv", "_build", "results", "__pycache__", ".*_cache")
        shutil.copytree(root, copy, ignore=left)
        env = paths.absolute_environment() | {"PYTHONPATH": str(copy), "BOOK_RESULTS": f"{folder}/results"}
        command = [sys.executable, "-m", "lib", "book", "--profile", profile, "--output", f"{folder}/build"]
        for name, (file, line) in tqdm(EDITS.items(), desc="builds", unit="build"):
            if file:
                (copy / file).write_text((copy / file).read_text(encoding="utf-8") + line, encoding="utf-8")
            began, used = time.monotonic(), _children()
            done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"the book does not build: {done.stderr[-2000:]}")
            told = re.findall(r"^  \S+ +\d.*(?:s|min|h)$", done.stdout, re.M)
            size = sum(p.stat().st_size for p in Path(folder, "build", "html").rglob("*") if p.is_file())
            row = {"before": name, "clock": round(time.monotonic() - began, 1)}
            row |= {"processor": round(_children() - used, 1), "executed": len(told)}
            rows.append(row | {"site": round(size / 1e6, 1)})
    return pd.DataFrame(rows)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def environment() -> dict[str, Any]:
    """Processor, cores, memory, versions, and how busy the machine was."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        named = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
        model = named[1].strip() if named else model
    packages = {name: version(name) for name in ("torch", "numpy", "numba", "scipy")}
    capability = torch.backends.cpu.get_cpu_capability()
    machine = {"cpu": model, "vectors": capability, "cores": joblib.cpu_count(), "load": os.getloadavg()[0]}
    return machine | {"python": platform.python_version()} | packages


def _seconds(f: Callable[[], Any], repeats: int = 5, timer: Callable[[], float] = time.process_time) -> float:
    """Time of one call: the least of `repeats`, after one to warm up."""
    f()
    times = []
    for _ in range(repeats):
        start = timer()
        f()
        times.append(timer() - start)
    return min(times)


def _network(d: int) -> Autoencoder:
    return Ensemble.initial((d,), 0, torch.float64).member(d)


def rates(timer: Callable[[], float] = time.process_time) -> dict[str, float]:
    """Large matrix products in GFLOP/s: what the machine can do."""
    out = {}
    for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        a = torch.ones(1500, 1500, dtype=dtype)
        out[name] = 2 * 1500**3 / _seconds(lambda: a @ a, 5, timer) / 1e9
    return out


@torch.no_grad()
def spectra() -> list[dict[str, float]]:
    """Microseconds a point: K_I's spectrum naively, through `torch.func`, and ours; and the error of ours."""
    out = []
    x = noise.sample("uniform", 0, POINTS)
    for d in DIMS:
        net = _network(d)
        trip = jacobian.round_trip(net, x)
        naive = _seconds(lambda: _naive(net, x[:2]), 1) / 2
        func = _seconds(lambda: _through_the_waist(net, x), 2) / POINTS
        ours = _seconds(lambda: jacobian.matrices(net, jacobian.round_trip(net, x))) / POINTS
        k_i, k_l = jacobian.matrices(net, trip)
        small = _seconds(lambda: spectrum.eigenvalues(k_i)) / POINTS
        lapack = _seconds(lambda: torch.linalg.eigvals(k_i)) / POINTS
        pairs = zip(spectrum.eigenvalues(k_i[:2]), _naive(net, x[:2]))
        errors = [_distance(lam, full) for lam, full in pairs]
        scale = torch.linalg.matrix_norm(k_i[:2], 2)
        pairs = zip((k_i, k_l), _through_the_waist(net, x))
        same = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
        out.append(
            {
                "d": d, "naive": naive * 1e6, "func": (func + lapack) * 1e6, "ours": (ours + small) * 1e6,
                "func matrices": func * 1e6, "matrices": ours * 1e6, "eigenvalues": small * 1e6,
                "error": max(float(e / s) for e, s in zip(errors, scale)), "difference": same,
            }
        )  # fmt: skip
    return out


def _naive(net: Autoencoder, x: Tensor) -> Tensor:
    """The largest d eigenvalues of J_I (784×784), by automatic differentiation and LAPACK."""
    lam = torch.linalg.eigvals(jacobian.derivative(lambda v: net.decoder(net.encoder(v)), x))
    return lam.gather(1, lam.abs().argsort(dim=1, descending=True))[:, : net.d]


def _through_the_waist(net: Autoencoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """K_I and K_L by `torch.func`: reverse mode for E, with its d rows, forward for G with its d columns."""
    z, y = net(x)
    g = jacobian.derivative(net.decoder, z, forward=True)
    return jacobian.derivative(net.encoder, x) @ g, jacobian.derivative(net.encoder, y) @ g


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """The largest distance of a number in `a` from its nearest in `b`."""
    return (a[:, None] - b[None]).abs().amin(1).max()


@torch.no_grad()
def chain() -> list[dict[str, float]]:
    """The chain of products in GFLOP/s, counted without any unit left out:
    with the patterns of a usual network, and with all units active."""
    out = []
    x = noise.sample("uniform", 0, POINTS)
    for d in (10, 20):
        flops = operations(d) * POINTS
        net = _network(d)
        usual = jacobian.round_trip(net, x)
        # the slopes of the usual network stay:
        # those of one whose biases are large are subnormal numbers, which are slow
        on = {at: [torch.ones_like(m) for m in getattr(usual, at)] for at in ("at_x", "at_z", "at_y")}
        trips = {"all units active": dataclasses.replace(usual, **on), "usual": usual}
        rate = lambda trip: flops / _seconds(lambda: jacobian.matrices(net, trip)) / 1e9
        out.append({"d": d} | {name: rate(trip) for name, trip in trips.items()})
    return out


def eigenproblems() -> list[dict[str, float]]:
    """Microseconds a matrix: LAPACK on the batch, and ours; and the backward error of ours."""
    out = []
    for d in range(2, 21, 2):
        k = np.random.default_rng(d).normal(size=(4096, d, d))
        lam = eigen.eigvals(k)
        shifted = k[:200, None] - lam[:200, :, None, None] * np.eye(d)
        least = np.linalg.svd(shifted, compute_uv=False)[..., -1].max(1)
        residual = least / np.linalg.norm(k[:200], 2, axis=(1, 2))
        lapack = _seconds(lambda: torch.linalg.eigvals(torch.from_numpy(k)), 3) / len(k) * 1e6
        ours = _seconds(lambda: eigen.eigvals(k), 3) / len(k) * 1e6
        out.append({"d": d, "lapack": lapack, "ours": ours, "backward error": float(residual.max())})
    return out


def _stacked(seed: int = 0, times: int = 1) -> Callable[[], None]:
    """`STEPS` steps of nineteen networks on `BATCH` images each, `times` over."""
    dims = tuple(range(2, 21))
    x = noise.sample("bernoulli_0.13", 0, BATCH * STEPS).float()
    trainer = Trainer(Ensemble.initial(dims, seed), Protocol(dims=dims))

    def epochs() -> None:
        for _ in range(times):
            for rows in torch.arange(len(x)).split(BATCH):
                trainer.step(x[rows])

    return epochs


def _differentiated() -> Callable[[], None]:
    """The steps of `_stacked` on its parameters, with gradients and errors by automatic differentiation."""
    dims = tuple(range(2, 21))
    x, nets = noise.sample("bernoulli_0.13", 0, BATCH * STEPS).float(), Ensemble.initial(dims, 0)
    theta = nets.theta.requires_grad_(True)
    optimizer = torch.optim.Adam([theta], lr=Protocol().learning_rate, fused=True)

    def epoch() -> None:
        for batch in x.split(BATCH):
            nets.bind(theta)  # anew: autograd forgets views of a leaf that has changed
            optimizer.zero_grad()
            gap = nets(batch) - batch
            torch.linalg.vector_norm(gap.detach(), dim=(1, 2)).double().square()
            gap.square().mean((1, 2)).sum().backward()
            optimizer.step()

    return epoch


def _seed(_, seed: int, times: int) -> float:
    """Seconds by the clock of one seed's steps, in a process of one thread."""
    return _seconds(_stacked(seed, times), 2, time.perf_counter)


def training(timer: Callable[[], float] = time.process_time) -> dict[str, float]:
    """Seconds a step of nineteen networks on 128 images: stacked, one after another, with a `DataLoader`."""
    dims, x = tuple(range(2, 21)), noise.sample("bernoulli_0.13", 0, BATCH * STEPS).float()

    def single(loader: bool) -> Callable[[], None]:
        nets = [Autoencoder(d, torch.Generator().manual_seed(0)) for d in dims]
        fused = None if loader else True
        optimizers = [torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused) for net in nets]
        batches = [(b,) for b in x.split(BATCH)]
        if loader:
            batches = DataLoader(TensorDataset(x), batch_size=BATCH, shuffle=True)

        def epoch() -> None:
            for net, optimizer in zip(nets, optimizers):
                for (b,) in batches:
                    optimizer.zero_grad()
                    torch.nn.functional.mse_loss(net(b)[1], b).backward()
                    optimizer.step()

        return epoch

    ours, by_autograd = (_seconds(f(), 5, timer) / STEPS for f in (_stacked, _differentiated))
    alone, loader = (_seconds(single(kind), 2, timer) / STEPS for kind in (False, True))
    ways = {"stacked": ours, "autograd": by_autograd, "one after another": alone, "DataLoader": loader}
    return ways | {"gflops": _step_operations() / ours / 1e9}


def _step_operations() -> int:
    """Floating-point operations in one step of nineteen networks; there is no gradient at the input."""
    layers = 784 * 128 + 128 * 64 + 64 * 32
    return BATCH * sum(6 * 2 * (layers + 32 * d) - 2 * 784 * 128 for d in range(2, 21))


def subnormals() -> dict[str, float]:
    """Seconds of one optimiser step of nineteen networks when a quarter of Adam's running means are
    subnormal, as they are and flushed."""
    theta = Ensemble.initial(tuple(range(2, 21)), 0).theta
    still = torch.arange(len(theta)) % 4 == 0  # entries whose gradient has become zero
    theta.grad = torch.full_like(theta, 1e-4).masked_fill_(still, 0.0)
    optimizer = torch.optim.Adam([theta], lr=1e-3, fused=True)
    optimizer.step()
    state, out = optimizer.state[theta], {}
    for name, context in (("as they are", contextlib.nullcontext), ("flushed", subnormals_flushed)):
        state["exp_avg"][still], state["exp_avg_sq"][still] = 1e-41, 1e-12
        with context():
            out[name] = _seconds(optimizer.step)
    return out


@torch.no_grad()
def evaluation() -> dict[str, Any]:
    """Microseconds a point and network of a whole evaluation, by part; and of drawing each noise set."""
    out = []
    x = noise.sample("uniform", 0, POINTS)
    for d in range(2, 21, 3):
        net = _network(d)
        trip = jacobian.round_trip(net, x)
        k, _ = jacobian.matrices(net, trip)
        r = jacobian.rank(trip, trip.at_x)
        cell = spectrum.Cell(net)
        parts = {
            "round trip": lambda: jacobian.round_trip(net, x),
            "K_I and K_L": lambda: jacobian.matrices(net, trip),
            "eigenvalues": lambda: (spectrum.eigenvalues(k), spectrum.eigenvalues(k)),
            "orientation": lambda: [spectrum.orientation(net, trip, trip.at_x, k, r) for _ in range(2)],
            "all": lambda: cell.add(x),
        }
        out.append({"d": d} | {name: _seconds(f) / POINTS * 1e6 for name, f in parts.items()})
    draw = lambda name: _seconds(lambda: noise.sample(name, 0, noise.BLOCK), 2) / noise.BLOCK * 1e6
    return {"parts": out, "drawing": {name: draw(name) for name in NOISE_SETS}}


def all_cores() -> dict[str, Any] | None:
    """By the clock, on all cores: the usual ways with that many threads,
    spectra with that many processes of one thread.

    None on a busy machine: threads that wait for one another would be measured waiting for someone else.
    """
    cores, clock = joblib.cpu_count(), time.perf_counter
    if os.getloadavg()[0] > 1 + cores / 4:  # 1 is this process
        return None
    torch.set_num_threads(cores)
    x = noise.sample("uniform", 0, POINTS)
    k = np.random.default_rng(0).normal(size=(4096, 10, 10))
    out: dict[str, Any] = rates(clock) | {
        "eigenvalues": {
            "lapack": _seconds(lambda: torch.linalg.eigvals(torch.from_numpy(k)), 3, clock),
            "ours": _seconds(lambda: eigen.eigvals(k, cores), 3, clock),
        },
        "training": training(clock),
        "spectra": [],
    }
    together = lambda function, items: [found for _, found in workers.run(function, items, progress=False)]
    slowest = max(together(_seed, [(seed, 8) for seed in range(cores)]))
    out["seeds"] = {"count": cores, "gflops": cores * 8 * STEPS * _step_operations() / slowest / 1e9}
    for d in (10, 20):
        net = _network(d)
        out["spectra"].append(
            {
                "d": d,
                "naive": _seconds(lambda: _naive(net, x[:2]), 1, clock) / 2,
                "func": _seconds(lambda: _through_the_waist(net, x), 2, clock) / POINTS,
                "ours": _seconds(lambda: together(_spectra, [(net, 8)] * cores), 2, clock)
                / (8 * cores * POINTS),
            }
        )
    torch.set_num_threads(1)
    return out


@torch.no_grad()
def _spectra(_, net: Autoencoder, times: int) -> None:
    """K_I, K_L and the spectrum of K_I at `POINTS` points, `times` over."""
    x = noise.sample("uniform", 0, POINTS)
    for _ in range(times):
        spectrum.eigenvalues(jacobian.matrices(net, jacobian.round_trip(net, x))[0])


def growth() -> list[dict[str, float]]:
    """Seconds for one network (d = 11) against the number of points,
    and for 2,000 points against the number of networks."""
    out, first = [], Protocol(dims=(11,), points=250, training_set="digits")
    results.evaluate([Ensemble.initial((11,), 0)], first, "uniform", progress=False)
    sizes = [(n, (11,)) for n in (1_000, 10_000, 70_000)]
    for points, dims in sizes + [(2_000, tuple(range(2, 2 + n))) for n in (5, 10, 19)]:
        run = Protocol(dims=dims, seeds=(0,), points=points, training_set="digits")
        e = Ensemble.initial(dims, 0)
        laws = results.training_codes([e], run)
        start = time.process_time()
        results.evaluate([e], run, "uniform", progress=False, laws=laws)
        seconds = time.process_time() - start
        out.append({"points": points, "networks": len(dims), "columns": sum(dims), "seconds": seconds})
    return out


def memory() -> list[dict[str, float]]:
    """Peak resident memory in MB of a process that evaluates five networks, as one of several does."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.map(_peak, (1_000, 10_000, 70_000), chunksize=1)


def _peak(points: int) -> dict[str, float]:
    torch.set_num_threads(1)
    e = Ensemble.initial((2, 3, 4, 5, 6), 0)
    run = Protocol(dims=e.dims, seeds=(0,), points=points, training_set="digits")
    results.evaluate([e], run, "uniform", progress=False)
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts into ru_maxrss what the parent had
        peak = int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1])
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"points": points, "megabytes": peak / 1024}


def table(numbers: dict[str, Any]) -> pd.DataFrame:
    """The comparisons as a table: what, against what, how many times better, and the aim."""
    at = {row["d"]: row for row in numbers["spectra"]}
    train, rate = numbers["training"], numbers["rates"]
    every = numbers["all_cores"] or {}  # nothing, if the machine was busy
    both, lapack = every.get("training"), every.get("eigenvalues")
    cores = {row["d"]: row for row in every.get("spectra", ())}

    def ratio(row: dict[str, float] | None, way: str, ours: str) -> float:
        return row[way] / row[ours] if row else np.nan

    parts = pd.DataFrame(numbers["evaluation"]["parts"])
    drawn = np.mean(list(numbers["evaluation"]["drawing"].values()))
    drawing = drawn / np.interp(range(2, 21), parts.d, parts["all"]).sum()
    points = [row["seconds"] / row["points"] for row in numbers["growth"] if row["networks"] == 1]
    nets = [row["seconds"] / row["columns"] for row in numbers["growth"] if row["points"] == 2_000]
    naive, eigvals = "jacrev and eigvals of 784×784", "torch.linalg.eigvals"
    large = "rate of large matrix products"
    problems = {row["d"]: ratio(row, "lapack", "ours") for row in numbers["eigenproblems"]}
    ways = (
        ("one after another, fused Adam", "one after another", "2.5"),
        ("DataLoader, default Adam", "DataLoader", "5"),
        ("autograd on the same parameters", "autograd", "1.3"),
    )
    memory = [row["megabytes"] for row in numbers["memory"]]
    share = lambda what: what["gflops"] / every["float32"] if both else np.nan
    rows = [
        *((f"spectrum of K_I, d = {d}", naive,
           ratio(at[d], "naive", "ours"), ratio(cores.get(d), "naive", "ours"), aim)
          for d, aim in ((10, "8,000"), (20, "3,500"))),
        *((f"K_I and K_L, d = {d}", "torch.func",
           ratio(at[d], "func matrices", "matrices"), ratio(cores.get(d), "func", "ours"), "5")
          for d in (10, 20)),
        *((f"chain of products, d = {row['d']}, {kind}", large, row[kind] / rate["float64"], np.nan, "0.7")
          for row in numbers["chain"] for kind in ("all units active", "usual")),
        ("eigenvalues, d = 10", eigvals, problems[10], ratio(lapack, "lapack", "ours"), "2"),
        ("eigenvalues, least of all d", eigvals, min(problems.values()), np.nan, ""),
        *(("training 19 networks", against, ratio(train, way, "stacked"), ratio(both, way, "stacked"), aim)
          for against, way, aim in ways if way in train),
        ("training 19 networks", large, train["gflops"] / rate["float32"], share(both), "0.5"),
        ("training a seed of 19 networks in each process", large, np.nan, share(every.get("seeds")), "0.5"),
        ("drawing noise", "evaluating 19 networks on it", drawing, np.nan, "at most 0.1"),
        ("a point of 70,000", "a point of 1,000", points[-1] / points[0], np.nan, "0.9 to 1.1"),
        ("a column of 19 networks", "a column of 5 networks", nets[-1] / nets[0], np.nan, "at most 1"),
        ("peak memory at 70,000 points", "that at 10,000", memory[-1] / memory[1], np.nan, "flat"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["what", "against", "one thread", "all cores", "aim"])
    write = lambda v: "" if np.isnan(v) else f"{v:,.0f}" if v >= 100 else f"{v:.2g}"
    return frame.assign(**{name: frame[name].map(write) for name in ("one thread", "all cores")})
