"""The stages of the project's work, each small: what may be killed, starved of room, or done twice at once.

Each runs in a process of its own, forked from one that has loaded the libraries, and is told its
folder. What it leaves there, `Stage.content`, must come out the same however often it was
interrupted; what must hold at every moment, finished or not, `Stage.check` asserts.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import torch

from lib import data, published, results, training, workers
from lib.paths import ROOT
from lib.press import checksums, commands, launch, places
from lib.press.freshness import Job
from lib.press.notebooks import execute_all
from lib.press.publish import write_manifest
from lib.protocol import Protocol
from lib.store import Store, read_table, read_tensors, write_table, write_tensors

#: How much is tried (`make faults`: hundreds), and the seed of what is tried.
COUNT, SEED = int(os.environ.get("FAULTS", "12")), int(os.environ.get("FAULTS_SEED", "0"))

if os.environ.get("FAULTS_STAGES"):  # in the process that forks: what every stage would have to load
    data.load("digits")
    importlib.import_module("torch.fx.experimental.symbolic_shapes")  # torch itself does so at its first vmap

PROTOCOL = Protocol(
    training_set="digits", dims=(2,), seeds=(0,), epochs=12, points=100, sets=("uniform",), batch_size=500
)


def digests(folder: Path, hidden: bool = False) -> dict[str, str]:
    """The SHA-256 of every file by its path, without names that begin with a dot, an interrupted writer's."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    names = {p: p.relative_to(folder) for p in files}
    return {
        n.as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p, n in names.items()
        if hidden or not any(part.startswith(".") for part in n.parts)
    }


def readable(folder: Path) -> None:
    """Every stored file is whole: a name that a reader would open never stands for half a file."""
    for path in folder.rglob("*"):
        if not path.name.startswith("."):
            if path.suffix in (".csv", ".safetensors"):
                (read_table if path.suffix == ".csv" else read_tensors)(path)


@dataclass(frozen=True)
class Stage:
    work: Callable[[Path], None]
    prepare: Callable[[Path], None] = lambda folder: None
    check: Callable[[Path], None] = readable
    content: Callable[[Path], object] = digests
    #: it has processes of its own, which must end with it
    family: bool = False
    #: of all trials, the share that this stage gets; one that loads libraries anew is left to `make faults`
    share: float = 1.0


# --- what is done ------------------------------------------------------------------------------


def store(folder: Path) -> None:
    s, rng = Store(folder, None), np.random.default_rng(0)
    for i in range(30):
        made = pd.DataFrame(rng.normal(size=(200, 4)), columns=list("abcd"))
        s.table("cells", {"i": i}, lambda made=made: made)
        s.tensors("networks", {"i": i}, lambda made=made: {"w": torch.tensor(made.to_numpy())})


def train(folder: Path) -> None:
    training.CHECKPOINT_SECONDS = 0  # a checkpoint after each epoch: the more there is to tear
    trained = training._trained

    def marked(*arguments):
        (folder / f".trained-{os.getpid()}").touch()
        return trained(*arguments)

    training._trained = marked
    training.train(PROTOCOL, Store(folder, None), progress=False)


def train_in_processes(folder: Path) -> None:
    training.WORTHWHILE = 0
    training.CHECKPOINT_SECONDS = 0
    workers.width = lambda: 2
    training.train(PROTOCOL.replace(seeds=(0, 1)), Store(folder, None), progress=False)


def spectra(folder: Path) -> None:
    results.cells(training.untrained(PROTOCOL), PROTOCOL, Store(folder, None), progress=False)


def spectra_in_processes(folder: Path) -> None:
    results.WORTHWHILE = 0
    workers.width = lambda: 2
    spectra(folder)


def without_locks(folder: Path) -> dict:
    """Networks and tables to the last bit, and the checkpoints that training leaves."""
    return {name: sha for name, sha in digests(folder).items() if not name.endswith(".lock")}


def notebooks(folder: Path) -> None:
    root = folder / "project"
    for part in ("run", "kept"):
        (folder / part).mkdir(exist_ok=True)
    jobs = []
    for name, code in (("one", "print(1)"), ("two", "from lib.number import n\nprint(n)")):
        cells = [nbformat.v4.new_code_cell(code, id=name)]
        jobs.append(Job(name, nbformat.v4.new_notebook(cells=cells), {}, f"book/{name}.md"))
    done = execute_all(jobs, root, folder / "kept", folder / "run", {}, say=lambda line: None)
    assert all(map(checksums.whole, done.values()))


def project(folder: Path) -> None:
    """A library of its own, small."""
    (folder / "project" / "lib").mkdir(parents=True)
    for name in ("__init__.py", "paths.py"):
        shutil.copy(ROOT / "lib" / name, folder / "project" / "lib" / name)
    (folder / "project" / "lib" / "number.py").write_text("n = 7\n")
    (folder / "project" / "requirements.txt").touch()


def kept_is_whole(folder: Path) -> None:
    assert all(checksums.whole(p) for p in (folder / "kept").glob("*") if not p.name.startswith("."))


def kept_content(folder: Path) -> dict:
    """All but how long each took."""
    timed = ("seconds", checksums.NAME)
    kept = {p.name: digests(p) for p in (folder / "kept").iterdir() if not p.name.startswith(".")}
    return {name: {n: sha for n, sha in files.items() if n not in timed} for name, files in kept.items()}


def pages(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(40):
        (folder / f"page-{i}.html").write_text(f"{text} {i}")
    (folder / "index.html").write_text(text)
    (folder / places.RECORD).write_text(text)
    checksums.write(folder)
    return folder


def first_pages(folder: Path) -> None:
    pages(folder / "html", "old")


def swap(folder: Path, times: int = 60) -> None:
    """New pages again and again, the last ones being those that must be found."""
    for i in range(times):
        with places.private_folder(folder) as run:
            places.recover(folder / "html")
            places.swap(pages(run / "html", f"new {i}"), folder / "html")


def swap_by_renaming(folder: Path) -> None:
    places._exchange = lambda one, other: False
    swap(folder)


def a_whole_book_is_there(folder: Path) -> None:
    """As the next build finds it: `recover` is the first thing that a build does."""
    places.recover(folder / "html")
    assert checksums.whole(folder / "html"), "no whole pages"
    assert (folder / "html" / "index.html").read_text().partition(" ")[0] in ("old", "new")


def a_book_is_always_there(folder: Path) -> None:
    assert checksums.whole(folder / "html"), "no whole pages at some moment"
    a_whole_book_is_there(folder)


def html_content(folder: Path) -> dict:
    return digests(folder / "html", hidden=True)


def publish(folder: Path) -> None:
    """As every publishing command does it: files, then the manifest that names them."""
    about = published.manifest()
    rng = np.random.default_rng(1)
    for i in range(30):
        write_table(folder / f"table-{i}.csv", pd.DataFrame(rng.normal(size=(50, 3)), columns=list("abc")))
        write_tensors(folder / f"networks-{i}.safetensors", {"w": torch.from_numpy(rng.normal(size=(40, 5)))})
        if i % 5 == 4:
            write_manifest(about, folder)


def published_is_known(folder: Path) -> None:
    """What the manifest names is there as it was, or is refused by name; a half manifest does not exist."""
    readable(folder)
    for name in (published.manifest(folder) or {"files": ()})["files"]:
        with contextlib.suppress(published.Mismatch):
            published.file(name, folder)


def fetch(folder: Path) -> None:
    """Downloaded data are kept in the cache; here they come from memory."""
    content = {name: np.random.default_rng(i).bytes(300_000) for i, name in enumerate(data.MNIST_FILES)}
    shas = {n: (hashlib.sha256(c).hexdigest(), 0) for n, c in content.items()}
    data.MNIST_FILES = shas
    data._download = lambda source, name: content[name]
    os.environ["BOOK_RESULTS"] = str(folder)
    os.environ.pop("MNIST_DIR", None)
    for name in content:
        assert data._idx_file("mnist", name).tobytes() == content[name]


def cached_is_readable(folder: Path) -> None:
    import gzip

    for path in (folder / "mnist").glob("[!.]*"):
        assert len(gzip.decompress(path.read_bytes())) == 300_000


def clean(folder: Path) -> None:
    os.environ["BOOK_RESULTS"] = str(folder / "results")
    assert commands.main(["clean-results"]) == 0


def results_and_a_thesis(folder: Path) -> None:
    for i in range(400):
        path = folder / "results" / f"stage{i % 4}" / f"{i:020x}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(i))
    (folder / "results" / "thesis").mkdir()
    (folder / "results" / "thesis" / "chapter.csv").write_text("mine")
    (folder / "results" / "stage1" / "notes.txt").write_text("mine")


def the_thesis_is_there(folder: Path) -> None:
    for name in ("thesis/chapter.csv", "stage1/notes.txt"):
        assert (folder / "results" / name).read_text() == "mine"


def for_binder(folder: Path) -> None:
    launch.write(folder / "launch", folder)


def a_few_pages(folder: Path) -> None:
    (folder / "book").mkdir()
    names = ("noise", "jacobians", "data", "manifold")
    for name in names:
        shutil.copy(ROOT / "book" / f"{name}.md", folder / "book")
    for name in ("_config.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    chapters = "".join(f"- file: {name}\n" for name in names[1:])
    (folder / "_toc.yml").write_text(f"format: jb-book\nroot: noise\nchapters:\n{chapters}")


def notebooks_are_json(folder: Path) -> None:
    for path in (folder / "launch").rglob("[!.]*.ipynb"):
        json.loads(path.read_text())


def book(folder: Path) -> None:
    """A book of two pages, through Sphinx and into its place."""
    from lib.press.build import build

    os.environ["BOOK_RESULTS"] = str(folder / "results")
    build("smoke", "dims=2 seeds=0 epochs=1 points=8 sets=uniform", root=folder, say=lambda line: None)


def a_small_book(folder: Path) -> None:
    (folder / "book").mkdir()
    for name in ("lib", "_config.yml", "requirements.txt", "book/_assets", "book/_ext", "book/profiles"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "book" / "references.bib").touch()
    (folder / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n- file: more\n")
    for name in ("intro", "more"):
        (folder / "book" / f"{name}.md").write_text(f"# The page {name}\n\nWith $x$.\n")
    pages(folder / "_build" / "html", "old")


def small_book_is_there(folder: Path) -> None:
    assert checksums.whole(folder / "_build" / "html"), "no whole pages"


def book_content(folder: Path) -> dict:
    """Every page and file, without what differs between any two builds: nothing."""
    return digests(folder / "_build" / "html", hidden=True)


STAGES = {
    "store": Stage(store, content=without_locks),
    "training": Stage(train, content=without_locks),
    "training in processes": Stage(train_in_processes, content=without_locks, family=True, share=0.1),
    "spectra": Stage(spectra, content=without_locks),
    "spectra in processes": Stage(spectra_in_processes, content=without_locks, family=True, share=0.1),
    "notebooks": Stage(notebooks, project, kept_is_whole, kept_content, family=True, share=0.2),
    "swap": Stage(swap, first_pages, a_book_is_always_there, html_content),
    "swap by renaming": Stage(swap_by_renaming, first_pages, a_whole_book_is_there, html_content),
    "publishing": Stage(publish, check=published_is_known),
    "download": Stage(fetch, check=cached_is_readable, content=without_locks),
    "clean-results": Stage(clean, results_and_a_thesis, the_thesis_is_there),
    "notebooks for Binder": Stage(
        for_binder, a_few_pages, notebooks_are_json, lambda f: digests(f / "launch"), share=0.5
    ),
    "pages": Stage(book, a_small_book, small_book_is_there, book_content, family=True, share=0.15),
}  # fmt: skip


# --- how it is run -----------------------------------------------------------------------------


def _child(name: str, folder: Path, limits: dict) -> None:
    """One run of a stage in a process of its own; errors go where the command line would send them."""
    os.setsid()
    if limits.get("nothing"):
        os._exit(0)
    told = os.open(folder.with_suffix(".told"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(told, 1)
    os.dup2(told, 2)
    os.chdir("/")
    torch.set_num_threads(1)
    if "file" in limits:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file"], limits["file"]))
    if "user" in limits:
        os.setgid(limits["user"])
        os.setuid(limits["user"])
    status = commands._run(SimpleNamespace(command=lambda _: STAGES[name].work(folder)))
    sys.stdout.flush()
    os._exit(status)


class Run:
    """A stage at work in `folder`; with ``nothing=True`` only its process."""

    def __init__(self, name: str, folder: Path, **limits):
        self.folder = folder
        self.process = _context().Process(target=_child, args=(name, folder, limits))
        self.process.start()
        self.pid, self.wait = self.process.pid, self._wait

    @classmethod
    def of(cls, process: subprocess.Popen) -> Run:
        """The same of any process."""
        run = object.__new__(cls)
        run.process, run.pid = process, process.pid

        def wait(seconds: float | None = None) -> int | None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(seconds)

        run.wait = wait
        return run

    def _wait(self, seconds: float | None = None) -> int | None:
        """The exit status, or None while it runs."""
        self.process.join(seconds)
        return self.process.exitcode

    def kill(self) -> list[int] | None:
        """Kill it alone; those that it had started, and theirs, are returned; None if it had just ended."""
        try:
            os.kill(self.pid, signal.SIGSTOP)  # or it could start another one meanwhile
            family = descendants(self.pid)
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            family = None
        self.wait()
        return family

    @property
    def told(self) -> list[str]:
        path = self.folder.with_suffix(".told")
        return path.read_text(errors="replace").strip().splitlines() if path.exists() else []


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = path.read_text().rpartition(")")[2].split()
            children.setdefault(int(words[1]), []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        waiting += (next_ := children.get(waiting.pop(), []))
        found += next_
    return found


def moments(kills: int, steps: int, every: float, then: float, rng: np.random.Generator):
    """When to kill: so many steps done, and so many seconds later.

    Random moments of a way of `steps`, one each `every` seconds, and of `then` seconds after the last one.
    """
    for at in (np.arange(kills) + rng.random(kills)) / kills * (steps * every + then):
        done = min(int(at // every), steps)
        yield done, at - done * every


def in_seconds(told: str) -> float:
    """What `lib.press.notebooks.seconds` wrote.

    >>> in_seconds("3.2 s"), in_seconds("1 min 15 s"), in_seconds("2 h 1 min")
    (3.2, 75.0, 7260.0)
    """
    units = {"h": 3600, "min": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+) (h|min|s)\b", told))


def way(told: str) -> tuple[int, float, float]:
    """Of a build that nobody killed: its notebooks, the seconds from one to the next, those of its pages."""
    (total,), (pages,) = (
        re.findall(r"\(profile \S+, (.+), processor", told),
        re.findall(r"^pages (.+)$", told, re.M),
    )
    notebooks = len(re.findall(r"^  \S", told, re.M))
    return notebooks, (in_seconds(total) - in_seconds(pages)) / notebooks, in_seconds(pages)


def killed_at(run: Run, done: Callable[[], int], steps: int, seconds: float) -> int | list[int]:
    """Kill a run `seconds` after `steps`: what it had started, or its status where it ended first."""
    while (status := run.wait(0.1)) is None and done() < steps:
        pass
    if status is None:
        status = run.wait(seconds)
    if status is None and (family := run.kill()) is not None:
        return family
    return run.wait() if status is None else status


def gone(pids: list[int], seconds: float) -> bool:
    """Whether all of them have ended within so many seconds."""
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(map(alive, pids))


@functools.cache
def _context():
    """Processes are forked from one that has loaded this file, and no environment but its own is changed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["stages"])
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # who has threads does not fork
    os.environ["FAULTS_STAGES"] = "loaded"
    forkserver.ensure_running()
    os.environ.clear()
    os.environ.update(before)
    return context


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@functools.cache
def uninterrupted(stage: str) -> tuple[object, float]:
    """What a stage leaves, and how long it takes."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        work = Path(folder) / "work"
        work.mkdir()
        STAGES[stage].prepare(work)
        Run(stage, Path(folder) / "nothing", nothing=True).wait()  # libraries are loaded
        began, run = time.monotonic(), Run(stage, work)
        assert run.wait() == 0, run.told
        STAGES[stage].check(work)
        return STAGES[stage].content(work), time.monotonic() - began
