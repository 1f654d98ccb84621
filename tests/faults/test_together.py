"""The same work begun twice at once, in one folder: one waits, both end well, as one alone would."""

from __future__ import annotations

import time

import numpy as np
import pytest
from stages import COUNT, SEED, STAGES, Run, uninterrupted

#: Stages of which two may be at work in one folder; publishing is one person's business.
SHARED = ["store", "training", "spectra", "swap", "download"]


@pytest.mark.parametrize("i", range(max(1, COUNT // 30)))
@pytest.mark.parametrize("stage", SHARED if COUNT >= 100 else ["training"])
def test_twice_at_once(stage, i, place, tally):
    expected, takes = uninterrupted(stage)
    its, faults = STAGES[stage], []
    (folder := place / "work").mkdir()
    its.prepare(folder)
    first = Run(stage, folder)
    time.sleep(np.random.default_rng([SEED, 5_000, i]).uniform(0, takes / 2))
    second = Run(stage, folder)
    if (status := (first.wait(), second.wait())) != (0, 0):
        faults.append(f"lost: {status}, {first.told}")
    elif its.content(folder) != expected:
        faults.append("wrong: another content")
    elif stage == "training" and len(list(folder.glob(".trained-*"))) != 1:
        faults.append("unclear: both have trained the same networks")
    tally[faults[0].partition(":")[0] if faults else "survived"] += 1
    its.check(folder)
    assert not faults, faults
