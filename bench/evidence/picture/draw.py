"""The picture: lanes over one time axis, as PNG. Lanes without data are left out."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from PIL import Image

from bench.current.envelope import Envelope
from bench.current.phases import PhaseCost
from bench.current.plot import draw_current
from bench.evidence.attachments import RESULTS, STATES
from bench.evidence.picture.content import SOURCE_COLOURS, STATE_COLOURS, Picture, spans
from bench.evidence.picture.event_lane import draw_events, height
from bench.evidence.picture.lanes import Lanes, Series
from bench.evidence.picture.signal_line import radio

WIDTH, DPI = 12.0, 90
"""Inches; pixels an inch."""
CAPTION = 0.13
"""Share of the width that a phase needs for a caption inside it."""
MOST_NARROW = 8
"""Narrower phases than this are only counted."""


def timeline_png(picture: Picture) -> bytes:
    """Draw one test."""
    found, about, measured, costs = picture.found, picture.about, picture.measured, picture.costs
    start, end = found.start, found.end
    if measured is not None:
        start, end = min(start, float(measured.edges[0])), max(end, float(measured.edges[-1]))
    rows: list[tuple[float, Callable[[Axes], None]]] = []
    if found.states:
        rows.append((0.5, lambda axes: _states(axes, found, end)))
    if found.progress or radio(found) is not None:
        rows.append((1.3, lambda axes: _download(axes, found, end)))
    if measured is not None:
        rows.append((2.4, lambda axes: _current(axes, measured, costs, start, end)))
    if found.supply or (measured is not None and measured.volts is not None):
        rows.append((0.8, lambda axes: _supply(axes, found.supply, measured, start, end)))
    rows.append((height(found), lambda axes: draw_events(axes, found)))
    tall = sum(h for h, _ in rows) + 0.12 * len(rows) + 1.05
    figure = Figure(figsize=(WIDTH, tall), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    figure.subplots_adjust(0.085, 0.5 / tall, 0.93, 1 - 0.55 / tall, hspace=0.18)
    lanes = figure.subplots(len(rows), 1, sharex=True, height_ratios=[h for h, _ in rows], squeeze=False)[
        :, 0
    ]
    for axes, (_, draw) in zip(lanes, rows, strict=True):
        axes.tick_params(labelsize=8)
        draw(axes)
    for axes in lanes[1:-1]:
        _shade(axes, found, end)
    if found.failure is not None:
        for axes in lanes:
            axes.axvline(found.failure.time, color=SOURCE_COLOURS["judge"], linewidth=1.1, zorder=5)
    margin = 0.01 * (end - start) or 1.0
    lanes[0].set_xlim(start - margin, end + margin)
    _rule(lanes)
    lanes[-1].set_xlabel("seconds by the bench's clock", fontsize=9)
    colour = "#cb181d" if about.verdict.startswith(("FAILED", "BENCH")) else "black"
    figure.text(0.085, 1 - 0.22 / tall, about.test, fontsize=11, weight="bold")
    figure.text(0.085, 1 - 0.42 / tall, about.subject, fontsize=8.5)
    figure.text(0.93, 1 - 0.42 / tall, _outcome(found), fontsize=8.5, ha="right")
    figure.text(0.93, 1 - 0.22 / tall, about.verdict, fontsize=11, weight="bold", color=colour, ha="right")
    return _png(canvas)


def _png(canvas: FigureCanvasAgg) -> bytes:
    """Without the opacity, which is the same everywhere: to encode it takes as long as the colours."""
    canvas.draw()
    out = io.BytesIO()
    Image.fromarray(numpy.asarray(canvas.buffer_rgba())).convert("RGB").save(out, "PNG", dpi=(DPI, DPI))
    return out.getvalue()


def _rule(lanes: numpy.ndarray) -> None:
    """One time axis for all lanes, its grid over those between: ticks are what matplotlib is slowest at."""
    times = lanes[-1].get_xticks()
    for axes in lanes[:-1]:
        axes.xaxis.set_visible(False)
    for axes in lanes[1:-1]:
        lines = [((time, 0.0), (time, 1.0)) for time in times]
        across = axes.get_xaxis_transform()
        made = LineCollection(lines, transform=across, colors="#b0b0b0", linewidths=0.8, alpha=0.3, zorder=1)
        axes.add_collection(made, autolim=False)


def _outcome(found: Lanes) -> str:
    """How object 5 stood at the end."""
    if not found.states:
        return ""
    _, state, result = found.states[-1]
    return f"object 5 at the end: {STATES.get(state, state)}, result {result} ({RESULTS.get(result, '?')})"


def _states(axes: Axes, found: Lanes, end: float) -> None:
    whole = end - found.start or 1.0
    for begin, until, state, text in spans(found, end):
        axes.broken_barh([(begin, until - begin)], (0, 1), color=STATE_COLOURS.get(state, "#ffffff"))
        for size in (text, text.partition(",")[0], str(state)):
            if (until - begin) / whole * 110 > len(size) * 0.9:
                axes.text((begin + until) / 2, 0.5, size, ha="center", va="center", fontsize=8)
                break
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["/5/0/3 State\nas reported"], fontsize=8)
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
    else:
        axes.set_yticks([])
    axes.grid(True, alpha=0.3)
    shown = radio(found)
    if shown is None:
        return
    right = axes.twinx()
    right.tick_params(labelsize=8)
    if shown.line:
        times, values = zip(*_held(shown.line, end), strict=True)
        right.plot(times, values, color="#6a51a3", linewidth=0.9, drawstyle="steps-post", alpha=0.7)
    if shown.dots:
        right.plot(*zip(*shown.dots, strict=True), "o", color="#6a51a3", markersize=3)
        note = "signal: a dot is what the board reported, the line follows the attenuator"
        _note(right, note)
    right.set_ylim(shown.low, shown.high)
    right.set_ylabel(f"{shown.name} [{shown.unit}]", fontsize=8, color="#6a51a3")


def _note(axes: Axes, text: str) -> None:
    """Small, above the lane, where no data lie."""
    axes.text(1, 1.02, text, transform=axes.transAxes, fontsize=6.5, color="#737373", ha="right", va="bottom")


def _held(series: Series, end: float) -> Series:
    """The last value lasts until the end."""
    return [*series, (end, series[-1][1])] if series[-1][0] < end else list(series)


def _current(axes: Axes, measured: Envelope, costs: Sequence[PhaseCost], start: float, end: float) -> None:
    draw_current(axes, measured)
    axes.set_ylabel("current", fontsize=8)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * 6)  # room for the captions
    whole = end - start or 1.0
    narrow = []
    for cost in costs:
        line = cost.mean, cost.phase.start, cost.phase.end
        axes.hlines(*line, "white", "solid", linewidth=2.6)  # so that it is seen on the current's blue
        axes.hlines(*line, "black", "dashed", linewidth=1.1)
        if cost.duration / whole <= CAPTION:
            narrow.append(cost)
            continue
        axes.text(
            (cost.phase.start + cost.phase.end) / 2,
            0.97,
            _caption(cost),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=7.5,
        )
    if narrow:
        told = [f"{cost.phase.name} {_charge(cost)}" for cost in narrow[:MOST_NARROW]]
        if len(narrow) == 1:  # a sleep floor, most often
            told = [f"{told[0]}, mean {_amps(narrow[0].mean)}"]
        note = f"too narrow for a caption: {', '.join(told)}"
        note += f" and {len(narrow) - MOST_NARROW} more" if len(narrow) > MOST_NARROW else ""
        _note(axes, note)
    if numpy.isnan(measured.high).all():
        axes.text(0.5, 0.5, "every sample was lost", transform=axes.transAxes, ha="center", color="#cb181d")
        return
    place = int(numpy.nanargmax(measured.high))
    time, peak = float(measured.edges[place]), float(measured.high[place])
    axes.plot([time], [peak], "v", color="#cb181d", markersize=4)
    highest = f"▾ peak {_amps(peak)} at {time:.1f} s"
    axes.text(0, 1.02, highest, transform=axes.transAxes, fontsize=7.5, color="#cb181d", va="bottom")


def _caption(cost: PhaseCost) -> str:
    energy = "" if cost.energy is None else f", {cost.energy:.3g} J"
    return f"{cost.phase.name}: {_charge(cost)}{energy}\nmean {_amps(cost.mean)}"


def _charge(cost: PhaseCost) -> str:
    return f"{cost.charge_mc:.4g} mC" if cost.charge_mc < 10_000 else f"{cost.charge:.4g} C"


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
