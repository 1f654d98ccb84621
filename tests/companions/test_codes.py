"""The law of the codes: transport distances and the bound between images and codes."""

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from lib.companions.codes import Settings
from lib.companions.codes.causes import relabelled, sources, surrogate
from lib.companions.codes.codes import (
    brackets,
    class_distances,
    class_laws,
    cluster_scores,
    far_table,
    halves,
    noise_landing,
    separation,
)
from lib.companions.codes.pictures import PICTURES, distortion
from lib.companions.codes.transport import bracket, wasserstein
from lib.data import Images, load
from lib.protocol import Protocol
from lib.store import Store
from lib.training import train


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_transport_in_one_dimension_is_the_area_between_the_distribution_functions():
    x, y = normal(40, 1), 2 * normal(25, 1, seed=1) + 1
    assert wasserstein(x, y) == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-9)


def test_transport_is_a_distance():
    x, y, z = (normal(30, 4, seed=i) + i for i in range(3))
    assert wasserstein(x, x) == pytest.approx(0, abs=1e-12)
    assert wasserstein(x, y) == pytest.approx(wasserstein(y, x))
    assert wasserstein(x, z) <= wasserstein(x, y) + wasserstein(y, z)


def test_a_shift_costs_its_length():
    x = normal(30, 5)
    assert wasserstein(x, x + torch.tensor([3.0, 4.0, 0, 0, 0])) == pytest.approx(5.0)


def test_two_halves_of_one_law_are_nearer_with_more_points():
    halves = [wasserstein(normal(n, 3), normal(n, 3, seed=1)) for n in (20, 100, 400)]
    assert halves[0] > halves[1] > halves[2] > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_holds_for_arbitrary_encoders_and_decoders(seed):
    """Random nonlinear maps, nothing trained: the bracket is a theorem about samples."""
    a, b = normal(20, 6, seed=seed), 0.3 * normal(25, 6, seed=seed + 50) + 1
    w, v = normal(6, 2, seed=seed + 100), normal(2, 6, seed=seed + 150)
    encode, decode = lambda x: (x @ w).tanh() * 3, lambda z: (z @ v).relu()  # noqa: E731
    z = encode(a), encode(b)
    found = bracket((a, b), z, (decode(z[0]), decode(z[1])))
    assert found.lower <= found.sharp + 1e-12
    assert found.sharp <= found.codes * (1 + 1e-9)
    assert found.codes <= found.upper * (1 + 1e-9)


def test_the_bound_is_tight_for_an_isometry():
    a, b = normal(20, 3), normal(20, 3, seed=1) + 2
    q = torch.linalg.qr(normal(3, 3, seed=2)).Q
    found = bracket((a, b), (a @ q, b @ q), (a, b))
    assert found.lower == pytest.approx(found.upper, rel=1e-9) == pytest.approx(found.codes, rel=1e-9)


def test_a_constant_encoder_leaves_the_bound_true_and_empty():
    a, b = normal(5, 3), normal(5, 3, seed=1)
    zero = torch.zeros(5, 1, dtype=torch.float64)
    found = bracket((a, b), (zero, zero), (torch.zeros_like(a), torch.zeros_like(b)))
    assert (found.codes, found.upper, found.sharp, found.lower) == (0, 0, 0, -np.inf)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    return (
        Protocol.from_profile("smoke", "seeds=0"),
        Settings.preset("smoke"),
        Store(tmp_path_factory.mktemp("results")),
    )


def test_the_bound_holds_on_every_pair_of_classes_of_trained_networks(smoke):
    table = brackets(*smoke)
    assert len(table) == 45 * 2
    assert (table.lower <= table.sharp + 1e-9).all() and (table.sharp <= table.codes * (1 + 1e-9)).all()
    assert (table.codes <= table.upper * (1 + 1e-9)).all()


def test_every_space_has_all_pairs_of_classes_and_a_baseline_for_each(smoke):
    table = class_distances(*smoke)
    counts = table.groupby(["space", "d", "seed"]).size()
    assert (counts == 55).all() and set(table.space) == {"pixels", "pca", "untrained", "trained"}
    scores = cluster_scores(*smoke).set_index("space")
    assert scores.knn["pixels"] > 0.9  # nearest neighbours in pixels are known to classify the digits well
    assert scores.silhouette.between(-1, 1).all() and scores.ratio["pixels"] > 1


def test_a_held_out_sample_lands_nearer_than_a_bright_noise_set(smoke):
    far = far_table(noise_landing(*smoke)).set_index(["d", "set"])
    for d in smoke[0].dims:
        assert far.codes[d, "half"] == pytest.approx(far.floor[d, "half"])
        assert far.outside[d, "held_out"] <= 0.05
        assert far.codes[d, "held_out"] < far.codes[d, "beta_5_0.8"]


def test_the_unit_is_the_distance_between_samples_of_one_size(smoke):
    protocol, settings, store = smoke
    laws, images = class_laws(*smoke), load(protocol.training_set)
    sample = images.x[
        torch.randperm(images.trained, generator=torch.Generator().manual_seed(29))[: settings.law]
    ]
    generator = torch.Generator().manual_seed(41)
    zeros = images.train[images.labels[: images.trained] == 0]
    zeros = zeros[torch.randperm(len(zeros), generator=generator)[: settings.law]]
    net = train(protocol, store)[0].member(8).double()
    row = laws[(laws.d == 8) & (laws.set == "class_0")].iloc[0]
    assert len(zeros) == len(sample) == settings.law
    assert row.law == pytest.approx(wasserstein(net.encoder(zeros), net.encoder(sample)), rel=1e-9)
    landing = noise_landing(*smoke)
    far = far_table(landing, laws).set_index(["d", "set"])
    own = landing.set_index(["d", "set"]).law
    assert far.codes[8, "normal"] == pytest.approx(own[8, "normal"] / laws.law[laws.d == 8].median())


def clouds(n=4_000, p=6):
    """Gaussian classes, known to be nothing else."""
    labels = torch.arange(n) % 10
    x = 1.5 * normal(10, p, seed=1)[labels] + normal(n, p) @ normal(p, p, seed=2) / 3
    return Images("clouds", x, labels, n - 1_000, "")


def scores(images):
    return separation(lambda x: x, images, halves(images, 100), 5)


def test_gaussian_vectors_have_the_moments_of_what_they_stand_for():
    images = load("digits")
    for kind in ("gaussian", "single"):
        made = surrogate(images, kind)
        assert torch.equal(made.labels, images.labels) and made.trained == images.trained
        for label in range(10) if kind == "gaussian" else [None]:
            part = slice(None) if label is None else images.labels[: images.trained] == label
            x, y = images.train[part], made.train[part]
            spread = x.var(0, correction=0).sum()
            assert y.var(0, correction=0).sum() == pytest.approx(float(spread), rel=0.1)
            assert (y.mean(0) - x.mean(0)).square().sum() < 3 * spread / len(x)
    with pytest.raises(ValueError, match="expected one of images, gaussian, single"):
        surrogate(images, "uniform")


def test_where_the_data_are_gaussian_a_surrogate_changes_nothing_that_is_measured():
    true, made = scores(clouds()), scores(surrogate(clouds(), "gaussian"))
    assert 0.3 < true["knn"] < 0.99  # else there would be nothing to see
    assert made["knn"] == pytest.approx(true["knn"], abs=0.05)
    assert made["silhouette"] == pytest.approx(true["silhouette"], abs=0.04)
    assert made["ratio"] == pytest.approx(true["ratio"], rel=0.1)
    alone = scores(surrogate(clouds(), "single"))
    assert alone["knn"] == pytest.approx(0.1, abs=0.05) and alone["ratio"] == pytest.approx(1, abs=0.1)


def test_permuted_labels_are_chance_and_keep_their_numbers():
    images = clouds()
    for kind in ("permuted", "in clusters"):
        made = relabelled(images, kind)
        assert torch.equal(made.x, images.x) and torch.equal(made.labels.bincount(), images.labels.bincount())
    found = scores(relabelled(images, "permuted"))
    assert found["knn"] == pytest.approx(0.1, abs=0.05) and found["ratio"] == pytest.approx(1, abs=0.1)
    assert found["silhouette"] < 0
    between = scores(relabelled(images, "in clusters"))["knn"]
    assert found["knn"] < between < scores(images)["knn"]


def test_sources_measure_every_case_with_every_network(smoke):
    protocol, settings, _ = smoke
    table = sources(*smoke)
    trained = table[table.space == "trained"]
    assert set(zip(trained.measured, trained.labels)) == {
        ("images", "true"), ("gaussian", "true"), ("images", "permuted"), ("images", "in clusters"),
    }  # fmt: skip
    assert (trained.groupby(["measured", "labels", "source"]).size() == len(settings.source_dims)).all()
    assert trained.error.between(0.2, 2).all() and table.error.isna().eq(table.space != "trained").all()
    pixels = table[table.space == "pixels"].set_index(["measured", "labels"]).knn
    assert pixels["images", "true"] > 0.9 and pixels["images", "permuted"] < 0.2


def test_a_picture_that_is_its_source_distorts_nothing():
    labels = torch.arange(100) % 10
    points = normal(100, 2) + 8 * torch.stack([labels.cos(), labels.sin()], 1)
    pictures = {"labels": labels} | {
        f"{name}.{kind}": points for name in PICTURES for kind in ("source", "picture")
    }
    table = distortion(pictures).set_index("picture")
    assert (table.neighbours_kept == 1).all() and np.allclose(table.distances, 1)
    assert np.allclose(table.silhouette, table.silhouette_shown, equal_nan=True)
