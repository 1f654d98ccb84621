"""The simulated schedule, on cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lib.press import scaling
from lib.protocol import Protocol


@pytest.mark.parametrize(
    "seconds, count, options, makespan, busy",
    [
        ([3, 3, 3], 1, {}, 9, 9),
        ([3, 3, 3], 2, {}, 6, 9),
        ([3, 3, 3], 8, {}, 3, 9),
        ([5, 1, 1, 1], 2, {}, 5, 8),
        ([1, 1, 1, 5], 2, {}, 6, 8),  # the longest last: its worker begins after the first second
        ([1, 1, 1, 1], 4, {"handing": 0.5}, 3, 4),  # begun at .5, 1, 1.5, 2
        ([1, 1], 1, {"handing": 0.5}, 3, 2),  # handed out when the worker is free
        ([1, 1, 1], 2, {"overhead": 0.25}, 2.5, 3.75),
        ([], 2, {}, 0, 0),
    ],
)
def test_a_schedule_worked_out_by_hand(seconds, count, options, makespan, busy):
    assert scaling.schedule(seconds, count, **options) == (makespan, busy)


BENCH = {
    "training": {"stacked": 0.5},
    "evaluation": {
        "parts": [{"d": 2, "all": 10.0, "round trip": 3.0}, {"d": 20, "all": 190.0, "round trip": 3.0}],
        "drawing": {"uniform": 7.0},
    },
}
RUN = Protocol(dims=(2, 3, 20), epochs=2, batch_size=30_000, points=1_000_000, sets=("uniform",))


def test_the_items_of_a_run_take_what_was_measured():
    found = scaling.stages(BENCH, 2, RUN)
    assert list(found["training"]) == [2.0, 2.0]  # two epochs of two steps
    np.testing.assert_allclose(found["training codes"], 2 * [0.07 * 3 * 3 / 3])
    evaluations = np.array([10, 20, 190])  # microseconds; the fourth quarter has no network
    each = [0.07 * evaluations, 0.01 * evaluations, 7 + evaluations]
    np.testing.assert_allclose(found["spectra"], np.concatenate([np.tile(part, 2) for part in each]))


def test_an_estimate_names_what_bounds_it():
    runs = [{"place": "scheduler", "workers": 2, "handing": h, "overhead": 0.0} for h in (1e-3, 1e-3, 9.0)]
    measured = {"runs": [*runs, {"place": "scheduler", "workers": 1, "handing": 5.0, "overhead": 5.0}]}
    table = scaling.estimate(BENCH, measured, (10, 1_000), (1, 256))
    assert list(table.bottleneck) == ["work", "longest item", "work", "work"]
    one, many = table[table.workers == 1], table[table.workers == 256]
    assert (one.efficiency > 0.99).all() and (many.hours < one.hours.to_numpy()).all()
    np.testing.assert_allclose(table["core-hours"], table.workers * table.hours)
    slow = {"runs": [r | {"handing": 1e4} for r in runs]}
    assert set(scaling.estimate(BENCH, slow, (10,), (256,)).bottleneck) == {"scheduler"}


def test_a_store_gets_no_more_checkpoints_than_it_can_take():
    load = scaling.store_load(256)
    assert load["checkpoint"] > 2 * load["networks"] > 0
    assert load["a second"] == 256 * load["checkpoint"] / 20
