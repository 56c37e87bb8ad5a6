"""The measurements of a test as a page that is read in the report: figures, limits, and how much is left."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from bench.evidence.measurements import Measurement, in_words, quantity

_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:16px;color:#1b1f24;background:#fff}
table{border-collapse:collapse}
th,td{padding:4px 14px;border-bottom:1px solid #d0d7de;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left;white-space:normal}
th{border-bottom:2px solid #57606a}
tr.over td{background:#ffebe9;color:#82071e;font-weight:600}
svg{vertical-align:middle;margin-left:8px}
"""
_BAR = 80
"""Pixels of the bar that stands for the limit."""


def as_html(found: Iterable[Measurement]) -> str:
    """A page of its own, without script and without anything from elsewhere; "" without any measurement."""
    rows = list(found)
    if not rows:
        return ""
    heads = ("measured", "value", "limit (at most)", "margin", "used of the limit", "within")
    head = "".join(f"<th>{text}</th>" for text in heads)
    body = "\n".join(_row(row) for row in rows)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>measurements</title>'
        f"<style>{_STYLE}</style><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></html>\n"
    )


def _row(row: Measurement) -> str:
    limit = "for information" if row.limit is None else quantity(row.limit, row.unit)
    margin = "" if row.margin is None else in_words(row.margin)
    within = "" if row.limit is None else "yes" if row.within else "NO"
    kind = ' class="over"' if not row.within else ""
    cells = (quantity(row.value, row.unit), limit, margin)
    plain = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr{kind}><td>{escape(row.name)}</td>{plain}<td>{_bar(row)}</td><td>{within}</td></tr>"


def _bar(row: Measurement) -> str:
    """How much of the limit was used; what goes beyond it fills the bar."""
    if row.limit is None or row.limit <= 0:
        return ""
    used = row.value / row.limit
    width = round(_BAR * min(max(used, 0.0), 1.0), 1)
    color = "#1a7f37" if row.within else "#cf222e"
    box = f'<svg width="{_BAR}" height="10" role="img">'
    ground = f'<rect width="{_BAR}" height="10" fill="#eaeef2"/>'
    return f'{used:.0%}{box}{ground}<rect width="{width}" height="10" fill="{color}"/></svg>'
