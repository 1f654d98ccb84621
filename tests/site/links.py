"""Whether what the finished pages link to outside is still there: ``python tests/site/links.py _build/html``.

Not among the tests of the site: it says something about the others, and asks the network.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import checks

__all__ = ["outside", "gone"]

#: What says that there is nothing. Whoever refuses programs, or is busy, is there.
NOTHING = (404, 410)
#: Seconds to wait for an answer, and how often to ask a machine that gives none.
PATIENCE, TIMES = 30, 3


def outside(html: Path) -> dict[str, str]:
    """Links to the network in the pages of a site, each with the first page that has it."""
    found: dict[str, str] = {}
    for page in checks.html_pages(html):
        for link in checks.Links(page.read_text(encoding="utf-8")).linked:
            if link.startswith(("http://", "https://")):
                found.setdefault(link.partition("#")[0], page.relative_to(html).as_posix())
    return found


def asked(address: str) -> str:
    """What is wrong with an address; empty if nothing is."""
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0 (links of a book)"})
    told = ""
    for _ in range(TIMES):
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE):
                return ""
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.reason}" if error.code in NOTHING else ""
        except OSError as error:  # no such machine, or no answer
            told = str(getattr(error, "reason", error))
    return told


def gone(html: Path, ask: Callable[[str], str] = asked) -> list[str]:
    """Links to the network that lead nowhere, a line each."""
    links = outside(html)
    with ThreadPoolExecutor(8) as several:
        told = several.map(ask, links)
        return [f"{links[link]}: {link}: {words}" for link, words in zip(links, told) if words]


if __name__ == "__main__":
    site = Path(sys.argv[1])
    if not checks.html_pages(site):
        sys.exit(f"links: expected a finished book in {site}, found no page; run make book")
    wrong = gone(site)
    print(*wrong, f"{len(outside(site))} links outside, {len(wrong)} of them lead nowhere.", sep="\n")
    sys.exit(bool(wrong))
