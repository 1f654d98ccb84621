"""What a notebook puts on its page: numbered figures with tabs, tables, and a provenance line.

A notebook's cell shows one object in two dresses: as HTML for JupyterLab, and as
MyST Markdown for the book, which Sphinx parses, numbers and cross-references like any
other text. The pictures go to files beside the executed notebook.

Figures answer back: below each stand the numbers it shows, as files and, where they are few,
as a table, and links to the function that drew it and to the notebook that called it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import inspect
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .. import paths
from ..figures import style
from ..figures.tables import cells, readable, said, typeset, written
from .answers import script

__all__ = ["figure", "table", "pictures", "claim", "column", "contents", "folded", "markdown", "png", "Block"]

#: Where pictures are written, relative to the notebook being executed.
PICTURES = "_pictures"
#: Rows up to which the numbers behind a figure are shown on the page, and bytes beyond which they are not
#: even offered.
FEW, MANY = 60, 1_000_000

Tables = Mapping[str, pd.DataFrame]


class Block:
    """A piece of a page: MyST for the book, HTML for JupyterLab, which renders the MyST if there is none."""

    def __init__(self, myst: str, lab: str = ""):
        self.myst, self.lab = myst, lab

    def __add__(self, below: Block) -> Block:
        return Block(self.myst + below.myst, self.lab + below.lab)

    def _repr_mimebundle_(self, include=None, exclude=None):
        html = {"text/html": self.lab} if self.lab else {}
        return {"text/markdown": self.myst, "text/plain": self.myst} | html


def figure(
    name: str,
    draw: Callable[..., Figure],
    table: Any = (),
    published: Any | None = None,
    *,
    caption: str,
    alt: str,
    numbers: Sequence[str] | Callable[..., Tables] | Tables | None = None,
    scale: str = "MNIST, paper scale",
    answers: Callable[..., Mapping] | None = None,
    **options: Any,
) -> Block:
    """A numbered figure, ``{numref}`` `name`: ``draw(table, **options)``, its numbers, and a link to `draw`.

    With `published`, the page has two tabs: *Published*, with its `scale` in brackets, which is
    the numbered one, and *This build*. Both are drawn by the same function.

    Parameters
    ----------
    name : str
        Label and file name, for instance ``fig-1``.
    draw : function that returns a `Figure`
    table, published : what is drawn in this build, and what is published; a tuple is several arguments.
    caption : str
        MyST text.
    alt : str
        What is to be seen, for readers who do not see it.
    numbers : the numbers behind the figure: columns of the results table, or tables by name, or a function of
        what is drawn that gives these. Default: every table among the arguments. ``{}`` shows none; beyond a
        megabyte none are shown either.
    answers : a function of `lib.pages.answers`, of what is drawn: with it the page's scripts draw the figure
        once more, in the picture's place, so that it answers a pointer and the keyboard.
    options : further arguments of `draw`.
    """

    def drawn(stem: str, what: Any, alt: str, label: str | None, caption: str) -> Block:
        arguments = what if isinstance(what, tuple) else (what,)
        shown = _picture(stem, draw(*arguments, **options), alt, label, caption)
        if answers:
            shown += Block(f"\n\n```{{raw}} html\n{script(answers(*arguments))}\n```", "")
        return shown + _numbers(stem, _tables(draw, arguments, numbers))

    if published is None:
        return drawn(name, table, alt, name, caption) + _made(draw)
    main = drawn(f"{name}-published", published, alt, name, caption)
    return _tabs(main, drawn(f"{name}-build", table, f"This build: {alt}", None, ""), scale) + _made(draw)


def table(
    name: str,
    frame: pd.DataFrame,
    caption: str,
    formats: str | dict[str, str] = "{:.3g}",
    data: Tables | None = None,
) -> Block:
    """A numbered table of the values in `frame`, referred to as ``{numref}`` `name`.

    `data`, default ``frame.attrs["data"]``, are the numbers that it sums up. A backtick in the caption raises
    `ValueError`: the caption stands on the line that opens the block, and would end it.
    """
    if "`" in caption:
        raise ValueError(
            f"table {name}: expected a caption without backticks, got {caption!r}; "
            "say it without code and roles"
        )

    attributes, frame = frame.attrs, said(frame)

    form = [formats if isinstance(formats, str) else formats.get(c, "{:.3g}") for c in frame.columns]
    rows = [list(map(written, row, form)) for row in frame.itertuples(index=False)]
    lines = ["````{list-table} " + " ".join(caption.split()), f":name: {name}", ":header-rows: 1", ""]
    shown = Block(
        "\n".join([*lines, *_rows([[typeset(str(c)) for c in frame.columns], *rows]), "````"]),
        f"<p>{html.escape(caption)}</p>" + frame.to_html(index=False),
    )
    return shown + _numbers(name, attributes.get("data", {}) if data is None else data)


def _rows(rows: Iterable[Iterable[Any]]) -> list[str]:
    """The lines of a list-table."""
    return [("* - " if i == 0 else "  - ") + _cell(str(text)) for row in rows for i, text in enumerate(row)]


def _cell(text: str) -> str:
    """A cell whose first characters begin no quotation, list or heading: MyST reads ``> 0`` as a quotation.

    >>> print(_cell("> 0"), _cell("1."), _cell("-0.5"))
    \\> 0 1\\. −0.5
    """
    text = re.sub(r"^(\d+)(?=[.)](\s|$))", r"\1\\", re.sub(r"^(?=>|#+\s|[-+*](\s|$))", r"\\", text))
    return re.sub(r"^-(?=[\d.])", "−", text)


def pictures(
    name: str,
    grid: Mapping[str, Mapping[str, Tensor]],
    caption: str,
    published: Mapping[str, Mapping[str, Tensor]] | None = None,
    by: Callable | None = None,
) -> Block:
    """A numbered table of small pictures: row label → column label → images ``(m, 784)`` side by side.

    With `published`, two tabs as in `figure`. `by` is the function that made the pictures.
    """
    if published is None:
        return _picture_table(name, grid, caption, name) + _made(by)
    return _tabs(
        _picture_table(f"{name}-published", published, caption, name),
        _picture_table(f"{name}-build", grid, "", None),
    ) + _made(by)


def _numbers(stem: str, tables: Tables) -> Block:
    """The tables behind a figure, folded: a CSV file of each to download, and the short ones themselves."""
    body = Block("", "")
    for key, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n").encode()
        if len(table) and len(text) <= MANY:
            path = _write(f"{stem}-{key}", text, "csv")
            name, columns = Path(path).name, f"{len(table.columns)} columns"
            if len(table.columns) < 20:
                columns = ", ".join(map(str, table.columns))
            size = f"{len(table):,} rows of"
            body += Block(
                f"{{download}}`{name} <{path}>`: {size} `{columns}`\n\n",
                f'<p><a href="{path}" download>{name}</a>: {size} <code>{html.escape(columns)}</code></p>',
            )
            if len(table) <= FEW:
                shown = readable(table)
                frame = f'<div class="pst-scrollable-table-container" tabindex="0">{shown}</div>'
                body += Block(f"```{{raw}} html\n{frame}\n```\n\n", shown)
    if not body.myst:
        return body
    return Block(
        f"\n\n::::{{dropdown}} The numbers\n:class-container: numbers\n\n{body.myst}::::",
        f"<details><summary>The numbers</summary>{body.lab}</details>",
    )


def _made(by: Callable | None) -> Block:
    """Where a figure comes from: the function that drew it, on the library's page, and the notebook."""
    links = []
    if by is not None and by.__module__.startswith("lib."):
        function = f"{by.__module__}.{by.__qualname__}"
        links.append(f"Drawn by {{func}}`{function.removeprefix('lib.')} <{function}>`")
    if folder := paths.pictures():
        links.append(f"{{download}}`notebook <{folder.as_posix()}/{folder.name}.md>`")
    if not links:
        return Block("", "")
    return Block("\n\n" + "\n".join([":::{container} made", " · ".join(links), ":::"]), "")


def _picture_table(
    stem: str, grid: Mapping[str, Mapping[str, Tensor]], caption: str, label: str | None
) -> Block:
    columns = list(next(iter(grid.values())))
    lines = [
        "```{list-table} " + " ".join(caption.split()),
        *([f":name: {label}"] if label else []),
        ":header-rows: 1",
        ":class: pictures",
        "",
    ]
    lines += ["* -", *(f"  - {typeset(c)}" for c in columns)]
    lab = f"<p>{html.escape(caption)}</p><table>"
    for row, strips in grid.items():
        lines.append(f"* - {row}")
        lab += f"<tr><th>{html.escape(row)}</th>"
        for column in columns:
            images = strips[column]
            data = png(images)
            place = re.sub(r"[^a-z0-9]+", "-", f"{row} {column}".lower()).strip("-")
            path = _write(f"{stem}-{place}", data, "png")
            alt = f"{row}, {column}: {len(images)} picture{'s' * (len(images) > 1)}"
            alt = re.sub(r"\\mathcal|[$\\{}]", "", alt)
            lines.append(f"  - ![{alt}]({path})")
            lab += f'<td><img alt="{html.escape(alt)}" src="{inline(data, "png")}"></td>'
        lab += "</tr>"
    return Block("\n".join([*lines, "```"]), lab + "</table>")


def png(images: Tensor) -> bytes:
    """Grey images ``(m, 784)`` side by side as one picture; values outside [0, 1] are cut off."""
    strip = images.reshape(-1, 28, 28).permute(1, 0, 2).reshape(28, -1).clamp(0, 1)
    buffer = io.BytesIO()
    Image.fromarray((strip * 255).round().byte().numpy()).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def claim(
    number: int,
    says: str,
    measured: str,
    verdict: str,
    parts: Mapping[str, int],
    fig: Figure,
    estimates: pd.DataFrame,
    see: str,
) -> Block:
    """A claim of the paper as a box: claim, verdict, count of its parts, definition, estimates, and numbers.

    `verdict` begins with the sign of the verdict, `parts` counts the parts by what became of them, `fig` is
    that of `lib.figures.claims.estimates`, `estimates` the table of `lib.studies.claims.numbers`, `see` the
    label of the figure that shows what the claim is about. The box is referred to as ``{ref}``
    ``claim-<number>``.
    """
    raw = style.picture(fig)
    path = _write(f"claim-{number}", raw, "svg")
    alt = (
        f"The estimates of claim {number} by range of d, seed by seed, with their intervals where there "
        "are any, beside the side wanted; the numbers follow."
    )
    estimates = said(estimates)
    rows = [list(map(written, row)) for row in estimates.itertuples(index=False)]
    cells = "\n".join(_rows([estimates.columns, *rows]))
    counted = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
    word = next((word for word in ("holds", "refuted") if word in verdict.lower()), "open")
    myst = f"""`````{{admonition}} {number}. {says}
:class: verdict {word}
:name: claim-{number}

**{verdict}.** Parts: {counted}. {typeset(measured)} See {{numref}}`{see}`.

```{{image}} {path}
:alt: {alt}
:class: dark-light
```

````{{dropdown}} The numbers
```{{list-table}}
:header-rows: 1

{cells}
```
````
`````"""
    image = f'<img alt="{alt}" src="{inline(raw, "svg+xml")}" style="max-width:100%">'
    text = f"<p><b>{verdict}</b>. {counted}. {html.escape(measured)}</p>"
    lab = f"<h4>{number}. {html.escape(says)}</h4>{text}{image}{estimates.to_html(index=False)}"
    return Block(myst, lab)


def column(blocks: Iterable[Block]) -> Block:
    """Blocks below one another."""
    blocks = list(blocks)
    return Block("\n\n".join(b.myst for b in blocks), "".join(b.lab for b in blocks))


def folded(title: str, block: Block) -> Block:
    """A block behind its title, for numbers that a figure says already."""
    return Block(
        f"::::::{{dropdown}} {title}\n{block.myst}\n::::::",
        f"<details><summary>{html.escape(title)}</summary>{block.lab}</details>",
    )


def markdown(text: str) -> Block:
    """Computed MyST text, for sentences whose numbers come from the run."""
    return Block(typeset(textwrap.dedent(text).strip()))


def contents(toc: Path = paths.CONTENTS) -> Block:
    """All pages in order, with links, for JupyterLab alone: the book's sidebar has them."""
    book, toc = toc.parent / "book", yaml.safe_load(toc.read_text(encoding="utf-8"))
    lab, chapter = "", 1
    for part in toc["parts"]:
        names = [chapter["file"] for chapter in part["chapters"]]
        titles = (html.escape(_title(book / f"{name}.md")) for name in names)
        links = "".join(f'<li><a href="{name}.md">{title}</a></li>' for name, title in zip(names, titles))
        lab += f'<p><b>{html.escape(part["caption"])}</b></p><ol start="{chapter}">{links}</ol>'
        chapter += len(names)
    return Block("", lab)


def _title(path: Path) -> str:
    return re.search(r"^# (.*)", path.read_text(encoding="utf-8"), re.M)[1]


def _tabs(published: Block, build: Block, scale: str = "MNIST, paper scale") -> Block:
    """Two tabs; all pairs on a page switch together."""
    items = ((f"Published ({scale})", "published", published), ("This build", "build", build))
    body = "\n".join(
        f"````{{tab-item}} {title}\n:sync: {key}\n\n{block.myst}\n````\n" for title, key, block in items
    )
    return Block(
        f"`````{{tab-set}}\n:sync-group: source\n\n{body}`````",
        "".join(f"<h5>{title}</h5>{block.lab}" for title, _, block in items),
    )


def _picture(stem: str, fig: Figure, alt: str, label: str | None, caption: str) -> Block:
    """A figure with its caption if it has a label, a mere picture if not."""
    raw = style.picture(fig)
    path, alt = _write(stem, raw, "svg"), " ".join(alt.split())
    head = [f"```{{figure}} {path}", f":name: {label}"] if label else [f"```{{image}} {path}"]
    foot = ["", textwrap.dedent(caption).strip(), "```"] if label else ["```"]
    image = f'<img alt="{html.escape(alt)}" src="{inline(raw, "svg+xml")}" style="max-width:100%">'
    lab = f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"
    return Block("\n".join([*head, f":alt: {alt}", ":class: dark-light", *foot]), lab)


def inline(data: bytes, kind: str) -> str:
    """A picture as an address that holds it whole."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _tables(draw: Callable, arguments: tuple, numbers: Any) -> Tables:
    """The tables behind a figure, by name, as `figure` was told to find them."""
    if isinstance(numbers, Mapping) and all(isinstance(table, pd.DataFrame) for table in numbers.values()):
        return numbers
    if callable(numbers):
        return numbers(*arguments)
    if numbers is not None:
        return cells(arguments[0], numbers)
    given = inspect.signature(draw).bind_partial(*arguments).arguments
    return {key: table for key, value in given.items() if (table := _table(value)) is not None}


def _table(value: Any) -> pd.DataFrame | None:
    """A table, or tables by the title of their panel put below one another; None for anything else."""
    if isinstance(value, Mapping) and value and all(isinstance(v, pd.DataFrame) for v in value.values()):
        return pd.concat(value, names=["panel"]).reset_index("panel").reset_index(drop=True)
    return value if isinstance(value, pd.DataFrame) else None


def _write(name: str, data: bytes, fmt: str) -> str:
    """Write a picture; its name carries its digest, so nothing stale is ever shown."""
    folder = paths.pictures() or Path(PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}.{fmt}"
    path.write_bytes(data)
    return path.as_posix()
