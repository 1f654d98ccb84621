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

__all__ = ["Images", "load", "digest", "without", "trained", "DataError"]

#: file → (SHA-256 of the uncompressed file, header bytes)
MNIST_FILES = {
    "train-images-idx3-ubyte": ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 16),
    "train-labels-idx1-ubyte": ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 8),
    "t10k-images-idx3-ubyte": ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 16),
    "t10k-labels-idx1-ubyte": ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 8),
}
#: the same of the part of Fashion-MNIST that is used: its test images, which nothing is trained on
FASHION_FILES = {
    "t10k-images-idx3-ubyte": ("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", 16),
    "t10k-labels-idx1-ubyte": ("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", 8),
}
#: No file is larger; what claims to be is not read to its end.
LARGEST = 2**26
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz"
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}.gz"
#: where Debian's package dataset-fashion-mnist puts the files
FASHION_DEBIAN = Path("/usr/share/datasets/fashion-mnist")

#: SHA-256 of scikit-learn's 1,797 digits as unsigned bytes, shape (1797, 8, 8)
DIGITS_SHA256 = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
#: the first of these are trained on, the rest are held out
DIGITS_TRAINED, MNIST_TRAINED = 1_500, 60_000


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


@functools.lru_cache(maxsize=3)
def load(name: str) -> Images:
    """Load ``"digits"``, ``"mnist"``, either of them without a digit, or ``"fashion-mnist"``.

    ``"mnist-without-1"`` has no image of the digit 1, neither among those trained on nor among those held
    out. Of Fashion-MNIST the 10,000 test images are there, and none of them is for training.

    MNIST is looked for in the folder ``MNIST_DIR`` (when that variable is set, only there),
    then in the cache under ``results/mnist``, and is downloaded once if it is in neither.
    Fashion-MNIST likewise: ``FASHION_MNIST_DIR``, ``results/fashion-mnist``, Debian's folder, a download.

    >>> rest = load("digits-without-1")
    >>> int((rest.labels == 1).sum()), rest.trained + len(rest.test) == len(rest.x)
    (0, True)
    """
    base, digit = without(name)
    if digit is not None:
        whole = load(base)
        kept = whole.labels != digit
        trained = int(kept[: whole.trained].sum())
        return Images(name, whole.x[kept], whole.labels[kept], trained, digest(name))
    if name == "digits":
        return _digits()
    if name == "mnist":
        return _idx_images("mnist", ("train", "t10k"), MNIST_TRAINED)
    if name == "fashion-mnist":
        return _idx_images("fashion-mnist", ("t10k",), 0)
    raise DataError(
        f"training_set: expected 'mnist', 'digits' or one of them without a digit, got {name!r}; "
        "use training_set=digits"
    )


def without(name: str) -> tuple[str, int | None]:
    """The data set that a name begins with and the digit that is left out of it, None where none is.

    >>> without("mnist-without-1"), without("digits")
    (('mnist', 1), ('digits', None))
    """
    base, word, digit = str(name).partition("-without-")
    if word and base in ("mnist", "digits") and len(digit) == 1 and digit in "0123456789":
        return base, int(digit)
    return name, None


def digest(name: str) -> str:
    """The ``sha256`` of ``load(name)``, without the images:
    what is trained on them can be looked up where they are not.

    >>> digest("digits") == load("digits").sha256
    True
    """
    base, digit = without(name)
    if digit is not None:
        return hashlib.sha256(f"{digest(base)}|without {digit}".encode()).hexdigest()
    if name == "digits":
        return DIGITS_SHA256
    files = FASHION_FILES if name == "fashion-mnist" else MNIST_FILES
    return hashlib.sha256("".join(sha for sha, _ in files.values()).encode()).hexdigest()


def trained(name: str) -> int:
    """About how many images of a data set are trained on, without loading it: those of the whole one.

    >>> trained("digits-without-1") == load("digits").trained
    True
    """
    return DIGITS_TRAINED if without(name)[0] == "digits" else MNIST_TRAINED


def _digits() -> Images:
    from sklearn.datasets import load_digits

    raw = load_digits()
    small = raw.images.astype(np.uint8)  # (1797, 8, 8), values 0…16
    sha = hashlib.sha256(small.tobytes()).hexdigest()
    if sha != DIGITS_SHA256:
        raise DataError(
            f"digits: expected SHA-256 {DIGITS_SHA256[:12]}…, got {sha[:12]}…; "
            "install the pinned scikit-learn"
        )
    x = torch.from_numpy(small).to(torch.float64)[:, None] / 16
    x = torch.nn.functional.interpolate(x, size=(28, 28), mode="bilinear", align_corners=False)
    return Images("digits", x.flatten(1), torch.from_numpy(raw.target).long(), DIGITS_TRAINED, sha)


@dataclass(frozen=True)
class _Source:
    """Where the files of a data set in MNIST's format come from: a folder that is named, the cache,
    elsewhere, the network."""

    label: str
    variable: str
    files: dict[str, tuple[str, int]]
    named: Path | None
    cache: Path
    elsewhere: tuple[Path, ...]
    url: str
    instead: str


def _source(name: str) -> _Source:
    cache = Store().root / name
    if name == "fashion-mnist":
        return _Source(
            "Fashion-MNIST", "FASHION_MNIST_DIR", FASHION_FILES, paths.named("FASHION_MNIST_DIR"), cache,
            (FASHION_DEBIAN,), FASHION_URL,
            "set FASHION_MNIST_DIR to a folder with its two original test files",
        )  # fmt: skip
    return _Source(
        "MNIST", "MNIST_DIR", MNIST_FILES, paths.named("MNIST_DIR"), cache, (), MNIST_URL,
        "set MNIST_DIR to a folder with the four original files, or use training_set=digits",
    )  # fmt: skip


def _idx_images(name: str, parts: tuple[str, ...], trained: int) -> Images:
    """The `parts` of a data set in MNIST's format, below one another."""
    raw = {file: _idx_file(name, file) for file in _source(name).files}
    pixels = np.concatenate([raw[f"{part}-images-idx3-ubyte"] for part in parts])
    labels = np.concatenate([raw[f"{part}-labels-idx1-ubyte"] for part in parts])
    x = torch.from_numpy(pixels).view(-1, 784).to(torch.float64) / 255
    return Images(name, x, torch.from_numpy(labels).long(), trained, digest(name))


def _idx_file(data: str, name: str) -> np.ndarray:
    """One file of ``mnist`` or ``fashion-mnist``, as numbers."""
    source = _source(data)
    header = source.files[name][1]
    for folder in (source.named,) if source.named else (source.cache, *source.elsewhere):
        for path in (folder / name, folder / f"{name}.gz"):
            try:
                if (content := _read(source, path, name)) is not None:
                    return np.frombuffer(content, np.uint8, offset=header)
            except DataError as error:
                if folder != source.cache:
                    raise
                _take_away(path, error)
    if source.named:
        raise DataError(
            f"{source.variable}: expected {name} or {name}.gz in {source.named}, found neither; "
            f"correct {source.variable}, or unset it to download"
        )
    content = _download(source, name)
    try:
        write_atomically(source.cache / f"{name}.gz", gzip.compress(content, mtime=0))
    except OSError as error:
        raise DataError(
            f"{source.label}: expected to keep {name}.gz in {source.cache}, got {error.strerror or error}; "
            "set BOOK_RESULTS to a folder that can be written"
        ) from None
    return np.frombuffer(content, np.uint8, offset=header)


def _read(source: _Source, path: Path, name: str) -> bytes | None:
    """The verified content of `path`, uncompressed, or None where there is nothing."""
    try:
        if not path.exists():
            return None
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read(LARGEST)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{source.label}: expected a readable {path.name} in {path.parent}, got {error}; "
            "put the original file there"
        ) from None
    _verify(source, content, name, path.parent)
    return content


def _verify(source: _Source, content: bytes, name: str, where: object) -> None:
    expected, sha = source.files[name][0], hashlib.sha256(content).hexdigest()
    if sha != expected:
        raise DataError(
            f"{source.label}: expected {name} with SHA-256 {expected[:12]}…, got {sha[:12]}… in {where}; "
            "put the original file there"
        )


def _take_away(path: Path, error: DataError) -> None:
    """A file of the cache that is not what it should be is set aside, so that it is downloaded anew."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        os.replace(path, aside)
    except OSError:
        raise error from None
    warnings.warn(f"{error}. It is {aside.name} now, and downloaded again", stacklevel=2)


def _download(source: _Source, name: str) -> bytes:
    """The verified content, uncompressed. Pooch keeps nothing: a bad file would be found there for ever."""
    import pooch

    url = source.url.format(name=name)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = pooch.retrieve(url, known_hash=None, fname=f"{name}.gz", path=folder, progressbar=True)
            with gzip.open(path, "rb") as file:
                content = file.read(LARGEST)
    except Exception as error:  # requests raises many kinds; each means the same to the user
        raise DataError(
            f"{source.label}: expected to download {name}, got {type(error).__name__}; {source.instead}"
        ) from None
    _verify(source, content, name, url)
    return content
