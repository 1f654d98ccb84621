"""The network in the page says what the library says, under a reader's hand, from a file, with no server."""

from __future__ import annotations

import base64
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from lib import jacobian, noise, published, spectrum
from lib.data import load
from lib.model import Autoencoder
from lib.pages import live
from lib.protocol import NOISE_SETS, Protocol
from lib.studies import detection_quantiles
from lib.training import train

#: Of eigenvalues, relative to ‖K‖₂; of pixels; of scores and of a framed drawing.
EIGENVALUES, PIXELS, SCORES, FRAMED = 1e-9, 1e-12, 1e-9, 1e-12
DIMS = (2, 8, 20)
#: Briefly trained: at d = 20 some points have fewer than d active units in a layer.
PROTOCOL = Protocol(training_set="digits", dims=DIMS, seeds=(0, 1), epochs=3)


@pytest.fixture(scope="module", autouse=True)
def unpublished():
    """These tests look at networks of their own, also where some are published."""
    nothing = SimpleNamespace(ensembles=list, part=lambda *names: None, table=lambda name: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "published", nothing)
        yield


@pytest.fixture(scope="module")
def ensembles(own_results, unpublished):
    return train(PROTOCOL)


@pytest.fixture(scope="module")
def place(ensembles, root, tmp_path_factory):
    """A page with the live network and nothing else, and the files that it loads."""
    folder = tmp_path_factory.mktemp("live")
    links = "".join(
        f'<a href="{path.name}">{name}</a>' for name, path in live.files(PROTOCOL, folder).items()
    )
    assets = (root / "book" / "_assets").as_uri()
    block = live.block().myst.partition("\n")[2].rpartition("```")[0].replace("_static", assets)
    (folder / "page.html").write_text(
        '<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>live</title>'
        f'<link rel="stylesheet" href="{assets}/book.css">'
        f'<link rel="stylesheet" href="{assets}/live/live.css">'
        f'<body style="max-width:736px">{block}<div class="live-weights">{links}</div></body></html>'
    )
    return folder / "page.html"


@pytest.fixture(scope="module")
def page(place, browser):
    """The page, opened from a file once for all tests."""
    assert browser.visit(place) == []
    browser.evaluate("liveNetwork.ready.then(() => true)")
    return browser.page


def change(page, **values) -> dict:
    """Change what the page's address says, wait until it is shown, and return it."""
    page.evaluate(f"liveNetwork.change({json.dumps(values)})")
    page.wait_for_function(
        "(wanted) => Object.entries(wanted).every(([k, v]) => JSON.stringify(v) === "
        "JSON.stringify(liveNetwork.state()[k === 'network' ? 'id' : k] ?? null))"
        " && document.querySelector('#live-network .busy').textContent === ''",
        arg={k: v for k, v in values.items() if k in ("network", "beside", "mix", "code")},
    )
    page.evaluate(FRAME)
    return page.evaluate("liveNetwork.state()")


FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def member(ensembles, name: str) -> Autoencoder:
    """A trained network by the name that the page has for it."""
    seed, d = map(int, name.split("."))
    return live.rounded(ensembles[seed].member(d))


def agree(state: dict, net: Autoencoder) -> dict:
    """Compare what the page computed from its input with the library's numbers for the same input."""
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
    scores = {name: values[0] for name, values in detection_quantiles.cheap(net, x).items()}
    assert state["scores"] == pytest.approx(scores, rel=SCORES)
    return state


@pytest.mark.parametrize("name", ["0.2", "1.8", "0.20"])
def test_the_page_computes_what_the_library_computes(page, ensembles, name):
    change(page, network=name)
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
        ranks.add(agree(page.evaluate("liveNetwork.state()"), member(ensembles, name))["I"]["rank"])
    if name == "0.20":
        assert min(ranks) < 20  # points at which the cycle has to be cut were among them


#: All numbers of an untrained network, as base64 of float32.
UNTRAINED = """(() => {
    const all = new Uint8Array(Float32Array.from(liveNetwork.untrained(%d, %d).flat(2)).buffer);
    let text = "";
    for (const byte of all) text += String.fromCharCode(byte);
    return btoa(text);
})()"""


def test_an_untrained_network_is_the_one_that_pytorch_draws_from_the_seed(page):
    told = torch.from_numpy(np.frombuffer(base64.b64decode(page.evaluate(UNTRAINED % (0, 8))), "<f4").copy())
    net = Autoencoder(8, torch.Generator().manual_seed(0)).requires_grad_(False)
    there = [t for layer in net.linears() for t in (layer.weight, layer.bias)]
    for here, t in zip(told.split([t.numel() for t in there]), there, strict=True):
        # a processor that multiplies and adds in two steps rounds twice
        assert (here - t.flatten()).abs().max() <= 2.0**-24 * t.abs().max()
        t.copy_(here.view_as(t))
    agree(change(page, network="u0.8", mix=0.5), net.double())


def press(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.evaluate(FRAME)


def drag(page, selector: str, *points: tuple[float, float]) -> None:
    """Press at the first point of an element, in parts of its sides, move through the others, let go."""
    box = page.locator(selector).bounding_box()
    for i, (a, b) in enumerate(points):
        page.mouse.move(box["x"] + a * box["width"], box["y"] + b * box["height"])
        if i == 0:
            page.mouse.down()
    page.mouse.up()
    page.evaluate(FRAME)


INPUT = "#live-network .drawing canvas:first-child"


def test_drawing_undoing_and_coming_back(page, place, ensembles):
    """With mouse and keys; the input changes where it was drawn, and the address brings everything back."""
    before = change(page, network="0.8", beside=None, mix=0)
    press(page, "Clear")
    assert max(page.evaluate("liveNetwork.state()")["x"]) == 0
    page.locator(INPUT).scroll_into_view_if_needed()
    drag(page, INPUT, *((14.5 / 28, part) for part in np.linspace(0.25, 0.75, 6)))
    after = agree(page.evaluate("liveNetwork.state()"), member(ensembles, "0.8"))
    drawn = np.array(after["drawn"]).reshape(28, 28)
    assert (drawn[8:20, 14] == 1).all() and drawn[:, :12].max() == 0 and drawn[:, 17:].max() == 0
    assert after["x"] == after["drawn"]  # networks trained on scikit-learn's digits know no frame
    page.evaluate(f"document.querySelector('{INPUT}').focus()")
    for key in ("ArrowRight", "Space", "Shift+ArrowDown"):
        page.keyboard.press(key)
    page.evaluate(FRAME)
    drawn = np.array(page.evaluate("liveNetwork.state()")["drawn"]).reshape(28, 28)
    assert drawn[14, 15] == 1 and drawn[15, 15] == 1 and drawn[:, 18:].max() == 0

    change(page, beside="1.8")
    page.wait_for_function("location.hash.includes('beside=1.8') && location.hash.includes('drawn=')")
    address = page.evaluate("location.hash")
    shown = page.evaluate("liveNetwork.state()")
    agree(shown["other"] | {"x": shown["x"]}, member(ensembles, "1.8"))
    press(page, "Noise")
    assert page.evaluate("liveNetwork.state().mix") == 1
    # to go to the address that still stands there would be no change
    page.wait_for_function("location.hash.includes('mix=1') && !location.hash.includes('drawn=')")
    page.evaluate(f"location.hash = {json.dumps(address)}")
    page.wait_for_function("liveNetwork.state().drawn !== null")
    again = page.evaluate("liveNetwork.state()")
    assert (again["x"], again["id"], again["beside"]) == (shown["x"], "0.8", "1.8")

    for _ in range(6):  # noise, three keys and strokes, clear
        page.keyboard.press("Control+z")
    page.evaluate(FRAME)
    undone = page.evaluate("liveNetwork.state()")
    assert undone["drawn"] is None or max(undone["drawn"]) == 0 or undone["x"] == before["x"]


def test_an_address_given_while_the_page_writes_its_own_is_not_lost(page):
    """The page's own is due, but the browser has not yet told the page that it was given another."""
    change(page, network="0.8", beside=None, drawn=None, own=False, code=None, mix=0)
    page.wait_for_function("location.hash.endsWith('mix=0')")
    page.evaluate(
        "(address) => { setTimeout(() => (location.hash = address), 0); liveNetwork.change({mix: 1});"
        " const due = performance.now() + 100; while (performance.now() < due); }",
        page.evaluate("location.hash").replace("mix=0", "mix=0.25"),
    )
    page.wait_for_function("liveNetwork.state().mix === 0.25")
    page.evaluate("new Promise(done => setTimeout(() => done(true), 200))")
    assert page.evaluate("liveNetwork.state().mix") == 0.25
    assert page.evaluate("location.hash").endswith("mix=0.25")


def test_presets_and_the_slider_go_from_a_digit_to_noise(page):
    change(page, network="0.8", beside=None, drawn=None, own=False, code=None, mix=0)
    press(page, "Digit")
    digit = np.array(page.evaluate("liveNetwork.state()")["x"])
    assert (np.abs(live.samples(PROTOCOL)[0].numpy() - digit).max(1) < 1 / 255).any()
    press(page, "Noise")
    random = np.array(page.evaluate("liveNetwork.state()")["x"])
    press(page, "Halfway")
    assert np.allclose(page.evaluate("liveNetwork.state()")["x"], (digit + random) / 2)
    slider = page.get_by_role("slider", name="From digit to noise")
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.evaluate(FRAME)
    state = page.evaluate("liveNetwork.state()")
    assert state["mix"] == 0.7 and np.allclose(state["x"], 0.3 * digit + 0.7 * random)
    assert slider.get_attribute("aria-valuetext") == "70 percent noise"


def test_two_networks_are_compared_and_a_reader_hears_it_in_words(page):
    state = change(page, network="0.8", beside="1.8", mix=1)
    differ = np.square(np.array(state["y"]) - state["other"]["y"]).mean()
    shown = page.locator("#live-network .difference")
    assert (
        f"{differ:.3g}" in shown.inner_text().replace("−", "-")
        and "Median for these two" in shown.inner_text()
    )
    page.wait_for_function("liveNetwork.state().said.includes('second network')")
    said = page.evaluate("liveNetwork.state().said")
    assert "Jacobian at the input: rank 8, orientation" in said and "_" not in said and "‖" not in said
    assert page.locator("#live-network table.scores .gauge, #live-network .scores .gauge").count() == 8


def test_a_dragged_code_is_decoded_under_the_finger(page, ensembles):
    change(page, network="0.2", beside=None, code=None)
    codes = page.locator("#live-network .codes")
    codes.scroll_into_view_if_needed()
    drag(page, "#live-network .codes", (0.5, 0.5), (0.6, 0.4), (0.75, 0.25))
    state = page.evaluate("liveNetwork.state()")
    net = member(ensembles, "0.2")
    z = torch.tensor([state["code"]], dtype=torch.float64)
    assert np.abs(net.decoder(z)[0].numpy() - state["x"]).max() < PIXELS
    agree(state, net)
    before = state["code"]
    codes.focus()
    page.keyboard.press("ArrowLeft")
    moved = page.evaluate("liveNetwork.state()")["code"]
    assert moved[0] < before[0] and moved[1] == before[1]
    page.wait_for_function("liveNetwork.state().said.startsWith('Code ')")
    page.get_by_role("combobox", name="Colour").select_option("defect")
    assert "and more" in page.locator("#live-network .legend").inner_text()


def arrive(page, place, address: str) -> dict:
    """Open the page at an address, as from a link, and return what it shows."""
    page.goto("about:blank")
    page.goto(place.as_uri() + address)
    page.evaluate("liveNetwork.ready.then(() => true)")
    return page.evaluate("liveNetwork.state()")


def test_a_code_lies_in_the_plane_of_a_trained_network_or_there_is_none(page, place, ensembles):
    """Whatever the address says; an untrained network with d = 2 has no plane."""
    assert arrive(page, place, "#network=u0.2&code=0.5,0.5")["code"] is None
    a, b = arrive(page, place, "#network=0.2&code=1e308,-1e308")["code"]
    codes = live.rounded(ensembles[0].member(2)).encoder(live.samples(PROTOCOL)[0])
    span = float((codes.amax(0) - codes.amin(0)).max())
    assert 0 < a - codes[:, 0].max() < span and 0 < codes[:, 1].min() - b < span


def test_another_network_sees_the_picture_that_was_decoded_before(page, place):
    before = arrive(page, place, "#network=0.2&code=0,0")["x"]
    before = np.clip(before, 0, 1)  # no ink is less than none
    page.get_by_role("combobox", name="Network").select_option("0.8")
    page.wait_for_function("liveNetwork.state().id === '0.8' && liveNetwork.state().d === 8")
    after = page.evaluate("liveNetwork.state()")
    assert after["code"] is None and np.abs(before - after["x"]).max() <= 0.5 / 63 + 1e-9


def test_the_plane_of_codes_has_the_colours_of_the_second_round_trip(ensembles):
    net = live.rounded(ensembles[0].member(2))
    z = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sign, defect = live.code_plane(net, z)
    whole = torch.func.vmap(torch.func.jacrev(lambda v: net.encoder(net.decoder(v))))(z)
    det = torch.linalg.det(whole)
    full = det.abs() > 1e-12
    assert full.any() and (sign[full] == det[full].sign()).all()
    assert torch.allclose(defect, (net.encoder(net.decoder(z)) - z).norm(dim=1))


@pytest.mark.parametrize("name", NOISE_SETS)
def test_the_pages_noise_has_the_moments_of_the_papers_laws(page, name):
    drawn = f"[...Array(40)].flatMap(() => [...liveNetwork.noise('{name}', u)])"
    pixels = np.array(page.evaluate(f"(() => {{ const u = liveNetwork.generator(7); return {drawn}; }})()"))
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


def test_a_drawing_is_framed_as_the_library_frames_it(page):
    """Small and large ones, in a corner, of a single pixel, and none."""
    generator = torch.Generator().manual_seed(0)
    drawings = torch.zeros(6, 28, 28, dtype=torch.float64)
    drawings[0, 1:27, 2:10] = 1
    drawings[1, 20:28, 20:28] = torch.rand(8, 8, generator=generator, dtype=torch.float64)
    drawings[2] = torch.rand(28, 28, generator=generator, dtype=torch.float64)
    drawings[3, 5, 6] = 1
    drawings[4, 3:10, 1:27] = torch.rand(7, 26, generator=generator, dtype=torch.float64)
    for x, wanted in zip(drawings.flatten(1), live.framed(drawings.flatten(1))):
        told = page.evaluate(f"Array.from(liveNetwork.framed(Float64Array.from({json.dumps(x.tolist())})))")
        assert np.abs(wanted.numpy() - told).max() < FRAMED


def test_it_fits_a_screen_and_a_telephone_and_every_control_a_finger(page):
    change(page, network="0.8", beside=None, code=None, drawn=None, mix=0)
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        boxes = [
            page.locator(f"#live-network .panels > .{name}").first.bounding_box()
            for name in ("input", "output", "spectrum")
        ]
        assert max(b["y"] + b["height"] for b in boxes) - min(b["y"] for b in boxes) < 0.65 * height
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = (
        "[...document.querySelectorAll('#live-network :is(select, button, canvas, input)')].filter((e) => "
        "!e.ariaHidden && !(e.labels?.[0]?.textContent || e.ariaLabel || e.textContent).trim()).length"
    )
    assert page.evaluate(unnamed) == 0
    small = (
        "Math.min(...[...document.querySelectorAll('#live-network :is(select, button)')]"
        ".filter((e) => e.getClientRects().length).map((e) => e.getBoundingClientRect().height))"
    )
    assert page.evaluate(small) >= 36


def test_a_network_is_under_a_megabyte_and_survives_the_way_through_the_file(ensembles, tmp_path):
    path = live.export(ensembles[0].member(20), tmp_path / "d20.js")
    assert path.stat().st_size < 1_000_000
    for exact, near in zip(
        ensembles[0].member(20).linears(), live.rounded(ensembles[0].member(20)).linears()
    ):
        assert (exact.weight - near.weight).abs().max() <= 2.0**-11 * exact.weight.abs().max()


def test_rounding_to_fewer_bits_moves_eigenvalues_further(ensembles):
    effect = live.rounding(ensembles[0].member(8), noise.sample("uniform", 0, 60))
    assert list(effect.index) == [16, 12, 8] and effect["median change"].is_monotonic_increasing


def test_a_weight_beyond_float16_is_refused(ensembles, tmp_path):
    net = ensembles[0].member(8)
    net.encoder[0].weight[0, 0] = 1e5
    with pytest.raises(OverflowError, match="65504"):
        live.export(net, tmp_path / "net.js")


def test_the_bundles_were_made_from_the_sources_beside_them(root):
    folder = root / "book" / "_assets" / "live"
    sha = hashlib.sha256()
    for path in [*sorted((folder / "src").iterdir()), folder / "package.json"]:
        sha.update(path.read_bytes())
    for name in ("live.js", "figures.js"):
        assert sha.hexdigest() in (folder / name).read_text(encoding="utf-8")[:300], (
            "run: npm ci && node build.mjs, in book/_assets/live"
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
