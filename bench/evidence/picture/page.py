"""The timeline as one HTML file to zoom and pan in: no network, no library, at most half a megabyte.

A trace is there as its envelope in 16,384 columns (float32, deflated, base64); the page's script reduces
them once more to what the screen has, again by smallest and largest.
"""

from __future__ import annotations

import base64
import html
import json
import math
import zlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy

from bench.current.envelope import Envelope, envelope
from bench.current.phase_colours import phase_colour
from bench.current.phases import PhaseCost
from bench.current.trace import Trace
from bench.evidence.picture.content import SOURCE_COLOURS, STATE_COLOURS, About, spans
from bench.evidence.picture.lanes import Lanes, Series
from bench.evidence.picture.signal_line import radio

COLUMNS = 16_384
MOST_POINTS = 4000
"""Points of a line; more are thinned out."""
ROWS = {source: number for number, source in enumerate(SOURCE_COLOURS)}


def timeline_html(
    found: Lanes, about: About, trace: Trace | None = None, costs: Sequence[PhaseCost] = ()
) -> str:
    """The page. Raises `MeasurementError` for an empty trace."""
    start = found.start if trace is None else min(found.start, trace.start)
    end = found.end if trace is None else max(found.end, trace.end)
    data = {
        "subject": about.subject,
        "verdict": about.verdict,
        "failure": None if found.failure is None else found.failure.time,
        "start": start,
        "end": max(end, start + 1e-3),
        "spans": [
            [a, b, text, STATE_COLOURS.get(state, "#ffffff")] for a, b, state, text in spans(found, end)
        ],
        "lanes": list(_lanes(found, trace)),
        "events": [
            [round(e.time, 4), " ".join(e.text.split()), SOURCE_COLOURS[e.source], ROWS[e.source]]
            for e in found.all_events
        ],
        "phases": [
            {
                "name": cost.phase.name,
                "start": cost.phase.start,
                "end": cost.phase.end,
                "colour": phase_colour(cost.phase.name, number),
                "mean": cost.mean,
                "peak": cost.peak,
                "charge": cost.charge,
                "energy": cost.energy,
                "lost": cost.lost,
            }
            for number, cost in enumerate(costs)
        ],
    }
    template = files("bench.evidence.picture").joinpath("page.html").read_text(encoding="utf-8")
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace("__TITLE__", html.escape(about.test)).replace("__DATA__", text)


def _lanes(found: Lanes, trace: Trace | None) -> list[dict[str, Any]]:
    """Those that have something to show."""
    made: list[dict[str, Any]] = []
    if found.states:
        made.append({"kind": "states", "name": "/5/0/3"})
    lines = []
    if found.progress:
        lines.append(_line("download", "%", "#238b45", found.progress, 0, 100))
    shown = radio(found)
    if shown is not None:
        lines.append(_line(shown.name, shown.unit, "#6a51a3", shown.line, shown.low, shown.high))
    if lines:
        made.append({"kind": "lines", "name": " and ".join(line["name"] for line in lines), "lines": lines})
    drawn = None if trace is None else envelope(trace, COLUMNS)
    if drawn is not None:
        made.append(
            {
                "kind": "current",
                "name": "current",
                "edges": [float(drawn.edges[0]), float(drawn.edges[-1])],
                "columns": len(drawn),
                "low": _packed(drawn.low),
                "high": _packed(drawn.high),
            }
        )
    supply = found.supply if drawn is None else _measured_supply(drawn) or found.supply
    if supply:
        most = max(v for _, v in supply if math.isfinite(v))
        made.append(
            {
                "kind": "lines",
                "name": "supply",
                "lines": [_line("supply", "V", "#a63603", supply, 0, math.ceil(1.1 * most))],
            }
        )
    made.append({"kind": "events", "name": "events"})
    return made


def _measured_supply(drawn: Envelope) -> Series:
    """The lowest voltage of each column; empty where the meter took none."""
    if drawn.volts is None or numpy.isnan(drawn.volts).all():
        return []
    return [(float(t), float(v)) for t, v in zip(drawn.edges, drawn.volts, strict=False)]


def thinned(series: Series, most: int = MOST_POINTS) -> Series:
    """At most about `most` points; each run of them keeps its smallest, its largest and its gaps."""
    if len(series) <= most:
        return list(series)
    length = -(-len(series) * 3 // most)
    kept: set[int] = {0, len(series) - 1}
    for first in range(0, len(series), length):
        run = range(first, min(first + length, len(series)))
        numbers = [i for i in run if math.isfinite(series[i][1])]
        if numbers:
            kept |= {min(numbers, key=lambda i: series[i][1]), max(numbers, key=lambda i: series[i][1])}
        kept |= set([i for i in run if not math.isfinite(series[i][1])][:1])
    return [series[i] for i in sorted(kept)]


def _line(name: str, unit: str, colour: str, series: Series, low: float, high: float) -> dict[str, Any]:
    kept = thinned(series)
    points = [[round(t, 4), round(v, 3) if math.isfinite(v) else None] for t, v in kept]
    return {
        "name": name,
        "unit": unit,
        "colour": colour,
        "low": low,
        "high": high,
        "stepped": True,
        "points": points,
    }


def _packed(values: numpy.ndarray) -> str:
    """float32, little-endian, bytes of equal weight together so that they deflate well."""
    planes = values.astype("<f4").view(numpy.uint8).reshape(-1, 4).T.tobytes()
    return base64.b64encode(zlib.compress(planes, 9)).decode("ascii")
