"""The explorer shows what the library computes, answers at once, and works in a page without a kernel."""

from __future__ import annotations

import shutil
import time

import pytest
import torch
from ipywidgets.embed import embed_minimal_html

from lib import jacobian, noise, published, spectrum
from lib.model import Autoencoder, Ensemble
from lib.pages import albums
from lib.pages import explorer as explore
from lib.protocol import Protocol

PROTOCOL = Protocol(
    training_set="digits", dims=(2, 8), seeds=(0, 1), epochs=1, points=8, sets=("uniform", "bernoulli_0.13")
)


@pytest.fixture(scope="module", autouse=True)
def unpublished():
    """These tests look at networks of their own, also where some are published."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "ensembles", list)
        patch.setattr(published, "part", lambda *names: None)
        yield


@pytest.fixture(scope="module")
def explorer(own_results, unpublished):
    return explore.Explorer(PROTOCOL)


def test_a_look_is_the_spectra_and_the_singular_values_of_the_whole_jacobian():
    net = Autoencoder(6, torch.Generator().manual_seed(1)).double().requires_grad_(False)
    x = noise.sample("uniform", 0, 1)[0]
    seen = explore.look(net, x)
    whole, small = jacobian.reference(net, x[None])
    assert torch.allclose(torch.linalg.svdvals(whole[0])[:6], seen.singular, rtol=1e-9)
    assert torch.allclose(spectrum.eigenvalues(small)[0], seen.lam["L"], rtol=1e-8)
    y = net(x[None])[1]
    for _ in range(3):
        y = net(y)[1]
    assert torch.allclose(seen.times[4], y[0])


def test_every_choice_changes_what_is_looked_at(explorer):
    digit = explorer.input.clone()
    explorer.mix.value = 1.0
    assert torch.equal(explorer.input, noise.sample("uniform", 0, 1)[0])
    explorer.mix.value = 0.25
    assert torch.allclose(explorer.input, 0.75 * digit + 0.25 * noise.sample("uniform", 0, 1)[0])
    assert torch.equal(explorer.seen.x, explorer.input)
    pictures = {explorer.picture.value}
    for name, value in (
        ("d", 8),
        ("seed", 1),
        ("trained", False),
        ("set", "train"),
        ("index", 5),
        ("other", "bernoulli_0.13"),
    ):
        getattr(explorer, name).value = value
        pictures.add(explorer.picture.value)
    assert len(pictures) == 7
    assert len(explorer.seen.z) == 8 and torch.equal(
        explorer.seen.times[1], explorer.ensembles[1, False].member(8).double()(explorer.input[None])[1][0]
    )


def test_every_point_that_can_be_chosen_can_be_shown(explorer):
    for name in ("test", "train", "uniform"):
        explorer.set.value = name
        explorer.index.value = explorer.index.max
        assert torch.equal(explorer.seen.x, explorer.input)
    explorer.index.value = 0


def test_painting_makes_the_painted_field_the_input(explorer):
    explorer.mix.value = 0.0
    explorer.canvas.children[14 * 3 + 5].click()
    assert explorer.set.value == "painted"
    assert (
        explorer.seen.x.view(28, 28)[6:8, 10:12].tolist() == [[1, 1], [1, 1]] and explorer.seen.x.sum() == 4
    )
    explorer.canvas.children[14 * 3 + 5].click()
    assert explorer.seen.x.sum() == 0


def test_it_answers_within_a_tenth_of_a_second(explorer):
    explorer.d.value = 8
    spent = []
    for share in (0.1, 0.2, 0.3, 0.4, 0.5):
        began = time.process_time()
        explorer.mix.value = share
        spent.append(time.process_time() - began)
    assert min(spent) < 0.1


def test_images_that_the_networks_were_not_trained_on_are_not_called_theirs(monkeypatch):
    monkeypatch.setattr(published, "part", lambda *names: {"training_set": "mnist"})
    monkeypatch.setattr(published, "ensembles", lambda: [Ensemble.initial((2, 3), 0)])
    seen = explore.Explorer(PROTOCOL)
    assert [name for name, key in seen.set.options if key in ("test", "train")] == ["small digits"]
    assert "code among small digits" in seen.picture.value
    assert list(explore.points(PROTOCOL))[0] == "small digits"


def test_a_code_is_placed_among_the_training_codes(explorer):
    codes = explorer.all_codes[0, True, 8]
    assert codes.far(codes.mean) == 0
    assert codes.points.mean(0).abs().max() < 1e-9 and codes.points[:, 0].var() >= codes.points[:, 1].var()


def test_the_album_switches_pictures_without_a_kernel(explorer, browser, root, tmp_path):
    frames = explore.frames(PROTOCOL)
    assert len(frames) == 3 * 2 * 2
    box = albums.album(frames, ("data set", "seed", "d"), "Input, reconstructions and spectra")
    shutil.copytree(root / "book" / "_assets" / "thirdparty" / "html-manager", tmp_path / "manager")
    embed_minimal_html(
        tmp_path / "page.html", views=[box], title="album", embed_url="manager/embed.js", requirejs=False
    )
    page = (tmp_path / "page.html").read_text()
    (tmp_path / "page.html").write_text(
        page.replace('crossorigin="anonymous"', "")
    )  # which file:// does not allow
    assert browser.visit(tmp_path / "page.html") == []

    shown = (
        "[...document.querySelectorAll('[role=img]')]"
        ".filter(i => i.getClientRects().length).map(i => i.ariaLabel)"
    )

    def wait(expected: str) -> None:
        for _ in range(100):
            if browser.evaluate(shown) == [expected]:
                return
            time.sleep(0.05)
        assert browser.evaluate(shown) == [expected]

    wait("Input, reconstructions and spectra: data set held out, seed 0, d 2")
    browser.evaluate("document.querySelector('.noUi-handle').focus()")
    browser.page.keyboard.press("ArrowRight")
    wait("Input, reconstructions and spectra: data set held out, seed 0, d 8")
    browser.evaluate(
        "(() => { const s = document.querySelector('select'); s.selectedIndex = 2; "
        "s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    wait("Input, reconstructions and spectra: data set bernoulli 0.13, seed 0, d 8")
