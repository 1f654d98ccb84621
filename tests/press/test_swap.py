"""New pages take the place of old ones: never are there none, and only a book of this project is replaced."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lib.press import checksums, places, texts
from lib.press.commands import main
from lib.press.provenance import git
from lib.protocol import ProtocolError


def pages(folder, text):
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(text)
    (folder / places.RECORD).write_text("made from something")
    checksums.write(folder)
    return folder


@pytest.mark.parametrize("exchange", [True, False])
def test_new_pages_take_the_place_of_old_ones(exchange, tmp_path, monkeypatch):
    if not exchange:
        monkeypatch.setattr(places, "_exchange", lambda one, other: False)
    place = tmp_path / "html"
    for text in ("old", "new"):
        places.swap(pages(tmp_path / text, text), place)
        assert (place / "index.html").read_text() == text
        assert not (tmp_path / ".html-previous").exists()
    assert (tmp_path / "new" / "index.html").read_text() == "old"


@pytest.mark.parametrize("step", ["rename 1", "rename 2", "rename 3"])
def test_an_exchange_interrupted_at_any_step_leaves_whole_pages_at_the_next_start(
    step, tmp_path, monkeypatch
):
    place, new = pages(tmp_path / "html", "old"), pages(tmp_path / "new", "new")
    monkeypatch.setattr(places, "_exchange", lambda one, other: False)
    real, calls = os.rename, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == int(step.split()[1]):
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(places.os, "rename", interrupted)
        places.swap(new, place)
    places.recover(place)
    assert (place / "index.html").read_text() in ("old", "new") and checksums.whole(place)
    assert not (tmp_path / ".html-previous").exists()


@pytest.mark.parametrize("first", [places.RECORD, "index.html"])
def test_a_removal_interrupted_at_its_first_file_hinders_no_later_exchange(first, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_exchange", lambda one, other: False)
    place, left = pages(tmp_path / "html", "old"), pages(tmp_path / ".html-previous", "older")
    (left / first).unlink()
    places.recover(place)
    assert not left.exists()
    places.swap(pages(tmp_path / "new", "new"), place)
    assert (place / "index.html").read_text() == "new"


def test_pages_that_were_set_aside_come_back_to_an_empty_folder(tmp_path):
    pages(tmp_path / ".html-previous", "old")
    (tmp_path / "html").mkdir()
    places.recover(tmp_path / "html")
    assert checksums.whole(tmp_path / "html") and not (tmp_path / ".html-previous").exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_book_stays_and_is_named_before_anything_is_computed(kind, tmp_path, capsys):
    place = tmp_path / "html"
    if kind == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "index.html").write_text("mine")
    with pytest.raises(ProtocolError, match="expected nothing there or a book of this project"):
        places.recover(place)
    assert main(["book", "--profile", "smoke", "--output", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert len(told.err.strip().splitlines()) == 1 and "html: expected nothing there or a book" in told.err
    assert (place if kind == "file" else place / "index.html").read_text() == "mine"


def test_a_folder_that_another_build_takes_away_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    lock, taken = places.fcntl.flock, []

    def late(file, how):
        if not taken:
            taken.append(Path(file.name).parent)
            shutil.rmtree(taken[0])
        lock(file, how)

    monkeypatch.setattr(places.fcntl, "flock", late)
    with places.private_folder(tmp_path) as run:
        assert run.is_dir() and run != taken[0]
    assert not [*tmp_path.iterdir()]


def test_damaged_pages_are_noticed(tmp_path):
    place = pages(tmp_path / "html", "old")
    assert checksums.whole(place)
    (place / "added.pdf").write_text("beside")
    assert checksums.whole(place)
    (place / "index.html").write_text("olt")
    assert not checksums.whole(place)


def test_the_commit_is_that_of_this_folder_alone(tmp_path, monkeypatch):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "outer"]):
        subprocess.run([*command, *words], check=True)
    inner = tmp_path / "unpacked"
    inner.mkdir()
    outer = git(tmp_path, "rev-parse", "HEAD")
    assert len(outer) == 40 and git(inner, "rev-parse", "HEAD") == ""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert git(inner, "rev-parse", "HEAD") == "" and git(tmp_path, "rev-parse", "HEAD") == outer


def test_cleaning_removes_artefacts_and_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BOOK_RESULTS", str(tmp_path))
    mine = ["networks/notes.txt", "thesis/chapter.csv", "letter.txt", "mnist/train-images-idx3-ubyte"]
    made = ["networks/0123456789abcdef0123.safetensors", "cells/0123456789abcdef0123.csv"]
    for name in mine + made:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert main(["clean-results"]) == 0
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert left == set(mine) and not (tmp_path / "cells").exists()
    assert "2 artefacts removed" in capsys.readouterr().out


CANNOT = {
    "output is a file": lambda folder: ["book", "--profile", "smoke", "--output", str(folder / "file")],
    "output is below a file": lambda folder: [
        "book",
        "--profile",
        "smoke",
        "--output",
        str(folder / "file" / "b"),
    ],
    "a notebook that is no text": lambda folder: ["notebook", str(folder / "latin.md")],
    "a notebook in place of a folder": lambda folder: ["notebook", str(folder)],
    "results are a file": lambda folder: ["clean-results"],
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_cannot_be_done_ends_in_one_line(case, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "latin.md").write_bytes("# Größe\n".encode("latin-1"))
    monkeypatch.setenv("BOOK_RESULTS", str(tmp_path / "file"))
    assert main(CANNOT[case](tmp_path)) == 2
    told = capsys.readouterr()
    assert len(told.err.strip().splitlines()) == 1 and "expected" in told.err and told.out == ""
    assert (tmp_path / "file").read_text() == "mine"


def test_folders_of_the_environment_are_those_of_where_the_command_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOOK_RESULTS", "r")
    assert main(["clean-results"]) == 0
    assert os.environ["BOOK_RESULTS"] == str(tmp_path / "r")


@pytest.mark.parametrize("text", [b"", b"- a\n- b\n", b"a: [", b"root: 3\n", b"# \xe4\n"])
def test_a_table_of_contents_that_is_none_is_named(text, tmp_path):
    (tmp_path / "_toc.yml").write_bytes(text)
    with pytest.raises(ProtocolError, match="expected"):
        texts.parts(tmp_path / "_toc.yml")
