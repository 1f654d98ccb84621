"""Work items run here or in processes of this machine, and nothing of a cluster is needed for that."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lib import workers

WITHOUT = """
import sys

absent = ("dask", "distributed")
sys.modules |= {name: None for name in absent}  # an import of them fails
from lib import results, training, workers
from lib.press import bench, build, commands, compare, publish, verify
from lib.protocol import Protocol
from lib.store import Store

run = Protocol(training_set="digits", dims=(2,), seeds=(0, 1), epochs=1, points=10, sets=("uniform",))
training.WORTHWHILE = results.WORTHWHILE = 0
workers.width = lambda: 2
print(len(results.run(run, Store(sys.argv[1]), progress=False).table))
assert all(sys.modules[name] is None for name in absent)
assert not any(name.startswith(tuple(f"{n}." for n in absent)) for name in sys.modules)
"""


def test_without_the_extra_everything_runs_and_nothing_of_it_is_imported(tmp_path, root):
    env = {name: value for name, value in os.environ.items() if name != "DASK_SCHEDULER_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, tmp_path], env=env, cwd=root, capture_output=True, text=True
    )
    assert done.stdout.strip() == "6", done.stderr


def _where(store, i: int) -> tuple[int, int, bool]:
    workers.report(i)
    return i, os.getpid(), workers.several()


@pytest.mark.parametrize("place", ["one", "pool", "here"])
def test_an_item_gives_the_same_wherever_it_runs(monkeypatch, place):
    monkeypatch.setattr(workers, "width", lambda: 1 if place == "one" else 2)
    items = [(i,) for i in range(6)]
    found = list(workers.run(_where, items, weights=[1, 2, 3, 4, 5, 6], here=place == "here", progress=False))
    assert sorted(item for item, _ in found) == items and all(item == (result[0],) for item, result in found)
    assert ({pid for _, (_, pid, _) in found} == {os.getpid()}) == (place != "pool")
    assert not any(several for _, (_, _, several) in found)  # an item gives nothing to other processes


def test_an_item_that_fails_fails_the_run(monkeypatch):
    for width in (1, 2):
        monkeypatch.setattr(workers, "width", lambda width=width: width)
        with pytest.raises(TypeError):
            list(workers.run(_where, [(1,), ("two", "too many")], progress=False))
    assert list(workers.run(_where, [], progress=False)) == []
