"""What `make faults` has tried and what came of it: a line for each test in a record,
a row for each kind in the published table.

*Survived*: what was asked for came out as without the fault, or was refused in one clear line, with nothing
lost. *Wrong*: something else came out and nothing was said. *Lost*: something that was there is not, or
cannot be made any more. *Unclear*: nothing is wrong or lost, but what was said is no clear line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from .. import published
from ..store import write_table
from ..studies.faults import NAME, OUTCOMES
from .publish import origin, write_manifest

__all__ = ["add", "lines", "counted", "table", "publish"]


def add(record: Path, line: Mapping[str, Any]) -> None:
    """One more line, written in one piece: whoever is killed meanwhile loses that line alone."""
    record.parent.mkdir(parents=True, exist_ok=True)
    with record.open("ab") as file:
        file.write(("\n" + json.dumps(line) + "\n").encode())


def lines(record: Path) -> Iterator[dict[str, Any]]:
    """What is recorded; of a line that was torn nothing is known, and it is tried again."""
    for text in record.read_text(encoding="utf-8", errors="replace").splitlines() if record.exists() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and line.keys() >= {"test", "kind", "what", *OUTCOMES}:
            yield line


def counted(tally: Mapping[str, int], outcome: str, told: str) -> dict[str, int]:
    """The outcomes of one test: those it tallied itself, else its own.

    >>> counted({"noticed": 3, "unclear (KeyError)": 1, "unchanged": 2}, "failed", "")
    {'tried': 4, 'survived': 3, 'wrong': 0, 'lost': 0, 'unclear': 1}
    >>> counted({}, "failed", "Failed: DID NOT RAISE <class 'ValueError'>")["wrong"]
    1
    """
    found: Counter[str] = Counter()
    for word, n in tally.items():
        if word != "unchanged":
            known = word.partition(" ")[0]
            found[known if known in OUTCOMES else "unclear" if known == "said" else "survived"] += n
    if outcome == "passed" and not tally:
        found["survived"] += 1
    if outcome == "failed" and not found["wrong"] + found["lost"] + found["unclear"]:
        found["wrong" if "DID NOT RAISE" in told else "unclear"] += 1
    return {"tried": sum(found.values())} | {name: found[name] for name in OUTCOMES[1:]}


def table(record: Path) -> pd.DataFrame:
    """The sums of a record, a row for each kind of fault and what it was done to."""
    last = {line["test"]: line for line in lines(record)}
    columns = ["kind", "what", *OUTCOMES]
    rows = pd.DataFrame([{c: line[c] for c in columns} for line in last.values()], columns=columns)
    return rows.groupby(["kind", "what"], sort=False, as_index=False).sum()


def publish(record: Path, folder: Path = published.FOLDER) -> Path:
    """Write the table of a record beside what is published, and its name into the manifest.

    Raises
    ------
    Mismatch
        When the folder is not what its manifest says: what is wrong there is not signed anew.
    """
    about = published.manifest(folder)
    if about is None:
        raise published.Mismatch(
            "faults: expected a manifest to add the table to, found none; make publish writes it"
        )
    for name in about["files"]:
        if name != f"{NAME}.csv":
            published.file(name, folder)
    found = list(lines(record))
    if not found:
        raise published.Mismatch(
            f"faults: expected a record of what was tried, found none in {record}; run make faults"
        )
    about_it = {name: sorted({line[name] for line in found}) for name in ("seed", "commit")}
    write_table(folder / f"{NAME}.csv", table(record), {"tried at": about_it, **origin()})
    return write_manifest(about, folder)


if __name__ == "__main__":
    import sys

    try:
        print(f"Published: {publish(Path(sys.argv[1])) / f'{NAME}.csv'}")
    except published.Mismatch as error:
        sys.exit(str(error))
