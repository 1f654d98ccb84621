"""Training images by name, verified by the SHA-256 of their uncompressed content."""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import paths
from .store import Store, write_atomically

__all__ = ["Images", "load", "digest", "DataError"]

#: file → (SHA-256 of the uncompressed file, header bytes)
MNIST_FILES = {
    "train-images-idx3-ubyte": ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 16),
    "train-labels-idx1-ubyte": ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 8),
    "t10k-images-idx3-ubyte": ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 16),
    "t10k-labels-idx1-ubyte": ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 8),
}
#: No file is larger; what claims to be is not read to its end.
LARGEST = 2**26
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz"

#: SHA-256 of scikit-learn's 1,797 digits as unsigned bytes, shape (1797, 8, 8)
DIGITS_SHA256 = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
#: the first of these are trained on, the rest are held out
DIGITS_TRAINED = 1_500


class DataError(RuntimeError):
    """Training data that is missing or is not what it should be; the message is one line."""


@dataclass(frozen=True)
class Images:
    """Grey images in [0, 1] with their labels; the first `trained` ones are trained on.

    Attributes
    ----------
    name : str
    x : Tensor, shape (n, 784), float64
    labels : Tensor, shape (n,), int64
    trained : int
        The training split; ``x[trained:]`` is held out. The paper's D_train is all of `x`.
    sha256 : str
        Identifies the content; part of the key of everything trained on it.
    """

    name: str
    x: torch.Tensor
    labels: torch.Tensor
    trained: int
    sha256: str

    @property
    def train(self) -> torch.Tensor:
        return self.x[: self.trained]

    @property
    def test(self) -> torch.Tensor:
        return self.x[self.trained :]


@functools.lru_cache(maxsize=2)
def load(name: str) -> Images:
    """Load ``"digits"`` or ``"mnist"``.

    MNIST is looked for in the folder ``MNIST_DIR`` (when that variable is set, only there),
    then in the cache under ``results/mnist``, and is downloaded once if it is in neither.
    """
    if name == "digits":
        return _digits()
    if name == "mnist":
        return _mnist()
    raise DataError(f"training_set: expected 'mnist' or 'digits', got {name!r}; use training_set=digits")


def digest(name: str) -> str:
    """The ``sha256`` of ``load(name)``, without the images: what is trained on them can be looked up where they are not.

    >>> digest("digits") == load("digits").sha256
    True
    """
    if name == "digits":
        return DIGITS_SHA256
    return hashlib.sha256("".join(sha for sha, _ in MNIST_FILES.values()).encode()).hexdigest()


def _digits() -> Images:
    from sklearn.datasets import load_digits

    raw = load_digits()
    small = raw.images.astype(np.uint8)  # (1797, 8, 8), values 0…16
    sha = hashlib.sha256(small.tobytes()).hexdigest()
    if sha != DIGITS_SHA256:
        raise DataError(
            f"digits: expected SHA-256 {DIGITS_SHA256[:12]}…, got {sha[:12]}…; install the pinned scikit-learn"
        )
    x = torch.from_numpy(small).to(torch.float64)[:, None] / 16
    x = torch.nn.functional.interpolate(x, size=(28, 28), mode="bilinear", align_corners=False)
    return Images("digits", x.flatten(1), torch.from_numpy(raw.target).long(), DIGITS_TRAINED, sha)


def _mnist() -> Images:
    raw = {name: _mnist_file(name) for name in MNIST_FILES}
    pixels = np.concatenate([raw["train-images-idx3-ubyte"], raw["t10k-images-idx3-ubyte"]])
    labels = np.concatenate([raw["train-labels-idx1-ubyte"], raw["t10k-labels-idx1-ubyte"]])
    x = torch.from_numpy(pixels).view(-1, 784).to(torch.float64) / 255
    return Images("mnist", x, torch.from_numpy(labels).long(), 60_000, digest("mnist"))


def _mnist_file(name: str) -> np.ndarray:
    folder = paths.mnist()
    cache = Store().root / "mnist"
    for path in ((folder or cache) / file for file in (name, f"{name}.gz")):
        try:
            if (content := _read(path, name)) is not None:
                return np.frombuffer(content, np.uint8, offset=MNIST_FILES[name][1])
        except DataError as error:
            if folder:
                raise
            _take_away(path, error)
    if folder:
        raise DataError(
            f"MNIST_DIR: expected {name} or {name}.gz in {folder}, found neither; correct MNIST_DIR, or unset it to download"
        )
    content = _download(name)
    try:
        write_atomically(cache / f"{name}.gz", gzip.compress(content, mtime=0))
    except OSError as error:
        raise DataError(
            f"MNIST: expected to keep {name}.gz in {cache}, got {error.strerror or error}; set BOOK_RESULTS to a folder that can be written"
        ) from None
    return np.frombuffer(content, np.uint8, offset=MNIST_FILES[name][1])


def _read(path: Path, name: str) -> bytes | None:
    """The verified content of `path`, uncompressed, or None where there is nothing."""
    try:
        if not path.exists():
            return None
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read(LARGEST)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"MNIST: expected a readable {path.name} in {path.parent}, got {error}; put the original file there"
        ) from None
    _verify(content, name, path.parent)
    return content


def _verify(content: bytes, name: str, where: object) -> None:
    expected, sha = MNIST_FILES[name][0], hashlib.sha256(content).hexdigest()
    if sha != expected:
        raise DataError(
            f"MNIST: expected {name} with SHA-256 {expected[:12]}…, got {sha[:12]}… in {where}; put the original file there"
        )


def _take_away(path: Path, error: DataError) -> None:
    """A file of the cache that is not what it should be is set aside, so that it is downloaded anew."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        os.replace(path, aside)
    except OSError:
        raise error from None
    warnings.warn(f"{error}. It is {aside.name} now, and downloaded again", stacklevel=2)


def _download(name: str) -> bytes:
    """The verified content, uncompressed. Pooch keeps nothing: a bad file would be found there for ever."""
    import pooch

    url = MNIST_URL.format(name=name)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = pooch.retrieve(url, known_hash=None, fname=f"{name}.gz", path=folder, progressbar=True)
            with gzip.open(path, "rb") as file:
                content = file.read(LARGEST)
    except Exception as error:  # requests raises many kinds; each means the same to the user
        raise DataError(
            f"MNIST: expected to download {name}, got {type(error).__name__}; set MNIST_DIR to a folder with the four original files, or use training_set=digits"
        ) from None
    _verify(content, name, url)
    return content
