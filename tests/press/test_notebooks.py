"""Notebooks, executed: forked kernels show what others show, failures are named, what is kept is whole."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pytest

from lib.paths import ROOT
from lib.press import notebooks
from lib.press.freshness import Job, Published
from lib.press.notebooks import NotebookError, execute_all, execute_one


def job(name: str, *cells: str, **parameters) -> Job:
    new = [nbformat.v4.new_code_cell(code, metadata={}) for code in cells]
    if parameters:
        new[0].metadata["tags"] = ["parameters"]
    return Job(name, nbformat.v4.new_notebook(cells=new), parameters, f"book/{name}.md")


def execute(folder: Path, *jobs: Job, root: Path = ROOT, **options) -> tuple[dict[str, Path], list[str]]:
    told: list[str] = []
    (folder / "run").mkdir(exist_ok=True)
    done = execute_all(list(jobs), root, folder / "kept", folder / "run", {}, say=told.append, **options)
    return done, [" ".join(line.split()) for line in told]


def shown(place: Path) -> str:
    cells = nbformat.read(place / "notebook.ipynb", 4).cells
    return "".join(o.get("text", "") or str(o.get("data")) for c in cells for o in c.get("outputs", ()))


PICTURE = """
import os
import re
from pathlib import Path
folder = Path(os.environ["BOOK_PICTURES"])
folder.mkdir(parents=True)
(folder / "a.svg").write_text("<svg/>")
"""


def test_forked_kernels_show_what_ordinary_ones_show(tmp_path, monkeypatch):
    cells = (
        "n = 1",
        "print(n, type(n).__name__, __name__)",
        "import matplotlib.pyplot as plt, torch\nplt.plot([1, 2])\ntorch.arange(n)",
    )
    found = []
    for cuda in (False, True):  # a process with CUDA does not fork
        monkeypatch.setattr("torch.cuda.is_available", lambda cuda=cuda: cuda)
        folder = tmp_path / str(cuda)
        folder.mkdir()
        done, told = execute(folder, job("a", *cells, n=5))
        assert told[0].startswith("a ") and "5 int __main__" in shown(done["a"])
        found.append((done["a"] / "notebook.ipynb").read_bytes())
        assert b"image/png" in found[-1]  # open figures are shown, whatever the reader's backend
    assert found[0] == found[1]


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="two notebooks at once, on Linux"
)
def test_a_kernel_ends_with_its_notebook(tmp_path):
    pid = tmp_path / "pid"
    first = job("first", f"import os; open({str(pid)!r}, 'w').write(str(os.getpid()))")
    waits = f"""
import os, time
for _ in range(1200):
    time.sleep(0.1)
    if os.path.exists({str(pid)!r}) and (number := open({str(pid)!r}).read()):
        if not os.path.exists("/proc/" + number):
            print("gone")
            break
"""
    done, _ = execute(tmp_path, first, job("second", waits))
    assert shown(done["second"]) == "gone\n"


def test_a_kept_notebook_is_used_while_it_is_whole_and_executed_again_when_it_is_damaged(tmp_path):
    a, b = job("a", PICTURE), job("b", "print(2)")
    done, _ = execute(tmp_path, a, b)
    assert execute(tmp_path, a, b) == (done, ["a unchanged", "b unchanged"])
    (done["a"] / "_pictures" / "a" / "a.svg").write_text("<svg></svg>")
    text = (done["b"] / "notebook.ipynb").read_text()
    (done["b"] / "notebook.ipynb").write_text(text.replace('"2\\n"', '"3\\n"'))
    again, told = execute(tmp_path, a, b)
    assert told[:2] == [f"{n} kept, but damaged: executed again" for n in "ab"]
    assert again == done and shown(done["b"]) == "2\n"
    assert (done["a"] / "_pictures" / "a" / "a.svg").read_text() == "<svg/>"


def test_the_version_that_is_needed_is_kept_though_the_clock_was_set_back(tmp_path):
    others = [tmp_path / f"one-{i:020x}" for i in range(notebooks.KEPT + 2)]
    new, of_another = tmp_path / f"one-{99:020x}", tmp_path / f"one-more-{99:020x}"
    for i, folder in enumerate([*others, new, of_another]):
        folder.mkdir()
        os.utime(folder, 2 * (time.time() + 1_000 - i,))
    notebooks._prune(tmp_path, "one", new)
    assert {*tmp_path.iterdir()} == {*others[: notebooks.KEPT - 1], new, of_another}


def test_the_bar_counts_a_notebook_that_ends_during_training(tmp_path, monkeypatch):
    free, bound = job("free", "print(1)"), job("bound", "print(2)")
    monkeypatch.setattr(Job, "trains", property(lambda self: self.name == "bound"))
    bar, counted = notebooks.tqdm(total=0, file=io.StringIO()), []

    def compute():
        deadline = time.monotonic() + 120
        while bar.n < 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        counted.append(bar.n)

    done, _ = execute(tmp_path, free, bound, compute=compute, bar=bar)
    assert counted == [1] and (bar.n, bar.total) == (2, 2) and set(done) == {"free", "bound"}


def test_what_fails_hangs_or_dies_is_named_with_its_cell_and_the_others_are_kept(tmp_path):
    jobs = [
        job("fails", "1 + 1", "1 / 0"),
        job("hangs", "import time; time.sleep(600)"),
        job("dies", "import os; os.kill(os.getpid(), 9)"),
        job("works", "print(4)"),
    ]
    with pytest.raises(NotebookError) as raised:
        execute(tmp_path, *jobs, limit=20.0)
    told = str(raised.value)
    assert "book/fails.md failed in this cell:\n    | 1 / 0\n    ZeroDivisionError: division by zero" in told
    assert "| import time; time.sleep(600)\n    not done after 20.0 s, which is the limit (--limit)" in told
    assert "| import os; os.kill(os.getpid(), 9)\n    its kernel died" in told
    assert [p.name.split("-")[0] for p in (tmp_path / "kept").iterdir()] == ["works"]


@pytest.fixture
def copy(tmp_path):
    """A library of its own, small: what of it is imported is what lies there."""
    (tmp_path / "project" / "lib").mkdir(parents=True)
    for name in ("__init__.py", "paths.py"):
        shutil.copy(ROOT / "lib" / name, tmp_path / "project" / "lib" / name)
    (tmp_path / "project" / "lib" / "number.py").write_text("n = 1\n")
    (tmp_path / "project" / "requirements.txt").touch()
    return tmp_path / "project"


def test_a_change_executes_the_notebooks_that_see_it_and_one_made_meanwhile_keeps_nothing(tmp_path, copy):
    one = job("sees", "from lib.number import n\nprint(n)")
    edits = job(
        "edits", "from lib import number\nopen(number.__file__, 'a').write('n = 2\\n')\nprint(number.n)"
    )
    other = job("blind", "print(7)")
    done, _ = execute(tmp_path, one, other, root=copy)
    assert shown(done["sees"]) == "1\n"
    with pytest.raises(NotebookError, match="book/edits.md: a file of lib or book .* not kept: build again"):
        execute(tmp_path, edits, root=copy)
    assert [p for p in (tmp_path / "kept").glob("edits-*")] == []
    again, told = execute(tmp_path, one, other, root=copy)
    assert shown(again["sees"]) == "2\n" and told[0] == "blind unchanged" and told[1].startswith("sees ")


def test_a_notebook_of_ones_own_finds_what_lies_beside_it_whatever_the_folder_is_called(tmp_path):
    """As in JupyterLab; what it writes goes to the output alone."""
    folder = tmp_path / "a [b] {c}"
    folder.mkdir()
    (folder / "data.txt").write_text("seven")
    header = "---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n"
    code = (
        "```{code-cell} ipython3\nprint(open('data.txt').read())\nopen('made.txt', 'w').write('new')\n```\n"
    )
    (folder / "own.md").write_text(header + code)
    before = sorted(folder.iterdir())
    made = execute_one(folder / "own.md", [], folder / "out", ROOT, say=lambda line: None)
    assert "seven" in made.read_text() and sorted(p.name for p in (folder / "out").iterdir()) == [
        "made.txt",
        "own.ipynb",
    ]
    assert sorted(folder.iterdir()) == sorted([*before, folder / "out"])


def test_a_published_file_reaches_the_notebooks_that_asked_for_it_there_or_not(tmp_path):
    folder = tmp_path / "book" / "published"
    (folder / "companions").mkdir(parents=True)
    (tmp_path / "lib").mkdir()
    asked = {
        "one": ["cells.csv"],
        "absent": ["companions/other.csv"],
        "networks": ["networks-seed*"],
        "part": ["manifest.json#companions#score"],
        "all": ["*"],
        "none": [],
    }

    def write(**files: str) -> None:
        for name, text in files.items():
            (folder / name.replace("__", "/").replace("_", ".")).write_text(text)

    def manifest(**chapters: int) -> str:
        return json.dumps({"companions": chapters})

    def tasks() -> dict[str, notebooks._Task]:
        seen = Published(tmp_path)
        return {n: notebooks._Task(job(n, "1"), tmp_path / "kept" / n, {}, tmp_path, seen) for n in asked}

    def executed() -> set[str]:
        """Those that are not kept, which are executed now."""
        waiting = {n: task for n, task in tasks().items() if task.place is None}
        for name, task in waiting.items():
            place = Path(tempfile.mkdtemp(dir=tmp_path))
            (place / notebooks.READS).write_text("".join(f"{n}\n" for n in 2 * asked[name]))
            task._keep(nbformat.v4.new_notebook(), place)
        return {*waiting}

    write(cells_csv="1", manifest_json=manifest(score=1, codes=1))
    write(**{"networks-seed0_safetensors": "0"})
    assert executed() == {*asked} and executed() == set()
    write(cells_csv="2")
    assert executed() == {"one", "all"} and executed() == set()
    write(companions__other_csv="3")
    assert executed() == {"absent", "all"}
    write(**{"networks-seed1_safetensors": "1"})
    assert executed() == {"networks", "all"}
    write(manifest_json=manifest(score=1, codes=2))
    assert executed() == {"all"}
    write(manifest_json=manifest(score=2, codes=2))
    assert executed() == {"part", "all"}
    write(cells_csv="1")
    assert executed() == {"all"}  # the other was kept before
    task = next(t for n, t in tasks().items() if n == "one")
    task.published.of("*")
    write(cells_csv="4")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / notebooks.READS).write_text("cells.csv\n")
    with pytest.raises(NotebookError, match="was changed while it was executed"):
        task._keep(nbformat.v4.new_notebook(), tmp_path / "run")


def test_a_notebook_notes_what_it_asks_for(tmp_path):
    asks = """
from lib import paths, published, store
published.cells()
published.part("companions", "score")
published.table("no-such-table")
folder = published.FOLDER
store.Store("elsewhere", folder)._found("x", {}, folder / "x.csv", folder / "companions" / "y.csv")
published.manifest(paths.ROOT)
"""
    done, _ = execute(tmp_path, job("asks", asks), job("blind", "1"))
    told = {n: (place / notebooks.READS).read_text().split() for n, place in done.items()}
    expected = ["cells.csv", "companions/y.csv", "manifest.json#companions#score", "no-such-table.csv"]
    assert told == {"asks": expected, "blind": []}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux alone")
def test_kernels_and_what_they_started_end_with_the_build_however_it_ends(tmp_path):
    code = f"""
import json, os, subprocess, time
child = subprocess.Popen(["sleep", "600"])
open({str(tmp_path / "part")!r}, "w").write(json.dumps([os.getpid(), child.pid]))
os.rename({str(tmp_path / "part")!r}, {str(tmp_path / "pids")!r})
time.sleep(600)
"""
    start = f"from tests.press.test_notebooks import *; execute(Path({str(tmp_path)!r}), job('a', {code!r}))"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    build = subprocess.Popen([sys.executable, "-c", start], cwd=ROOT, env=env, start_new_session=True)
    deadline = time.monotonic() + 240
    while not (tmp_path / "pids").exists():
        assert build.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    pids = json.loads((tmp_path / "pids").read_text())
    assert all(map(alive, pids))
    os.killpg(build.pid, signal.SIGKILL)
    build.wait()
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_notebook_executed_twice_is_the_same_whatever_was_stored(tmp_path):
    """Widgets have random names, and a progress bar is drawn only where something is computed."""
    bar = f"""
import os, sys
from tqdm import tqdm
stored = {str(tmp_path / "stored")!r}
if not os.path.exists(stored):
    for _ in tqdm(range(3), file=sys.stderr): pass
    open(stored, "w").close()
print("computed")"""
    widgets = "import ipywidgets\nipywidgets.VBox([ipywidgets.IntSlider(value=3), ipywidgets.HTML('b')])"
    warned = "import sys; sys.stderr.write('careful')"
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        done, _ = execute(tmp_path / name, job("twice", "n = 1", bar, widgets, warned, n=2))
        found.append((done["twice"] / "notebook.ipynb").read_bytes())
    assert found[0] == found[1]
    text = found[0].decode()
    assert "computed" in text and "careful" in text and "it/s" not in text
    state = json.loads(text)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    named = {name.removeprefix("IPY_MODEL_") for name in re.findall("IPY_MODEL_[0-9a-f]{32}", text)}
    assert len(state) > 5 and named <= state.keys() and len({name[:20] for name in state}) == 1
