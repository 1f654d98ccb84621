"""Variants change one choice each; claims are held against them; whole matrices in float32 lose the rank."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lib import published
from lib.protocol import Protocol
from lib.studies import sensitivity
from lib.studies.claims import CLAIMS
from lib.studies.evidence import Evidence
from lib.training import train, untrained

BASE = Protocol(training_set="digits", dims=(2, 3, 14), seeds=(0,), epochs=11, points=20)


@pytest.fixture(scope="module")
def table(own_results):
    chosen = sensitivity.variants(BASE, dims=(2, 14), epochs=10)
    wanted = {"length", "precision", "loss"}
    return sensitivity.cells({k: v for k, v in chosen.items() if k[0] in wanted})


def test_each_variant_changes_one_choice_and_nothing_else():
    chosen = sensitivity.variants(Protocol())
    short = Protocol(seeds=(0,), dims=sensitivity.DIMS, epochs=sensitivity.EPOCHS, points=sensitivity.POINTS)
    changed = {
        "loss": {"loss"},
        "optimiser": {"optimizer", "learning_rate"},
        "learning rate": {"learning_rate"},
        "batch size": {"batch_size"},
        "seed": {"seeds"},
    }
    for (choice, _), variant in chosen.items():
        if choice in changed:
            differ = {name for name, value in vars(variant).items() if value != getattr(short, name)}
            assert differ == changed[choice]
    assert [v.epochs for (c, _), v in chosen.items() if c == "length"] == [10, 30, 100, 300]
    assert chosen["precision", "float32"].dtype == "float32"


def test_a_variant_stands_beside_the_same_networks_of_the_protocol(table):
    beside = sensitivity.like(table, "loss")
    assert set(beside.value) == {"the protocol", "mean distance"}
    both = beside.pivot_table(index=["d", "set"], columns="value", values="I_mean")
    assert not both.isna().any().any() and set(both.index.get_level_values("d")) == {2, 14}
    precise = sensitivity.like(table, "precision").pivot_table(
        index=["d", "set"], columns="value", values="I_mean"
    )
    np.testing.assert_allclose(precise["float32"], precise["the protocol"], rtol=1e-3)


def test_every_claim_is_judged_under_every_variant(table):
    found = sensitivity.verdicts(table)
    assert len(found) == len(CLAIMS) * len(found[["choice", "value"]].drop_duplicates())
    assert found.share.dropna().between(0, 1).all() and found.share.notna().any()
    few = found[(found.choice == "loss") & (found.value == "mean distance")].set_index("claim").share
    rows = table[(table.choice == "loss")].pivot(index="d", columns="set", values="error")
    noise = rows.drop(columns=["train", "test"]).div(rows.train, axis=0)
    assert few[17] == (noise > 2).to_numpy().mean()  # one d in two of claim 17's ranges, ten sets


def test_all_variants_at_once_are_judged_as_each_by_itself():
    table = published.table("sensitivity")
    table = table[table.choice.isin(["length", "loss"])]
    found = sensitivity.verdicts(table).set_index(["choice", "value", "claim"]).share
    for choice, value in (("length", "10 epochs"), ("loss", "the protocol")):
        part = sensitivity.like(table, choice)
        evidence = Evidence(part[part.value == value], characters=part[part.value == value])
        for claim in CLAIMS:
            sides = [e.side for e in claim.estimates(evidence) if e.side is not None]
            wanted = np.mean(sides) if sides else np.nan
            np.testing.assert_equal(found[choice, value, claim.number], wanted)


def test_variance_of_a_sign_between_networks():
    shares = {"train": (0.0, 1.0)} | {name: (0.5, 0.5) for name in Protocol().sets}
    rows = [
        {"choice": "length", "epochs": 1, "d": d, "set": s, "I_reversed": p}
        for s, ps in shares.items()
        for d, p in zip((2, 3), ps)
    ]
    found = sensitivity.between(pd.DataFrame(rows), (2, 3)).iloc[0]
    assert found["training data: between"] == 1 and found["dark noise: between"] == 0
    assert found["training data: reversed"] == found["bright noise: reversed"] == 0.5


def test_answers_sort_the_claims_by_the_variants_under_which_they_hold():
    shares = {("a", "x"): (1.0, 1.0, 0.5, np.nan), ("a", "y"): (1.0, 0.5, 0.0, 1.0)}
    rows = [
        {"claim": i, "choice": c, "value": v, "share": s}
        for (c, v), row in shares.items()
        for i, s in enumerate(row, 1)
    ]
    found = sensitivity.answers(pd.DataFrame(rows))
    assert (found["always"], found["never"], found["turning"]) == ([1, 4], [3], [2])
    assert found["held"].held.tolist() == [2 / 3, 2 / 4]


def test_what_a_choice_moves_is_the_difference_to_the_protocol(table):
    moved = sensitivity.moves(table, {"I_mean": "mean"}).set_index("way to train")
    rows = table[(table.choice == "loss") & (table.set == "train")]
    assert moved.loc["loss: mean distance", "mean, train"] == rows.I_mean.median()
    found = sensitivity.differences(table, "precision", "float32", {"I_mean": "mean"}).iloc[0]
    wide = sensitivity.like(table, "precision").pivot(index=["d", "set"], columns="value", values="I_mean")
    assert found["largest difference"] == (wide["float32"] - wide["the protocol"]).abs().max() > 0


def test_float32_of_the_whole_matrix_agrees_at_full_rank(own_results):
    found = sensitivity.rounding(train(BASE)[0], BASE, (2,), ("train", "uniform"), points=6)
    assert len(found) == 12 and (found["rank"] == 2).all()
    assert (found.error < 1e-2).all() and not found.wrong.any()


def test_float32_of_the_whole_matrix_invents_eigenvalues_where_the_rank_is_lost():
    net = untrained(BASE)[0].member(14)
    with torch.no_grad():
        net.encoder[4].bias[5:] = -100.0  # five active units before the code: rank 5 at most
        for layer in net.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight *= 2.0
    found = sensitivity._rounding(
        net, torch.rand(8, 784, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    )
    assert (found["rank"] <= 5).all()
    assert (found.naive > 0).any() and (found.naive < 1e-3 * found.exact).all()
    assert (
        not (found.wrong & (found["rank"] == 14)).any() and found.wrong.any()
    )  # no sign is right where there is none
