"""Every bad value ends in one line that names what was expected, what came and what to do."""

import warnings
from dataclasses import fields

import pytest
import yaml

from lib.figures.style import COLORS
from lib.noise import distribution
from lib.protocol import (
    GROUPS,
    LABELS,
    NOISE_SETS,
    PROFILES,
    REPRESENTATIVES,
    Profile,
    Protocol,
    ProtocolError,
)
from lib.training import torch_device

BAD = {
    "training_set": ["cifar", "", None, 3],
    "dims": [(0,), (1, 2), (33,), (3, 2), (2, 2), (), "2", (2.0,), (True,), 5, None],
    "seeds": [(-1,), (2**31,), (1, 0), (), ("0",)],
    "epochs": [0, -3, 1.5, "3", True, None],
    "batch_size": [0, -1, 0.5],
    "points": [0, 1, -70_000, 10.0, None, 10**9],
    "optimizer": ["adamw", "", None],
    "learning_rate": [0, -1e-3, 1, 2.0, "fast", None, float("nan"), float("inf")],
    "loss": ["mae", None],
    "sets": [(), ("uniform", "uniform"), ("gaussian",), ("uniform", "bernoulli_0.33"), "uniform", None],
    "dtype": ["float16", "double", None],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_one_clear_line(name, value):
    with pytest.raises(ProtocolError) as error:
        Protocol(**{name: value})
    message = str(error.value)
    assert (
        message.startswith(f"{name}: expected ") and "got " in message and f"for instance {name}=" in message
    )
    assert "\n" not in message and len(message) < 400


def test_the_defaults_are_the_papers():
    p = Protocol()
    assert p.dims == tuple(range(2, 21)) and p.seeds == (0, 1) and p.epochs == 300
    assert p.sets == NOISE_SETS and len(p.sets) == 10 and p.points == 70_000 and p.dtype == "float64"
    assert Protocol.from_profile("paper") == p


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yml")), ids=lambda p: p.stem)
def test_every_profile_is_valid_and_says_only_what_it_changes(path):
    p = Profile.read(path.stem).values
    for name, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        stated = p[name]
        assert stated == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    "words, expected",
    [
        ("", {}),
        ("dims=2,8", {"dims": (2, 8)}),
        ("dims=2..5,9", {"dims": (2, 3, 4, 5, 9)}),
        ("  seeds=7   epochs=1 ", {"seeds": (7,), "epochs": 1}),
        (
            "sets=uniform,beta_5_0.8 learning_rate=1e-4",
            {"sets": ("uniform", "beta_5_0.8"), "learning_rate": 1e-4},
        ),
        (
            "dtype=float32 loss=distance optimizer=sgd",
            {"dtype": "float32", "loss": "distance", "optimizer": "sgd"},
        ),
    ],
)
def test_overrides_replace_single_fields(words, expected):
    assert Protocol.from_profile("smoke", words) == Protocol.from_profile("smoke").replace(**expected)


def test_what_no_result_is_keyed_by_stands_beside_the_protocol(monkeypatch):
    monkeypatch.delenv("BOOK_DEVICE", raising=False)
    plain, asked = Profile.read("smoke"), Profile.read("smoke", "companions=default device=cpu epochs=5")
    assert (plain.companions, plain.device) == ("smoke", "auto")
    assert (asked.companions, asked.device) == (
        "default",
        "cpu",
    ) and asked.protocol == plain.protocol.replace(epochs=5)
    assert Profile.read("paper").companions == "full"
    assert plain.values.keys() == {*vars(plain.protocol), "companions", "device"}
    for word, expected in (("device=tpu", "auto, cpu, cuda"), ("companions=none", "smoke, default, full")):
        with pytest.raises(ProtocolError, match=f"expected one of {expected}, got .* for instance "):
            Profile.read("smoke", word)
    monkeypatch.setenv("BOOK_DEVICE", "cpu")
    assert Profile.read("smoke").device == "cpu"


def test_a_device_that_this_process_does_not_compute_on_is_said(monkeypatch):
    monkeypatch.delenv("BOOK_DEVICE", raising=False)
    with pytest.warns(UserWarning, match="device: expected cpu .* found auto; start it with BOOK_DEVICE=cpu"):
        assert Protocol.from_profile("smoke", "device=cpu") == Protocol.from_profile("smoke")
    monkeypatch.setenv("BOOK_DEVICE", "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Protocol.from_profile("smoke", "device=cpu")
    monkeypatch.setenv("BOOK_DEVICE", "tpu")
    with pytest.raises(ProtocolError, match="BOOK_DEVICE: expected one of auto, cpu, cuda, got 'tpu'"):
        torch_device()


def test_every_data_set_has_a_group_a_label_and_a_colour():
    names = ["train", "test", *NOISE_SETS]
    assert list(LABELS) == list(COLORS) == names and len(set(names)) == 12
    assert len(set(LABELS.values())) == len(set(COLORS.values())) == 12
    assert tuple(n for group in GROUPS.values() for n in group) == NOISE_SETS
    assert all(name in GROUPS[g] for g, name in REPRESENTATIVES.items())
    brightness = {g: [distribution(name).mean() for name in names] for g, names in GROUPS.items()}
    assert max(brightness["dark"]) < 0.5 < min(brightness["bright"])
    assert brightness["middle"] == pytest.approx([0.5] * 4)


@pytest.mark.parametrize(
    "words, names",
    [
        ("dims", ("'dims'", "field=value")),
        ("=3", ("'=3'", "field=value")),
        ("dimensions=2", ("'dimensions=2'", "dims")),
        ("dims=a", ("dims", "'a'")),
        ("dims=2..", ("dims", "'2..'")),
        ("epochs=many", ("epochs", "'many'")),
        ("epochs=1.5", ("epochs", "'1.5'")),
        ("points=1", ("points", "at least 2")),
        ("dims=8..2", ("dims",)),
        ("dims=2..1000000000", ("dims", "at most 1000 values", "2..1000000000")),
        ("seeds=0..2147483647", ("seeds", "at most 1000 values")),
        ("points=1000000000", ("points", "at most 1000000")),
        ("learning_rate=fast", ("'fast'", "for instance learning_rate=0.001")),
        ("dims=1", ("dims", "2…32", "(1,)")),
        ("dims=2,2", ("dims", "strictly increasing")),
        ("seeds=", ("seeds", "''")),
        ("seeds=1,1", ("seeds", "strictly increasing")),
        ("sets=", ("sets", "distinct names")),
        ("sets=uniform,uniform", ("sets", "distinct names")),
        ("epochs=2 points=8 epochs=3", ("'epochs=3'", "each field once", "epochs twice")),
    ],
)
def test_a_bad_override_is_one_clear_line(words, names):
    with pytest.raises(ProtocolError) as error:
        Protocol.from_profile("smoke", words)
    message = str(error.value)
    assert "expected" in message and "for instance" in message and "\n" not in message
    assert all(name in message for name in names)


def test_an_unknown_profile_or_field_lists_the_known_ones():
    with pytest.raises(ProtocolError, match="expected one of .*laptop.*smoke.*got 'huge'"):
        Protocol.from_profile("huge")
    with pytest.raises(ProtocolError, match="unknown field 'dim': expected one of .*dims"):
        Protocol.from_mapping({"dim": [2]})


def test_a_protocol_cannot_be_changed_only_replaced():
    p = Protocol()
    with pytest.raises(AttributeError):
        p.epochs = 1
    assert p.replace(epochs=1).epochs == 1 and p.epochs == 300
    with pytest.raises(ProtocolError):
        p.replace(epochs=0)
    assert Protocol(dims=[2, 3]) == Protocol(dims=(2, 3)) and hash(p)


@pytest.mark.parametrize("name", [f.name for f in fields(Protocol)])
def test_what_an_error_suggests_is_valid(name):
    for text in ("", "x", "-1", "0", "1.5", "99999999999", "1..99999999"):
        try:
            Protocol.from_profile("smoke", f"{name}={text}")
        except ProtocolError as error:
            Protocol.from_profile("smoke", str(error).rpartition("for instance ")[2])
