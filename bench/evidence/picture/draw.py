"""The picture: lanes over one time axis, as PNG. Lanes without data are left out."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter

from bench.current.envelope import Envelope, envelope
from bench.current.phases import PhaseCost
from bench.current.plot import PHASE_COLOURS, draw_current
from bench.current.trace import Trace
from bench.evidence.attachments import RESULTS, STATES
from bench.evidence.picture.lanes import Event, Lanes, Series

WIDTH, DPI = 12.0, 90
"""Inches; pixels an inch."""
COLUMNS = 1200
COLOURS = {"board": "#08519c", "server": "#238b45", "bench": "#525252", "judge": "#cb181d"}
STATE_COLOURS = {n: PHASE_COLOURS[name.lower()] for n, name in STATES.items()}
EVENT_HEIGHT = 0.17
"""Inches a line of text takes."""
LONGEST = 96
"""Characters of an event's text."""


@dataclass(frozen=True, slots=True)
class About:
    """What the picture's head says: the test, on what, and how it ended ("" as long as it is not known)."""

    test: str
    subject: str
    verdict: str = ""


def timeline_png(
    found: Lanes, about: About, trace: Trace | None = None, costs: Sequence[PhaseCost] = ()
) -> bytes:
    """Draw one test. Raises `MeasurementError` for an empty trace."""
    measured = None
    if trace is not None:
        start, end = min(found.start, trace.start), max(found.end, trace.end)
        measured = envelope(trace, COLUMNS)
    else:
        start, end = found.start, found.end
    rows: list[tuple[float, Callable[[Axes], None]]] = []
    if found.states:
        rows.append((0.5, lambda axes: _states(axes, found, end)))
    if found.progress or found.signal or found.attenuation:
        rows.append((1.3, lambda axes: _download(axes, found, end)))
    if measured is not None:
        rows.append((2.4, lambda axes: _current(axes, measured, costs)))
    if found.supply or (measured is not None and measured.volts is not None):
        rows.append((0.8, lambda axes: _supply(axes, found.supply, measured, start, end)))
    rows.append((0.35 + EVENT_HEIGHT * max(3, len(found.events)), lambda axes: _events(axes, found)))
    height = sum(h for h, _ in rows) + 0.12 * len(rows) + 1.05
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0.085, 0.5 / height, 0.93, 1 - 0.55 / height, hspace=0.18)
    lanes = figure.subplots(len(rows), 1, sharex=True, height_ratios=[h for h, _ in rows], squeeze=False)[
        :, 0
    ]
    for axes, (_, draw) in zip(lanes, rows, strict=True):
        axes.tick_params(labelsize=8)
        draw(axes)
    for axes in lanes[1:-1]:
        _shade(axes, found, end)
    margin = 0.01 * (end - start) or 1.0
    lanes[0].set_xlim(start - margin, end + margin)
    lanes[-1].set_xlabel("seconds by the bench's clock", fontsize=9)
    colour = "#cb181d" if about.verdict.startswith(("FAILED", "BENCH")) else "black"
    figure.text(0.085, 1 - 0.22 / height, about.test, fontsize=11, weight="bold")
    figure.text(0.085, 1 - 0.42 / height, about.subject, fontsize=8.5)
    figure.text(0.93, 1 - 0.42 / height, _outcome(found), fontsize=8.5, ha="right")
    figure.text(0.93, 1 - 0.22 / height, about.verdict, fontsize=11, weight="bold", color=colour, ha="right")
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _outcome(found: Lanes) -> str:
    """How object 5 stood at the end."""
    if not found.states:
        return ""
    _, state, result = found.states[-1]
    return f"object 5 at the end: {STATES.get(state, state)}, result {result} ({RESULTS.get(result, '?')})"


def spans(found: Lanes, end: float) -> list[tuple[float, float, int, str]]:
    """(from, to, state, name with result), one for each time the state was the same."""
    made: list[tuple[float, float, int, str]] = []
    for number, (time, state, result) in enumerate(found.states):
        until = found.states[number + 1][0] if number + 1 < len(found.states) else end
        text = STATES.get(state, str(state))
        if result:
            text += f", result {result} ({RESULTS.get(result, '?')})"
        if made and made[-1][2] == state:
            made[-1] = (made[-1][0], until, state, text)
        elif until > time:
            made.append((time, until, state, text))
    return made


def _states(axes: Axes, found: Lanes, end: float) -> None:
    whole = end - found.start or 1.0
    for begin, until, state, text in spans(found, end):
        axes.broken_barh([(begin, until - begin)], (0, 1), color=STATE_COLOURS.get(state, "#ffffff"))
        for size in (text, text.partition(",")[0], str(state)):
            if (until - begin) / whole * 110 > len(size) * 0.9:
                axes.text((begin + until) / 2, 0.5, size, ha="center", va="center", fontsize=8)
                break
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["/5/0/3\nState"], fontsize=8)
    axes.tick_params(axis="y", length=0)


def _shade(axes: Axes, found: Lanes, end: float) -> None:
    for begin, until, state, _ in spans(found, end):
        axes.axvspan(
            begin, until, color=STATE_COLOURS.get(state, "#ffffff"), alpha=0.22, linewidth=0, zorder=0
        )


def _download(axes: Axes, found: Lanes, end: float) -> None:
    if found.progress:
        times, values = zip(*found.progress, strict=True)
        axes.plot(times, values, color="#238b45", linewidth=1.4, drawstyle="steps-post")
    axes.set_ylim(-4, 104)
    axes.set_ylabel("download [%]", fontsize=8, color="#238b45")
    axes.grid(True, alpha=0.3)
    if not (found.signal or found.attenuation):
        return
    right = axes.twinx()
    right.tick_params(labelsize=8)
    estimated = estimate(found.signal, found.attenuation)
    if estimated:
        times, values = zip(*_held(estimated, end), strict=True)
        right.plot(times, values, color="#6a51a3", linewidth=0.9, drawstyle="steps-post", alpha=0.7)
    if found.signal:
        right.plot(*zip(*found.signal, strict=True), "o", color="#6a51a3", markersize=3)
    levels = [v for _, v in [*estimated, *found.signal] if math.isfinite(v)] or [-80.0]
    right.set_ylim(max(-150, min(levels) - 5), max(levels) + 5)
    right.set_ylabel("signal [dBm]", fontsize=8, color="#6a51a3")


def estimate(signal: Series, attenuation: Series) -> Series:
    """The strength that follows from each attenuation, by the reports that came at known ones."""
    reference = None
    merged = sorted([(t, 0, v) for t, v in attenuation] + [(t, 1, v) for t, v in signal])
    present = 0.0
    for _, kind, value in merged:
        if kind == 0:
            present = value
        elif reference is None and math.isfinite(value):
            reference = value + present
    if reference is None:
        return []
    strengths = [(t, reference - db) for t, db in attenuation]
    return [signal[0], *strengths] if strengths and signal[0][0] < strengths[0][0] else strengths


def _held(series: Series, end: float) -> Series:
    """The last value lasts until the end."""
    return [*series, (end, series[-1][1])] if series[-1][0] < end else list(series)


def _current(axes: Axes, measured: Envelope, costs: Sequence[PhaseCost]) -> None:
    draw_current(axes, measured)
    axes.set_ylabel("current", fontsize=8)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 6)  # room for the captions
    whole = float(measured.edges[-1] - measured.edges[0])
    for cost in costs:
        if cost.duration / whole > 0.09:
            axes.text(
                (cost.phase.start + cost.phase.end) / 2,
                0.97,
                _caption(cost),
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="top",
                fontsize=7.5,
            )
    place = int(numpy.nanargmax(measured.high))
    axes.annotate(
        f"peak {_amps(float(measured.high[place]))}",
        (float(measured.edges[place]), float(measured.high[place])),
        xytext=(8, 2),
        textcoords="offset points",
        fontsize=7.5,
        color="#cb181d",
        arrowprops={"arrowstyle": "-", "color": "#cb181d", "linewidth": 0.7},
    )


def _caption(cost: PhaseCost) -> str:
    charge = f"{cost.charge_mc:.4g} mC" if cost.charge_mc < 10_000 else f"{cost.charge:.4g} C"
    energy = "" if cost.energy is None else f", {cost.energy:.3g} J"
    return f"{charge}{energy}\nmean {_amps(cost.mean)}"


def _amps(amps: float) -> str:
    return EngFormatter(unit="A", places=1)(amps)


def _supply(axes: Axes, supply: Series, measured: Envelope | None, start: float, end: float) -> None:
    if measured is not None and measured.volts is not None:
        axes.plot(measured.edges[:-1], measured.volts, color="#a63603", linewidth=0.9)
    elif supply:
        times, values = zip(*_held(supply, end), strict=True)
        axes.plot(times, values, color="#a63603", linewidth=1.1, drawstyle="steps-post")
    axes.set_ylim(bottom=-0.2)
    axes.margins(y=0.15)
    axes.yaxis.set_major_formatter(EngFormatter(unit="V"))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.set_ylabel("supply", fontsize=8)
    axes.grid(True, alpha=0.3)


def _events(axes: Axes, found: Lanes) -> None:
    count = max(3, len(found.events))
    axes.set_ylim(-0.4, count + 0.6)
    axes.set_yticks([])
    axes.set_ylabel("events", fontsize=8)
    middle = (found.start + found.end) / 2
    stems = []
    for number, event in enumerate(found.events):
        y = count - number
        colour = COLOURS[event.source]
        stems.append(((event.time, y), (event.time, count + 0.6)))
        axes.plot([event.time], [y], "o", color=colour, markersize=3.5)
        left = event.time < middle
        axes.annotate(
            _told(event),
            (event.time, y),
            xytext=(6 if left else -6, 0),
            textcoords="offset points",
            ha="left" if left else "right",
            va="center",
            fontsize=7.5,
            color=colour,
            annotation_clip=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
        )
    axes.add_collection(LineCollection(stems, colors="#bdbdbd", linewidths=0.6, zorder=0))
    note = "blue: the board's console, green: the server, grey: the bench, red: the judge"
    if found.left_out:
        note += f"; {found.left_out} less important ones are left out"
    axes.text(0.004, 0.02, note, transform=axes.transAxes, fontsize=6.5, color="#737373", va="bottom")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _told(event: Event) -> str:
    text = " ".join(event.text.split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return f"{event.time:.1f} s  {text}".replace("$", r"\$")
