"""A retrained run against the published one: by verdicts and intervals, never cell by cell.

Over a hundred thousand steps rounding alone leads two runs of one protocol apart; what has to
agree is what the book concludes from them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import results
from ..protocol import Protocol
from ..studies.claims import CLAIMS, JUDGED_DIMS, JUDGES, judge, stages
from ..studies.evidence import Evidence
from ..training import train, untrained
from .publish import NULL_POINTS

__all__ = ["compare", "missing", "retrained"]


def missing(evidence: Evidence) -> tuple[int, ...]:
    """Judging seeds that are not in a run, or not with all networks that judge; it is not comparable then."""
    return tuple(s for s in JUDGES if evidence.stage((s,), JUDGED_DIMS) is None)


def compare(first: Evidence, second: Evidence) -> pd.DataFrame:
    """Claim by claim: both verdicts by all seeds of each run, and estimates whose 95 % intervals do not meet.

    Returns
    -------
    DataFrame: claim number, verdicts ``first`` and ``second``, estimates for which both have an interval,
    ``apart``, how many of these are disjoint, and ``worst``, the label of the one farthest apart, measured in
    widths of the wider interval.
    """
    rows = []
    for claim in CLAIMS:
        a, b = claim.estimates(first), claim.estimates(second)
        pairs = [(e, o) for e, o in zip(a, b, strict=True) if not np.isnan(e.low + o.low)]
        gaps = {
            f"{e.label}, {e.part.range}": max(e.low - o.high, o.low - e.high)
            / max(e.high - e.low, o.high - o.low, 1e-300)
            for e, o in pairs
        }
        apart = {label: gap for label, gap in gaps.items() if gap > 0}
        worst = max(apart, key=apart.get, default="")
        row = {"claim": claim.number, "first": judge(a), "second": judge(b)}
        rows.append(row | {"estimates": len(pairs), "apart": len(apart), "worst": worst})
    return pd.DataFrame(rows)


def retrained(protocol: Protocol) -> Evidence:
    """The tables of this run, of the same form as the published ones; what is stored is loaded."""
    few, networks = protocol.replace(points=min(NULL_POINTS, protocol.points)), train(protocol)
    null = results.cells(untrained(protocol), few)
    return Evidence(results.cells(networks, protocol), null, stages(networks, protocol))
