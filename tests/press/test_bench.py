"""The committed benchmark: complete, drawn, and counted by the true sizes of the layers."""

import json

import pandas as pd
import pytest

from lib.figures import studies
from lib.model import Autoencoder
from lib.press import bench


@pytest.fixture(scope="module")
def numbers():
    return json.loads(bench.RESULT.read_text(encoding="utf-8"))


def test_the_count_is_that_of_the_weights():
    encoder, decoder = (
        [m.weight.numel() for m in half if hasattr(m, "weight")]
        for half in (Autoencoder(5).encoder, Autoencoder(5).decoder)
    )
    assert bench.SHARED == sum(decoder[1:]) + encoder[0]
    assert bench.REST == sum(encoder[1:-1]) and encoder[-1] == 32 * 5
    assert bench.operations(5) == 2 * 5 * (bench.SHARED + 2 * sum(encoder[1:]))


def test_the_machine_is_named(numbers):
    assert {"cpu", "cores", "load", "python", "torch", "numpy", "numba", "scipy"} <= numbers[
        "environment"
    ].keys()


def test_speed_was_measured_on_results_that_are_right(numbers):
    assert all(row["error"] < 1e-9 and row["difference"] < 1e-12 for row in numbers["spectra"])
    assert all(row["backward error"] < 20 * row["d"] * 2.3e-16 for row in numbers["eigenproblems"])


def test_every_comparison_has_a_row_and_every_figure_draws(numbers):
    table = bench.table(numbers)
    assert len(table) == 18 and ((table["one thread"] != "") | (table["all cores"] != "")).all()
    assert studies.methods(pd.DataFrame(numbers["spectra"])).axes
    assert studies.parts(pd.DataFrame(numbers["evaluation"]["parts"])).axes


def test_the_naive_way_is_the_book_s_reference():
    """The naive spectrum and the library's agree, so their times may be compared."""
    net, x = bench._network(3), bench.noise.sample("uniform", 0, 1)
    ours = bench.spectrum.eigenvalues(bench.jacobian.matrices(net, bench.jacobian.round_trip(net, x))[0])
    assert float(bench._distance(ours[0], bench._naive(net, x)[0])) < 1e-9 * float(ours.abs().max())


def test_the_files_that_are_edited_are_there(root):
    assert all((root / file).is_file() for file, _ in bench.EDITS.values() if file)
