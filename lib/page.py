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
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from .style import STYLE

__all__ = ["figure", "table", "pictures", "claim", "markdown", "Block"]

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
    plain = "\n".join([f"```{{image}} {other}", f":alt: This build: {alt}", ":class: dark-light", "```"])
    myst = _tabs(_numbered(name, main, caption, alt), plain)
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


def pictures(name: str, grid: Mapping[str, Mapping[str, Tensor]], caption: str, published: Mapping[str, Mapping[str, Tensor]] | None = None) -> Block:
    """A numbered table of small pictures: row label → column label → images ``(m, 784)`` side by side.

    With `published`, two tabs as in `figure`.
    """
    if published is None:
        lines, lab = _picture_table(name, grid, caption, name)
        return Block(lines, lab)
    main, lab = _picture_table(f"{name}-published", published, caption, name)
    other, other_lab = _picture_table(f"{name}-build", grid, "", None)
    return Block(_tabs(main, other), lab + other_lab)


def _picture_table(stem: str, grid: Mapping[str, Mapping[str, Tensor]], caption: str, label: str | None) -> tuple[str, str]:
    columns = list(next(iter(grid.values())))
    lines = ["```{list-table} " + " ".join(caption.split()), *([f":name: {label}"] if label else []), ":header-rows: 1", ":class: pictures", ""]
    lines += ["* -", *(f"  - {c}" for c in columns)]
    lab = f"<p>{html.escape(caption)}</p><table>"
    for row, cells in grid.items():
        lines.append(f"* - {row}")
        lab += f"<tr><th>{html.escape(row)}</th>"
        for column in columns:
            images = cells[column]
            strip = images.reshape(-1, 28, 28).permute(1, 0, 2).reshape(28, -1).clamp(0, 1)
            data = _png((strip * 255).round().byte().numpy())
            path = _write(f"{stem}-{re.sub(r'[^a-z0-9]+', '-', f'{row} {column}'.lower()).strip('-')}", data, "png")
            alt = re.sub(r"[$\\{}]", "", f"{row}, {column}: {len(images)} reconstructions")
            lines.append(f"  - ![{alt}]({path})")
            lab += f'<td><img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(data).decode()}"></td>'
        lab += "</tr>"
    return "\n".join([*lines, "```"]), lab + "</table>"


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    plt.imsave(buffer, pixels, cmap="gray", vmin=0, vmax=255, format="png", metadata={"Software": None})
    return buffer.getvalue()


def claim(number: int, says: str, measured: str, verdict: str, estimates: pd.DataFrame, see: str) -> Block:
    """A claim of the paper as a box: claim, definition, verdict, and the numbers behind it, folded."""
    kind = {"holds": "tip", "holds in part": "note", "does not hold": "warning"}.get(verdict, "seealso")
    rows = [list(estimates.columns)] + [[v if isinstance(v, str) else f"{v:.3g}" for v in row] for row in estimates.itertuples(index=False)]
    cells = "\n".join(("* - " if i == 0 else "  - ") + text for row in rows for i, text in enumerate(row))
    myst = f"""`````{{admonition}} {number}. {says}
:class: {kind}
:name: claim-{number}

**{verdict.capitalize()}.** {measured} See {{numref}}`{see}`.

````{{dropdown}} The numbers
```{{list-table}}
:header-rows: 1

{cells}
```
````
`````"""
    return Block(myst, f"<h4>{number}. {html.escape(says)}</h4><p><b>{verdict}</b>. {html.escape(measured)}</p>{estimates.to_html(index=False)}")


def markdown(text: str) -> Block:
    """Computed MyST text, for sentences whose numbers come from the run."""
    text = textwrap.dedent(text).strip()
    return Block(text, f"<div style='white-space:pre-wrap'>{html.escape(text)}</div>")


def _tabs(published: str, build: str) -> str:
    """Two tabs; all pairs on a page switch together."""
    items = (("Published (MNIST, paper scale)", "published", published), ("This build", "build", build))
    body = "\n".join(f"````{{tab-item}} {title}\n:sync: {key}\n\n{content}\n````\n" for title, key, content in items)
    return f"`````{{tab-set}}\n:sync-group: source\n\n{body}`````"


def _numbered(name: str, path: str, caption: str, alt: str) -> str:
    return "\n".join([f"```{{figure}} {path}", f":name: {name}", f":alt: {alt}", ":class: dark-light", "", textwrap.dedent(caption).strip(), "```"])


def _img(data: bytes, fmt: str, alt: str, caption: str) -> str:
    mime = {"svg": "image/svg+xml", "png": "image/png"}[fmt]
    source = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    return f'<figure><img alt="{html.escape(alt)}" src="{source}" style="max-width:100%"><figcaption>{html.escape(caption)}</figcaption></figure>'


def _save(name: str, fig: Figure, fmt: str) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    with plt.style.context(STYLE):  # the salt of the identifiers inside an SVG is read when it is saved
        fig.savefig(buffer, format=fmt, dpi=160, bbox_inches="tight", metadata={"Date": None} if fmt == "svg" else None)
    data = buffer.getvalue()
    return _write(name, data, fmt), data


def _write(name: str, data: bytes, fmt: str) -> str:
    """Write a picture; its name carries its digest, so nothing stale is ever shown."""
    folder = Path(os.environ.get("BOOK_PICTURES") or PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}.{fmt}"
    path.write_bytes(data)
    return path.as_posix()
