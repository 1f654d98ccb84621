"""Bad inputs to library and command line, each with its line: what was expected, what came, what to do."""

from __future__ import annotations

import re
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import nn

from lib import data, eigen, noise, published, spectrum, store
from lib.figures.planes import planes
from lib.press.publish import publish
from lib.press.verify import verify
from lib.protocol import Profile, Protocol, ProtocolError
from lib.studies.detect import detect
from lib.studies.diagnose import compare, diagnose

try:
    from lib.press.commands import main
except ImportError:
    from lib.__main__ import main

# the protocol's fields, as a program gives them
VALUES = {
    "training_set": ["cifar", "MNIST", "", None, 3, ("mnist",)],
    "dims": [
        (), (0,), (1, 2), (33,), (3, 2), (2, 2), "2", (2.0,), (True,), 5, None, ("2",), (-2,), (2, None),
    ],
    "seeds": [(), (-1,), (2**31,), (1, 0), (0, 0), ("0",), 0, None, (0.5,)],
    "epochs": [0, -3, 1.5, "3", True, None, float("inf")],
    "batch_size": [0, -1, 0.5, None, "128"],
    "points": [0, 1, -70_000, 10.0, None, 10**9, "70000"],
    "optimizer": ["adamw", "Adam", "", None],
    "learning_rate": [0, -1e-3, 1, 2.0, "fast", None, float("nan"), float("inf")],
    "loss": ["mae", "MSE", None],
    "sets": [
        (), ("uniform", "uniform"), ("gaussian",), ("uniform", "bernoulli_0.33"), "uniform", None, (None,),
    ],
    "dtype": ["float16", "double", None, torch.float64],
}  # fmt: skip

# the same, as words of SET
WORDS = {
    "dims": r"'dims': expected field=value",
    "=3": r"'=3': expected field=value",
    "dimensions=2": r"'dimensions=2': expected field=value with a field among .*dims",
    "dims=": r"dims: expected a value of type .*''",
    "dims=a": r"dims: expected .*'a'",
    "dims=2..": r"dims: expected .*'2\.\.'",
    "dims=..8": r"dims: expected .*'\.\.8'",
    "dims=2,,8": r"dims: expected .*'2,,8'",
    "dims=2;8": r"dims: expected .*'2;8'",
    "dims=[2,8]": r"dims: expected",
    "dims=2-8": r"dims: expected .*'2-8'",
    "dims=8..2": r"dims: expected integers",
    "dims=2..1000000000": r"dims: expected at most 1000 values",
    "dims=0..1000": r"dims: expected at most 1000 values",
    "dims=0..999": r"dims: expected integers in 2…32",
    "dims=-5": r"dims: expected integers in 2…32.*-5",
    "dims=2,8,8": r"dims: .*strictly increasing",
    "seeds=": r"seeds: expected",
    "seeds=x": r"seeds: expected .*'x'",
    "seeds=99999999999": r"seeds: expected integers in 0…2147483647",
    "seeds=" + "9" * 5000: r"seeds: expected",
    "epochs=many": r"epochs: expected .*'many'",
    "epochs=1.5": r"epochs: expected .*'1\.5'",
    "epochs=1e3": r"epochs: expected .*'1e3'",
    "epochs=-1": r"epochs: expected a whole number of at least 1, got -1",
    "epochs=2 epochs=3": r"'epochs=3': expected each field once",
    "points=1": r"points: expected a whole number of at least 2",
    "points=1000000000": r"points: expected a whole number of at most 1000000",
    "batch_size=0": r"batch_size: expected a whole number",
    "learning_rate=1e-3x": r"learning_rate: expected .*for instance learning_rate=0\.001",
    "learning_rate=nan": r"learning_rate: expected a number between 0 and 1",
    "learning_rate=2": r"learning_rate: expected a number between 0 and 1, got 2",
    "sets=": r"sets: expected distinct names",
    "sets=uniform,": r"sets: expected distinct names",
    "sets=Uniform": r"sets: expected distinct names .*'Uniform'",
    "loss=MSE": r"loss: expected one of mse, distance, got 'MSE'",
    "dtype=float16": r"dtype: expected one of float64, float32",
    "device=tpu": r"device: expected one of auto, cpu, cuda, got 'tpu'",
    "companions=huge": r"companions: expected one of smoke, default, full",
    "training_set=fashion": r"training_set: expected one of mnist, digits",
    "dims=2, 8": r"dims: expected .*'2,'",
    "--epochs=2": r"'--epochs=2': expected field=value",
}

# whole command lines; what argparse refuses ends in a line of its own after the usage
COMMANDS = {
    "verify --cells -1": r"--cells: expected cells: a whole number of at least 1, got '-1'",
    "verify --cells 0": r"--cells: expected cells: a whole number of at least 1, got '0'",
    "verify --cells 1.5": r"--cells: expected cells",
    "verify --seed -1": r"--seed: expected a seed: a whole number of at least 0, got '-1'",
    "notebook book/noise.md --limit 0": r"--limit: expected minutes: a number above 0, got '0'",
    "notebook book/noise.md --limit -1": r"--limit: expected minutes",
    "notebook book/noise.md --limit nan": r"--limit: expected minutes",
    "book --limit inf": r"--limit: expected minutes",
    "book --limit soon": r"--limit: expected minutes: a number above 0, got 'soon'",
    "detection --without 1 --epochs 0": r"--epochs: expected epochs: a whole number of at least 1, got '0'",
    "detection --epochs 3": r"book: detection: expected --epochs beside --without, got it alone",
    "detection --without 11": r"--without: invalid choice: 11",
    "": r"the following arguments are required: command",
    "bok": r"invalid choice: 'bok'",
    "book extra": r"unrecognized arguments: extra",
    "book --profil": r"expected one argument",
    "book --profile night": r"book: profile: expected one of laptop, paper, smoke, got 'night'",
    "book --profile ../smoke": r"book: profile: expected one of laptop, paper, smoke",
    "book --profile smoke.yml": r"book: profile: expected one of laptop, paper, smoke",
    "book --profile smoke --set dims=0": r"book: dims: expected integers",
    "book --profile smoke --set points=1000000000": r"book: points: expected",
    "notebook": r"the following arguments are required: source",
    "notebook book/nowhere.md": r"book: notebook: expected a text notebook, found no file book/nowhere\.md",
    "notebook book": r"book: notebook: expected a text notebook, found no file book",
    "notebook book/noise.md -p": r"expected one argument",
    "notebook book/noise.md -p profile": r"book: parameter 'profile': expected name=value",
    "notebook book/noise.md -p color=blue": r"book: noise\.md: unknown parameter 'color': expected one of",
    "notebook book/noise.md -p profile=night": r"book: profile: expected one of",
    "notebook book/noise.md -p profile=smoke -p overrides=dims=1": r"book: dims: expected integers",
    "notebook book/noise.md -p profile=3": r"book: profile: expected one of .*got 3",
    "notebook book/noise.md -p profile=smoke -p overrides=3": r"book: overrides: expected words .*got 3",
    "verify --cells many": r"--cells: expected cells",
    "verify --seed x": r"--seed: expected a seed: .* got 'x'",
    "sensitivity --choice colour": r"book: sensitivity: expected a choice among .*, got colour",
    "companions --chapter cooking": r"book: companions: expected a chapter among .*, got cooking",
    "publish --set dims=1": r"book: dims: expected integers",
    "publish --set epochs=1": r"book: publish: expected the paper's epochs=300, got 1",
    "publish --set training_set=digits": r"book: publish: expected .* training_set=mnist, got digits",
    "compare --set seeds=x": r"book: seeds: expected",
    "pdf {empty}": r"book: expected a finished book",
    "notebook {junk}": r"junk.*expected",
    "verify --cells": r"expected one argument",
}

E, D = nn.Linear(6, 2).double(), nn.Linear(2, 6).double()
X = torch.rand(4, 6, dtype=torch.float64)

# calls of the library
CALLS = {
    "noise of no name": (lambda t: noise.sample("cauchy", 0, 3),
        r"noise set: expected bernoulli_P, .* got 'cauchy'"),
    "noise of an impossible parameter": (lambda t: noise.sample("beta_0_1", 0, 3),
        r"noise set: expected .*'beta_0_1'"),
    "a probability above one": (lambda t: noise.sample("bernoulli_2", 0, 3),
        r"noise set: expected .*'bernoulli_2'"),
    "noise of no parameter": (lambda t: noise.sample("bernoulli", 0, 3),
        r"noise set: expected .*'bernoulli'"),
    "noise backwards": (lambda t: noise.sample("uniform", 5, 3),
        r"points: expected 0 ≤ start ≤ stop, got 5 and 3"),
    "noise before the first": (lambda t: noise.sample("uniform", -1, 3), r"points: expected 0 ≤ start"),
    "unknown training set": (lambda t: data.load("cifar"), r"training_set: expected 'mnist'.* got 'cifar'"),
    "no training set": (lambda t: data.load(None), r"training_set: expected 'mnist'.* got None"),
    "a table that is none": (lambda t: store.read_table(t / "junk"), r"junk: not a readable artefact"),
    "tensors that are none": (lambda t: store.read_tensors(t / "junk"), r"junk: not a readable artefact"),
    "nothing published": (lambda t: verify(1, folder=t / "empty"),
        r"verify: expected .*manifest\.json, found nothing"),
    "a broken manifest": (lambda t: published.manifest(t / "broken"), r"manifest\.json: expected JSON"),
    "another paper": (lambda t: publish(Protocol(epochs=1)),
        r"publish: expected the paper's epochs=300, got 1"),
    "eigenvalues of a vector": (lambda t: spectrum.eigenvalues(torch.zeros(3, 2)),
        r"k: expected real matrices of shape \(n, d, d\), got float64|float32 of shape \(3, 2\)"),
    "eigenvalues of an oblong": (lambda t: eigen.eigvals(np.zeros((3, 2, 3))),
        r"k: expected real matrices.*\(3, 2, 3\)"),
    "eigenvalues of complex matrices": (lambda t: eigen.eigvals(np.zeros((3, 2, 2), complex)),
        r"k: expected real matrices.*complex128"),
    "diagnose without points": (lambda t: diagnose(E, D, X[:0]), r"x: expected at least one input"),
    "diagnose a loader": (lambda t: diagnose(E, D, torch.utils.data.DataLoader(X)),
        r"x: expected a tensor.*DataLoader"),
    "diagnose pixels": (lambda t: diagnose(E, D, (255 * X).byte()),
        r"x: expected real floating-point numbers, got uint8"),
    "diagnose the wrong way round": (lambda t: diagnose(D, E, X),
        r"encoder: expected a function of a batch of inputs"),
    "diagnose in single precision": (lambda t: diagnose(nn.Linear(6, 2), D, X),
        r"encoder: expected parameters of float64"),
    "diagnose in training mode": (lambda t: diagnose(nn.Sequential(E, nn.Dropout()), D, X),
        r"encoder: .*evaluation mode"),
    "diagnose with a batch of none": (lambda t: diagnose(E, D, X, batch=0),
        r"batch: expected a whole number"),
    "diagnose with a batch of a half": (lambda t: diagnose(E, D, X, batch=0.5),
        r"batch: expected a whole number"),
    "diagnose with a tolerance of one": (lambda t: diagnose(E, D, X, rtol=1),
        r"rtol: expected a number from 0"),
    "diagnose with no tolerance": (lambda t: diagnose(E, D, X, rtol=None), r"rtol: expected a number from 0"),
    "diagnose with NaN as tolerance": (lambda t: diagnose(E, D, X, rtol=float("nan")),
        r"rtol: expected a number from 0"),
    "diagnose a module that draws seldom": (lambda t: diagnose(E, nn.Sequential(D, nn.Dropout(0.01)), X),
        r"decoder: .*same outputs.*evaluation mode"),
    "compare a list": (lambda t: compare([diagnose(E, D, X)]), r"diagnoses: expected some by name"),
    "compare no diagnosis": (lambda t: compare({"test": 3}),
        r"diagnoses: expected some by name, .*got \['int'\]"),
    "detect in two precisions": (
        lambda t: detect(lambda x: x[:, :2], lambda z: z.repeat(1, 3), torch.rand(40, 6), X),
        r"reference: expected float64 like x, got float32"),
    "compare nothing": (lambda t: compare({}), r"diagnoses: expected some"),
    "planes of nothing": (lambda t: planes({}), r"diagnoses: expected some"),
    "an unknown field": (lambda t: Protocol.from_mapping({"dim": [2]}),
        r"unknown field 'dim': expected one of .*dims"),
    "an unknown profile": (lambda t: Protocol.from_profile("huge"),
        r"profile: expected one of laptop, paper, smoke, got 'huge'"),
}  # fmt: skip


def one_line(message: str) -> None:
    assert "\n" not in message.strip() and len(message) < 600 and "expected" in message


@pytest.mark.parametrize("name, value", [(n, v) for n, values in VALUES.items() for v in values])
def test_a_value_of_the_protocol(name, value):
    with pytest.raises(ProtocolError) as error:
        Protocol(**{name: value})
    one_line(str(error.value))
    assert re.match(rf"{name}: expected .*got .*; for instance {name}=", str(error.value))


@pytest.mark.parametrize("words", WORDS)
def test_words_of_a_profile(words):
    with pytest.raises(ProtocolError, match=WORDS[words]) as error:
        Profile.read("smoke", words)
    assert "\n" not in str(error.value) and "for instance" in str(error.value)
    assert len(str(error.value)) < 600 or len(words) > 600


# files of profiles
PROFILES = {
    "empty": (b"", r"got nothing"),
    "a list": (b"- a\n- b\n", r"got a list"),
    "a number": (b"3\n", r"got a int"),
    "no YAML": (b"dims: [2", r"got while parsing a flow sequence"),
    "no UTF-8": (b"# \xe4\nepochs: 2\n", r"got 'utf-8' codec can't decode"),
    "a control character": (b"epochs: 2\0", r"got unacceptable character"),
    "an object of Python": (
        b"epochs: !!python/object:os.system x\n",
        r"got could not determine a constructor",
    ),
    "a field twice": (b"epochs: 2\nepochs: 3\n", r"got epochs twice"),
    "too many digits": (b"epochs: " + b"9" * 5000, r"got Exceeds the limit"),
    "a number as a field": (b"3: 4\n", r"unknown field 3: expected one of training_set"),
    "a date": (b"epochs: 2026-01-01\n", r"epochs: expected a whole number"),
    "a device of no name": (b"device: 3\n", r"device: expected one of auto, cpu, cuda, got 3"),
}


@pytest.mark.parametrize("kind", PROFILES)
def test_a_profile_that_is_none(kind, tmp_path):
    content, told = PROFILES[kind]
    (tmp_path / "mine.yml").write_bytes(content)
    with pytest.raises(ProtocolError, match=told) as error:
        Profile.read(str(tmp_path / "mine"))
    one_line(str(error.value))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "junk").write_bytes(b"\xff\xfejunk")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    return tmp_path


def told(command: str, place, capsys) -> str:
    """The last line of what a command says; it must end with status 2 or 1, and show no traceback."""
    words = command.format(junk=place / "junk", empty=place / "empty").split()
    try:
        status = main(words)
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    assert status in (1, 2) and "Traceback" not in said.err
    return said.err.strip().splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command(command, place, capsys):
    assert re.search(COMMANDS[command], told(command, place, capsys))


@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_the_library(name, place):
    call, expected = CALLS[name]
    with pytest.raises((ValueError, RuntimeError)) as error:
        call(place)
    assert re.search(expected, str(error.value)) and "\n" not in str(error.value)


def test_the_table_is_long_enough_and_knows_every_field():
    assert sum(map(len, VALUES.values())) + len(PROFILES) + len(WORDS) + len(COMMANDS) + len(CALLS) >= 150
    assert {f.name for f in fields(Protocol)} == VALUES.keys()
