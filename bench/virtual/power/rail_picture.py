"""The picture of the supply in the docs: `python -m bench.virtual.power.rail_picture FILE.png`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from bench.virtual.boards.esp32 import VirtualEsp32
from bench.virtual.boards.nrf9160 import VirtualNrf9160
from bench.virtual.power.rail import CAPACITANCE, Rail
from bench.virtual.scheduler import Scheduler

RESISTANCES = (0.05, 0.5, 2.0)
BOARDS = (
    (3.7, 0.25, VirtualNrf9160.supply_input, "nrf9160: 3.7 V, limit 0.25 A"),
    (3.3, 0.20, VirtualEsp32.supply_input, "esp32: 3.3 V, limit 0.20 A"),
)


class _Resistor:
    """Takes `amps` at `nominal` volts, and less in proportion below: what a supply can be measured with."""

    def __init__(self, nominal: float) -> None:
        self.nominal = nominal
        self.amps = 0.0

    def set_supply(self, volts: float) -> None:
        pass

    def load(self, volts: float) -> float:
        return self.amps * volts / self.nominal


def save_picture(path: Path) -> None:
    """Board voltage over load, and over the length of a burst beyond the limit, as the rail computes them."""
    figure = Figure(figsize=(12, 7), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    for row, (volts, limit, thresholds, title) in zip(figure.subplots(2, 2), BOARDS, strict=True):
        _droop(row[0], volts, limit)
        _burst(row[1], volts, limit)
        for axes in row:
            axes.axhline(thresholds.brown_out, color="#cb181d", linewidth=0.9, label="brown-out")
            axes.axhline(thresholds.start, color="#238b45", linewidth=0.9, linestyle="--", label="comes up")
            axes.yaxis.set_major_formatter(EngFormatter(unit="V"))
            axes.set_ylim(2.0, volts + 0.15)
            axes.grid(True, alpha=0.3)
            axes.legend(fontsize=8)
        row[0].set_title(f"{title}: voltage at the board", loc="left", fontsize=10)
        row[1].set_title("lowest point of one burst, by its length", loc="left", fontsize=10)
    figure.savefig(path, metadata={"Software": None})


def _droop(axes: Axes, volts: float, limit: float) -> None:
    loads = numpy.linspace(0, 0.6, 121)
    for resistance in RESISTANCES:
        found = []
        for amps in loads:
            rail, load = Rail(Scheduler(0), resistance=resistance), _Resistor(volts)
            load.amps = float(amps)
            rail.attach(load)
            rail.drive(volts, limit)
            found.append(rail.board_voltage)
        axes.plot(loads, found, label=f"leads of {resistance:g} Ω")
    axes.axvline(limit, color="#969696", linestyle=":", label="current limit")
    axes.xaxis.set_major_formatter(EngFormatter(unit="A"))
    axes.set_xlabel("what the board would take at the nominal voltage")


def _burst(axes: Axes, volts: float, limit: float) -> None:
    """What a burst takes out of the capacitor: its excess over the limit, for its length."""
    lengths = numpy.linspace(0, 5e-3, 100)
    for peak in (0.3, 0.4, 0.5):
        axes.plot(
            lengths, volts - max(0.0, peak - limit) * lengths / CAPACITANCE, label=f"burst of {peak:g} A"
        )
    axes.xaxis.set_major_formatter(EngFormatter(unit="s"))
    axes.set_xlabel("length of the burst")


if __name__ == "__main__":
    save_picture(Path(sys.argv[1]))
