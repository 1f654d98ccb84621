"""What the pages show of published networks is published: nothing is trained or analysed to draw it."""

import pytest

from lib import published
from lib.companions.catalogue import CHAPTERS, SHOWN
from lib.store import Store, digest


@pytest.mark.parametrize("chapter", SHOWN)
def test_what_a_page_shows_of_the_published_run_is_read_and_not_computed(chapter, tmp_path):
    names = {}
    run, settings = CHAPTERS[chapter][0].published()
    found = SHOWN[chapter](run, settings, Store(tmp_path, names=names))
    assert len(found) == len(names)
    assert all(path == published.FOLDER / name for name, path in names.items())
    assert {name.partition("/")[2] for name in names} <= {
        name.partition("/")[2] for name in published.manifest()["files"]
    }


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_full_size_is_that_of_the_published_run(chapter):
    kind = CHAPTERS[chapter][0]
    assert digest(vars(kind.preset("full"))) == digest(vars(kind.published()[1]))
