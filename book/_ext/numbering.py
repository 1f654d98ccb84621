"""The paper's figures, tables and theorems keep the paper's numbers; all else is numbered by chapter."""

from __future__ import annotations

from docutils import nodes

#: label → the number it has in the paper.
PAPER = {f"fig-{n}": (n,) for n in range(1, 7)} | {
    "tab-I": ("I",), "tab-II": ("II",),
    "observed-thm-one": ("I", 1), "observed-thm-two": ("I", 2), "observed-thm-three": ("I", 3),
}  # fmt: skip


def setup(app):
    app.connect("env-get-updated", by_chapter, priority=900)  # after Sphinx has numbered them
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def by_chapter(app, env):
    """Number what can be numbered anew: (chapter, place in it), chapters in the order of the contents."""
    paper = {label.lower(): number for label, number in PAPER.items()}
    for chapter, page in enumerate(pages(env, env.config.root_doc)):
        kinds = env.toc_fignumbers.get(page)
        if not kinds:
            continue
        names = {
            node["ids"][0]: node["ids"]
            for node in env.get_doctree(page).findall(nodes.Element)
            if node["ids"]
        }
        for numbered in kinds.values():
            place = 0
            for first in numbered:
                known = [paper[name] for name in names.get(first, [first]) if name in paper]
                place += not known
                numbered[first] = known[0] if known else (chapter, place)
    return []


def pages(env, page, seen=None):
    """Documents in reading order, the root first."""
    seen = set() if seen is None else seen
    if page not in seen:
        seen.add(page)
        yield page
        for below in env.toctree_includes.get(page, []):
            yield from pages(env, below, seen)
