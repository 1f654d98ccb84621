"""What keeps the book beyond its makers: metadata that agree, a true checklist, a record of every change."""

from __future__ import annotations

import ast
import json
import re

import pytest
import yaml

from lib import published
from lib.press import texts


@pytest.fixture(scope="module")
def citation(root):
    return yaml.safe_load((root / "CITATION.cff").read_text())


def name(author: dict) -> str:
    """An author's name, whichever of the three formats it is in."""
    if "name" in author:
        return author["name"]
    return " ".join(
        author[k] for k in ("given-names", "family-names", "givenName", "familyName") if k in author
    )


def test_zenodo_says_what_the_citation_says(root, citation):
    zenodo = json.loads((root / ".zenodo.json").read_text())
    assert [zenodo[k] for k in ("title", "version", "license", "upload_type")] == [
        citation[k] for k in ("title", "version", "license", "type")
    ]
    assert [name(a) for a in zenodo["creators"]] == [name(a) for a in citation["authors"]]
    paper = citation["references"][0]["identifiers"][0]["value"]
    assert [r["identifier"] for r in zenodo["related_identifiers"]] == [paper]


def test_codemeta_says_what_the_citation_says(root, citation):
    codemeta = json.loads((root / "codemeta.json").read_text())
    assert (codemeta["name"], codemeta["version"]) == (citation["title"], citation["version"])
    assert codemeta["license"] == f"https://spdx.org/licenses/{citation['license']}"
    assert [name(a) for a in codemeta["author"]] == [name(a) for a in citation["authors"]]
    paper, reference = codemeta["referencePublication"], citation["references"][0]
    assert (paper["name"], paper["identifier"]) == (reference["title"], reference["identifiers"][0]["value"])
    assert [name(a) for a in paper["author"]] == [name(a) for a in reference["authors"]]


def test_the_descriptions_are_one(root):
    assert (
        json.loads((root / ".zenodo.json").read_text())["description"]
        == json.loads((root / "codemeta.json").read_text())["description"]
    )


def test_the_checklist_names_tests_and_commands_that_exist(root):
    text = (root / "book" / "appendices" / "reproducibility.md").read_text()
    there = {
        t
        for path in (root / "tests").rglob("test_*.py")
        for t in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 15 and named - there == set()
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.M))
    commands = set(re.findall(r"`make ([a-z-]+)", text))
    assert commands and commands - targets == set()


def test_the_checklist_runs_with_and_without_published_results(root, monkeypatch):
    """Every cell gives a block that MyST can read: a caption with a backtick would end the table's fence."""
    about = {
        "versions": dict.fromkeys(("python", "torch", "numpy", "scipy", "scikit-learn"), "1.0"),
        "training data SHA-256": "a" * 64,
    }
    about |= {
        "protocol": {"training_set": "mnist", "seeds": [0], "dims": [2, 3], "epochs": 300, "points": 70_000},
        "written": "2030-01-02T03:04:05",
    }
    about |= {"commit": "f" * 40, "hardware": {"cores": 2, "processor": "a processor", "cuda": False}}
    for there in (None, about):
        monkeypatch.setattr(published, "manifest", lambda there=there: there)
        names: dict = {}
        cells = [
            c.source
            for c in texts.read(root / "book" / "appendices" / "reproducibility.md").cells
            if c.cell_type == "code"
        ]
        blocks = []
        for source in cells:
            *body, last = ast.parse(source).body
            shows = isinstance(last, ast.Expr)
            exec(compile(ast.Module(body if shows else [*body, last], []), "cell", "exec"), names)
            blocks += [eval(compile(ast.Expression(last.value), "cell", "eval"), names).myst] if shows else []
        assert len(blocks) >= 6
        assert [
            b.splitlines()[0] for b in blocks if b.startswith("````") and "`" in b.splitlines()[0].lstrip("`")
        ] == []
        assert ("2030-01-02" in "".join(blocks)) == bool(there)


#: A date, or "Unreleased", and what the entry is about; then the entry.
ENTRY = re.compile(r"^## ([^:\n]*)(?:: [^\n]+)?\n(.*?)(?=^## |\Z)", re.M | re.S)


def unrecorded(text: str, files: list[str], about: dict | None) -> list[str]:
    """What is published and not in the record of changes: files by name, writings by date and commit."""
    entries = [(head, body) for head, body in ENTRY.findall(text) if head != "Unreleased"]
    lacking = [f for f in files if not any(f"`{f}`" in body for _, body in entries)]
    about = about or {}
    of_parts = [about.get(part) for part in ("sensitivity", "detection", "judges")]
    of_parts += [*about.get("studies", {}).values(), *about.get("companions", {}).values()]
    for origin in filter(None, (about, *of_parts)):
        if not any(
            head == origin["written"][:10] and origin["commit"][:12] in body for head, body in entries
        ):
            lacking.append(f"{origin['written'][:10]} at {origin['commit'][:12]}")
    return lacking


def test_every_published_change_is_recorded(root):
    text = (root / "book" / "appendices" / "changes.md").read_text()
    files = [
        p.name
        for p in published.FOLDER.rglob("*")
        if p.is_file() and p.name != "manifest.json" and not p.name.startswith(".")
    ]
    assert files and unrecorded(text, files, published.manifest()) == []


def test_an_unrecorded_change_is_noticed():
    text = "# C\n\n## Unreleased\n\n`b.csv`\n\n## 2030-01-02\n\n`a.csv` at 0123456789ab\n"
    about = {
        "written": "2030-01-02T00:00:00",
        "commit": "0123456789abcdef",
        "sensitivity": {"written": "2030-01-03T00:00:00", "commit": "f" * 40},
    }
    assert unrecorded(text, ["a.csv", "b.csv"], about) == ["b.csv", "2030-01-03 at ffffffffffff"]
    assert unrecorded(text, ["a.csv"], {**about, "sensitivity": None}) == []


def test_the_record_is_dated_and_newest_first_and_no_two_entries_are_called_alike(root):
    text = (root / "book" / "appendices" / "changes.md").read_text()
    titles = re.findall("^## (.*)", text, re.M)
    assert len(set(titles)) == len(titles)
    heads = [head for head, _ in ENTRY.findall(text)]
    dates = [h for h in heads if h != "Unreleased"]
    assert (
        dates
        and all(re.fullmatch(r"\d{4}-\d\d-\d\d", d) for d in dates)
        and dates == sorted(dates, reverse=True)
    )
    assert "Unreleased" not in heads[1:]
