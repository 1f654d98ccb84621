"""What more workers bring: measured here with one and two, and simulated for more from measured times.

`measure` needs the extra ``cluster``. `estimate` computes nothing but a schedule: its numbers are simulated,
from the seconds that items took where they were measured and the order in which a scheduler hands them out.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import paths, training, workers
from ..model import Ensemble
from ..protocol import Protocol
from ..store import Store
from . import checksums

__all__ = ["main", "result", "measure", "medians", "Plan", "schedule", "stages", "estimate", "RESULT"]

#: Where `main` leaves its numbers for the book.
RESULT = paths.PUBLISHED / "scaling.json"
#: Items that do nothing, items that work, and how often each comparison is repeated.
EMPTY, WORKING, REPEATS = 100, 4, 3
#: The item that works: one seed of reduced length, well under a second of a processor.
REDUCED = Protocol(training_set="digits", dims=(2, 8, 14, 20), seeds=(0,), epochs=2)


def result() -> dict[str, Any] | None:
    """What the last measurement that is published found, or None."""
    return checksums.read_numbers(RESULT)


def main(path: Path = RESULT) -> None:
    """Measure, write the numbers to `path`, print them."""
    from .bench import environment

    numbers = {"environment": environment() | {"distributed": workers._versions()["distributed"]}} | measure()
    checksums.write_numbers(path, numbers)
    print(pd.DataFrame(numbers["runs"]).to_string(index=False))
    print(f"written to {path}")


def _nothing(store: Store | None, *number: int) -> None:
    """An item without work: what it takes is overhead."""


def _seed(store: Store | None, seed: int) -> tuple[float, float]:
    """Train a seed anew; seconds by the clock and of this thread's processor."""
    clock, processor = time.perf_counter(), time.thread_time()
    with tempfile.TemporaryDirectory() as folder:
        training._train_seed(REDUCED, seed, Store(folder), progress=False)
    return time.perf_counter() - clock, time.thread_time() - processor


@contextlib.contextmanager
def _cluster(count: int) -> Iterator[None]:
    """`count` workers of one thread on this machine, and their scheduler in this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=count, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as started:
        os.environ["DASK_SCHEDULER_ADDRESS"] = started.scheduler_address
        try:
            yield
        finally:
            del os.environ["DASK_SCHEDULER_ADDRESS"]


def measure() -> dict[str, Any]:
    """Items without work and items that train, on one worker and on two, and in this machine's own processes.

    Returns
    -------
    dict: ``runs``, a row for each place and repetition: ``place, workers``; ``connect``, seconds of a run of
    two items without work; for each further one of these, ``overhead``, seconds by the clock times workers,
    and ``handing``, processor seconds of this process, which is caller and scheduler; ``seconds`` and
    ``processor``, medians of an item that trains; and ``efficiency``, Σ seconds of these
    items / (workers · time of their run).
    """
    rows = []
    places = [("scheduler", 1), ("scheduler", 2), ("processes", 2)]
    with tqdm(total=REPEATS * len(places), desc="workers", unit="run") as bar:
        for place, count in places:
            with contextlib.ExitStack() as stack:
                if place == "scheduler":
                    stack.enter_context(_cluster(count))
                for _, seconds in workers.run(_seed, [(10**6 + i,) for i in range(count)], progress=False):
                    pass  # so that every worker has imported what it needs
                for repeat in range(REPEATS):
                    rows.append({"place": place, "workers": count} | _measured(count, repeat))
                    bar.update()
    return {"empty": EMPTY, "working": WORKING, "runs": rows}


def _measured(count: int, repeat: int) -> dict[str, float]:
    def took(items: int) -> tuple[float, float]:
        clock, own = time.perf_counter(), time.process_time()
        for _ in workers.run(_nothing, [(repeat, items, i) for i in range(items)], progress=False):
            pass
        return time.perf_counter() - clock, time.process_time() - own

    (connect, connect_own), (whole, whole_own) = took(2), took(2 + EMPTY)
    clock = time.perf_counter()
    items = [(repeat * WORKING + i,) for i in range(WORKING)]
    seconds, processor = zip(*(found for _, found in workers.run(_seed, items, progress=False)))
    clock = time.perf_counter() - clock
    return {
        "connect": connect,
        "overhead": count * (whole - connect) / EMPTY,
        "handing": (whole_own - connect_own) / EMPTY,
        "seconds": statistics.median(seconds),
        "processor": statistics.median(processor),
        "efficiency": sum(seconds) / (count * clock),
    }


def medians(measured: dict[str, Any]) -> pd.DataFrame:
    """The medians of `measure` by place and number of workers, as the book shows them."""
    names = {
        "place": "items go to", "workers": "workers", "connect": "beginning, s", "overhead": "overhead, ms",
        "handing": "handing out, ms", "processor": "work, s", "share": "share of a core",
        "efficiency": "efficiency",
    }  # fmt: skip
    found = pd.DataFrame(measured["runs"]).groupby(["place", "workers"], sort=False).median().reset_index()
    found = found.assign(share=found.processor / found.seconds)
    found[["overhead", "handing"]] *= 1e3
    return found[list(names)].rename(columns=names)


class Plan(NamedTuple):
    """A schedule: the time until the last item ends, and the time that workers spend on items, in seconds."""

    makespan: float
    busy: float


def schedule(seconds: Sequence[float], count: int, handing: float = 0.0, overhead: float = 0.0) -> Plan:
    """Items in order, each on the worker that is free first, one handed out after the other.

    With worker w free at f_w, item i begins at b_i = max(b_{i−1}, min_w f_w) + handing, and ends at
    b_i + overhead + seconds_i.

    >>> schedule([5, 1, 1, 1], 2)
    Plan(makespan=5.0, busy=8.0)
    """
    free, begun, busy = [0.0] * count, 0.0, 0.0
    for s in seconds:
        begun = max(begun, free[0]) + handing
        heapq.heapreplace(free, begun + overhead + s)
        busy += overhead + s
    return Plan(float(max(free)), float(busy))


def stages(bench: dict[str, Any], seeds: int, protocol: Protocol | None = None) -> dict[str, np.ndarray]:
    """Seconds of every item of a run on one thread, stage by stage as `lib.results.run` has them,
    from what `make bench` measured.

    An item of ``training`` is a seed: epochs · ⌈60,000/batch⌉ steps. One of ``training codes`` is a seed as
    well: the encoders' values at every image, one third of a round trip's. One of ``spectra`` is a quarter of
    a seed's networks on one set: for each point the drawing, and for each network the evaluation at its d.
    """
    protocol = protocol or Protocol()
    steps = protocol.epochs * -(-60_000 // protocol.batch_size)
    parts = pd.DataFrame(bench["evaluation"]["parts"])
    at = lambda column: dict(zip(protocol.dims, np.interp(protocol.dims, parts.d, parts[column]) / 1e6))
    cell, trip, drawing = at("all"), at("round trip"), bench["evaluation"]["drawing"]
    spectra = [
        points * (drawing.get(name, 0.0) / 1e6 + sum(cell[d] for d in protocol.dims[i::4]))
        for name, points in [
            ("train", 70_000),
            ("test", 10_000),
            *((s, protocol.points) for s in protocol.sets),
        ]
        for _ in range(seeds)
        for i in range(min(4, len(protocol.dims)))
    ]
    return {
        "training": np.full(seeds, steps * bench["training"]["stacked"]),
        "training codes": np.full(seeds, 70_000 * sum(trip.values()) / 3),
        "spectra": np.array(spectra),
    }


def estimate(
    bench: dict[str, Any], measured: dict[str, Any] | None, seeds: Sequence[int], counts: Sequence[int]
) -> pd.DataFrame:
    """Simulated: the paper's protocol with so many seeds on so many workers; without `measured`,
    handing out costs nothing.

    Returns
    -------
    DataFrame, one row a number of seeds and of workers: ``hours`` until all is done, ``core-hours`` for which
    workers are held, ``efficiency`` the share of these that items take, and ``bottleneck``: which of three
    lower bounds of the time is largest, summed over stages, the work over the workers, the longest item, or
    the handing out of items.
    """
    handing = overhead = 0.0
    if measured:
        runs = pd.DataFrame(measured["runs"])
        two = runs[(runs.place == "scheduler") & (runs.workers == runs.workers.max())]
        handing, overhead = float(two.handing.median()), float(two.overhead.median())
    rows = []
    for n in seeds:
        parts = stages(bench, n)
        for count in counts:
            plans = [schedule(part, count, handing, overhead) for part in parts.values()]
            bounds = {
                "work": sum(part.sum() / count for part in parts.values()),
                "longest item": sum(part.max() for part in parts.values()),
                "scheduler": sum(handing * len(part) for part in parts.values()),
            }
            makespan = sum(plan.makespan for plan in plans)
            rows.append({
                "seeds": n, "workers": count, "hours": makespan / 3600, "core-hours": count * makespan / 3600,
                "efficiency": sum(plan.busy for plan in plans) / (count * makespan),
                "bottleneck": max(bounds, key=bounds.get),
            })  # fmt: skip
    return pd.DataFrame(rows)


def store_load(count: int) -> dict[str, float]:
    """Bytes that training leaves in the store: of a seed's networks, of its checkpoint,
    and a second from `count` workers."""
    ensemble = Ensemble.initial(Protocol().dims, 0)
    networks = sum(t.numel() * t.element_size() for t in ensemble.tensors().values())
    checkpoint = 3 * ensemble.theta.numel() * ensemble.theta.element_size()  # weights, and Adam's two means
    return {
        "networks": networks,
        "checkpoint": checkpoint,
        "a second": count * checkpoint / training.CHECKPOINT_SECONDS,
    }
