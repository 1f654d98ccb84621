"""What a notebook puts on its page: numbered figures with tabs, tables, and a provenance line.

A notebook's cell shows one object in two dresses: as HTML for JupyterLab, and as
MyST Markdown for the book, which Sphinx parses, numbers and cross-references like any
other text. The pictures go to files beside the executed notebook.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import os
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from .style import STYLE

__all__ = ["figure", "table", "markdown", "Block"]

#: Where pictures are written, relative to the notebook being executed.
PICTURES = "_pictures"


class Block:
    """A piece of a page: MyST for the book, HTML for JupyterLab."""

    def __init__(self, myst: str, lab: str):
        self.myst, self.lab = myst, lab

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/markdown": self.myst, "text/html": self.lab, "text/plain": self.myst}


def figure(name: str, fig: Figure, caption: str, alt: str, published: Figure | None = None, fmt: str = "svg") -> Block:
    """A numbered figure, referred to as ``{numref}`` `name`.

    With `published`, the page has two tabs: *Published (MNIST, paper scale)*, which is the
    numbered one, and *This build*. Both are drawn by the same function of `lib.figures`.

    Parameters
    ----------
    name : str
        Label and file name, for instance ``fig-1``.
    fig, published : Figure
        This build's figure, and the one drawn from the published table.
    caption : str
        MyST text.
    alt : str
        What is to be seen, for readers who do not see it.
    fmt : ``"svg"`` for lines, ``"png"`` for pictures and for very many points.
    """
    alt = " ".join(alt.split())
    if published is None:
        path, data = _save(name, fig, fmt)
        return Block(_numbered(name, path, caption, alt), _img(data, fmt, alt, caption))
    main, main_data = _save(f"{name}-published", published, fmt)
    other, other_data = _save(f"{name}-build", fig, fmt)
    myst = "\n".join([
        "`````{tab-set}", ":sync-group: source", "",
        "````{tab-item} Published (MNIST, paper scale)", ":sync: published", "", _numbered(name, main, caption, alt), "````", "",
        "````{tab-item} This build", ":sync: build", "", f"```{{image}} {other}", f":alt: This build: {alt}", ":class: dark-light", "```", "````",
        "`````",
    ])  # fmt: skip
    return Block(myst, _img(main_data, fmt, alt, "Published. " + caption) + _img(other_data, fmt, alt, "This build."))


def table(name: str, frame: pd.DataFrame, caption: str, formats: str | dict[str, str] = "{:.3g}") -> Block:
    """A numbered table of the values in `frame`, referred to as ``{numref}`` `name`."""

    def cell(column, value):
        if isinstance(value, float):
            return (formats if isinstance(formats, str) else formats.get(column, "{:.3g}")).format(value)
        return str(value)

    rows = [list(map(str, frame.columns))] + [[cell(c, v) for c, v in zip(frame.columns, row)] for row in frame.itertuples(index=False)]
    lines = ["````{list-table} " + " ".join(caption.split()), f":name: {name}", ":header-rows: 1", ""]
    for row in rows:
        lines += [("* - " if i == 0 else "  - ") + text for i, text in enumerate(row)]
    return Block("\n".join([*lines, "````"]), f"<p>{html.escape(caption)}</p>" + frame.to_html(index=False))


def markdown(text: str) -> Block:
    """Computed MyST text, for sentences whose numbers come from the run."""
    text = textwrap.dedent(text).strip()
    return Block(text, f"<div style='white-space:pre-wrap'>{html.escape(text)}</div>")


def _numbered(name: str, path: str, caption: str, alt: str) -> str:
    return "\n".join([f"```{{figure}} {path}", f":name: {name}", f":alt: {alt}", ":class: dark-light", "", textwrap.dedent(caption).strip(), "```"])


def _img(data: bytes, fmt: str, alt: str, caption: str) -> str:
    mime = {"svg": "image/svg+xml", "png": "image/png"}[fmt]
    source = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    return f'<figure><img alt="{html.escape(alt)}" src="{source}" style="max-width:100%"><figcaption>{html.escape(caption)}</figcaption></figure>'


def _save(name: str, fig: Figure, fmt: str) -> tuple[str, bytes]:
    """Write the picture beside the notebook; its name carries its digest, so nothing stale is ever shown."""
    buffer = io.BytesIO()
    with plt.style.context(STYLE):  # the salt of the identifiers inside an SVG is read when it is saved
        fig.savefig(buffer, format=fmt, dpi=160, bbox_inches="tight", metadata={"Date": None} if fmt == "svg" else None)
    data = buffer.getvalue()
    folder = Path(os.environ.get("BOOK_PICTURES") or PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}.{fmt}"
    path.write_bytes(data)
    return path.as_posix(), data
