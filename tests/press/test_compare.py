"""A run agrees with itself, and one that tells another story is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from lib import results
from lib.press.compare import compare
from lib.protocol import Protocol
from lib.studies import claims
from lib.studies.claims import Evidence
from lib.training import train


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(claims, "RESAMPLES", 40)


@pytest.fixture(scope="module")
def evidence(own_results) -> Evidence:
    protocol = Protocol(training_set="digits", dims=(2, 3, 4, 14, 17, 20), seeds=(0,), epochs=1, points=24)
    return Evidence(results.cells(train(protocol, progress=False), protocol, progress=False))


def test_a_run_agrees_with_itself(evidence):
    table = compare(evidence, evidence)
    assert (
        table["apart"].sum() == 0
        and (table["first"] == table["second"]).all()
        and table["estimates"].sum() > 0
    )


def test_a_run_that_tells_another_story_is_noticed(evidence):
    cells = evidence.cells.copy()
    cells["I_reversed_full"], cells["I_reversed"] = (
        1 - cells["I_reversed_full"] / 10,
        1 - cells["I_reversed"] / 10,
    )
    cells["I_sd_log"] = cells["I_sd_log"] * np.where(cells["set"] == "train", 10, 1)
    table = compare(evidence, Evidence(cells))
    assert table["apart"].sum() > 0
    assert (table.loc[table["apart"] > 0, "worst"] != "").all()
