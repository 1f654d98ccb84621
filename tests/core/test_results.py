"""The table of cells: the same in one process or several, and stored as it grows."""

import pandas as pd
import pytest
import torch

from lib import noise, results
from lib.model import Ensemble
from lib.protocol import Protocol, ProtocolError
from lib.store import Store
from lib.training import train, untrained

RUN = Protocol(
    training_set="digits",
    dims=(2, 5, 9),
    seeds=(0, 1),
    epochs=1,
    points=60,
    sets=("uniform", "bernoulli_0.13"),
)


def table(tmp_path, name="one", **options) -> pd.DataFrame:
    return results.cells(untrained(RUN), RUN, Store(tmp_path / name), progress=False, **options)


def test_one_row_a_cell_in_order(tmp_path):
    t = table(tmp_path)
    assert list(zip(t.set, t.seed, t.d)) == [
        (s, seed, d) for s in ("train", "test", *RUN.sets) for seed in RUN.seeds for d in RUN.dims
    ]
    assert (t.points == 60).all() and (t.epochs == 0).all()


def test_a_run_is_its_networks_and_their_cells_and_is_found_again(tmp_path):
    few = RUN.replace(dims=(2,), seeds=(3,), points=5, sets=("uniform",))
    store = Store(tmp_path)
    networks, cells, null = results.run(few, store, progress=False)
    assert (
        [e.seed for e in networks] == [3] and list(cells.epochs) == [1] * 3 and list(null.epochs) == [0] * 3
    )
    pd.testing.assert_frame_equal(cells, results.cells(train(few, store), few, store, progress=False))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    again = results.run(few, store, progress=False)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == times
    pd.testing.assert_frame_equal(again.null, null)


@pytest.mark.parametrize("other", [{"dims": (2, 5)}, {"seeds": (7,)}])
def test_cells_of_other_networks_are_not_stored_as_the_protocols(tmp_path, other):
    with pytest.raises(
        ProtocolError, match="networks: expected those of the protocol, .*; lib.training.train"
    ):
        results.cells(untrained(RUN.replace(**other)), RUN, Store(tmp_path), progress=False)
    longer = Ensemble.initial(RUN.dims, 0)
    longer.curves = {"train": torch.zeros(2, 3)}
    with pytest.raises(ProtocolError, match="1 epochs or none, got .* 2 epochs"):
        results.cells([longer], RUN, Store(tmp_path), progress=False)
    assert not list(tmp_path.iterdir())


def test_several_processes_give_the_same_table(tmp_path, monkeypatch):
    one = table(tmp_path)
    monkeypatch.setattr(results, "WORTHWHILE", 0)
    monkeypatch.setattr(results.workers, "width", lambda: 2)
    several = table(tmp_path, "several")
    pd.testing.assert_frame_equal(one, several, check_exact=False, rtol=1e-9)


def test_networks_evaluated_alone_and_together_give_the_same_rows(tmp_path):
    ensemble = Ensemble.initial(RUN.dims, 0)
    together = results.evaluate([ensemble], RUN, "uniform", progress=False)[0]
    parts = [ensemble.part(dims) for dims in ((2, 9), (5,))]
    alone = [results.evaluate([part], RUN, "uniform", progress=False)[0] for part in parts]
    alone = pd.concat(alone).sort_values("d", ignore_index=True)
    pd.testing.assert_frame_equal(together, alone, check_exact=False, rtol=1e-9)


def test_what_is_finished_survives_a_kill_and_is_not_computed_again(tmp_path, monkeypatch):
    drawn = []
    honest = noise.sample

    def sample(name, *range_):
        if name == "bernoulli_0.13" and len(drawn) < 2:
            raise KeyboardInterrupt
        drawn.append(name)
        return honest(name, *range_)

    monkeypatch.setattr(results.noise, "sample", sample)
    with pytest.raises(KeyboardInterrupt):
        table(tmp_path)
    assert "uniform" in drawn
    drawn += ["killed", "killed"]
    resumed = table(tmp_path)
    assert "uniform" not in drawn[drawn.index("killed") :]
    pd.testing.assert_frame_equal(resumed, table(tmp_path, "fresh"))


def test_fewer_points_than_images_are_spread_over_them():
    x = results.data.load("digits").x
    taken = [row for block in results.blocks(RUN, "train") for row in block]
    index = [i * len(x) // 60 for i in range(60)]
    assert all((row == x[i]).all() for row, i in zip(taken, index)) and len(taken) == 60
