"""An ensemble is its networks trained alone; a run that was killed is one that was not."""

import contextlib

import pytest
import torch
from torch import Tensor, nn

from lib import data, training
from lib.model import Autoencoder, Ensemble
from lib.protocol import Protocol
from lib.store import Store
from lib.training import Trainer, batch_order, train

DIMS = (2, 3, 7)


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 784, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def protocol(**changes) -> Protocol:
    return Protocol(
        training_set="digits", **{"dims": DIMS, "seeds": (0,), "epochs": 3, "points": 10} | changes
    )


def alone(d: int, seed: int, run: Protocol, x: Tensor, steps: int) -> Autoencoder:
    """One network trained as anyone would write it: autograd and PyTorch's own optimiser."""
    net = Autoencoder(d, torch.Generator().manual_seed(seed)).double()
    if run.optimizer == "adam":
        optimizer = torch.optim.Adam(net.parameters(), lr=run.learning_rate)
    else:
        optimizer = torch.optim.SGD(net.parameters(), lr=run.learning_rate, momentum=0.9)
    for step in range(steps):
        batch = x[step * run.batch_size :][: run.batch_size]
        _, y = net(batch)
        if run.loss == "mse":
            loss = nn.functional.mse_loss(y, batch)
        else:
            loss = (y - batch).norm(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.requires_grad_(False)


def together(run: Protocol, x: Tensor, steps: int) -> Ensemble:
    trainer = Trainer(Ensemble.initial(run.dims, 0, torch.float64), run)
    for step in range(steps):
        trainer.step(x[step * run.batch_size :][: run.batch_size])
    return trainer.ensemble


@pytest.mark.parametrize("loss", ["mse", "distance"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_member_is_the_network_trained_alone(loss, optimizer):
    run = protocol(loss=loss, optimizer=optimizer, batch_size=16)
    x = images(20 * 16 - 5)  # the last of twenty batches is short
    ensemble = together(run, x, 20)
    for d in DIMS:
        single = alone(d, 0, run, x, 20)
        for ours, theirs in zip(ensemble.member(d).parameters(), single.parameters()):
            assert (ours - theirs).norm() <= 1e-9 * theirs.norm()


def test_padded_entries_stay_zero():
    run = protocol(batch_size=16)
    ensemble = together(run, images(160), 10)
    waist = ensemble.waist
    for i, d in enumerate(DIMS):
        assert not ensemble.weights[waist][i, :, d:].any() and not ensemble.biases[waist][i, 0, d:].any()
        assert not ensemble.weights[waist + 1][i, d:].any()
    assert ensemble.weights[waist][-1].all()  # the widest has no padding


@pytest.mark.parametrize("seed", [0, 5])
def test_initialisation_is_pytorchs(seed):
    torch_rng = torch.get_rng_state()
    try:
        torch.manual_seed(seed)
        layers = [
            nn.Linear(m, n)
            for m, n in zip((784, 128, 64, 32, 9, 32, 64, 128), (128, 64, 32, 9, 32, 64, 128, 784))
        ]
    finally:
        torch.set_rng_state(torch_rng)
    for ours, theirs in zip(Ensemble.initial((9,), seed).member(9).linears(), layers):
        assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.bias, theirs.bias)


def test_members_forward_pass_is_the_ensembles():
    ensemble = Ensemble.initial(DIMS, 1, torch.float64)
    x = images(11)
    z, y = ensemble.forward(x)
    for i, d in enumerate(DIMS):
        zd, yd = ensemble.member(d)(x)
        torch.testing.assert_close(z[i, :, :d], zd, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(y[i], yd, rtol=1e-12, atol=1e-14)
        assert not z[i, :, d:].any()


def test_batch_order_is_a_permutation_of_its_own_for_each_epoch_and_seed():
    orders = [batch_order(s, e, 1000) for s in (0, 1) for e in (0, 1)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(1000))
    assert len({tuple(order.tolist()) for order in orders}) == len(orders)


def test_training_leaves_the_global_generator_alone(tmp_path):
    before = torch.get_rng_state()
    train(protocol(epochs=1), Store(tmp_path), progress=False)
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture
def few_digits(monkeypatch):
    """Digits, but 200 of them: an epoch takes milliseconds."""
    digits = data.load("digits")
    few = data.Images("digits", digits.x[:200], digits.labels[:200], 150, "few")
    monkeypatch.setattr(training.data, "load", lambda name: few)


def thetas(ensembles) -> Tensor:
    return torch.cat([e.theta for e in ensembles])


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "between", [0.0, 1e9], ids=["checkpoint every epoch", "no checkpoint before the kill"]
)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_killed_run_ends_like_one_that_was_not(tmp_path, monkeypatch, few_digits, between, optimizer):
    run = protocol(epochs=6, seeds=(0, 1), optimizer=optimizer)
    straight = train(run, Store(tmp_path / "straight"), progress=False)

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", between)
    honest, count = Trainer.step, [0]

    def step(self, x, target=None):
        count[0] += 1
        if count[0] in (7, 15):  # in the middle of an epoch
            raise Killed
        return honest(self, x, target)

    monkeypatch.setattr(Trainer, "step", step)
    store = Store(tmp_path / "killed")
    for _ in range(2):
        with pytest.raises(Killed):
            train(run, store, progress=False)
    ended = train(run, store, progress=False)
    assert torch.equal(thetas(straight), thetas(ended))
    for a, b in zip(straight, ended):
        assert all(torch.equal(a.curves[name], b.curves[name]) for name in ("train", "test"))


def test_a_stored_run_is_loaded_not_trained(tmp_path, monkeypatch, few_digits):
    run, store = protocol(), Store(tmp_path)
    first = train(run, store, progress=False)
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("trained again"))
    assert torch.equal(thetas(first), thetas(train(run, store, progress=False)))


def test_snapshots_are_shorter_runs(tmp_path, monkeypatch, few_digits):
    monkeypatch.setattr(training, "SNAPSHOTS", (2, 4))
    long = Store(tmp_path / "long")
    train(protocol(epochs=5), long, progress=False)
    for epochs in (2, 4):
        short = protocol(epochs=epochs)
        stored = long.load_tensors("networks", training.training_fields(short, 0))
        fresh = train(short, Store(tmp_path / str(epochs)), progress=False)[0]
        assert torch.equal(Ensemble.from_tensors(stored, 0).theta, fresh.theta)
        assert len(stored["curves.train"]) == epochs


def test_a_longer_run_continues_a_shorter_one(tmp_path, monkeypatch, few_digits):
    store = Store(tmp_path)
    train(protocol(epochs=2), store, progress=False)
    honest, count = Trainer.step, [0]

    def step(self, x, target=None):
        count[0] += 1
        return honest(self, x, target)

    monkeypatch.setattr(Trainer, "step", step)
    continued = train(protocol(epochs=5), store, progress=False)
    assert count[0] == 3 * 2  # three epochs of two batches
    assert torch.equal(
        thetas(continued), thetas(train(protocol(epochs=5), Store(tmp_path / "new"), progress=False))
    )


def test_curves_are_the_errors_measured_directly(tmp_path, few_digits):
    run = protocol(epochs=2, batch_size=150)
    ensemble = train(run, Store(tmp_path), progress=False)[0]
    held_out = training.data.load("digits").test.float()
    _, y = ensemble.forward(held_out)
    direct = (y - held_out).double().square().mean((1, 2))
    torch.testing.assert_close(ensemble.curves["test"][-1], direct, rtol=1e-5, atol=0)
    x = training.data.load("digits").train.float()
    _, y = Ensemble.initial(DIMS, 0).forward(
        x
    )  # one batch is the whole set: the first error is the untrained one
    torch.testing.assert_close(
        ensemble.curves["train"][0], (y - x).double().square().mean((1, 2)), rtol=1e-5, atol=0
    )


def test_training_learns(tmp_path, few_digits):
    ensemble = train(protocol(epochs=30), Store(tmp_path), progress=False)[0]
    assert (ensemble.curves["train"][-1] < 0.7 * ensemble.curves["train"][0]).all()


def test_flushing_subnormal_means_changes_no_weight():
    """Training runs with subnormal numbers flushed to zero, for speed alone."""
    run, found = protocol(), []
    for flush in (False, True):
        trainer = Trainer(Ensemble.initial(DIMS, 0), run)
        trainer.step(images(8).float())
        for name, state in trainer.optimizer.state[trainer.theta].items():
            if name == "exp_avg":
                state[(trainer.theta != 0) & (torch.arange(len(state)) % 2 == 0)] = 1e-41
        with training.subnormals_flushed() if flush else contextlib.nullcontext():
            for seed in range(1, 6):
                trainer.step(images(8, seed).float())
        found.append(trainer.theta.detach().clone())
    assert (found[0] == found[1]).all()


def test_runs_trained_side_by_side_are_those_trained_one_after_another(tmp_path, monkeypatch):
    """Two seeds, each at two lengths."""
    run = protocol(dims=(2, 3), seeds=(0, 1), epochs=2)
    monkeypatch.setattr(training, "WORTHWHILE", 0)
    training.train_side_by_side([run.replace(epochs=1), run], Store(tmp_path / "together"), progress=False)
    assert len(list(tmp_path.glob("together/networks/*"))) == 4
    for wanted in (run, run.replace(epochs=1)):
        together, alone = (
            train(wanted, Store(tmp_path / name), progress=False) for name in ("together", "alone")
        )
        assert all(
            torch.equal(a.theta, b.theta) and torch.equal(a.curves["test"], b.curves["test"])
            for a, b in zip(together, alone, strict=True)
        )
