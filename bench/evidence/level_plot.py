"""Time and energy of updates over the signal level, as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

COLOURS = {"push": "#d94801", "pull": "#08519c"}


@dataclass(frozen=True, slots=True)
class LevelPoint:
    """One update: at `dbm`, in `seconds`, `joules` (None: not measured), and whether it succeeded."""

    board: str
    delivery: str
    dbm: float
    seconds: float
    joules: float | None
    succeeded: bool


def level_png(board: str, points: Sequence[LevelPoint], knee: float, lost: float) -> bytes:
    """Two curves for each delivery of one board, the weakest signal to the right; PNG."""
    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    time, energy = figure.subplots(1, 2, sharex=True)
    for delivery in sorted({p.delivery for p in points}):
        rows = sorted((p for p in points if p.delivery == delivery), key=lambda p: -p.dbm)
        _curve(time, delivery, [(p.dbm, p.seconds, p.succeeded) for p in rows])
        _curve(energy, delivery, [(p.dbm, p.joules, p.succeeded) for p in rows if p.joules is not None])
    for axes, name in ((time, "time of the update [s]"), (energy, "energy of the update [J]")):
        axes.axvline(knee, color="#969696", linestyle="--", linewidth=1)
        axes.axvline(lost, color="#969696", linestyle=":", linewidth=1)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xlabel("signal [dBm], weaker to the right")
        axes.grid(True, alpha=0.3)
        if any(line.get_label() in COLOURS for line in axes.lines):
            axes.set_yscale("log")
            for axis_format in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                axis_format(FuncFormatter(_plain))
            axes.legend(fontsize=8)
    time.set_xlim(max(p.dbm for p in points) + 3, lost - 2)
    figure.suptitle(f"{board}: dashed the knee, dotted no service below; crosses failed", fontsize=10)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _plain(value: float, position: object) -> str:
    """1, 2 and 5 of each decade; more would not be legible."""
    first = f"{value:e}"[0]
    return f"{value:g}" if first in "125" else ""


def _curve(axes: Axes, delivery: str, rows: Sequence[tuple[float, float, bool]]) -> None:
    if not rows:
        return
    colour = COLOURS.get(delivery, "#525252")
    axes.plot([r[0] for r in rows], [r[1] for r in rows], color=colour, linewidth=1, label=delivery)
    for dbm, value, succeeded in rows:
        axes.plot([dbm], [value], marker="o" if succeeded else "x", color=colour, markersize=6)
