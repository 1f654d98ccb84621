"""A run agrees with itself, and one that tells another story is noticed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib import results
from lib.press.compare import compare, missing
from lib.protocol import Protocol
from lib.studies.claims import JUDGED_DIMS, JUDGES
from lib.studies.evidence import Evidence
from lib.training import train


@pytest.fixture(scope="module")
def evidence(own_results) -> Evidence:
    protocol = Protocol(training_set="digits", dims=(2, 3, 4), seeds=tuple(JUDGES)[:3], epochs=1, points=24)
    return Evidence(results.cells(train(protocol, progress=False), protocol, progress=False))


def test_a_run_agrees_with_itself(evidence):
    table = compare(evidence, evidence)
    assert table["apart"].sum() == 0 and (table["first"] == table["second"]).all()
    assert table["estimates"].sum() > 100


def test_a_run_that_tells_another_story_is_noticed(evidence):
    cells = evidence.cells.copy()
    cells["I_sd_log"] = cells["I_sd_log"] * np.where(cells["set"] == "train", 100, 1)
    table = compare(evidence, Evidence(cells)).set_index("claim")
    assert table.loc[8, "apart"] > 0 and table.loc[8, "worst"].startswith("sd of")
    assert table.loc[1, "apart"] == 0


def test_without_the_judging_seeds_nothing_can_be_compared(evidence):
    assert missing(evidence) == tuple(JUDGES)  # they have three of the nine networks each
    whole = Evidence(pd.DataFrame([{"seed": s, "d": d} for s in tuple(JUDGES)[:3] for d in JUDGED_DIMS]))
    assert missing(whole) == tuple(JUDGES)[3:]
