"""Training images by name, verified by the SHA-256 of their uncompressed content."""

from __future__ import annotations

import functools
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import paths
from .store import Store, write_atomically

__all__ = ["Images", "load", "digest", "without", "DataError"]

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
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}.gz"
#: where Debian's package dataset-fashion-mnist puts the files
FASHION_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
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


@functools.lru_cache(maxsize=3)
def load(name: str) -> Images:
    """Load ``"digits"``, ``"mnist"``, either of them without a digit, or ``"fashion-mnist"``.

    ``"mnist-without-1"`` has no image of the digit 1, neither among those trained on nor among those held out.
    Of Fashion-MNIST the 10,000 test images are there, and none of them is for training.

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
        return _idx_images("mnist", MNIST_FILES, ("train", "t10k"), 60_000)
    if name == "fashion-mnist":
        return _idx_images("fashion-mnist", FASHION_FILES, ("t10k",), 0)
    raise DataError(
        f"training_set: expected 'mnist', 'digits' or one of them without a digit, got {name!r}; use training_set=digits"
    )


def without(name: str) -> tuple[str, int | None]:
    """The data set that a name begins with and the digit that is left out of it, None where none is.

    >>> without("mnist-without-1"), without("digits")
    (('mnist', 1), ('digits', None))
    """
    base, word, digit = name.partition("-without-")
    if word and base in ("mnist", "digits") and len(digit) == 1 and digit in "0123456789":
        return base, int(digit)
    return name, None


def digest(name: str) -> str:
    """The ``sha256`` of ``load(name)``, without the images: what is trained on them can be looked up where they are not.

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


def _idx_images(name: str, files: dict[str, tuple[str, int]], parts: tuple[str, ...], trained: int) -> Images:
    """The `parts` of a data set in MNIST's format, below one another."""
    raw = {file: _idx_file(name, file, *about) for file, about in files.items()}
    pixels = np.concatenate([raw[f"{part}-images-idx3-ubyte"] for part in parts])
    labels = np.concatenate([raw[f"{part}-labels-idx1-ubyte"] for part in parts])
    x = torch.from_numpy(pixels).view(-1, 784).to(torch.float64) / 255
    return Images(name, x, torch.from_numpy(labels).long(), trained, digest(name))


def _idx_file(data: str, name: str, expected: str, header: int) -> np.ndarray:
    """One file of ``mnist`` or ``fashion-mnist``, from the folder the environment names, the cache, or the network."""
    label, variable, folder, url = {
        "mnist": ("MNIST", "MNIST_DIR", paths.mnist(), MNIST_URL),
        "fashion-mnist": ("Fashion-MNIST", "FASHION_MNIST_DIR", paths.fashion_mnist(), FASHION_URL),
    }[data]
    cache = Store().root / data
    if folder:
        content = _read_idx(label, folder, name)
        if content is None:
            raise DataError(
                f"{variable}: expected {name} or {name}.gz in {folder}, found neither; correct {variable}, or unset it to download"
            )
    else:
        folder, content = cache, _read_idx(label, cache, name)
        if content is None and data == "fashion-mnist":
            content = _read_idx(label, FASHION_DEBIAN, name)
        if content is None:
            content = _download(label, variable, url.format(name=name))
            write_atomically(cache / f"{name}.gz", gzip.compress(content, mtime=0))
    sha = hashlib.sha256(content).hexdigest()
    if sha != expected:
        raise DataError(
            f"{label}: expected {name} with SHA-256 {expected[:12]}…, got {sha[:12]}… in {folder}; put the original file there"
        )
    return np.frombuffer(content, np.uint8, offset=header)


def _read_idx(label: str, folder: Path, name: str) -> bytes | None:
    for path, opener in ((folder / name, open), (folder / f"{name}.gz", gzip.open)):
        if path.is_file():
            try:
                with opener(path, "rb") as file:
                    return file.read()
            except (OSError, EOFError) as error:
                raise DataError(
                    f"{label}: expected a readable {path.name} in {folder}, got {error}; put the original file there"
                ) from None
    return None


def _download(label: str, variable: str, url: str) -> bytes:
    import pooch

    name = url.rpartition("/")[2].removesuffix(".gz")
    try:
        path = pooch.retrieve(url, known_hash=None, progressbar=True)
        return gzip.decompress(Path(path).read_bytes())
    except Exception as error:  # requests raises many kinds; each means the same to the user
        instead = ", or use training_set=digits" if label == "MNIST" else ""
        raise DataError(
            f"{label}: expected to download {name}, got {type(error).__name__}; set {variable} to a folder with the original files{instead}"
        ) from None
