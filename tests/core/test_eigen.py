"""The batched eigenvalue solver: backward error everywhere, LAPACK's answer where that is well determined."""

import numba
import numpy as np
import pytest
from scipy import linalg

from lib import eigen
from lib.eigen import LANES, eigvals

RNG = np.random.default_rng(0)
EPS, SCALES = np.finfo(float).eps, 10.0 ** np.arange(-8, 8)


def backward_error(k: np.ndarray, lam: np.ndarray) -> float:
    """max over λ of σ_min(K − λI)/‖K‖: the relative size of the change of K that makes λ exact."""
    size = np.linalg.norm(k, 2)
    shifted = k - lam[:, None, None] * np.eye(len(k))
    return np.linalg.svd(shifted, compute_uv=False)[:, -1].max() / (size or 1.0)


def jordan(value: float, d: int) -> np.ndarray:
    return value * np.eye(d) + np.eye(d, k=1)


def rotated(k: np.ndarray) -> np.ndarray:
    q, _ = np.linalg.qr(RNG.normal(size=k.shape))
    return q @ k @ q.T


SPECIAL = {
    "one number": np.array([[-3.0]]),
    "zero": np.zeros((5, 5)),
    "identity": np.eye(7),
    "rotation": np.array([[0.0, -1.0], [1.0, 0.0]]),
    "two equal": np.array([[1.0, 1.0], [0.0, 1.0]]),
    "cyclic shift": np.roll(np.eye(8), 1, axis=0),  # the unshifted iteration never moves
    "Jordan block": jordan(0.0, 6),
    "defective": rotated(jordan(2.0, 5)),
    "two Jordan blocks": rotated(linalg.block_diag(jordan(1.0, 4), jordan(-1.0, 3))),
    "rank one": np.outer(RNG.normal(size=9), RNG.normal(size=9)),
    "rank 13 of 20": RNG.normal(size=(20, 13)) @ RNG.normal(size=(13, 20)),
    "symmetric": (lambda a: a + a.T)(RNG.normal(size=(12, 12))),
    "skew": (lambda a: a - a.T)(RNG.normal(size=(11, 11))),
    "orthogonal": np.linalg.qr(RNG.normal(size=(16, 16)))[0],
    "triangular": np.triu(RNG.normal(size=(15, 15))),
    "companion": np.vstack([-np.poly(np.arange(1, 9))[1:], np.eye(8)[:-1]]),
    "graded": RNG.normal(size=(10, 10)) * np.logspace(0, -14, 10)[:, None],
    "badly scaled": SCALES[:, None] * RNG.normal(size=(16, 16)) / SCALES,
    "nearly reducible": np.triu(RNG.normal(size=(9, 9))) + 1e-17 * RNG.normal(size=(9, 9)),
    "widest": RNG.normal(size=(32, 32)),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECIAL)
def test_every_eigenvalue_is_that_of_a_matrix_nearby(name):
    k = SPECIAL[name]
    lam = eigvals(k[None])[0]
    assert backward_error(k, lam) <= 20 * len(k) * EPS
    assert abs(lam.sum() - np.trace(k)) <= 100 * len(k) * EPS * np.linalg.norm(k, 2)


@pytest.mark.parametrize("d", range(1, 33))
def test_random_matrices_of_every_size(d):
    k = RNG.normal(size=(40, d, d))
    lam = eigvals(k)
    for m, found in zip(k, lam):
        assert backward_error(m, found) < 20 * d * EPS


@pytest.mark.parametrize("d", [2, 5, 11, 20, 32])
def test_agreement_with_lapack_where_the_condition_number_is_modest(d):
    from scipy.linalg import eig

    compared = 0
    for m, lam in zip(k := RNG.normal(size=(60, d, d)), eigvals(k)):
        reference, left, right = eig(m, left=True)
        condition = 1 / np.abs((left.conj() * right).sum(0))  # of each eigenvalue; the vectors have norm 1
        for value, c in zip(reference, condition):
            if c < 1e3:
                assert np.abs(lam - value).min() < 1e-10 * np.linalg.norm(m, 2)
                compared += 1
    assert compared > 30 * d


@pytest.mark.parametrize("n", [0, 1, LANES - 1, LANES, LANES + 1, 3 * LANES + 5])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_matrix_gets_the_same_answer_in_any_company(n, threads):
    k = RNG.normal(size=(n, 6, 6))
    together = eigvals(k, threads)
    assert together.shape == (n, 6)
    for m, lam in zip(k, together):
        assert np.array_equal(eigvals(m[None])[0], lam)


def test_what_is_not_finite_stays_in_its_own_row():
    k = RNG.normal(size=(50, 4, 4))
    clean = eigvals(k)
    k[3, 1, 2], k[17, 0, 0], k[30] = np.nan, np.inf, -np.inf
    lam = eigvals(k)
    bad = [3, 17, 30]
    assert np.isnan(lam[bad]).all()
    assert np.array_equal(np.delete(lam, bad, 0), np.delete(clean, bad, 0))


@pytest.mark.parametrize("size", [1e-300, 1e-150, 1.0, 1e150, 1e300])
def test_the_scale_of_a_matrix_scales_its_spectrum(size):
    k = RNG.normal(size=(10, 7, 7))
    np.testing.assert_allclose(eigvals(size * k) / size, eigvals(k), rtol=1e-10)


def test_pairs_are_conjugate_and_side_by_side_in_falling_order():
    for lam in eigvals(RNG.normal(size=(300, 13, 13))):
        assert (np.diff(np.abs(lam)) <= 0).all()
        i = 0
        while i < len(lam):
            if lam[i].imag:
                assert lam[i].imag > 0 and lam[i + 1] == lam[i].conjugate()
                i += 1
            i += 1


def test_where_nothing_can_be_written_it_is_compiled_without_a_cache(monkeypatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(_double, cache=True)
    assert eigen._jit(_double)(2.0) == 4.0


def _double(x):
    return 2 * x
