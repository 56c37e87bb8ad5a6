"""The picture of the radio curves in the docs: `python -m bench.virtual.radio.curves_picture FILE.png`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

from bench.virtual.power.draw_figures import transmission
from bench.virtual.radio.technology import LTE_M, NB_IOT, WIFI, Technology

PACKAGE = 150_000
"""Bytes whose transmission is priced."""
VOLTS = {"nrf9160": 3.7, "esp32": 3.3}
ALL = ((LTE_M, "nrf9160", "#08519c"), (NB_IOT, "nrf9160", "#2ca25f"), (WIFI, "esp32", "#d94801"))


def save_picture(path: Path) -> None:
    """Quality, rate, delay, loss, repetitions, power sent and energy of each technology over the strength."""
    figure = Figure(figsize=(12, 12), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(4, 2, sharex=True)
    _curve(rows[0][0], "SINR", lambda t, dbm, kind: t.sinr(dbm), "dB")
    _curve(rows[0][1], "RSRQ in a cell half loaded; Wi-Fi has none", _rsrq, "dB")
    _curve(rows[1][0], "throughput", lambda t, dbm, kind: t.link(dbm).bits_per_second, "bit/s", log=True)
    _curve(rows[1][1], "delay, one way", lambda t, dbm, kind: t.link(dbm).latency, "s", log=True)
    _curve(rows[2][0], "datagrams lost in spite of retransmission", lambda t, dbm, kind: t.link(dbm).loss, "")
    rows[2][0].yaxis.set_major_formatter(PercentFormatter(1.0))
    _curve(rows[2][1], "repetitions", lambda t, dbm, kind: t.link(dbm).repetitions, "", log=True)
    _curve(rows[3][0], "transmission power", lambda t, dbm, kind: t.power(dbm), "dBm")
    _curve(rows[3][1], f"energy to send {PACKAGE // 1000} kB", _energy, "J", log=True)
    for axes in rows[3]:
        axes.set_xlabel("RSRP, or RSSI of Wi-Fi [dBm]: weaker to the right")
    rows[1][0].legend(fontsize=9, title="dotted: no service below", title_fontsize=8)
    rows[0][0].set_xlim(-50, -132)
    figure.savefig(path, metadata={"Software": None})


def _rsrq(technology: Technology, dbm: float, kind: str) -> float:
    return technology.quality(dbm) if technology.cellular else math.nan


def _energy(technology: Technology, dbm: float, kind: str) -> float:
    seconds = PACKAGE * 8 / technology.link(dbm).bits_per_second
    return transmission(kind, technology.power(dbm)).mean * VOLTS[kind] * seconds


def _curve(
    axes: Axes, title: str, value: Callable[[Technology, float, str], float], unit: str, *, log: bool = False
) -> None:
    for technology, kind, colour in ALL:
        levels = numpy.linspace(technology.unattenuated, technology.lost, 300)
        axes.plot(
            levels, [value(technology, float(x), kind) for x in levels], color=colour, label=technology.name
        )
        axes.axvline(technology.lost, color=colour, linestyle=":", linewidth=0.8)
    if log:
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-3))
    axes.yaxis.set_major_formatter(EngFormatter(unit=unit))
    axes.grid(True, alpha=0.3)
    axes.set_title(title, loc="left", fontsize=10)


if __name__ == "__main__":
    save_picture(Path(sys.argv[1]))
