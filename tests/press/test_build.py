"""The book as its reader meets it: built strictly, asks nothing of the network, survives every failure."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from building import make_book

from lib.paths import ROOT
from lib.press import checksums
from lib.press.build import BuildError, build
from lib.press.notebooks import NotebookError
from lib.press.texts import has_code, pages, read
from lib.protocol import ProtocolError

# --- the smoke book ----------------------------------------------------------------------------


def test_every_page_of_the_book_is_in_the_table_of_contents(root):
    written = {p.relative_to(root / "book").with_suffix("").as_posix() for p in (root / "book").rglob("*.md")}
    written = {name for name in written if not name.startswith(("_", "published/"))}
    assert written - set(pages(root / "_toc.yml")) == set()


def test_every_page_declares_its_parameters_in_the_same_words(root):
    notebooks = [read(root / "book" / f"{name}.md") for name in pages(root / "_toc.yml")]
    cells = [c.source for n in notebooks for c in n.cells if "parameters" in c.metadata.get("tags", ())]
    assert len(cells) > 20 and set(cells) == {PARAMETERS.split("\n", 2)[2].removesuffix("\n```\n")}


def test_the_build_says_where_the_book_is_and_how_long_each_notebook_took(book):
    output, told = book
    assert re.search(
        rf"The book is {re.escape(str(output / 'html' / 'index.html'))} \(profile smoke, .*\d (s|min .*)\)",
        told,
    )
    assert re.findall(r"^  \S+ +\d+\.\d s$", told, re.M)


def test_the_book_lists_every_notebook_that_was_executed(book, root):
    output, _ = book
    text = (output / "html" / "appendices" / "reproducibility.html").read_text()
    rows = re.findall(r'<tr class="row-(?:odd|even)">(.*?)</tr>', text, re.S)
    listed = {row for row in rows if "without an error" in row}
    assert len(listed) == sum(has_code(read(root / "book" / f"{n}.md")) for n in pages(root / "_toc.yml"))
    kept = {checksums.of(p)[:12] for p in (output / "notebooks").glob("*/notebook.ipynb")}
    assert {re.search(r'<span class="pre">(\w{12})<', row)[1] for row in listed} <= kept


def test_pages_say_what_they_are_about_to_programs(book, root):
    html = book[0] / "html"
    listed = (html / "llms.txt").read_text()
    rows = re.findall(r"^- \[.*?\]\(_sources/(.*?)\.md\): (.*)$", listed, re.M)
    assert [name for name, _ in rows] == pages(root / "_toc.yml")  # in reading order
    assert [words for _, words in rows if not words.endswith((".", "!", "?", "…"))] == []
    for name in pages(root / "_toc.yml"):
        text = (html / f"{name}.html").read_text()
        assert f"(_sources/{name}.md)" in listed and (html / "_sources" / f"{name}.md").is_file()
        assert text.count('<meta property="og:title"') == 1
        assert len(re.findall(r'<meta name="description" content="[^"$]{10,}"', text)) == 1, name
    assert '<meta name="citation_title"' in (html / "intro.html").read_text()
    assert "og:url" not in text and not (html / "sitemap.xml").exists()  # there is no address yet


def test_a_second_build_computes_nothing(book):
    output, _ = book
    stored = output / "results"
    before = {p: p.stat().st_mtime_ns for p in stored.rglob("*") if p.is_file()}
    again = make_book(output)
    assert again.returncode == 0, again.stderr
    assert "training" not in again.stderr
    assert re.findall(r"^  \S+ +\d.*s$", again.stdout, re.M) == []  # every notebook is unchanged
    assert before and {p: p.stat().st_mtime_ns for p in stored.rglob("*") if p.is_file()} == before


def test_every_page_names_its_profile_and_those_with_pictures_of_this_build_its_training_data(book, root):
    for name in pages(root / "_toc.yml"):
        text = (book[0] / "html" / f"{name}.html").read_text()
        assert "<b>Profile</b> smoke" in text, name
        manifolds = name in ("companions/topology", "companions/bending")  # trained on neither
        assert "-build-" not in text or manifolds or "digits inside scikit-learn" in text, name


# --- small books, built and broken -------------------------------------------------------------

SMALL = {"profile": "smoke", "overrides": "dims=2 seeds=0 epochs=1 points=8 sets=uniform"}
HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""
#: The cell as every page of the book has it.
PARAMETERS = re.search(
    r"```\{code-cell\} ipython3\n:tags: \[parameters\]\n.*?```\n",
    (ROOT / "book" / "noise.md").read_text(),
    re.S,
)[0]


def cell(code: str) -> str:
    return f"```{{code-cell}} ipython3\n{code}\n```\n"


class SmallBook:
    """A book of two pages that shares everything else with the real one."""

    def __init__(self, folder: Path, root: Path):
        self.root, self.told = folder, []
        (folder / "book").mkdir(parents=True)
        for name in ("lib", "_config.yml", "requirements.txt", "book/_assets", "book/_ext", "book/profiles"):
            (folder / name).symlink_to(root / name)
        (folder / "book" / "references.bib").touch()
        (folder / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n- file: numbers\n")
        self.write("intro", "# Start\n\nA page of text, with $x$.\n")
        self.numbers("1 + 1")

    def write(self, name: str, text: str) -> None:
        (self.root / "book" / f"{name}.md").write_text(text)

    def numbers(self, code: str, parameters: str = PARAMETERS) -> None:
        self.write("numbers", f"{HEADER}# Numbers\n\n{parameters}\n{cell(code)}")

    def build(self) -> Path:
        self.told.clear()
        return build(**SMALL, root=self.root, say=self.told.append)

    def page(self, name: str = "numbers") -> str:
        return (self.root / "_build" / "html" / f"{name}.html").read_text()

    def leftovers(self) -> list[Path]:
        return list((self.root / "_build").glob(".run-*"))


@pytest.fixture(scope="module")
def small(own_results, tmp_path_factory, root):
    book = SmallBook(tmp_path_factory.mktemp("small"), root)
    book.numbers("print(profile, 40 + 2)")
    book.build()
    return book


def good(small: SmallBook) -> bool:
    return "smoke 42" in small.page() and small.leftovers() == []


def test_a_small_book_shows_what_its_notebook_computed_with_the_given_profile(small):
    assert good(small)


def test_a_failing_notebook_fails_the_build_and_leaves_the_last_good_pages(small):
    small.numbers("1 / 0")
    with pytest.raises(
        NotebookError,
        match=r"(?s)book/numbers\.md failed in this cell:.*1 / 0.*ZeroDivisionError: division by zero",
    ):
        small.build()
    assert good(small)


def test_a_warning_of_the_pages_fails_the_build_and_leaves_the_last_good_pages(small):
    small.numbers("print(profile, 40 + 2)")
    small.write("intro", "# Start\n\nSee {ref}`nowhere`.\n")
    with pytest.raises(BuildError, match=r"(?s)warnings.*book/intro.*nowhere"):
        small.build()
    small.write("intro", "# Start\n\nA page of text, with $x$.\n")
    assert good(small)


def test_a_page_that_is_in_the_table_of_contents_only_is_named(small):
    toc = small.root / "_toc.yml"
    text = toc.read_text()
    toc.write_text(text + "- file: forgotten\n")
    with pytest.raises(BuildError, match=r"book/forgotten\.md"):
        small.build()
    toc.write_text(text)
    assert good(small)


def test_a_parameter_the_notebook_does_not_have_is_an_error(small):
    small.numbers("print(profile)", PARAMETERS.replace("overrides", "overides"))
    with pytest.raises(
        ProtocolError,
        match=r"book/numbers\.md: unknown parameter 'overrides': expected one of profile, overides",
    ):
        small.build()
    small.numbers("print(profile, 40 + 2)")
    assert good(small)


def start(small: SmallBook, **options) -> subprocess.Popen:
    code = "import sys; from pathlib import Path; from lib.press.build import build; "
    code += f"build(**{SMALL!r}, root=Path(sys.argv[1]))"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(small.root)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def told_of(small: SmallBook, word: str) -> list[str]:
    """The first words of the lines with a certain word."""
    return [line.split()[0] for line in small.told if word in line]


def wait_for(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_build_leaves_the_last_good_pages_and_the_next_one_is_whole(small):
    small.numbers("import time; time.sleep(600)")
    process = start(small, start_new_session=True)
    wait_for(lambda: any(small.root.glob("_build/.run-*/numbers-*")))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "smoke 42" in small.page()
    small.numbers("print(profile, 40 + 3)")
    small.build()
    assert "smoke 43" in small.page() and small.leftovers() == []
    small.numbers("print(profile, 40 + 2)")
    small.build()
    assert "numbers" in told_of(small, "unchanged")  # executed before, and kept
    assert good(small)
    small.build()
    assert "pages" in told_of(small, "unchanged")
    small.write("intro", "# Start\n\nAnother text, with $x$.\n")
    small.build()
    assert "pages" not in told_of(small, "unchanged") and "Another text" in small.page("intro")


def test_of_two_builds_at_once_one_waits_for_the_other_and_says_so(small):
    small.numbers("import time; time.sleep(1); print(profile, 40 + 2)")
    one, two = start(small), start(small)
    told = [None, None]
    threads = [
        threading.Thread(target=lambda i=i, p=p: told.__setitem__(i, p.communicate()[0]))
        for i, p in enumerate((one, two))
    ]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert (one.returncode, two.returncode) == (0, 0), told
    assert good(small)
    first, second = sorted(told, key=lambda text: "another process is at work on it" in text)
    assert "another process" not in first and re.search(r"^  numbers +\d", first, re.M)
    assert "book of profile smoke" in second and re.search(r"^  numbers +unchanged$", second, re.M)
    assert "pages unchanged" in second
