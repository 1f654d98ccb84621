"""Two workers of a Dask scheduler here: the tables of the process pool, whatever becomes of a worker."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import uuid
from collections import defaultdict
from multiprocessing import forkserver
from pathlib import Path

import numba
import pandas as pd
import pytest
import threadpoolctl
import torch

from lib import results, training, workers
from lib.data import DataError
from lib.press.commands import main
from lib.protocol import Protocol, ProtocolError
from lib.store import Store
from lib.studies import detection, sensitivity

dask, distributed = (pytest.importorskip(name) for name in ("dask", "distributed"))

RUN = Protocol(training_set="digits", dims=(2, 3), seeds=(0, 1), epochs=2, points=30, sets=("uniform",))
EIGHT = RUN.replace(seeds=tuple(range(8)), epochs=3, points=20)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Workers whose own store is another folder, and which find no MNIST.

    They are forked from one process that has imported what they need, the one that replaces a killed one too.
    """
    own, empty = (tmp_path_factory.mktemp(name) for name in ("own", "empty"))
    method = {"distributed.worker.multiprocessing-method": "forkserver"}
    with pytest.MonkeyPatch.context() as patch, dask.config.set(method):
        patch.setenv("BOOK_RESULTS", str(own))
        patch.setenv("MNIST_DIR", str(empty))
        own_server = forkserver.ForkServer()  # that of other tests has another environment
        for name in forkserver.__all__:
            patch.setattr(forkserver, name, getattr(own_server, name))
        from_one = distributed.utils.get_mp_context()
        from_one.set_forkserver_preload(["distributed", "lib.studies.detection", "lib.studies.sensitivity"])
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as started:
            yield started


@pytest.fixture
def address(cluster, monkeypatch) -> str:
    """Work items go to the cluster, however small they are."""
    monkeypatch.setattr(training, "WORTHWHILE", 0)
    monkeypatch.setattr(results, "WORTHWHILE", 0)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
    return cluster.scheduler_address


@pytest.fixture
def elsewhere(address, monkeypatch):
    """The workers do not see the caller's store: what they find under its path is another folder."""
    there = uuid.uuid4().hex
    monkeypatch.setattr(Store, "identity", lambda self, create=False: there)


def pool(tmp_path, monkeypatch, run: Protocol) -> results.Run:
    """The same without a scheduler, in two processes."""
    with monkeypatch.context() as patch:
        patch.delenv("DASK_SCHEDULER_ADDRESS")
        patch.setattr(workers.joblib, "cpu_count", lambda: 2)  # one thread each, as on the workers
        return results.run(run, Store(tmp_path / "pool"), progress=False)


def same(one: results.Run, other: results.Run) -> None:
    for a, b in zip(one.networks, other.networks, strict=True):
        assert torch.equal(a.theta, b.theta) and torch.equal(a.curves["test"], b.curves["test"])
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    pd.testing.assert_frame_equal(one.null, other.null, check_exact=True)


def kill_one(cluster, when) -> tuple[threading.Thread, int]:
    """Kill the process of a worker as soon as `when()`: who does it, and the process."""
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        victim = next(iter(client.run(os.getpid).values()))

    def kill() -> None:
        end = time.monotonic() + 300
        while not when() and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(victim, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread, victim


def test_eight_seeds_with_a_worker_killed_on_the_way_give_the_tables_of_the_process_pool(
    cluster, address, tmp_path, monkeypatch
):
    store = Store(tmp_path / "cluster")
    first = lambda: list(store.root.glob("networks/*.safetensors"))
    killer, _ = kill_one(cluster, first)
    found = results.run(EIGHT, store, progress=False)
    killer.join()
    assert len(first()) == 8
    same(found, pool(tmp_path, monkeypatch, EIGHT))


def _marked(store: Store, i: int, folder: Path) -> int:
    (folder / f"{i}-{os.getpid()}-{uuid.uuid4().hex}").touch()
    time.sleep(0.2)
    return i


def test_a_killed_worker_costs_only_what_it_held(cluster, address, tmp_path):
    """Begun twice are at most the item that it worked on and results that nobody had fetched from it."""
    killer, victim = kill_one(cluster, lambda: len(list(tmp_path.iterdir())) >= 3)
    found = [result for _, result in workers.run(_marked, [(i, tmp_path) for i in range(12)], progress=False)]
    killer.join()
    by_item = defaultdict(set)
    for path in tmp_path.iterdir():
        item, process, _ = path.name.split("-")
        by_item[int(item)].add(int(process))
    assert sorted(found) == sorted(by_item) == list(range(12))
    assert all(victim in processes for processes in by_item.values() if len(processes) > 1)


def test_results_come_back_where_the_store_is_not_shared(elsewhere, tmp_path, monkeypatch):
    store = Store(tmp_path / "here")
    found = results.run(RUN, store, progress=False)
    assert not (store.root / "checkpoints").exists()  # no worker has written here
    same(found, pool(tmp_path, monkeypatch, RUN))


def _twice(store: Store, marks: Path, wait: float) -> None:
    with marks.open("a") as file:
        file.write("computed\n")
    time.sleep(wait)


def _table(store: Store, marks: Path, asked_by: int) -> None:
    store.table("cells", {"d": 2}, lambda: _twice(store, marks, 1.0) or pd.DataFrame({"d": [2]}))


@pytest.mark.parametrize("item", [lambda i: (_twice, 1.0), lambda i: (_table, i)], ids=["item", "artefact"])
def test_what_two_processes_want_is_computed_once(address, tmp_path, item):
    """The same item by its key; and the same artefact in different items by the lock of the store."""
    marks, store = tmp_path / "marks", Store(tmp_path / "store")

    def want(i: int) -> None:
        function, last = item(i)
        list(workers.run(function, [(marks, last)], store, progress=False))

    both = [threading.Thread(target=want, args=(i,)) for i in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert marks.read_text() == "computed\n" and not list(store.root.rglob("*.lock"))


def _threads(_) -> set[int]:
    torch.ones(300, 300) @ torch.ones(300, 300)
    pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    return pools | {torch.get_num_threads(), numba.get_num_threads()}


def test_a_worker_uses_one_thread_of_every_library(address):
    assert [found for _, found in workers.run(_threads, [()], progress=False)] == [{1}]


def _reporting(_, seen: Path) -> None:
    workers.report(3)
    end = time.monotonic() + 300
    while not seen.exists() and time.monotonic() < end:
        time.sleep(0.05)


@pytest.mark.parametrize("where", ["cluster", "pool"])
def test_the_bar_counts_what_every_worker_reports(address, tmp_path, monkeypatch, where):
    if where == "pool":
        monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
        monkeypatch.setattr(workers, "width", lambda: 2)
    shown = []

    class Bar(workers.tqdm):
        def update(self, n=1):
            shown.append(n)
            if sum(shown) == 6:  # both items, before either is done
                (tmp_path / "0").touch(), (tmp_path / "1").touch()
            return super().update(n)

    monkeypatch.setattr(workers, "tqdm", Bar)
    items = [(tmp_path / str(i),) for i in range(2)]
    assert len(list(workers.run(_reporting, items, weights=[5, 5]))) == 2
    assert sum(shown) == 10 and 3 in shown


def test_what_was_done_before_an_interruption_is_not_done_again(address, tmp_path):
    store = Store(tmp_path / "store")
    run = RUN.replace(seeds=(0, 1, 2))
    items = [([run.replace(seeds=(seed,))],) for seed in run.seeds]
    next(workers.run(training._train_all, items, store, progress=False))  # and no further
    done = {path: path.stat().st_mtime_ns for path in store.root.glob("networks/*.safetensors")}
    assert done
    training.train(run, store, progress=False)
    assert len(list(store.root.glob("networks/*.safetensors"))) == 3
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_scheduler_that_does_not_answer_ends_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(workers, "ANSWER", 1)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    with pytest.raises(
        ProtocolError, match="tcp://127.0.0.1:9: expected an answer within 1 s, got .*; start"
    ):
        list(workers.run(_threads, [()], progress=False))
    assert capsys.readouterr().err == ""


def test_a_worker_of_another_version_ends_in_one_line(address, monkeypatch):
    ours = workers._versions()
    monkeypatch.setattr(workers, "_versions", lambda: ours | {"lib": "another"})
    with pytest.raises(
        ProtocolError, match=r"worker tcp://.*: expected lib another, got \w{12}; start it from"
    ):
        list(workers.run(_threads, [()], progress=False))
    with pytest.raises(ProtocolError, match="worker tcp://there: expected one thread, got 8; start it with"):
        workers._refuse("tcp://there", ours, ours, 8)


def test_a_worker_without_the_data_ends_in_one_line(address, tmp_path):
    with pytest.raises(
        DataError, match="worker tcp://.*: MNIST_DIR: expected train-images.*; correct MNIST_DIR"
    ) as raised:
        training.train(RUN.replace(training_set="mnist"), Store(tmp_path), progress=False)
    assert "\n" not in str(raised.value)


def test_without_the_extra_an_address_ends_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    with pytest.raises(ProtocolError, match="expected the package distributed, got none; pip install"):
        list(workers.run(_threads, [()], progress=False))


def test_scores_and_sensitivity_are_those_of_the_process_pool(address, tmp_path, monkeypatch):
    found = []
    for name in ("cluster", "pool"):
        if name == "pool":
            monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
            monkeypatch.setattr(workers.joblib, "cpu_count", lambda: 2)
        store = Store(tmp_path / name)
        networks = training.train(RUN, store, progress=False)
        left = detection.held_out(RUN)
        scores = [
            detection.table(networks, RUN, store, ("untouched", "inverted"), points=50),
            detection.table(training.train(left, store, progress=False), left, store, points=50),
        ]
        cells = sensitivity.cells(
            {("seed", "0"): RUN, ("loss", "distance"): RUN.replace(loss="distance")}, store
        )
        found.append([*scores, cells])
    for one, other in zip(*found, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=1e-9)


def test_the_address_can_be_given_on_the_command_line(address, monkeypatch, capsys):
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS")
    monkeypatch.setattr(workers, "ANSWER", 1)
    assert main("verify --cells 1 --scheduler tcp://127.0.0.1:9".split()) == 2
    told = capsys.readouterr().err.strip().rpartition("\r")[2]  # after the bar, which is wiped
    assert re.fullmatch("book: scheduler tcp://127.0.0.1:9: expected an answer within 1 s, got .*", told)
