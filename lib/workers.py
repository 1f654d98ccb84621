"""Where work items run: in this process, in processes of this machine, or on the workers of a Dask scheduler.

An item is a small function call that gives the same wherever and however often it runs; what is large it
loads from the store. ``DASK_SCHEDULER_ADDRESS`` chooses a scheduler: nothing else in `lib` imports Dask.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_python_version
from typing import Any

import joblib
import numba
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from . import paths
from .protocol import ProtocolError
from .store import Store, write_atomically

__all__ = ["run", "report", "several", "width", "end_with"]

#: Seconds for a scheduler's answer, for a shared folder to show a file, and between an item's reports.
ANSWER, SHOWN, BETWEEN = 10, 120, 1.0
#: A line of the file through which processes of this machine report: number of the item, units done.
RECORD = struct.Struct("qq")
#: Packages that a number depends on: workers have to have the same.
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "distributed")
SAME = "start it from the same checkout with the same packages"

#: In an item, where it reports to; None outside, so that items within items run where they are.
_telling: ContextVar[Callable[[int], None] | None] = ContextVar("telling", default=None)


def width() -> int:
    """Processes of this machine for items: one a core, one alone on a GPU; more GPUs take a scheduler."""
    return 1 if paths.device() != "cpu" and torch.cuda.is_available() else joblib.cpu_count()


def several() -> bool:
    """Whether items would run in other processes than this one."""
    return _telling.get() is None and bool(paths.scheduler() or width() > 1)


def run(
    function: Callable[..., Any], items: Sequence[tuple], store: Store | None = None, *,
    weights: Sequence[int] = (), needs: Callable[..., Sequence[Path]] = lambda *_: (), here: bool = False,
    label: str = "items", unit: str = "item", progress: bool = True,
) -> Iterator[tuple[tuple, Any]]:  # fmt: skip
    """Every item with its ``function(store, *item)``, in the order in which they become ready.

    With a scheduler's address, items go to its workers; without, several are shared out among processes of
    this machine. A worker that does not see the folder of `store` gets what an item `needs` and gives back
    the artefacts asked for in it. An item that the scheduler has from another process is not run twice.

    Parameters
    ----------
    function : of a module, so that another process finds it by name; items : the longest first
    weights : units of each item on the bar, of which `report` says how many are done; default: one
    needs : item → files of `store` that it will load
    here : one after another in this process, because they are too small to travel

    Raises
    ------
    ProtocolError
        Where no scheduler answers, at a worker of another version or with several threads.
        What an item raises is raised.
    """
    items, weights = list(items), list(weights or [1] * len(items))
    done, lock = [0] * len(items), threading.Lock()
    look = {"desc": label, "unit": unit, "smoothing": 0.05, "leave": False}
    with tqdm(total=sum(weights), disable=not (progress and items), **look) as bar:

        def tell(i: int, units: int) -> None:
            with lock:  # an item that was begun anew on another worker counts from its checkpoint
                bar.update(min(units, weights[i]) - done[i])
                done[i] = min(units, weights[i])

        if here or not items or not several() or len(items) == 1 and not paths.scheduler():
            found = _here(function, items, store, tell)
        elif paths.scheduler():
            found = _on_cluster(function, items, store, needs, tell)
        else:
            found = _in_processes(function, items, store, tell)
        for i, result in found:
            tell(i, weights[i])
            yield items[i], result


def report(units: int) -> None:
    """In an item: so many of its units are done. Elsewhere it does nothing."""
    if tell := _telling.get():
        tell(units)


def _call(function: Callable, item: tuple, store: Store | None, tell: Callable[[int], None]) -> Any:
    token = _telling.set(tell)
    try:
        return function(store, *item)
    finally:
        _telling.reset(token)


def _here(function: Callable, items: list[tuple], store: Store | None, tell: Callable) -> Iterator:
    return ((i, _call(function, item, store, functools.partial(tell, i))) for i, item in enumerate(items))


def _in_processes(function: Callable, items: list[tuple], store: Store | None, tell: Callable) -> Iterator:
    processes, ended = min(len(items), width()), threading.Event()
    with tempfile.NamedTemporaryFile() as told:

        def follow() -> None:
            while not ended.wait(BETWEEN):
                while len(record := told.read(RECORD.size)) == RECORD.size:
                    tell(*RECORD.unpack(record))

        threads = max(1, joblib.cpu_count() // processes)
        ends = {"initializer": end_with, "initargs": (os.getpid(),)}
        with joblib.parallel_config("loky", n_jobs=processes, inner_max_num_threads=threads, **ends):
            call = joblib.delayed(_in_process)
            tasks = (call(i, function, item, store, told.name) for i, item in enumerate(items))
            results = joblib.Parallel(return_as="generator_unordered", batch_size=1)(tasks)
        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield from results
        finally:
            ended.set()
            thread.join()


def end_with(parent: int) -> None:
    """Let this process end within a second of its parent, even of one that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)  # its work is nobody's now: what is stored is whole

    threading.Thread(target=watch, daemon=True).start()


def _in_process(i: int, function: Callable, item: tuple, store: Store | None, told: str) -> tuple[int, Any]:
    def tell(units: int) -> None:
        with open(told, "ab") as file:
            file.write(RECORD.pack(i, units))

    return i, _call(function, item, store, tell)


@functools.lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """What has to be the same on both sides: the files of lib, Python, the packages behind the numbers."""
    sha, root = hashlib.sha256(), Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        sha.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return {"lib": sha.hexdigest()[:12], "Python": get_python_version()} | {n: version(n) for n in PACKAGES}


def _described(store: Store | None, dask_worker: Any = None) -> tuple[dict[str, str], int, str | None]:
    """A worker's versions, its threads, and the identity of the folder that it sees as the caller's store."""
    return _versions(), dask_worker.state.nthreads, store and store.identity()


def _refuse(address: str, wanted: dict[str, str], versions: dict[str, str], threads: int) -> None:
    """Raise where a worker is not one that items may run on."""
    for name in (n for n in wanted if versions[n] != wanted[n]):
        raise ProtocolError(f"worker {address}: expected {name} {wanted[name]}, got {versions[name]}; {SAME}")
    if threads != 1:
        then = "start it with --nthreads 1 --nworkers N, N the number of cores, or one for each GPU"
        raise ProtocolError(f"worker {address}: expected one thread, got {threads}; {then}")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """BLAS, OpenMP, torch and numba use one thread meanwhile."""
    with contextlib.ExitStack() as stack:
        for library in (torch, numba):
            stack.callback(library.set_num_threads, library.get_num_threads())
            library.set_num_threads(1)
        stack.enter_context(threadpool_limits(1))
        yield


def _on_worker(
    function: Callable,
    item: tuple,
    store: Store | None,
    terms: tuple,
    names: list[str],
    contents: list[bytes],
) -> tuple[Any, list[str], dict[str, bytes]]:
    """An item's result, the artefacts asked for in it, and their content if the caller has another store."""
    from distributed import get_worker

    (identity, wanted, device), worker, last = terms, get_worker(), [0.0]

    def tell(units: int) -> None:
        if time.monotonic() - last[0] > BETWEEN:
            last[0] = time.monotonic()
            worker.log_event(__name__, {"key": worker.get_current_task(), "units": units})

    _refuse(worker.address, wanted, _versions(), worker.state.nthreads)
    if device != "auto":  # as asked for there; else each worker takes what it has
        os.environ["BOOK_DEVICE"] = device
    try:
        shared = store is None or store.identity() == identity
        if not shared:
            store = Store()
            for name in (n for n in names if not (store.root / n).exists()):
                write_atomically(store.root / name, contents[names.index(name)])
        with _one_thread():
            result = _call(function, item, store, tell)
    except Exception as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (f"worker {worker.address}: {error.args[0]}", *error.args[1:])
        raise
    used = store.used if store else ()
    made = {p.relative_to(store.root).as_posix() for p in used if store.root in p.parents} - {*names}
    return result, sorted(made), {} if shared else {name: (store.root / name).read_bytes() for name in made}


@contextlib.contextmanager
def _client(address: str) -> Iterator[Any]:
    """A connection to the scheduler; what goes wrong with it ends in one line."""

    def fail(wanted: str, got: object, then: str) -> ProtocolError:
        first = str(got).partition("\n")[0] or type(got).__name__
        return ProtocolError(f"scheduler {address}: expected {wanted}, got {first}; {then}")

    try:
        import distributed
    except ImportError:
        then = "pip install -r requirements-test.txt, or unset DASK_SCHEDULER_ADDRESS"
        raise fail("the package distributed", "none", then) from None
    try:
        client = distributed.Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:  # a TimeoutError is an OSError
        then = "start dask scheduler, or unset DASK_SCHEDULER_ADDRESS"
        raise fail(f"an answer within {ANSWER} s", error, then) from None
    with client:
        try:
            yield client
        except distributed.KilledWorker as error:
            died, then = error.allowed_failures + 1, "give workers more memory; what is finished is kept"
            raise fail(f"{error.task} to end", f"{died} workers dying at it", then) from None
        except (distributed.CancelledError, distributed.comm.CommClosedError) as error:
            raise fail("it to stay", error, "the next run goes on from what is finished") from None
        except RuntimeError as error:
            if "deserialization of the task graph" in str(error):
                raise fail("lib on its path", "none or another", SAME) from None
            raise


def _on_cluster(function: Callable, items: list[tuple], store: Store | None, needs: Callable, tell: Callable):
    address, wanted = paths.scheduler(), _versions()
    name = f"{function.__module__.rpartition('.')[2]}-{function.__name__.strip('_')}"
    with _client(address) as client:
        from distributed import as_completed

        if not client.scheduler_info()["workers"]:
            tqdm.write(f"scheduler {address}: no worker yet, waiting for the first")
            client.wait_for_workers(1)
        store = store and Store(store.root, store.published)  # small: without what it remembers
        identity, shared = store and store.identity(create=True), True
        for worker, found in client.run(_described, store, on_error="return").items():
            if isinstance(found, BaseException):
                raise ProtocolError(f"worker {worker}: expected lib {wanted['lib']}, got {found}; {SAME}")
            _refuse(worker, wanted, *found[:2])
            shared &= found[2] == identity
        terms, numbers, sent, futures = (identity, wanted, paths.device()), {}, {}, {}
        for i, item in enumerate(items):
            files = [p.relative_to(store.root).as_posix() for p in needs(*item)] if not shared else []
            for file in {*files} - {*sent}:  # under its own key, so that each worker gets it once
                sent |= client.scatter({file: (store.root / file).read_bytes()}, hash=False)
            key = f"{name}-{joblib.hash((name, item, identity, wanted))}"
            numbers.setdefault(key, []).append(i)
            given = (function, item, store, terms, files, [sent[f] for f in files])
            futures[key] = client.submit(_on_worker, *given, key=key, priority=-i)

        def heard(event: tuple) -> None:
            for i in numbers.get(event[1]["key"], ()):
                tell(i, event[1]["units"])

        client.subscribe_topic(__name__, heard)
        ready = as_completed(futures.values(), loop=client.loop, with_results=True)
        del futures  # each is forgotten when it has been read
        for future, (result, made, contents) in ready:
            for file, content in contents.items():
                write_atomically(store.root / file, content)
            _await([store.root / file for file in made])
            for i in numbers[future.key]:
                yield i, result


def _await(files: list[Path]) -> None:
    """Until files that a worker wrote are seen here: a network's folder may show them later."""
    end = time.monotonic() + SHOWN
    for path in files:
        while path.name not in os.listdir(path.parent):
            if time.monotonic() > end:
                raise ProtocolError(
                    f"{path}: expected what a worker wrote, got nothing; is this the same folder?"
                )
            time.sleep(1)
