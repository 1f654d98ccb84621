"""The network in the page says what the library says, under a reader's hand, from a file, without a server."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from lib import jacobian, noise, published, spectrum
from lib.data import load
from lib.model import Ensemble
from lib.pages import live
from lib.protocol import NOISE_SETS, Protocol
from lib.training import Trainer

#: Of eigenvalues, relative to ‖K‖₂; of pixels.
EIGENVALUES, PIXELS = 1e-9, 1e-12
DIMS = (3, 8, 20)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    """Briefly trained: at d = 20 some points have fewer than d active units in a layer."""
    images = load("digits")
    trainer = Trainer(
        Ensemble.initial(DIMS, 0), Protocol(training_set="digits", dims=DIMS, seeds=(0,), epochs=3)
    )
    for _ in range(3):
        trainer.run_epoch(images.train.float(), images.test.float())
    return trainer.ensemble


@pytest.fixture(scope="module")
def page(ensemble, browser, root, tmp_path_factory):
    """The live network on an otherwise empty page, opened from a file."""
    folder = tmp_path_factory.mktemp("live")
    protocol = Protocol(training_set="digits")
    files = [("images", live.export_samples(protocol, folder / "images.js"))]
    files += [(f"d = {d}", live.export(ensemble.member(d), folder / f"d{d}.js")) for d in DIMS]
    links = "".join(f'<a href="{path.name}">{name}</a>' for name, path in files)
    assets = (root / "book" / "_assets" / "live").as_uri()
    (folder / "page.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>live</title><link rel="stylesheet" href="{assets}/live.css"><body style="max-width:736px">'
        f'<div id="live-network"></div><script src="{assets}/live.js"></script><div class="live-weights">{links}</div></body></html>'
    )
    assert browser.visit(folder / "page.html") == []
    browser.evaluate("liveNetwork.ready.then(() => true)")
    return browser.page


def select(page, d: int) -> None:
    page.evaluate(f"""(async () => {{
        const list = document.querySelector('#live-network select');
        list.value = [...list.options].find((o) => o.textContent === 'd = {d}').value;
        list.dispatchEvent(new Event('change'));
        while (liveNetwork.state().d !== {d}) await new Promise((done) => setTimeout(done, 20));
    }})()""")


def agree(page, ensemble) -> dict:
    """Compare what the page computed from its input with the library's numbers for the same input."""
    state = page.evaluate("liveNetwork.state()")
    net = live.rounded(ensemble.member(state["d"]))
    x = torch.tensor(state["x"], dtype=torch.float64)[None]
    trip = jacobian.round_trip(net, x)
    assert np.abs(trip.y[0].numpy() - state["y"]).max() < PIXELS
    for name, k, at in zip("IL", jacobian.matrices(net, trip), (trip.at_x, trip.at_y)):
        told, size = state[name], torch.linalg.matrix_norm(k[0], 2).item()
        assert np.abs(k[0].numpy() - told["K"]).max() < 1e-12 * size
        r = jacobian.rank(trip, at)
        assert told["rank"] == r.item()
        assert told["orientation"] == spectrum.orientation(net, trip, at, k, r).item()
        here, there = spectrum.eigenvalues(k)[0].numpy(), np.array(told["lam"]) @ (1, 1j)
        cost = np.abs(here[:, None] - there[None])
        assert cost[linear_sum_assignment(cost)].max() < EIGENVALUES * size
        assert (np.diff(np.abs(there)) <= 1e-12 * size).all()
    return state


@pytest.mark.parametrize("d", DIMS)
def test_the_page_computes_what_the_library_computes(page, ensemble, d):
    select(page, d)
    inputs = torch.cat(
        [
            load("digits").test[:4],
            *(noise.sample(name, 0, 1) for name in NOISE_SETS),
            torch.zeros(1, 784, dtype=torch.float64),
        ]
    )
    ranks = set()
    for x in inputs.tolist():
        page.evaluate(f"liveNetwork.set({json.dumps(x)})")
        ranks.add(agree(page, ensemble)["I"]["rank"])
    if d == 20:
        assert min(ranks) < d  # points at which the cycle has to be cut were among them


def box(page) -> dict:
    return page.evaluate(
        "(({x, y, width, height}) => ({x, y, width, height}))(document.querySelector('#live-network .drawing canvas').getBoundingClientRect())"
    )


FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def press(page, name: str) -> None:
    page.evaluate(
        f"[...document.querySelectorAll('#live-network button')].find((b) => b.textContent === '{name}').click()"
    )


def test_drawing_with_the_mouse_changes_the_input_where_it_was_drawn_and_the_numbers_follow(page, ensemble):
    select(page, 3)
    press(page, "Clear")
    before = agree(page, ensemble)
    assert max(before["x"]) == 0
    at = box(page)
    middle, top = at["x"] + 14.5 / 28 * at["width"], at["y"]
    page.mouse.move(middle, top + 0.25 * at["height"])
    page.mouse.down()
    for part in np.linspace(0.25, 0.75, 6):
        page.mouse.move(middle, top + part * at["height"])
    page.mouse.up()
    page.evaluate(FRAME)
    after = agree(page, ensemble)
    drawn = np.array(after["x"]).reshape(28, 28)
    assert (drawn[8:20, 14] == 1).all() and drawn[:, :12].max() == 0 and drawn[:, 17:].max() == 0
    assert after["I"]["lam"] != before["I"]["lam"]


def test_drawing_with_the_keyboard(page, ensemble):
    press(page, "Clear")
    page.evaluate("document.querySelector('#live-network .drawing canvas').focus()")
    for key in ("ArrowRight", "Space", "ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    page.evaluate(FRAME)
    drawn = np.array(agree(page, ensemble)["x"]).reshape(28, 28)
    assert drawn[14, 15] == 1 and drawn[16, 15] == 1 and drawn[20:].max() == 0


@pytest.mark.parametrize("name", NOISE_SETS)
def test_the_pages_noise_has_the_moments_of_the_papers_laws(page, name):
    pixels = np.array(
        page.evaluate(
            f"(() => {{ const u = liveNetwork.generator(7); return [...Array(40)].flatMap(() => [...liveNetwork.noise('{name}', u)]); }})()"
        )
    )
    law = noise.distribution(name)
    assert ((pixels >= 0) & (pixels <= 1)).all()
    for moment in (1, 2, 4):
        sd = np.sqrt(max(law.moment(2 * moment) - law.moment(moment) ** 2, 0) / len(pixels))
        assert abs((pixels**moment).mean() - law.moment(moment)) < 4.5 * sd


def test_eigenvalues_of_hard_matrices(page):
    """Rotations, a Jordan block, entries of very different size, and random matrices, against LAPACK."""
    generator = np.random.default_rng(0)
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    hard = [
        rotation,
        np.diag(np.ones(3), 1) + 0.5 * np.eye(4),
        np.diag(10.0 ** -np.arange(8)) @ generator.normal(size=(8, 8)),
    ]
    hard += [generator.normal(size=(20, 20)) for _ in range(20)]
    for i, a in enumerate(hard):
        there = np.array(page.evaluate(f"liveNetwork.eigenvalues({json.dumps(a.tolist())})")) @ (1, 1j)
        cost = np.abs(np.linalg.eigvals(a)[:, None] - there[None])
        # a Jordan block of size 4 moves its eigenvalue by the fourth root of the rounding error
        assert cost[linear_sum_assignment(cost)].max() < (1e-3 if i == 1 else 1e-11) * np.linalg.norm(a, 2)


def test_every_control_has_a_name_and_a_size_for_fingers(page):
    page.set_viewport_size({"width": 390, "height": 900})
    assert (
        page.evaluate(
            "[...document.querySelectorAll('#live-network :is(select, button, canvas)')].filter((e) => !(e.labels?.[0]?.textContent || e.ariaLabel || e.textContent).trim()).length"
        )
        == 0
    )
    assert (
        page.evaluate(
            "Math.min(...[...document.querySelectorAll('#live-network :is(select, button)')].map((e) => e.getBoundingClientRect().height))"
        )
        >= 36
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_network_is_under_a_megabyte_and_survives_the_way_through_the_file(ensemble, tmp_path):
    path = live.export(ensemble.member(20), tmp_path / "d20.js")
    assert path.stat().st_size < 1_000_000
    for exact, near in zip(ensemble.member(20).linears(), live.rounded(ensemble.member(20)).linears()):
        assert (exact.weight - near.weight).abs().max() <= 2.0**-11 * exact.weight.abs().max()


def test_a_weight_beyond_float16_is_refused(ensemble, tmp_path):
    net = ensemble.member(3)
    net.encoder[0].weight[0, 0] = 1e5
    with pytest.raises(OverflowError, match="65504"):
        live.export(net, tmp_path / "net.js")


def test_the_bundle_was_made_from_the_sources_beside_it(root):
    folder = root / "book" / "_assets" / "live"
    sha = hashlib.sha256()
    for path in [*sorted((folder / "src").iterdir()), folder / "package.json"]:
        sha.update(path.read_bytes())
    assert sha.hexdigest() in (folder / "live.js").read_text(encoding="utf-8")[:300], (
        "run: npm install && node build.mjs, in book/_assets/live"
    )


def test_framing_puts_the_ink_in_twenty_pixels_around_its_centre_of_mass():
    x = torch.zeros(2, 28, 28, dtype=torch.float64)
    x[0, 1:27, 2:10] = 1
    out = live.framed(x.reshape(2, 784)).reshape(2, 28, 28)
    rows, columns = ((out[0] > 0.05).any(k).nonzero()[:, 0] for k in (1, 0))
    assert len(rows) == 20 and abs(float(rows.double().mean()) - 13.5) <= 0.5
    assert abs(float(columns.double().mean()) - 13.5) <= 0.5 and len(columns) == 6
    assert not out[1].any()


def test_framed_digits_are_less_foreign_to_the_published_networks():
    x = load("digits").test[:100]
    net = published.ensembles()[0].member(5)
    error = lambda images: float((net(images.float())[1] - images).square().mean())  # noqa: E731
    assert error(live.framed(x)) < error(x) / 2
