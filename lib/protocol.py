"""The protocol: what one run of the paper is, as a frozen and validated description.

Nothing here knows how anything is computed. Every other module takes a `Protocol`
(or single fields of it) as an explicit argument; nothing in `lib` reads a global.
"""

from __future__ import annotations

import dataclasses
import reprlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from . import paths
from .paths import PROFILES

__all__ = [
    "Protocol",
    "Profile",
    "ProtocolError",
    "SETS",
    "GROUPS",
    "LABELS",
    "NOISE_SETS",
    "REPRESENTATIVES",
    "MAX_DIM",
]

#: The ten noise sets of section II-A from dark to bright: name, which is the pixel distribution in the
#: words of `lib.noise.distribution`; group by mean brightness (section II-C); label.
#: `lib.figures.style` gives each a colour.
SETS = {
    "bernoulli_0.13": ("dark", r"$\mathcal{D}_{.13}$"),
    "beta_0.8_5": ("dark", r"$\mathcal{D}_{.8,5}$"),
    "bernoulli_0.25": ("dark", r"$\mathcal{D}_{.25}$"),
    "bernoulli_0.5": ("middle", r"$\mathcal{D}_{.5}$"),
    "normal": ("middle", r"$\mathcal{D}_{norm}$"),
    "uniform": ("middle", r"$\mathcal{D}_{unif}$"),
    "beta_0.5_0.5": ("middle", r"$\mathcal{D}_{.5,.5}$"),
    "bernoulli_0.75": ("bright", r"$\mathcal{D}_{.75}$"),
    "bernoulli_0.87": ("bright", r"$\mathcal{D}_{.87}$"),
    "beta_5_0.8": ("bright", r"$\mathcal{D}_{5,.8}$"),
}
NOISE_SETS = tuple(SETS)
GROUPS = {g: tuple(n for n in SETS if SETS[n][0] == g) for g in ("dark", "middle", "bright")}
LABELS = {"train": r"$\mathcal{D}_{train}$", "test": "held out"}
LABELS |= {name: label for name, (_, label) in SETS.items()}
#: Bright, middle and dark representatives, in the order of the paper's tables; it calls the second moderate.
REPRESENTATIVES = {"bright": "beta_5_0.8", "middle": "normal", "dark": "bernoulli_0.13"}

#: What networks are trained on: all digits, or nine of the ten.
TRAINING_SETS = tuple(
    base + rest for base in ("mnist", "digits") for rest in ("", *(f"-without-{k}" for k in range(10)))
)
#: The narrowest hidden layer has 32 units: a wider waist would not be one.
MAX_DIM = 32
#: A range of more values is not written out: it is a slip.
LONGEST = 1_000
#: More points of one data set do not fit the memory of a usual machine:
#: 784 numbers of eight bytes each are 6 GB.
MAX_POINTS = 1_000_000


class ProtocolError(ValueError):
    """A value that the protocol cannot take; the message is one line."""


@dataclass(frozen=True)
class Protocol:
    """One run: which networks are trained on what, and where their Jacobians are taken.

    The defaults are the paper's where the paper speaks (section II-A of arXiv:2201.11902)
    and ours where it is silent; the book's appendix on decisions lists which is which.

    Parameters
    ----------
    training_set : str
        ``"mnist"`` or ``"digits"`` (the 8×8 digits inside scikit-learn, resampled), or either without
        one digit: ``"mnist-without-1"``.
    dims : tuple of int
        Latent dimensions d, each in 2…32, strictly increasing.
    seeds : tuple of int
        Seeds of initialisation and batch order; one ensemble is trained for each.
    epochs, batch_size : int
    optimizer : str
        ``"adam"`` or ``"sgd"`` (with momentum .9).
    learning_rate : float
    loss : str
        ``"mse"`` is the mean squared pixel error, ``"distance"`` the mean Euclidean norm.
    sets : tuple of str
        Noise data sets, names from `NOISE_SETS`.
    points : int Points of each data set at which Jacobians are taken, from 2 to 1,000,000.
        The training data has no more than it has; the noise sets have as many as asked.
    dtype : str
        ``"float64"`` or ``"float32"``, of Jacobians and spectra. Training is float32.

    Raises
    ------
    ProtocolError
        With one line that names what was expected, what came and what to do.

    Examples
    --------
    >>> Protocol(dims=(2, 8)).dims
    (2, 8)
    >>> Protocol(dims=(0,))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lib.protocol.ProtocolError: dims: expected integers in 2…32, ... got (0,); for instance dims=2,8
    """

    training_set: str = "mnist"
    dims: tuple[int, ...] = tuple(range(2, 21))
    seeds: tuple[int, ...] = (0, 1)
    epochs: int = 300
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    loss: str = "mse"
    sets: tuple[str, ...] = NOISE_SETS
    points: int = 70_000
    dtype: str = "float64"

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
        if self.training_set not in TRAINING_SETS:
            expected = "one of mnist, digits, or one of them without a digit"
            _fail("training_set", expected, self.training_set, "training_set=mnist-without-1")
        _choice(self, "optimizer", "adam", "sgd")
        _choice(self, "loss", "mse", "distance")
        _choice(self, "dtype", "float64", "float32")
        self._integers("dims", 2, MAX_DIM, "dims=2,8")
        self._integers("seeds", 0, 2**31 - 1, "seeds=0,1")
        for name, least in (("epochs", 1), ("batch_size", 1), ("points", 2)):  # one code has no covariance
            value = getattr(self, name)
            if type(value) is not int or value < least:
                _fail(name, f"a whole number of at least {least}", value, f"{name}=300")
        if self.points > MAX_POINTS:
            _fail("points", f"a whole number of at most {MAX_POINTS}", self.points, "points=70000")
        if not isinstance(self.learning_rate, (int, float)) or not 0 < self.learning_rate < 1:
            _fail("learning_rate", "a number between 0 and 1", self.learning_rate, "learning_rate=0.001")
        sets = self.sets if isinstance(self.sets, tuple) else ()
        unknown = [s for s in sets if s not in NOISE_SETS]
        if unknown or not sets or len(set(sets)) < len(sets):
            expected = "distinct names among " + " ".join(NOISE_SETS)
            _fail("sets", expected, unknown or self.sets, "sets=uniform,bernoulli_0.5")

    def _integers(self, name: str, low: int, high: int, example: str):
        value = getattr(self, name)
        ok = isinstance(value, tuple) and value and all(type(v) is int and low <= v <= high for v in value)
        if not ok or any(a >= b for a, b in zip(value, value[1:])):
            _fail(name, f"integers in {low}…{high}, strictly increasing", value, example)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Protocol:
        """A protocol from field values; an unknown name is an error that lists the known ones."""
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise ProtocolError(
                    f"unknown field {name!r}: expected one of {', '.join(known)}; "
                    "remove it or correct its name"
                )
        return cls(**values)

    @classmethod
    def from_profile(cls, profile: str, overrides: str = "") -> Protocol:
        """The protocol of a profile with single fields replaced, as `Profile.read` takes them."""
        asked = Profile.read(profile, overrides)
        if asked.device != paths.device():
            warnings.warn(
                f"device: expected {asked.device} for this process as well, found {paths.device()}; "
                f"start it with BOOK_DEVICE={asked.device}",
                stacklevel=2,
            )
        return asked.protocol

    def replace(self, **changes: Any) -> Protocol:
        """A copy with some fields changed, validated again."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Profile:
    """What one run is asked for: the protocol, and beside it what none of its results is keyed by.

    Attributes
    ----------
    protocol : Protocol
    companions : str
        ``"smoke"``, ``"default"`` or ``"full"``, the size of the experiments beside the paper's.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``: where this process and those it starts are to compute.
    """

    protocol: Protocol
    companions: str = "full"
    device: str = "auto"

    def __post_init__(self):
        _choice(self, "companions", "smoke", "default", "full")
        _choice(self, "device", "auto", "cpu", "cuda")

    @classmethod
    def read(cls, profile: str, overrides: str = "") -> Profile:
        """The profile in ``book/profiles/<profile>.yml`` with single fields replaced.

        ``overrides`` is words of the form ``field=value``, lists with commas and ranges with two dots:
        ``"dims=2..8 seeds=0 epochs=2"``. The device not named is that of the environment, ``BOOK_DEVICE``.
        """
        path = PROFILES / f"{profile}.yml"
        if not path.is_file():
            names = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yml")))
            raise ProtocolError(f"profile: expected one of {names}, got {profile!r}; use PROFILE=laptop")
        values = _fields_of(path)
        types = {f.name: f.type for f in fields(Protocol)} | {"companions": "str", "device": "str"}
        given: dict[str, Any] = {}
        if not isinstance(overrides, str):
            _fail("overrides", "words of the form field=value", overrides, "epochs=2")
        for word in overrides.split():
            name, equals, text = word.partition("=")
            if not equals or name not in types:
                raise ProtocolError(
                    f"override {word!r}: expected field=value with a field among {', '.join(types)}; "
                    "for instance epochs=2"
                )
            if name in given:
                raise ProtocolError(
                    f"override {word!r}: expected each field once, got {name} twice; "
                    f"for instance {name}={text}"
                )
            given[name] = _parse(name, types[name], text)
        values = {"device": paths.device()} | values | given
        beside = {name: values.pop(name) for name in ("companions", "device") if name in values}
        return cls(Protocol.from_mapping(values), **beside)

    @property
    def values(self) -> dict[str, Any]:
        """Every field, the protocol's first."""
        return vars(self.protocol) | {"companions": self.companions, "device": self.device}


def _fields_of(path: Path) -> dict[str, Any]:
    """What stands in a profile's file; `ProtocolError` where that is no list of fields, each given once."""
    try:
        text = path.read_text(encoding="utf-8")
        tree, values = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
        if not isinstance(values, dict):
            raise ValueError("nothing" if values is None else f"a {type(values).__name__}")
        names = [key.value for key, _ in tree.value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]} twice")
        return values
    except (yaml.YAMLError, ValueError) as error:
        raise ProtocolError(
            f"{path}: expected a profile in YAML and UTF-8, with lines of field: value, "
            f"got {' '.join(str(error).split())[:200]}; for instance epochs: 2"
        ) from None


def _choice(owner: Any, name: str, *allowed: str):
    if getattr(owner, name) not in allowed:
        _fail(name, "one of " + ", ".join(allowed), getattr(owner, name), f"{name}={allowed[0]}")


def _fail(name: str, expected: str, got: Any, example: str):
    raise ProtocolError(f"{name}: expected {expected}, got {reprlib.repr(got)}; for instance {example}")


def _parse(name: str, kind: str, text: str) -> Any:
    """`text` as a value of the annotated type `kind`."""
    try:
        if kind.startswith("tuple[int"):
            values: list[int] = []
            for part in text.split(","):
                low, dots, high = part.partition("..")
                if dots and int(high) - int(low) >= LONGEST:
                    _fail(name, f"at most {LONGEST} values", part, f"{name}=2,8")
                values += range(int(low), int(high) + 1) if dots else [int(low)]
            return tuple(values)
        if kind.startswith("tuple[str"):
            return tuple(text.split(","))
        return {"int": int, "float": float, "str": str}[kind](text)
    except ProtocolError:
        raise
    except ValueError:
        example = "2,8" if "tuple" in kind else "0.001" if kind == "float" else "2"
        raise ProtocolError(
            f"{name}: expected a value of type {kind}, got {reprlib.repr(text)}; "
            f"for instance {name}={example}"
        ) from None
