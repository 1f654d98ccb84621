"""A retrained run against the published one: by verdicts and intervals, never cell by cell.

Over a hundred thousand steps rounding alone leads two runs of one protocol apart; what has to
agree is what the book concludes from them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import results
from ..protocol import Protocol
from ..studies import reconstructions
from ..studies.claims import CLAIMS, Evidence, judge
from ..training import train, untrained
from .publish import NULL_POINTS

__all__ = ["compare", "retrained"]


def compare(first: Evidence, second: Evidence) -> pd.DataFrame:
    """Claim by claim: both verdicts, and the estimates whose 95 % intervals do not meet.

    Returns
    -------
    DataFrame: claim number, verdicts ``first`` and ``second``, estimates that both have,
    ``apart``, how many of them have disjoint intervals, and ``worst``, the label of the one
    farthest apart, measured in widths of the wider interval.
    """
    rows = []
    for claim in CLAIMS:
        a, b = claim.estimates(first), claim.estimates(second)
        there = {e.label: e for e in b}
        pairs = [
            (e, there[e.label])
            for e in a
            if e.label in there and not np.isnan(e.value + there[e.label].value)
        ]
        gaps = {
            e.label: max(e.low - o.high, o.low - e.high) / max(e.high - e.low, o.high - o.low, 1e-300)
            for e, o in pairs
        }
        apart = {label: gap for label, gap in gaps.items() if gap > 0}
        worst = max(apart, key=apart.get, default="")
        rows.append(
            {
                "claim": claim.number,
                "first": judge(a),
                "second": judge(b),
                "estimates": len(pairs),
                "apart": len(apart),
                "worst": worst,
            }
        )
    return pd.DataFrame(rows)


def retrained(protocol: Protocol) -> Evidence:
    """The tables of this run, of the same form as the published ones; what is stored is loaded."""
    few, networks = protocol.replace(points=min(NULL_POINTS, protocol.points)), train(protocol)
    null = results.cells(untrained(protocol), few)
    return Evidence(results.cells(networks, protocol), null, reconstructions.statistics(networks, protocol))
