"""The paper's objects carry the paper's numbers, ours are numbered by chapter, in captions and references."""

from __future__ import annotations

import base64
import re

from sphinx.application import Sphinx

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def test_numbers_in_captions_and_references(root, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    (source / "dot.png").write_bytes(base64.b64decode(PICTURE))
    figure = ".. _{0}:\n\n.. figure:: dot.png\n   :alt: a dot\n\n   Caption of {0}.\n\n"
    body = "".join(figure.format(name) for name in ("ours", "fig-2", "theirs"))
    (source / "index.rst").write_text("Start\n=====\n\n.. toctree::\n\n   first\n   second\n")
    (source / "first.rst").write_text("First\n=====\n\n" + figure.format("only"))
    (source / "second.rst").write_text(
        "Second\n======\n\n" + body + ":numref:`fig-2`, :numref:`theirs`, :numref:`only`\n"
    )
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(root / 'book' / '_ext')!r})\nextensions = ['numbering']\n"
        "numfig = True\nnumfig_format = {'figure': 'Figure %s'}\n"
    )
    Sphinx(source, source, out, out / ".doctrees", "html", status=None, warning=None).build()
    html = (out / "second.html").read_text()
    captions = re.findall(
        r'caption-number">([^<]*)</span><span class="caption-text">Caption of ([^.]*)\.', html
    )
    assert [(number.strip(), name) for number, name in captions] == [
        ("Figure 2.1", "ours"),
        ("Figure 2", "fig-2"),
        ("Figure 2.2", "theirs"),
    ]
    assert [
        re.sub("<.*?>", "", link) for link in re.findall(r'<span class="std std-numref">(.*?)</span>', html)
    ] == [
        "Figure 2",
        "Figure 2.2",
        "Figure 1.1",
    ]
