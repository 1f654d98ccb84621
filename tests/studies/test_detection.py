"""The detection study: no leak, transformations that are what they say, scores that obey their laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn import metrics
from sklearn.mixture import GaussianMixture

from lib import data
from lib.model import Autoencoder, Ensemble
from lib.protocol import Protocol, ProtocolError
from lib.store import Store
from lib.studies import detection, detection_data, detection_scores
from lib.studies.claims import JUDGES
from lib.studies.detect import detect
from lib.studies.detection_scores import COMBINED, SCORES, Probe
from lib.training import train


@pytest.fixture(scope="module")
def net():
    return Autoencoder(4, torch.Generator().manual_seed(0)).double().requires_grad_(False)


@pytest.fixture(scope="module")
def parts():
    return detection_data.parts("digits")


@pytest.fixture(scope="module")
def fitted(net, parts):
    return detection_scores.fit(*(detection_scores.probe(net, x) for x in (parts.fit, parts.rank)))


# data


def rows_of(x):
    return {row.numpy().tobytes() for row in x}


def test_no_training_image_is_in_any_part_and_the_parts_are_disjoint(parts):
    images = data.load("digits")
    trained = rows_of(images.train)
    held = [parts.fit, parts.rank, parts.inside, parts.source]
    assert sum(map(len, held)) == len(images.test)
    assert not trained & set().union(*map(rows_of, held))
    assert sum(len(rows_of(x)) for x in held) == len(set().union(*map(rows_of, held)))


def test_a_digit_left_out_is_neither_trained_on_nor_calibrated_with():
    whole, rest, parts = (
        data.load("digits"),
        data.load("digits-without-1"),
        detection_data.parts("digits-without-1"),
    )
    ones = rows_of(whole.x[whole.labels == 1])
    for x in (rest.x, parts.fit, parts.rank, parts.inside, parts.source):
        assert not ones & rows_of(x)
    assert rows_of(parts.left_out) == rows_of(whole.test[whole.labels[whole.trained :] == 1])
    # an image is in the same part whatever is left out
    assert rows_of(parts.fit) <= rows_of(detection_data.parts("digits").fit)


def test_the_data_without_a_digit_have_a_digest_of_their_own():
    names = ["digits", "mnist", *(f"{base}-without-{k}" for base in ("digits", "mnist") for k in range(10))]
    assert len({data.digest(name) for name in names}) == len(names)
    assert data.load("digits-without-3").sha256 == data.digest("digits-without-3")
    assert Protocol(training_set="mnist-without-1").training_set == "mnist-without-1"
    for wrong in ("mnist-without-10", "fashion-mnist", "digits-without-"):
        with pytest.raises(ProtocolError, match="training_set: expected one of mnist, digits"):
            Protocol(training_set=wrong)


@pytest.mark.parametrize("name", detection_data.TRANSFORMED)
def test_a_transformation_keeps_the_frame_and_does_not_depend_on_other_images(parts, name):
    x = detection_data.TRANSFORMED[name](parts.source)
    assert x.shape[1] == 784 and x.dtype == torch.float64 and 0 <= x.min() and x.max() <= 1
    if name != "mean of two":
        assert torch.equal(detection_data.TRANSFORMED[name](parts.source[:7]), x[:7])
    assert not torch.equal(x[:7], parts.source[:7])


def test_transformations_obey_their_laws(parts):
    x, t = parts.source[:40], detection_data.TRANSFORMED
    turned = x
    for _ in range(4):
        turned = t["rotated 90"](turned)
    assert torch.equal(turned, x)
    assert torch.equal(t["rotated 90"](t["rotated 90"](x)), t["rotated 180"](x))
    assert torch.equal(t["flipped left-right"](t["flipped top-bottom"](x)), t["rotated 180"](x))
    for name in ("flipped left-right", "flipped top-bottom", "inverted", "rotated 180"):
        torch.testing.assert_close(t[name](t[name](x)), x)
    assert torch.equal(t["half brightness"](x) * 2, x)
    assert torch.equal(t["pixels shuffled"](x).sort(1).values, x.sort(1).values)
    impulse = torch.zeros(1, 28, 28, dtype=torch.float64)
    impulse[0, 14, 14] = 1
    blurred = t["blurred"](impulse.flatten(1)).unflatten(1, (28, 28))[0]
    assert blurred.sum() == pytest.approx(1)  # a kernel that sums to one
    assert ((torch.arange(28) - 14) ** 2 * blurred.sum(0)).sum() == pytest.approx(1.5**2, rel=0.01)
    moved = t["shifted"](impulse.flatten(1)).unflatten(1, (28, 28))[0]
    assert moved.nonzero().tolist() == [[18, 18]]
    occluded = t["occluded"](torch.ones(1, 784, dtype=torch.float64))
    assert occluded.sum() == 784 - 100
    half = len(parts.source) // 2
    torch.testing.assert_close(
        t["mean of two"](parts.source) * 2, parts.source[:half] + parts.source[half : 2 * half]
    )


def test_letters_are_framed_like_the_digits_and_do_not_depend_on_their_number():
    x = detection_data.letters(40, "mnist")
    assert torch.equal(detection_data.letters(9, "mnist"), x[:9])
    pictures = x.unflatten(1, (28, 28))
    at = torch.arange(28, dtype=torch.float64)
    for picture in pictures:
        rows, columns = (picture.amax(axis).nonzero().flatten() for axis in (1, 0))
        assert max(rows.max() - rows.min(), columns.max() - columns.min()) + 1 <= 20
        for axis in (0, 1):
            centre = (picture.sum(1 - axis) * at).sum() / picture.sum()
            inside = picture.sum(1 - axis).nonzero().flatten()
            assert abs(centre - 13.5) <= 0.51 or inside.min() == 0 or inside.max() == 27
    assert len(rows_of(detection_data.letters(40, "digits"))) == 40


def test_a_missing_or_damaged_fashion_file_is_named_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tmp_path))
    data.load.cache_clear()
    with pytest.raises(data.DataError, match="FASHION_MNIST_DIR: expected t10k-images-idx3-ubyte"):
        data.load("fashion-mnist")
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"not it")
    with pytest.raises(
        data.DataError, match="Fashion-MNIST: expected t10k-images-idx3-ubyte with SHA-256 5b4141f0"
    ):
        data.load("fashion-mnist")


# scores


def linear(d: int = 3, p: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis ``(p, d)`` and points on its range ``(n, p)``."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((p, d)))[0]
    return basis, rng.standard_normal((50, d)) @ basis.T


def test_a_linear_projection_has_no_defect_on_its_range():
    basis, x = linear()
    n, d = len(x), basis.shape[1]
    k = np.broadcast_to(basis.T @ basis, (n, d, d))
    lam = np.linalg.eigvals(k)
    z, y = x @ basis, x @ basis @ basis.T
    p = Probe(x, z, y, y @ basis, y, k, k, lam, lam, np.ones(n), np.zeros((n, 0)))
    found = detection_scores.evaluate(p, detection_scores.fit(p, p))
    zero = [
        "K_L defect",
        "K_I defect",
        "spectral L",
        "spectral I",
        "re-encoding shift",
        "image shift",
        "error",
        "spread",
    ]
    for name in zero:
        np.testing.assert_allclose(found[name], 0, atol=1e-12, err_msg=name)
    assert not [name for name in found if name.startswith("hamming")]  # no ReLU, no linear regions


def test_defects_are_those_of_the_jacobians_of_both_round_trips(net, parts, fitted):
    x = parts.inside[:3]
    found = detection_scores.evaluate(detection_scores.probe(net, x), fitted)
    z = net.encoder(x)
    for i in range(len(x)):
        e, e_y, g = (
            torch.autograd.functional.jacobian(f, at)
            for f, at in ((net.encoder, x[i]), (net.encoder, net.decoder(z[i])), (net.decoder, z[i]))
        )
        for name, k in (("K_I defect", e @ g), ("K_L defect", e_y @ g)):
            assert found[name][i] == pytest.approx(torch.linalg.matrix_norm(k - torch.eye(4)).item())
    y = net.decoder(z)
    np.testing.assert_allclose(found["error"], (y - x).square().sum(1))
    np.testing.assert_allclose(found["relative error"], (y - x).square().sum(1) / x.square().sum(1))
    np.testing.assert_allclose(found["re-encoding shift"], (net.encoder(y) - z).norm(dim=1))
    np.testing.assert_allclose(found["image shift"], (net(y)[1] - y).norm(dim=1))
    first = net.encoder[0]
    np.testing.assert_allclose(found["hamming 1"], ((first(x) > 0) != (first(y) > 0)).sum(1))
    np.testing.assert_allclose(found["hamming"], sum(found[f"hamming {i}"] for i in (1, 2, 3)))


def test_scores_do_not_depend_on_the_batch(net, parts, fitted):
    x = torch.cat([parts.inside[:20], detection_data.points("uniform", "digits", 80)])
    whole = detection_scores.evaluate(detection_scores.probe(net, x), fitted)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    for rows in (order, torch.arange(7, 8), torch.arange(30, 40)):
        part = detection_scores.evaluate(detection_scores.probe(net, x[rows]), fitted)
        for name in whole:
            np.testing.assert_allclose(part[name], whole[name][rows], rtol=1e-6, atol=1e-9, err_msg=name)
    f = lambda v: net(v)[1]  # noqa: E731
    y = f(x)
    np.testing.assert_allclose(
        detection_scores.iterated(f, y[order]), detection_scores.iterated(f, y)[order], rtol=1e-9
    )


def test_iterations_stop_at_the_step_and_at_the_limit():
    y = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    halved = detection_scores.iterated(lambda v: v / 2, y)
    t = int(np.ceil(np.log2(1 / detection_scores.STEP)))  # the step from 2^{-k} is 2^{-k-1}
    assert halved[0] == pytest.approx((1 - 2.0**-t) ** 2) and halved[1] == 0
    moving = detection_scores.iterated(lambda v: v + 1, y)
    np.testing.assert_allclose(moving, 2 * detection_scores.ITERATIONS**2)


def test_the_combination_ranks_by_fishers_sum_of_calibration_p_values(fitted):
    high = {name: np.array([fitted.ranks[name][-1] + 1, fitted.ranks[name][0] - 1]) for name in COMBINED}
    n = len(fitted.ranks["hamming"])
    np.testing.assert_allclose(
        detection_scores.fisher(high, fitted), [-2 * len(COMBINED) * np.log(1 / (1 + n)), 0], atol=1e-12
    )


def test_the_mixture_and_mahalanobis_have_the_auroc_of_their_closed_forms():
    """Codes N(0, 1) against N(0, s²) in d dimensions: ‖z‖² is χ²_d against s²χ²_d, P(s²A > B) an F law's."""
    rng, n, d, s = np.random.default_rng(3), 4_000, 3, 1.7

    def probe(z):
        k = np.broadcast_to(np.eye(d), (len(z), d, d))
        x = np.hstack([z, np.ones((len(z), 1))])
        ones = np.ones((len(z), d))
        return Probe(x, z, x, z, x, k, k, ones, ones, np.ones(len(z)), np.zeros((len(z), 3)))

    inside, outside = rng.standard_normal((n, d)), s * rng.standard_normal((n, d))
    f = detection_scores.fit(
        probe(rng.standard_normal((n, d))), probe(rng.standard_normal((100, d))), pixels=False
    )
    assert isinstance(f.mixture[-1], GaussianMixture)
    expected = 1 - stats.f(d, d).cdf(1 / s**2)
    error = 3 * np.sqrt(
        (2 * n + 1) / (12 * n * n)
    )  # no AUROC's standard error is much above that of the null
    for name, slack in (("Mahalanobis", 0.0), ("mixture of codes", 0.03), ("k-NN of codes", 0.03)):
        got = detection.measures(SCORES[name].of(probe(inside), f), SCORES[name].of(probe(outside), f))[
            "auroc"
        ]
        assert got == pytest.approx(expected, abs=error + slack), name


# measures


@pytest.mark.parametrize("kind", ["continuous", "with ties"])
def test_measures_are_scikit_learns(kind):
    rng = np.random.default_rng(5)
    inside, outside = rng.normal(size=200), rng.normal(0.5, 1.5, size=130)
    if kind == "with ties":
        inside, outside = inside.round(), outside.round()
    got = detection.measures(inside, outside)
    out, score = np.repeat([0, 1], [200, 130]), np.concatenate([inside, outside])
    accepted, kept, _ = metrics.roc_curve(1 - out, -score, drop_intermediate=False)
    assert got == {
        "auroc": pytest.approx(metrics.roc_auc_score(out, score)),
        "fpr95": pytest.approx(accepted[np.argmax(kept >= 0.95)]),
        "aupr_out": pytest.approx(metrics.average_precision_score(out, score)),
        "aupr_in": pytest.approx(metrics.average_precision_score(1 - out, -score)),
    }


def test_equal_distributions_have_an_auroc_near_one_half(net, parts, fitted):
    x = torch.cat([parts.inside, parts.source])
    found = detection_scores.evaluate(detection_scores.probe(net, x), fitted)
    n, m = len(parts.inside), len(parts.source)
    error = np.sqrt((n + m + 1) / (12 * n * m))
    aurocs = {name: detection.measures(s[:n], s[n:])["auroc"] for name, s in found.items()}
    assert all(abs(a - 0.5) < 3.5 * error for a in aurocs.values()), aurocs


# the table and its statements


def test_a_table_has_a_row_for_each_network_set_and_score_and_is_stored(tmp_path, monkeypatch):
    protocol = Protocol(training_set="digits", dims=(2, 3, 8), seeds=(0,), epochs=1)
    store = Store(tmp_path)
    networks = train(protocol, store)
    table = detection.table(networks, protocol, store, ("untouched", "inverted"), (2, 8, 14))
    scores = {*SCORES, "iterations", "disagreement", "combination"}
    assert {*table.score} == scores and len(table) == 2 * 2 * len(scores) and {*table.epochs} == {1}
    assert table.auroc.between(0, 1).all() and not table.isna().any().any()
    monkeypatch.setattr(detection, "rows", None)  # from now on only what is stored
    again = detection.table(networks, protocol, store, ("untouched", "inverted"), (2, 8, 14))
    pd.testing.assert_frame_equal(table, again)


def test_a_digit_can_be_left_out_from_training_to_table(tmp_path):
    run = detection.held_out(Protocol(training_set="digits", dims=(2, 8), seeds=(3,), epochs=1), 7)
    assert (run.training_set, run.dims) == ("digits-without-7", (2, 8))
    store = Store(tmp_path)
    table = detection.table(train(run, store), run, store)
    assert {*table.set} == {"left out"} and {*table.points} == {
        int((detection_data.parts("digits-without-7").left_out > -1).any(1).sum())
    }


def made(differences, seeds=JUDGES, noise=0.01):
    """A table of AUROCs in which each score is .6 plus its difference, with a small seeded deviation."""
    rng, out = np.random.default_rng(0), []
    for seed in seeds:
        for _, training_set, name in detection.PRIMARY[:4]:
            for d in detection.DIMS if training_set == "mnist" else detection.HELD_OUT_DIMS:
                for score in ("hamming", "K_L defect", *detection.RIVALS):
                    auroc = (
                        0.6
                        + differences.get((score, name), differences.get(score, 0))
                        + noise * rng.standard_normal()
                    )
                    out.append((training_set, seed, d, 300, name, score, auroc))
    return pd.DataFrame(out, columns=["training_set", "seed", "d", "epochs", "set", "score", "auroc"])


def test_a_score_beats_only_where_it_beats_every_rival():
    table = made({"hamming": 0.1, ("error", "half brightness"): 0.2, "K_L defect": -0.3})
    verdicts = detection.primary(table).set_index(["score", "set"]).verdict
    assert verdicts["hamming", "fashion"] == "beats" and verdicts["hamming", "left out"] == "beats"
    assert verdicts["hamming", "half brightness"] == "does not beat"  # one rival is enough
    assert (verdicts["K_L defect"] == "does not beat").all()
    failing = detection.failing(table).set_index(["score", "set"]).fails
    assert failing["K_L defect"].all() and not failing["hamming"].any()


def test_equal_scores_stay_open_and_too_few_seeds_are_not_judged():
    assert (detection.primary(made({})).verdict == "open").all()
    few = detection.primary(made({"hamming": 0.1}, JUDGES[:7]))
    assert (few.verdict == "not judged yet").all() and (few.seeds == 7).all()
    explored = detection.primary(made({"hamming": 0.1}, (0, 1)))
    assert (explored.verdict == "not judged yet").all() and (explored.seeds == 0).all()


def test_intervals_are_those_of_students_t_over_seeds_of_means_over_d():
    table = made({"hamming": 0.02})
    judged = table[table.d.isin([8, 14, 17, 20]) & (table.set == "fashion")]
    wide = judged.pivot_table(index="seed", columns="score", values="auroc")
    for _, row in detection.compared(table, "hamming", "mnist", "fashion").iterrows():
        difference = wide["hamming"] - wide[row.rival]
        half = stats.t(7).ppf(0.975) * difference.std(ddof=1) / np.sqrt(8)
        assert (row["mean"], row.low, row.high) == pytest.approx(
            (difference.mean(), difference.mean() - half, difference.mean() + half)
        )


def test_untrained_networks_and_other_dimensions_judge_nothing():
    table = made({"hamming": 0.1})
    other = table.assign(auroc=0.0)
    for extra in (other.assign(epochs=0), other[other.d == 2], other.assign(seed=0)):
        pd.testing.assert_frame_equal(detection.primary(pd.concat([table, extra])), detection.primary(table))


def test_disagreement_is_the_spread_of_the_reconstructions_of_one_seed(parts):
    ensemble = Ensemble.initial((2, 3), 0)
    nets = [ensemble.member(d).double() for d in (2, 3)]
    singles = [ensemble.member(d) for d in (2, 3)]
    fitted = [
        detection_scores.fit(*(detection_scores.probe(n, x) for x in (parts.fit, parts.rank))) for n in nets
    ]
    a, b = detection._scores(nets, singles, fitted, parts.inside)
    expected = (nets[0](parts.inside)[1] - nets[1](parts.inside)[1]).square().sum(1) / 4
    np.testing.assert_allclose(a["disagreement"], expected)
    np.testing.assert_array_equal(a["disagreement"], b["disagreement"])


# for a person's own network


def test_detect_has_the_scores_of_the_papers_networks_to_rounding(net, parts):
    x = parts.inside[:12]
    reference = torch.cat([parts.fit, parts.rank])
    order = torch.stack(
        [torch.arange(len(parts.fit)), len(parts.fit) + torch.arange(len(parts.fit))], 1
    ).flatten()
    found = detect(net.encoder, net.decoder, reference[order], x)
    fitted = detection_scores.fit(
        detection_scores.probe(net, parts.fit), detection_scores.probe(net, parts.rank[: len(parts.fit)])
    )
    expected = detection_scores.evaluate(detection_scores.probe(net, x), fitted)
    assert {*found.scores} == {*expected}
    for name, values in expected.items():
        np.testing.assert_allclose(found.scores[name], values, rtol=1e-5, atol=1e-8, err_msg=name)


def test_thresholds_keep_their_rate_of_false_alarms(net, parts):
    """Over many cuts of one distribution at most the rate lies above the threshold, to sampling error."""
    x = torch.cat([parts.fit, parts.rank, parts.inside, parts.source])
    g, rate, shares = torch.Generator().manual_seed(0), 0.2, []
    for _ in range(6):
        order = torch.randperm(len(x), generator=g)
        found = detect(net.encoder, net.decoder, x[order[:150]], x[order[150:]], rate)
        assert (found.why.drop("orientation") == "").all()
        shares.append(found.flagged[["error", "K_L defect", "hamming", "Mahalanobis"]].mean())
    mean = pd.concat(shares, axis=1).mean(axis=1)
    assert (mean < rate + 0.05).all() and (mean > rate - 0.12).all(), mean


def test_detect_flags_noise_and_says_which_thresholds_are_not_to_be_trusted(net, parts):
    noise = detection_data.points("beta_5_0.8", "digits", 40)
    found = detect(net.encoder, net.decoder, parts.source, noise, 0.05)
    assert found.flagged["error"].all() and (found.p["error"] <= 1 / (1 + len(parts.source) // 2)).all()
    few = detect(net.encoder, net.decoder, parts.source[:30], noise, 0.05)
    assert few.why.str.contains("too few for a rate of 0.05").all() and not few.flagged.any().any()
    single = detect(net.float().encoder, net.decoder, parts.source.float(), noise.float())
    net.double()
    assert "rounding noise" in single.why["spread"] and single.why["error"] == ""
    assert single.table().trusted[single.table().score == "spread"].iloc[0].startswith("no")


def test_inputs_of_any_shape_and_encoders_without_relu_have_scores_but_no_patterns():
    g = torch.Generator().manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 5 * 4, 3), torch.nn.Tanh()).double()
    decoder = torch.nn.Sequential(torch.nn.Linear(3, 60), torch.nn.Unflatten(1, (3, 5, 4))).double()
    reference, x = (torch.rand(n, 3, 5, 4, dtype=torch.float64, generator=g) for n in (60, 5))
    x[1, 0, 0, 0] = torch.nan
    found = detect(encoder, decoder, reference, x)
    assert len(found.scores) == 5 and not [c for c in found.scores if c.startswith("hamming")]
    assert np.isinf(found.scores.loc[1]).all() and np.isfinite(found.scores.drop(1)).all().all()


@pytest.mark.parametrize(
    "rate, count, line",
    [
        (0.0, 60, "rate: expected a number between 0 and 1, got 0.0"),
        (0.1, 5, "reference: expected at least 20 inputs, got 5"),
    ],
)
def test_detect_refuses_in_one_line(net, parts, rate, count, line):
    with pytest.raises(ValueError, match=line) as caught:
        detect(net.encoder, net.decoder, parts.source[:count], parts.inside, rate)
    assert "\n" not in str(caught.value)
