"""The command line: every wrong word ends in one line: what was expected, what came and what to do."""

from __future__ import annotations

import errno
import os
import re

import pytest

from lib.press import commands
from lib.press.commands import _parser, main

WRONG = {
    "book --profile night": r"profile: expected one of laptop, paper, smoke, got 'night'",
    "book --set dims=0": r"dims: expected integers in 2…32.*got \(0,\)",
    "book --set dims=2,33": r"dims: .*33",
    "book --set dims=8,2": r"dims: .*strictly increasing",
    "book --set dims=two": r"dims: expected .*'two'",
    "book --set epochs=0": r"epochs: expected a whole number of at least 1, got 0",
    "book --set epochs=1.5": r"epochs: expected .*'1.5'",
    "book --set points=1": r"points: expected a whole number of at least 2, got 1",
    "book --set learning_rate=-1": r"learning_rate: expected .*-1",
    "book --set sets=cauchy": r"sets: expected .*cauchy",
    "book --set training_set=fashion": r"training_set: expected one of mnist, digits, .* got 'fashion'",
    "book --set device=tpu": r"device: expected one of auto, cpu, cuda, got 'tpu'",
    "book --set color=blue": r"'color=blue': expected field=value",
    "book --set epochs": r"'epochs': expected field=value",
    "notebook {notebook} -p colour=blue": r"unknown parameter 'colour': expected one of profile, overrides",
    "notebook {notebook} -p profile": r"expected name=value",
    "notebook {notebook} -p profile=night": r"profile: expected one of .*'night'",
    "notebook {notebook} -p overrides=dims=0": r"dims: expected .*\(0,\)",
    "notebook book/nowhere.md": r"found no file book/nowhere.md",
}


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "# A page\n\n```{code-cell} ipython3\n:tags: [parameters]\n\n"
        'profile = "laptop"\noverrides = ""  # "dims=2,8"\n```\n'
    )
    return path


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_word_ends_in_one_line(line, notebook, capsys):
    assert main(line.format(notebook=notebook).split()) == 2
    told = capsys.readouterr()
    assert len(told.err.strip().splitlines()) == 1 and told.out == ""
    assert re.search(WRONG[line], told.err)


STOPS = {
    "closed pipe": (BrokenPipeError(), 1, "got a closed pipe"),
    "Ctrl-C": (KeyboardInterrupt(), 130, "what is finished is kept"),
    "full disk": (
        OSError(errno.ENOSPC, "No space left on device", "cells.csv"), 2, "cells.csv: expected .*No space"
    ),
    "read-only disk": (
        OSError(errno.EROFS, "Read-only file system", "r"), 2, "r: expected .*Read-only file system"
    ),
}  # fmt: skip


@pytest.mark.parametrize("stop", STOPS)
def test_what_stops_a_command_is_told_in_one_line(stop, monkeypatch, capsys):
    error, status, told = STOPS[stop]

    def _verify(options):
        raise error

    monkeypatch.setattr(commands, "_verify", _verify)
    monkeypatch.setattr(commands.os, "dup2", lambda *_: None)  # this process keeps its output
    assert main(["verify"]) == status
    assert re.fullmatch(f"book: .*{told}.*\n", capsys.readouterr().err)


def test_a_readers_backend_is_not_the_books(monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "nonsense")

    def _verify(options):
        print(os.environ["MPLBACKEND"])

    monkeypatch.setattr(commands, "_verify", _verify)
    assert main(["verify"]) == 0 and capsys.readouterr().out == "Agg\n"


def test_a_gpu_that_is_not_there_ends_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main("book --profile smoke --set device=cuda".split()) == 2
    told = capsys.readouterr()
    assert (
        re.fullmatch(
            r"book: device: expected a CUDA GPU .*, found none; use device=auto or device=cpu\n", told.err
        )
        and told.out == ""
    )


def test_mnist_that_is_not_mnist_ends_in_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"not digits")
    monkeypatch.setenv("MNIST_DIR", str(tmp_path))
    assert (
        main(
            [
                "book",
                "--profile",
                "smoke",
                "--set",
                "training_set=mnist epochs=1",
                "--output",
                str(tmp_path / "build"),
            ]
        )
        == 2
    )
    told = capsys.readouterr().err.strip().splitlines()
    assert re.search(
        r"expected train-images-idx3-ubyte with SHA-256 .*, got .*; put the original file there", told[-1]
    )


def test_one_notebook_can_be_run_by_itself(notebook, tmp_path, capsys):
    notebook.write_text(notebook.read_text() + "\n```{code-cell} ipython3\nprint(profile)\n```\n")
    assert main(["notebook", str(notebook), "-p", "profile=smoke", "--output", str(tmp_path / "out")]) == 0
    assert '"smoke\\n"' in (tmp_path / "out" / "page.ipynb").read_text()


def test_make_calls_commands_that_exist(root):
    words = re.findall(r"-m lib (\S+)", (root / "Makefile").read_text())
    known = _parser()._subparsers._group_actions[0].choices
    assert words and set(words) <= set(known)
