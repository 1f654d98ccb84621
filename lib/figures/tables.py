"""Tables for the page: the numbers behind a figure, summaries over networks, how a number is written."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from numbers import Integral, Real

import numpy as np
import pandas as pd
from torch import Tensor

from ..protocol import GROUPS, REPRESENTATIVES
from ..spectrum import ARG_BINS, LOG_BINS
from .style import LABELS

__all__ = [
    "cells",
    "boxes",
    "histograms",
    "spread",
    "tables",
    "written",
    "typeset",
    "readable",
    "said",
    "named",
    "ordered",
    "listed",
    "variant",
]

#: What a row of a results table is of; the first two of `lib.studies.sensitivity`.
HEAD = ("choice", "value", "set", "seed", "d")

#: The columns ``I_…`` and ``L_…`` of the results table in words; {} is the index.
WORDS = {
    "mean": "mean |λ{}|", "trace": "mean λ{}", "geometric": "geometric mean |λ{}|",
    "sd_log": "sd of log |λ{}|", "arg_mean": "mean |Arg λ{}|",
    "zeros": "zeros, K{}", "deficient": "deficient, K{}",
    "reversed": "reversed, K{}", "reversed_full": "reversed at full rank, K{}",
    "nonreal": "non-real λ{}", "negative_real": "negative real λ{}",
} | {
    f"{what}_{part}": f"{symbol}, {word}"
    for what, symbol in (("log", "log |λ{}|"), ("arg", "|Arg λ{}|"))
    for part, word in (
        ("low", "low whisker"), ("q1", "lower quartile"), ("median", "median"),
        ("q3", "upper quartile"), ("high", "high whisker"),
    )
}  # fmt: skip
#: Other columns.
OTHERS = {
    "distance_median": "‖λ_I − λ_L‖²/d, median", "distance_mean": "‖λ_I − λ_L‖²/d, mean",
    "distance_q1": "‖λ_I − λ_L‖²/d, lower quartile", "distance_q3": "‖λ_I − λ_L‖²/d, upper quartile",
    "ordered_median": "distance by modulus", "matched_median": "distance, best matching",
    "y_sd": "spread of y", "brightness_sd": "sd of brightness", "pattern_equal": "patterns agree",
    "hamming": "units that differ", "held_out": "held out",
}  # fmt: skip


def cells(table: pd.DataFrame, columns: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Those columns of the results table, and what a row is of: the numbers behind a figure of a page."""
    head = [name for name in HEAD if name in table]
    return {"cells": table[[*head, *(c for c in columns if c not in head)]].reset_index(drop=True)}


def boxes(table: pd.DataFrame, what: str) -> dict[str, pd.DataFrame]:
    """The numbers behind the box plots of ``log`` |λ| or |``arg`` λ|: quartiles, whiskers, histograms."""
    columns = [f"{j}_{what}_{k}" for j in "IL" for k in ("low", "q1", "median", "q3", "high")]
    return cells(table, columns) | {"histograms": histograms(table, what)}


def histograms(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """The cells' histograms of ``log`` |λ| or |``arg`` λ|, one row a bin that is not empty.

    Returns
    -------
    DataFrame with columns ``set, seed, d, jacobian, from, to, count``
    """
    edges = {"log": LOG_BINS, "arg": ARG_BINS}[what]
    parts = []
    for j in "IL":
        for head, counts in zip(
            table[["set", "seed", "d"]].itertuples(index=False), table[f"{j}_{what}_hist"]
        ):
            part = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "count": np.array(counts.split(), int)})
            parts.append(part[part["count"] > 0].assign(**head._asdict(), jacobian=j))
    return pd.concat(parts, ignore_index=True)[["set", "seed", "d", "jacobian", "from", "to", "count"]]


def ordered(table: pd.DataFrame, *first: str) -> list[str]:
    """The data sets in a table: `first`, then the noise sets, dark ones first."""
    there = set(table.set)
    return [name for name in (*first, *(s for group in GROUPS.values() for s in group)) if name in there]


def spread(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Median, and in brackets lowest and highest value over networks, one row a data set, dark sets first.

    The values of the single networks are in its ``attrs["data"]``, as `lib.pages.page.table` expects them.

    Parameters
    ----------
    columns : column of the table → what it is called
    """
    groups = {name: table[table.set == name] for name in ordered(table, "train", "test")}

    def cell(values: pd.Series) -> str:
        low, middle, high = (written(v) for v in (values.min(), values.median(), values.max()))
        return f"{middle} ({low}\N{NO-BREAK SPACE}…\N{NO-BREAK SPACE}{high})"

    out = pd.DataFrame(
        {"data set": [LABELS[name] for name in groups]}
        | {title: [cell(part[c]) for part in groups.values()] for c, title in columns.items()}
    )
    out.attrs["data"] = cells(table, columns)
    return out


def listed(values: Iterable[int]) -> str:
    """Whole numbers as they are read: four or more neighbours by their ends.

    >>> print(listed(range(2, 21)), listed((2, 8, 14)), listed([0, 1]), sep="; ")
    2 to 20; 2, 8 and 14; 0 and 1
    """
    values = list(values)
    if len(values) > 3 and values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return " and ".join(filter(None, [", ".join(map(str, values[:-1])), *map(str, values[-1:])]))


def variant(choice: str, value: str) -> str:
    """The name of a way to train; the choice goes without saying where the value names it.

    >>> print(variant("learning rate", "3e-3"), variant("length", "100 epochs"), sep=", ")
    learning rate: $3\\cdot10^{-3}$, 100 epochs
    """
    return typeset(value if choice in value or choice == "length" else f"{choice}: {value}")


def tables(samples: Mapping[tuple[int, int, str], Tensor]) -> list[dict[str, dict[str, Tensor]]]:
    """Tables I, II, … of the paper, one for each seed: d → data set → reconstructions.

    `samples` are those of `lib.results.reconstructions`; `lib.pages.page.pictures` takes what is returned.
    """
    found: dict[int, dict[str, dict[str, Tensor]]] = {}
    for (seed, d, name), images in samples.items():
        group = next(group for group, member in REPRESENTATIVES.items() if member == name)
        found.setdefault(seed, {}).setdefault(f"$d={d}$", {})[f"{group}, {LABELS[name]}"] = images
    return list(found.values())


def written(value: object, form: str = "{:.3g}") -> str:
    """What stands in a cell, in MyST: whole numbers in full and others in a `form`, with a true minus sign,
    no exponent below a million and powers of ten beyond; words as `typeset` writes them.

    >>> print(*map(written, (8123.0, 8123, -0.5, float("nan"), True)), written(1.2e-16, "{:.1e}"))
    8,120 8,123 −0.5 – True $1.2\\cdot10^{-16}$
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return typeset(str(value))
    if isinstance(value, Integral):
        return typeset(f"{value:,}")
    if value != value:
        return "–"
    text = form.format(value).replace("inf", "∞")
    return typeset(THOUSANDS.sub(lambda n: f"{int(n[0]):,}", text))


THOUSANDS = re.compile(r"(?<![\d.])\d{4,}")
EXPONENT = re.compile(r"(?<![\w.\\{=#])([-−]?)(\d+(?:\.\d+)?)e([+-]\d+)(?!\w|\.\d)")
SYMBOL = re.compile(r"(?<![\w\\{])([JKλ])_([IL])(?!\w)")
MINUS = re.compile(r"(?<![\w.,)\]}\-–])-(?=\.?\d)")
ZERO = re.compile(r"(?<![\w.)\]}])−(?=0(\.0+)?(?![\w.]|\.\d))")  # no sign before a zero
FORMULA_OR_CODE = re.compile(r"(`+[^`]*`+|\$[^$\n]*\$)")


def typeset(text: str) -> str:
    """MyST text with Python's numbers and symbols as they are read; what is code or a formula stays one.

    >>> print(typeset("at most 3.1e-12 of 8e+03, from -0.5; `-1e-3`; $x<2e-09$"))
    at most $3.1\\cdot10^{-12}$ of 8,000, from −0.5; `-1e-3`; $x<2\\cdot10^{-9}$
    >>> print(typeset("K_I at most 2e-15, from -0.00 to -0.05."))
    $K_I$ at most $2\\cdot10^{-15}$, from 0.00 to −0.05.
    """

    def power(match: re.Match, formula: bool) -> str:
        sign, digits, exponent = match[1], match[2], int(match[3])
        if 0 <= exponent < 6:
            return ("-" if formula else "−" if sign else "") * bool(
                sign
            ) + f"{float(digits) * 10**exponent:,.0f}"
        factor = "" if digits == "1" else f"{digits}\\cdot"
        return f"{'' if formula else '$'}{'-' * bool(sign)}{factor}10^{{{exponent}}}{'' if formula else '$'}"

    def symbol(match: re.Match) -> str:
        return f"${match[1].replace('λ', chr(92) + 'lambda')}_{match[2]}$"

    parts = FORMULA_OR_CODE.split(text)
    for i, part in enumerate(parts):
        if part.startswith("`"):
            continue
        formula = part.startswith("$")
        part = part if formula else SYMBOL.sub(symbol, MINUS.sub("−", part)).replace(" %", "%")
        part = part if formula else ZERO.sub("", part)
        parts[i] = EXPONENT.sub(lambda found, formula=formula: power(found, formula), part)
    return "".join(parts)


def readable(frame: pd.DataFrame) -> str:
    """A short table as HTML: columns and data sets in words, indices set low, numbers as they are read."""

    def low(text: str) -> str:
        return re.sub(r"([λKJ])_([IL])", r"\1<sub>\2</sub>", html.escape(text))

    def title(column: str) -> str:
        if column in LABELS:
            return plain(LABELS[column])
        j, _, rest = str(column).partition("_")
        if j in ("I", "L") and rest in WORDS:
            return low(WORDS[rest].format(f"_{j}"))
        return low(OTHERS.get(column, str(column).replace("_", " ")))

    def cell(value) -> str:
        if isinstance(value, str) and value != "–":
            return f'<td class="word">{plain(named(value))}</td>'
        return f"<td>{plain(written(value, '{:.4g}'))}</td>"

    frame = said(frame)
    if "seed" in frame:
        frame = frame.replace({"seed": {-1: "–"}})  # what has no seed
    head = "".join(f"<th>{title(c)}</th>" for c in frame.columns)
    rows = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in frame.itertuples(index=False))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def said(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns in which some row says something."""
    return frame.loc[:, ~(frame.isna() | frame.isin(["", "–"])).all()] if len(frame) else frame


def named(value: str) -> str:
    """A value of a results table in words: a data set, of the paper or of a family, or a quantity.

    >>> print(*map(named, ("beta_0.8_5", "bernoulli_0.05", "sd_log", "held_out", "linear")))
    $\\mathcal{D}_{.8,5}$ $\\mathcal{D}_{.05}$ sd of log |λ| held out linear
    """
    if value in LABELS:
        return LABELS[value]
    if family := re.fullmatch(r"(?:bernoulli|beta)((?:_[\d.]+)+)", value):
        numbers = (f"{float(n):g}".removeprefix("0") for n in family[1].strip("_").split("_"))
        return rf"$\mathcal{{D}}_{{{','.join(numbers)}}}$"
    return WORDS[value].format("") if value in WORDS else OTHERS.get(value, value)


def plain(text: str) -> str:
    """A label or a written number as HTML; only other formulas are left to the page's typesetter.

    >>> print(plain(written(1.2e-16)), plain(LABELS["beta_0.8_5"]), plain("small $|\\lambda|$"))
    1.2·10<sup>−16</sup> 𝒟<sub>.8,5</sub> small <span class="math">\\(|\\lambda|\\)</span>
    """
    if re.search(r"\$[^$]*\\(?!mathcal\{D\}|cdot)", text):
        return re.sub(r"\$([^$]+)\$", r'<span class="math">\\(\1\\)</span>', html.escape(text))
    text = html.escape(text.replace("$", "").replace(r"\mathcal{D}", "𝒟").replace(r"\cdot", "·"))
    text = re.sub(r"([λKJ])_([IL])\b", r"\1<sub>\2</sub>", re.sub(r"(?<![\w{])-(?=\d)", "−", text))
    text = re.sub(r"\^\{(-?)(\d+)\}", lambda m: f"<sup>{'−' * bool(m[1])}{m[2]}</sup>", text)
    return re.sub(r"_\{([^}]*)\}", r"<sub>\1</sub>", text)
