"""A trace as one HTML file to zoom and pan in: no network, no library, some 200 KB at most.

The page holds the trace's envelope in 16,384 columns as float32, deflated and in base64; its script
reduces them once more to what the screen has, again by smallest and largest.
"""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy

from bench.current.envelope import envelope
from bench.current.phases import PhaseCost
from bench.current.plot import phase_colour
from bench.current.trace import Trace

COLUMNS = 16_384


def save_html(path: Path, trace: Trace, costs: Sequence[PhaseCost] = (), *, title: str = "Current") -> None:
    """Write the page. Raises `MeasurementError` for an empty trace."""
    drawn = envelope(trace, COLUMNS)
    data = {
        "title": title,
        "edges": [float(drawn.edges[0]), float(drawn.edges[-1])],
        "columns": len(drawn),
        "samples": len(trace),
        "low": _packed(drawn.low),
        "high": _packed(drawn.high),
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
    template = files("bench.current").joinpath("page.html").read_text(encoding="utf-8")
    text = json.dumps(data, allow_nan=False).replace("</", "<\\/")
    page = template.replace("__TITLE__", html.escape(title)).replace("__DATA__", text)
    path.write_text(page, encoding="utf-8", newline="\n")


def _packed(values: numpy.ndarray) -> str:
    """float32, little-endian, bytes of equal weight together so that they deflate well."""
    planes = values.astype("<f4").view(numpy.uint8).reshape(-1, 4).T.tobytes()
    return base64.b64encode(zlib.compress(planes, 9)).decode("ascii")
