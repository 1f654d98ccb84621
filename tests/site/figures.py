"""What a drawn figure is asked: can its words be read, do they keep clear of one another and of the data?

A picture is opened by itself and measured by the browser; beside its glyphs a label has its text.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["illegible", "unread", "WIDE", "PHONE"]

#: Pixels that a picture has on a page of 1280 and on a telephone of 390.
WIDE, PHONE = 700, 356
#: Pixels of a letter's body, at least: on a wide page, and on a telephone.
LEAST = {WIDE: 11.0, PHONE: 8.5}

#: Names of columns and of sets as the code has them, numbers as Python writes them, TeX outside a formula.
RAW = re.compile(
    r"(?<![\w/.])[A-Za-z]+_[\w.]+|(?<![\w.])\d(?:\.\d+)?e[+-]\d+|(?<![\w.)−–-])-\.?\d|\\[a-z]+|\d %"
)
FORMULA = re.compile(r"\$[^$]*\$")

MEASURE = """
svg => {
  const holder = document.createElement('div');
  holder.innerHTML = svg.replace(/<\\?xml[^]*?<svg/, '<svg');
  document.body.replaceChildren(holder);
  const root = holder.firstElementChild, box = root.viewBox.baseVal;
  root.setAttribute('width', box.width); root.setAttribute('height', box.height);
  const rect = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  const said = e => { for (const n of e.childNodes) if (n.nodeType === 8) return n.data.trim(); return ''; };
  const texts = [...root.querySelectorAll('g[id^=text_]')].map(e => {
    const glyphs = e.querySelector('g[transform*=scale]'), how = glyphs?.getAttribute('transform') ?? '';
    return {text: said(e), size: 100 * (how.match(/scale\\(([\\d.]+)/)?.[1] ?? 0), rect: rect(e),
            slanted: (Math.abs(how.match(/rotate\\((-?[\\d.]+)/)?.[1] ?? 0) % 90) > 1,
            legend: !!e.closest('g[id^=legend_]')};
  }).filter(t => t.size && t.rect[2] > t.rect[0]);
  const covered = [];
  for (const legend of root.querySelectorAll('g[id^=legend_]')) {
    const axes = legend.closest('g[id^=axes_]');
    const parts = [...legend.querySelectorAll('g[id^=text_]')].map(rect);
    if (!parts.length) continue;
    const within = ([x, y]) => parts.some(r => x > r[0] && x < r[2] && y > r[1] && y < r[3]);
    for (const other of axes ? [axes] : root.querySelectorAll('g[id^=axes_]')) {
      const back = other.querySelector('g[id^=patch_]');
      if (!back) continue;
      const [left, top, right, bottom] = rect(back);
      const seen = ([x, y]) => x >= left && x <= right && y >= top && y <= bottom && within([x, y]);
      const hit = [...other.querySelectorAll('path, use')].some(e => {
        if (e.closest('g[id^=legend_], g[id^=text_], g[id^="matplotlib.axis"], defs, clipPath')) return false;
        if (e.closest('g[id^=patch_]') === back) return false;
        if (e.tagName === 'use') { const r = rect(e); return seen([(r[0] + r[2]) / 2, (r[1] + r[3]) / 2]); }
        const to = e.getScreenCTM(), at = p => { const q = p.matrixTransform(to); return [q.x, q.y]; };
        const style = getComputedStyle(e), length = e.getTotalLength();
        if (style.fill !== 'none' && +style.fillOpacity * +style.opacity > .3)
          for (const r of parts) for (const f of [.1, .5, .9]) {
            const q = new DOMPoint(r[0] + f * (r[2] - r[0]), (r[1] + r[3]) / 2).matrixTransform(to.inverse());
            if (seen([r[0] + f * (r[2] - r[0]), (r[1] + r[3]) / 2]) && e.isPointInFill(q)) return true;
          }
        if (style.stroke === 'none' || !length) return false;
        const steps = Math.min(2000, Math.ceil(length / 2));
        for (let i = 0; i <= steps; i++) if (seen(at(e.getPointAtLength(i * length / steps)))) return true;
        return false;
      });
      if (hit) { covered.push([...legend.querySelectorAll('g[id^=text_]')].map(said).join(', ')); break; }
    }
  }
  return {width: box.width, height: box.height, texts, covered};
}
"""


def illegible(browser, path: Path) -> list[str]:
    """What cannot be read in a picture of matplotlib: small, raw or overlapping words, legends on data."""
    svg = path.read_text(encoding="utf-8")
    if "viewBox" not in svg[:3000] or "matplotlib" not in svg[:3000]:
        return []
    seen = browser.page.evaluate(MEASURE, svg)
    name, found = path.name, []
    for width, least in LEAST.items():
        scale = 4 / 3 * min(1, width / (4 / 3 * seen["width"]))
        small = sorted({t["text"] for t in seen["texts"] if t["size"] * scale < least})
        if small:
            size = min(t["size"] for t in seen["texts"]) * scale
            found.append(f"{name}: letters of {size:.1f} px, {width} px wide: {', '.join(small[:3])}")
    raw = {t["text"] for t in seen["texts"] if unread(t["text"])}
    found += [f"{name}: raw: {text}" for text in sorted(raw)]
    found += [f"{name}: legend on the data: {entries}" for entries in seen["covered"]]
    texts = [t for t in seen["texts"] if not t["slanted"]]
    for i, a in enumerate(texts):
        for b in texts[:i]:
            if _overlap(a["rect"], b["rect"]):
                found.append(f"{name}: {b['text']!r} and {a['text']!r} overlap")
    return found


def unread(text: str) -> list[str]:
    """The raw names and numbers in a text, formulas left out."""
    return RAW.findall(FORMULA.sub("", text))


def _overlap(a, b, slack: float = 0.7) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > slack and min(a[3], b[3]) - max(a[1], b[1]) > slack
