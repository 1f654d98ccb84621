"""That what is tried is tried: moments are spread over the whole way, and a run is killed there."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from stages import Run, alive, killed_at, moments, way


def test_moments_are_spread_over_the_whole_way_and_a_run_is_killed_there(tmp_path):
    """The trial above on a way of eight steps: each run goes on where the last one was killed."""
    told = "2 notebooks\n  one                    4.0 s\n  appendices/two         1 min 2 s\npages 10.0 s\n"
    told += "The book is /x/index.html (profile smoke, 1 min 40 s, processor 2 min 3 s).\n"
    assert way(told) == (2, 45.0, 10.0)
    planned = [*moments(10, 8, 0.2, 0.4, np.random.default_rng(0))]
    assert planned == sorted(planned) and planned[0][0] == 0 and planned[-1][0] == 8
    script = """
import pathlib, sys, time
for step in range(8):
    path = pathlib.Path(sys.argv[1], f"step-{step}")
    if not path.exists():
        time.sleep(0.2)
        path.touch()
time.sleep(0.4)
"""
    done = lambda: len([*tmp_path.glob("step-*")])
    for steps, seconds in planned:
        run = Run.of(subprocess.Popen([sys.executable, "-S", "-c", script, str(tmp_path)]))
        ended = killed_at(run, done, steps, seconds)
        assert done() >= steps and (ended == 0 or not alive(run.pid))
    assert done() == 8
    run = Run.of(subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"]))
    assert killed_at(run, done, 9, 1) == 3
