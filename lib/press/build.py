"""The book: results → executed notebooks → pages, staged so that only whole books are ever seen.

Everything of one build happens in a folder of its own under ``_build``; the finished pages
change places with the previous ones. A build that fails or is killed leaves the last good
book where it was, and two builds at once do not meet. The pages carry a record of what they
were made from and of their own content, by which they are known and verified.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from .. import data, published, results
from ..paths import ROOT
from ..protocol import Profile, Protocol, ProtocolError
from ..store import digest
from . import begin, checksums, notebooks
from .freshness import digests, files
from .notebooks import Job, seconds

__all__ = ["build", "compute", "pages", "parts", "provenance", "is_book", "BuildError"]

#: What the pages are made from besides the book's text and executed notebooks, relative to the project's root.
SOURCES = ("lib", "_config.yml", "_toc.yml", "requirements.txt")
#: What finished pages say of themselves, and by which they are known for a book of this project.
RECORD = ".book"
COLOUR = re.compile("\x1b\\[[0-9;]*m")
AT_FDCWD, RENAME_EXCHANGE = -100, 2


class BuildError(RuntimeError):
    """A book that cannot be built; the message says what is in the way."""


def build(
    profile: str = "laptop",
    overrides: str = "",
    root: Path = ROOT,
    output: Path | None = None,
    say: Callable[[str], None] = print,
    limit: float = notebooks.LIMIT,
) -> Path:
    """Build the book of a profile and return the path of its first page.

    Parameters
    ----------
    profile, overrides : as `Profile.read` takes them, and as the notebooks get them.
    root : folder with ``_config.yml``, ``_toc.yml`` and ``book/``.
    output : folder of builds, default ``root/_build``; the pages are in its ``html``.
    limit : seconds after which a notebook counts as hanging.

    Raises
    ------
    ProtocolError, DataError, Mismatch, NotebookError, BuildError
        The previous book is then still in place.
    """
    began = time.monotonic()
    asked = begin(profile, overrides)
    protocol = asked.protocol
    output = Path(output or root / "_build").resolve()
    place = output / "html"
    parameters = {"profile": profile, "overrides": overrides}
    about = provenance(asked, profile, root)
    _check_published()
    with _private_folder(output) as run:
        _recover(place)
        sources = digests(root, files(root, SOURCES))
        jobs = _stage(root, run / "src", parameters)
        say(f"{about['profile']}: {_describe(protocol)}; key {about['key']}")
        say(f"{len(jobs)} notebooks")
        key = {"protocol": asked.values, "data": data.digest(protocol.training_set)}
        executed = notebooks.execute_all(
            jobs, root, output / "notebooks", run, key, lambda: compute(protocol), say, limit
        )
        made = {"about": about, "executed": {n: f.name for n, f in executed.items()}, "files": sources}
        stamp = digest(made | {"staged": digests(run, files(run, ["src"]))})
        if _record(place) == stamp and checksums.whole(place):
            say("pages unchanged")
        else:
            began_pages = time.monotonic()
            for name, folder in executed.items():
                _place(name, folder, run / "src")
            html = _render(root, run, about, list(executed))
            if sources != digests(root, files(root, SOURCES)):
                stamp = "files that were changed meanwhile"  # the next build makes the pages again
            (html / RECORD).write_text(stamp)
            checksums.write(html)
            _swap(html, place)
            say(f"pages {seconds(time.monotonic() - began_pages)}")
    say(
        f"The book is {place / 'index.html'} (profile {about['profile']}, {seconds(time.monotonic() - began)})."
    )
    return place / "index.html"


def compute(protocol: Protocol) -> None:
    """What the notebooks show, computed or found stored, with progress bars on the terminal."""
    results.run(protocol)


def provenance(asked: Profile, profile: str, root: Path = ROOT) -> dict[str, Any]:
    """What a page says about where its numbers come from."""
    plain = Profile.read(profile).values
    own = {name: value for name, value in asked.values.items() if value != plain[name]}
    return {
        "profile": " ".join([profile, *(f"{name}={_word(value)}" for name, value in own.items())]),
        "training_set": asked.protocol.training_set,
        "key": digest(asked.values),
        "commit": _git(root, "rev-parse", "--short=12", "HEAD"),
        "changed": bool(_git(root, "status", "--porcelain", "--untracked-files=no")),
        "published": (root / "book" / "published" / "manifest.json").is_file(),
    }


def _git(root: Path, *words: str) -> str:
    """What git says of this very folder; nothing of a repository that it merely lies in or that the environment names."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def ask(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()

    try:
        top = ask("rev-parse", "--show-toplevel")
        return ask(*words) if os.path.realpath(top) == os.path.realpath(root) else ""
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, or no git
        return ""


def _check_published() -> None:
    """Refuse to show published files that are not what their manifest says."""
    wanted, found = (published.manifest() or {"files": {}})["files"], published.digests()
    wrong = [name for name, sha in wanted.items() if found.get(name) != sha]
    if wrong:
        raise published.Mismatch(
            f"book/published: expected the files of manifest.json, got others in place of {', '.join(wrong)}; "
            "take them from the repository again"
        )


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _describe(protocol: Protocol) -> str:
    return (
        f"{len(protocol.dims) * len(protocol.seeds)} networks (d = {', '.join(map(str, protocol.dims))}; seeds {', '.join(map(str, protocol.seeds))}) "
        f"on {protocol.training_set}, {protocol.epochs} epochs, {protocol.points} points of each data set"
    )


def parts(toc: Path) -> list[tuple[str, list[str]]]:
    """The parts of a table of contents: caption, empty before the first, and the pages under it in order, without extension."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for name, value in node.items():
                if name in ("root", "file"):
                    yield value
                else:
                    yield from walk(value)
        elif isinstance(node, list):
            for item in node:
                yield from walk(item)

    try:
        tree = yaml.safe_load(toc.read_text(encoding="utf-8"))
        captioned = tree.pop("parts", [])
        found = [("", list(walk(tree))), *((part.get("caption", ""), list(walk(part))) for part in captioned)]
    except (yaml.YAMLError, ValueError, AttributeError, TypeError) as error:
        told = " ".join(str(error).split())
        raise ProtocolError(
            f"{toc}: expected a table of contents in YAML and UTF-8, with the first page as root, got {told}"
        ) from None
    if not all(isinstance(name, str) for _, names in found for name in names):
        raise ProtocolError(f"{toc}: expected the names of files, got {found!r}")
    return found


def pages(toc: Path) -> list[str]:
    """Every page named in a table of contents, in order, without extension."""
    return [name for _, names in parts(toc) for name in names]


def _stage(root: Path, src: Path, parameters: dict[str, str]) -> list[Job]:
    """Copy the book, and list the pages that have code: those are to be executed."""
    names = pages(root / "_toc.yml")
    missing = [name for name in names if not (root / "book" / f"{name}.md").is_file()]
    if missing:
        raise BuildError(
            f"_toc.yml: expected {', '.join(f'book/{name}.md' for name in missing)}, found no such file; write the page or take it out"
        )
    left = shutil.ignore_patterns("profiles", "published", "__pycache__", ".ipynb_checkpoints", "_pictures")
    shutil.copytree(root / "book", src, ignore=left)
    jobs = []
    for name in names:
        path = f"book/{name}.md"
        try:
            notebook = notebooks.read(src / f"{name}.md")  # the copy: the pages are made from it too
            if notebooks.has_code(notebook):
                known = notebooks.declared(notebook)
                given = parameters if known else {}  # a page that draws a diagram depends on no protocol
                notebooks.check_parameters(path, known, given)
                jobs.append(Job(name, notebook, given, path))
        except ProtocolError as error:
            raise ProtocolError(str(error).replace(str(src / f"{name}.md"), path)) from None
    return jobs


def _place(name: str, folder: Path, src: Path) -> None:
    """Put an executed notebook and its pictures where its text was, and the text among the pictures, which link to it."""
    page = src / name
    pictures = page.parent / "_pictures"
    if (folder / "_pictures").is_dir():
        shutil.copytree(folder / "_pictures", pictures, dirs_exist_ok=True)
    (pictures / page.name).mkdir(parents=True, exist_ok=True)
    os.replace(f"{page}.md", pictures / page.name / f"{page.name}.md")
    shutil.copyfile(folder / "notebook.ipynb", f"{page}.ipynb")


def _render(root: Path, run: Path, about: dict[str, Any], executed: list[str]) -> Path:
    """Run jupyter-book strictly; every warning is an error and is shown."""
    start = "from lib.press import prepare; prepare(); from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(run / "src"), "--path-output", str(run)]
    command += ["--config", str(root / "_config.yml"), "--toc", str((root / "_toc.yml").resolve())]
    command += ["--all", "-W", "-n", "--keep-going"]
    env = os.environ | {"BOOK_PROVENANCE": json.dumps(about), "PYTHONIOENCODING": "utf-8"}
    lines = []
    with (
        subprocess.Popen(
            command, cwd=root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process,
        tqdm(bar_format="pages | {elapsed} | {desc}", disable=None, leave=False) as bar,
    ):  # fmt: skip
        try:
            for line in process.stdout:
                lines.append(COLOUR.sub("", line.rstrip().rpartition("\r")[2]))
                bar.set_description_str(lines[-1][:60])
        except BaseException:
            process.terminate()
            raise
    html = run / "_build" / "html"
    if process.returncode or not (html / "index.html").is_file():
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        told = [line.replace(f"{run / 'src'}{os.sep}", "book/") for line in dict.fromkeys(told)]
        raise BuildError(
            "\n".join(["the pages have warnings, which are errors here:", *(f"  {line}" for line in told)])
        )
    for (
        name
    ) in executed:  # the source of a page is its text: an executed notebook holds every picture once more
        page = Path(name)
        shutil.copyfile(
            run / "src" / page.parent / "_pictures" / page.name / f"{page.name}.md",
            html / "_sources" / f"{name}.md",
        )
    for path in [*html.glob("_sources/**/*.ipynb"), *html.glob("_static/**/*.map")]:
        path.unlink()
    return html


def is_book(place: Path) -> bool:
    """Whether a folder holds pages that this project has made."""
    return bool(_record(place))


def _record(place: Path) -> str:
    """What the pages at `place` say that they were made from; empty where there are none, or others."""
    try:
        return (place / RECORD).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _swap(html: Path, place: Path) -> None:
    """Let finished pages and those at `place` change places; at no moment are there none."""
    with _locked(place):
        _check_free(place)
        if not place.exists():
            os.rename(html, place)
        elif not _exchange(html, place):
            previous = place.with_name(f".{place.name}-previous")  # `_recover` puts it back
            os.rename(place, previous)
            os.rename(html, place)
            shutil.rmtree(previous)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return bool(rename) and 0 == rename(
        AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE
    )


def _recover(place: Path) -> None:
    """Refuse a folder that is no book, and put back pages whose exchange was interrupted."""
    with _locked(place):
        previous = place.with_name(f".{place.name}-previous")
        if is_book(previous):
            if place.exists():
                shutil.rmtree(previous)
            else:
                os.rename(previous, place)
        _check_free(place)


def _check_free(place: Path) -> None:
    if os.path.lexists(place) and not is_book(place) and not (place.is_dir() and not any(place.iterdir())):
        raise ProtocolError(
            f"{place}: expected nothing there or a book of this project, got something else, which stays; "
            "take it away or name another folder"
        )


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    with (place.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _private_folder(output: Path) -> Iterator[Path]:
    """A folder for one build, locked while it runs; those of killed builds are taken away."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob(".run-*"):
        with contextlib.suppress(OSError), (old / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
    run = Path(tempfile.mkdtemp(dir=output, prefix=".run-"))
    with (run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield run
        finally:
            shutil.rmtree(run, ignore_errors=True)
