"""Still pictures of a trace: current on a logarithmic scale, phases shaded, with what each cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, NullFormatter

from bench.current.envelope import Envelope, envelope
from bench.current.phase_colours import phase_colour
from bench.current.phases import PhaseCost
from bench.current.trace import Trace

COLUMNS = 2000
"""Columns of a picture: more than it has pixels."""

WIDTH, HEIGHT, DPI = 12.0, 5.0, 120
"""Inches, inches, pixels an inch."""

_LEAST = 1e-7


def save_png(path: Path, trace: Trace, costs: Sequence[PhaseCost] = (), *, title: str = "Current") -> None:
    """Draw a whole trace. Raises `MeasurementError` for an empty one."""
    drawn = envelope(trace, COLUMNS)
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    if drawn.volts is None:
        axes = lowest = figure.subplots()
    else:
        axes, lowest = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        draw_voltage(lowest, drawn)
    handles = draw_current(axes, drawn, costs)
    if handles:
        figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    axes.set_title(title, loc="left", pad=24)
    lowest.set_xlabel(
        "seconds by the bench's clock" if trace.info.clock == "bench" else "seconds of the meter"
    )
    figure.savefig(path, format="png", metadata={"Software": None})


def draw_current(axes: Axes, drawn: Envelope, costs: Sequence[PhaseCost] = ()) -> list[Artist]:
    """One lane of a picture: the current and its numbered phases. Returns what the legend must tell."""
    _fill(axes, drawn.edges, drawn.low, drawn.high)
    axes.set_yscale("log")
    top = float(numpy.nanmax(drawn.high, initial=_LEAST))
    positive = drawn.low[drawn.low > _LEAST]
    bottom = float(positive.min()) if len(positive) else _LEAST
    axes.set_ylim(bottom / 2, max(top, 2 * bottom) * 2)
    axes.set_xlim(float(drawn.edges[0]), float(drawn.edges[-1]))
    axes.yaxis.set_major_formatter(EngFormatter(unit="A"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("current")
    axes.grid(True, which="major", alpha=0.3)
    handles: list[Artist] = []
    for number, cost in enumerate(costs, start=1):
        phase, colour = cost.phase, phase_colour(cost.phase.name, number - 1)
        axes.axvspan(phase.start, phase.end, color=colour, alpha=0.45, linewidth=0, zorder=0)
        axes.hlines(cost.mean, phase.start, phase.end, color="black", linewidth=1.2, linestyle=(0, (4, 2)))
        axes.annotate(
            str(number),
            ((phase.start + phase.end) / 2, 1.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3 + 10 * (number % 2)),  # short phases side by side stay legible
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
        handles.append(Patch(facecolor=colour, label=f"{number} {_caption(cost)}"))
    if handles:
        handles.append(Line2D([], [], color="black", linestyle=(0, (4, 2)), label="mean of the phase"))
    return handles


def draw_voltage(axes: Axes, drawn: Envelope) -> None:
    """One lane of a picture: the lowest supply voltage of each column. Nothing where none was measured."""
    if drawn.volts is not None:
        axes.step(drawn.edges[:-1], drawn.volts, where="post", color="#a63603", linewidth=0.8)
    axes.yaxis.set_major_formatter(EngFormatter(unit="V"))
    axes.set_ylabel("supply")
    axes.grid(True, alpha=0.3)


def _caption(cost: PhaseCost) -> str:
    lines = [
        f"{cost.phase.name}, {cost.duration:.4g} s",
        f"{cost.charge_mc:.4g} mC ({cost.charge_uah:.4g} µAh)",
        f"mean {_amps(cost.mean)}, peak {_amps(cost.peak)}",
    ]
    if cost.energy_mj is not None:
        lines.append(f"{cost.energy_mj:.4g} mJ")
    if cost.lost:
        lines.append(f"{cost.lost} samples lost")
    if cost.range_switches:
        lines.append(f"{cost.range_switches} changes of range")
    return "\n".join(lines)


def _amps(amps: float) -> str:
    return EngFormatter(unit="A", places=1)(amps)


def _fill(axes: Axes, edges: numpy.ndarray, low: numpy.ndarray, high: numpy.ndarray) -> None:
    """From the smallest to the largest sample of each column, and a line so that flat parts show too."""
    floor = numpy.fmax(low, _LEAST)
    top = numpy.fmax(high, _LEAST)
    lost = numpy.isnan(high)
    floor[lost] = top[lost] = numpy.nan
    axes.fill_between(edges[:-1], floor, top, step="post", color="#08519c", linewidth=0.0)
    axes.step(edges[:-1], top, where="post", color="#08519c", linewidth=0.7)
