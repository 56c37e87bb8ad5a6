"""The picture of the boards' currents in the docs: `python -m bench.virtual.power.draw_picture FILE.png`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from bench.virtual.power.draw import Draw
from bench.virtual.power.draw_figures import COURSES, FULL_POWER, transmission

_NEVER_DRAWN = ("off", "radio off", "psm")


def save_picture(path: Path) -> None:
    """Mean and peak of each activity of each kind of board, and transmission over its power."""
    figure = Figure(figsize=(12, 7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, 2, width_ratios=(3, 2))
    for row, kind in zip(grid, COURSES, strict=True):
        _bars(row[0], kind)
        _transmission(row[1], kind)
    figure.savefig(path, metadata={"Software": None})


def _bars(axes: Axes, kind: str) -> None:
    rows: list[tuple[str, Draw]] = []
    for activity, course in COURSES[kind].items():
        if activity not in _NEVER_DRAWN:
            for number, stage in enumerate(course):
                later = f", after {sum(s.seconds for s in course[:number]):g} s" if number else ""
                rows.append((activity + later, stage.draw))
    rows.append((f"tx at {FULL_POWER[kind]:g} dBm", transmission(kind, FULL_POWER[kind])))
    names = [name for name, _ in rows]
    peaks, means = [draw.peak for _, draw in rows], [draw.mean for _, draw in rows]
    axes.barh(names, peaks, color="#c6dbef", label="peak")
    axes.barh(names, means, color="#08519c", height=0.45, label="mean")
    for place, mean in enumerate(means):
        axes.text(mean, place, " " + EngFormatter(unit="A", places=1)(mean), va="center", fontsize=7)
    axes.set_xscale("log")
    axes.set_xlim(1e-6, 1)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(EngFormatter(unit="A"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", labelsize=8)
    axes.set_title(f"{kind}: what each activity draws", loc="left")
    axes.legend(loc="upper right", fontsize=8)


def _transmission(axes: Axes, kind: str) -> None:
    powers = numpy.linspace(-5, FULL_POWER[kind] + 3, 200)
    axes.plot(powers, [transmission(kind, float(p)).peak for p in powers], color="#9ecae1", label="peak")
    axes.plot(powers, [transmission(kind, float(p)).mean for p in powers], color="#08519c", label="mean")
    axes.set_ylim(0, 0.35)
    axes.yaxis.set_major_formatter(EngFormatter(unit="A"))
    axes.xaxis.set_major_formatter(EngFormatter(unit="dBm"))
    axes.grid(True, alpha=0.3)
    axes.set_title(f"{kind}: the radio while it sends", loc="left")
    axes.legend(fontsize=8)


if __name__ == "__main__":
    save_picture(Path(sys.argv[1]))
