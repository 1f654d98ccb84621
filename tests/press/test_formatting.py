"""The form of the files: linted, formatted, and never converted by git."""

from __future__ import annotations

import subprocess
import sys

import pytest

PYTHON = ("lib", "tests", "book/_ext")


@pytest.mark.parametrize("words", [("check",), ("format", "--check")], ids=["lint", "format"])
def test_ruff_has_no_complaint(root, words):
    command = [sys.executable, "-m", "ruff", *words, "--quiet", "--no-cache", *PYTHON]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_checkout_that_converts_ends_of_lines_leaves_every_file_as_it_is(root, tmp_path):
    """Git for Windows is told so by default; a published table would no longer have its digest."""
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    listed = [
        "git",
        "-C",
        str(root),
        "ls-files",
        "-z",
        "book/published/*.csv",
        "book/profiles",
        "requirements*.txt",
        "Makefile",
    ]
    files = [
        f for f in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0") if f
    ]
    assert len(files) > 10
    there = f"--prefix={tmp_path}/"
    checkout = [
        "git",
        "-C",
        str(root),
        "-c",
        "core.autocrlf=true",
        "-c",
        "core.eol=crlf",
        "checkout-index",
        there,
        "--",
        *files,
    ]
    subprocess.run(checkout, check=True)
    assert [f for f in files if b"\r\n" in (tmp_path / f).read_bytes()] == []
