"""Eigenvalues of many small real matrices at once: Francis' double-shift QR, one matrix a SIMD lane.

LAPACK treats a batch one matrix after another, and one small matrix leaves a wide processor mostly idle. Here
`LANES` matrices lie interleaved in memory, entry (i, j) of all of them side by side, and go through the same
steps together: scaling, balancing, Householder reduction to Hessenberg form, and QR sweeps with deflation
(Golub & Van Loan, Matrix Computations, 7.4–7.5). Each lane has its own shifts and its own active window; a
lane that is outside its window takes the identity for its reflection.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

__all__ = ["eigvals"]

#: Matrices that go through the steps together.
LANES = 32
#: Sweeps after which a matrix is given up; LAPACK's is 30 an eigenvalue.
SWEEPS = 30

#: Places of a lane's numbers: its window, its first column, and its reflection 1 − (x, y, z)ᵀ(1, v, w).
LOW, HIGH, P, Q, R, X, Y, Z, V, W = (i * LANES for i in range(10))

_EPS = np.finfo(np.float64).eps
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}


def _jit(function):
    try:
        return numba.njit(function, cache=True, **_OPTIONS)
    except RuntimeError:  # nothing can be written beside this file nor in the home: compiled each time
        return numba.njit(function, **_OPTIONS)


def eigvals(k: np.ndarray, threads: int = 1) -> np.ndarray:
    """Eigenvalues by falling modulus, the member of a pair with positive imaginary part first.

    Each computed spectrum is that of a matrix within a few d·ε·‖K‖ of the given one.

    Parameters
    ----------
    k : array, shape (n, d, d), real
    threads : parts of the batch worked on at a time

    Returns
    -------
    array, shape (n, d), complex128. A matrix with a number that is not finite gives NaNs.

    >>> eigvals(np.array([[[0.0, -2.0], [2.0, 0.0]]]))
    array([[0.+2.j, 0.-2.j]])
    """
    if np.iscomplexobj(k) or np.ndim(k) != 3 or np.shape(k)[1] != np.shape(k)[2]:
        raise ValueError(
            "k: expected real matrices of shape (n, d, d), "
            f"got {np.asarray(k).dtype} of shape {np.shape(k)}; pass a batch of square matrices"
        )
    k = np.ascontiguousarray(k, dtype=np.float64)
    n, d, _ = k.shape
    lam = np.empty((n, d), np.complex128)
    if threads == 1 or n <= LANES:
        _batch(k, lam)
        return lam
    cuts = [LANES * round(i * n / threads / LANES) for i in range(threads)] + [n]
    parts = [slice(a, b) for a, b in zip(cuts, cuts[1:])]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: _batch(k[part], lam[part]), parts))
    return lam


@_jit
def _batch(k, lam):
    n, d, _ = k.shape
    h = np.empty((d + 1, d + 1, LANES))  # with a border of zeros, for reflections that reach beyond
    wr, wi = np.empty((d, LANES)), np.empty((d, LANES))
    scale = np.empty(LANES)
    for start in range(0, n, LANES):
        m = min(LANES, n - start)
        _load(k[start : start + m], h, scale)
        if d > 2:  # a 2×2 matrix needs neither
            _balance(h, d)
        _hessenberg(h, d)
        _francis(h, d, wr, wi)
        for l in range(m):
            _store(wr, wi, scale[l], l, lam[start + l])


@_jit
def _load(k, h, scale):
    """Interleave the matrices, each scaled by a power of two to a largest entry of order one."""
    m, d, _ = k.shape
    h[:] = 0.0
    scale[:] = 1.0
    for l in range(m):
        largest = 0.0
        for i in range(d):
            for j in range(d):
                largest = max(largest, abs(k[l, i, j]))
        if largest > 0.0 and largest < np.inf:
            scale[l] = 2.0 ** np.floor(np.log2(largest))
        finite = True
        for i in range(d):
            for j in range(d):
                v = k[l, i, j] / scale[l]
                finite = finite and abs(v) < np.inf
                h[i, j, l] = v
        if not finite:
            scale[l] = np.nan
            h[:, :, l] = 0.0


@_jit
def _balance(h, d):
    """Diagonal similarities by powers of two that bring the norms of row i and column i together."""
    row, column, factor = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    for _ in range(8):
        changed = False
        for i in range(d):
            row[:], column[:] = 0.0, 0.0
            for j in range(d):
                if j != i:
                    for l in range(LANES):
                        row[l] += abs(h[i, j, l])
                        column[l] += abs(h[j, i, l])
            some = False
            for l in range(LANES):
                r, c = row[l], column[l]
                f = 1.0
                if r > 0.0 and c > 0.0:
                    g = 2.0 ** np.round(0.5 * np.log2(r / c))
                    if c * g + r / g < 0.95 * (c + r):
                        f = g
                        some = True
                factor[l] = f
            if some:
                changed = True
                for j in range(d):
                    if j != i:
                        for l in range(LANES):
                            h[i, j, l] /= factor[l]
                            h[j, i, l] *= factor[l]
        if not changed:
            return


@_jit
def _hessenberg(h, d):
    """Householder reflections I − βvvᵀ from both sides clear what lies below the subdiagonal."""
    v, beta, dot = np.empty((d, LANES)), np.empty(LANES), np.empty(LANES)
    for k in range(d - 2):
        dot[:] = 0.0
        for i in range(k + 2, d):
            for l in range(LANES):
                dot[l] += h[i, k, l] * h[i, k, l]
        for l in range(LANES):
            a = h[k + 1, k, l]
            norm = np.sqrt(a * a + dot[l])
            alpha = -norm if a > 0.0 else norm
            v[k + 1, l] = a - alpha
            vv = dot[l] + (a - alpha) * (a - alpha)
            reflect = dot[l] > 0.0 and vv > 0.0
            beta[l] = 2.0 / vv if reflect else 0.0
            h[k + 1, k, l] = alpha if reflect else a
        for i in range(k + 2, d):
            for l in range(LANES):
                v[i, l] = h[i, k, l]
                h[i, k, l] = 0.0
        for j in range(k + 1, d):  # rows: H ← (I − βvvᵀ)H
            dot[:] = 0.0
            for i in range(k + 1, d):
                for l in range(LANES):
                    dot[l] += v[i, l] * h[i, j, l]
            for l in range(LANES):
                dot[l] *= beta[l]
            for i in range(k + 1, d):
                for l in range(LANES):
                    h[i, j, l] -= dot[l] * v[i, l]
        for i in range(d):  # columns: H ← H(I − βvvᵀ)
            dot[:] = 0.0
            for j in range(k + 1, d):
                for l in range(LANES):
                    dot[l] += h[i, j, l] * v[j, l]
            for l in range(LANES):
                dot[l] *= beta[l]
            for j in range(k + 1, d):
                for l in range(LANES):
                    h[i, j, l] -= dot[l] * v[j, l]


@_jit
def _francis(h, d, wr, wi):
    """Eigenvalues of Hessenberg matrices; those of a matrix that does not converge are NaN."""
    f = np.zeros(10 * LANES)  # one array, so that the compiler sees that nothing overlaps
    tries = np.zeros(LANES, np.int64)
    f[HIGH : HIGH + LANES] = d - 1
    wr[:] = np.nan
    wi[:] = np.nan
    while True:
        first, last = d, -1
        for l in range(LANES):
            low, high = d, int(f[HIGH + l])
            while high >= 0:
                low = _window(h, l, high)
                if low < high - 1:
                    break
                _split(h, l, low, high, wr, wi)
                high = low - 1
                tries[l] = 0
            if high >= 0 and tries[l] == SWEEPS * d:
                wr[:, l] = np.nan
                high = -1
            if high >= 0:
                tries[l] += 1
                f[P + l], f[Q + l], f[R + l] = _start(h, l, low, high, tries[l])
                first, last = min(first, low), max(last, high)
            f[LOW + l], f[HIGH + l] = low, high
        if last < 0:
            return
        for k in range(first, last):
            above = max(k - 1, 0)
            for l in range(LANES):  # selects, no branches: the lanes stay together
                h0, h1, h2 = h[k, above, l], h[k + 1, above, l], h[k + 2, above, l]
                p, q, r = f[P + l], f[Q + l], f[R + l]
                low, high = f[LOW + l], f[HIGH + l]
                begin, inside, inner = low == k, (low <= k) & (k < high), k < high - 1
                # the first column of (H − s₁)(H − s₂), then the bulge below the subdiagonal
                a = p if begin else h0
                b = q if begin else h1
                c = r if begin else h2
                c = c if inner else 0.0
                size = abs(a) + abs(b) + abs(c)
                active = inside & (size > 0.0)
                inverse = 1.0 / (size if active else 1.0)
                a, b, c = a * inverse, b * inverse, c * inverse
                s = np.sqrt(a * a + b * b + c * c)
                s = s if a >= 0.0 else -s
                a += s
                u = 1.0 / (s if active else np.inf)
                w = 1.0 / (a if active else np.inf)
                f[X + l], f[Y + l], f[Z + l] = a * u, b * u, c * u
                f[V + l], f[W + l] = b * w, c * w
                moved = active & (low < k)
                h[k, above, l] = -s * size if moved else h0
                h[k + 1, above, l] = 0.0 if moved else h1
                h[k + 2, above, l] = 0.0 if moved & inner else h2
            for j in range(k, last + 1):
                for l in range(LANES):
                    t = h[k, j, l] + f[V + l] * h[k + 1, j, l] + f[W + l] * h[k + 2, j, l]
                    h[k, j, l] -= t * f[X + l]
                    h[k + 1, j, l] -= t * f[Y + l]
                    h[k + 2, j, l] -= t * f[Z + l]
            for i in range(first, min(k + 3, last) + 1):
                for l in range(LANES):
                    t = f[X + l] * h[i, k, l] + f[Y + l] * h[i, k + 1, l] + f[Z + l] * h[i, k + 2, l]
                    h[i, k, l] -= t
                    h[i, k + 1, l] -= t * f[V + l]
                    h[i, k + 2, l] -= t * f[W + l]


@_jit
def _window(h, l, high):
    """Where the unreduced block of lane `l` that ends at `high` begins; the entry before it becomes zero."""
    i = high
    while i > 0:
        size = abs(h[i - 1, i - 1, l]) + abs(h[i, i, l])
        if abs(h[i, i - 1, l]) <= _EPS * (size if size > 0.0 else 1.0):
            h[i, i - 1, l] = 0.0
            break
        i -= 1
    return i


@_jit
def _start(h, l, low, high, tries):
    """First column of (H − s₁)(H − s₂) up to a factor; shifts are the eigenvalues of the last 2×2 block."""
    x, y = h[high, high, l], h[high - 1, high - 1, l]
    w = h[high, high - 1, l] * h[high - 1, high, l]
    if tries % 10 == 0:  # an exceptional shift, should the sweeps run in a circle
        s = abs(h[high, high - 1, l]) + abs(h[high - 1, high - 2, l])
        x = y = x + 0.75 * s
        w = -0.4375 * s * s
    a, b = x - h[low, low, l], y - h[low, low, l]
    p = (a * b - w) / h[low + 1, low, l] + h[low, low + 1, l]
    return p, h[low + 1, low + 1, l] - h[low, low, l] - a - b, h[low + 2, low + 1, l]


@_jit
def _split(h, l, low, high, wr, wi):
    """Eigenvalues of a 1×1 or 2×2 block."""
    a = h[low, low, l]
    if low == high:
        wr[low, l], wi[low, l] = a, 0.0
        return
    b, c, e = h[low, high, l], h[high, low, l], h[high, high, l]
    half = 0.5 * (a - e)
    square = half * half + b * c
    root = np.sqrt(abs(square))
    if square >= 0.0:  # two real ones, the smaller without cancellation
        v = half + root if half >= 0.0 else half - root
        wr[high, l], wi[high, l] = e + v, 0.0
        wr[low, l], wi[low, l] = (e - b * c / v if v != 0.0 else e), 0.0
    else:
        wr[low, l], wi[low, l] = 0.5 * (a + e), root
        wr[high, l], wi[high, l] = 0.5 * (a + e), -root


@_jit
def _store(wr, wi, scale, l, lam):
    """Sort one spectrum by falling modulus; pairs lie side by side and stay so."""
    size = np.empty(len(lam))
    for i in range(len(lam)):
        value = complex(wr[i, l] * scale, wi[i, l] * scale)
        modulus, j = abs(value), i
        while j > 0 and size[j - 1] < modulus:
            size[j], lam[j] = size[j - 1], lam[j - 1]
            j -= 1
        size[j], lam[j] = modulus, value
