"""The library's docstrings are plain text first: |λ| in them is a modulus, no reStructuredText."""

from __future__ import annotations

import re

LITERAL = re.compile(r"(``.*?``)")


def setup(app):
    app.connect("autodoc-process-docstring", keep_bars)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def keep_bars(app, what, name, obj, options, lines):
    """Escape vertical bars outside code."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[i] = "".join(
                part if part.startswith("``") else part.replace("|", r"\|") for part in LITERAL.split(line)
            )
