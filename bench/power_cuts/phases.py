"""Where the phases of an update lie in time, as a run shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.dut.console import Line
from bench.firmware_update.update import Update
from bench.power_cuts.report import PHASES


@dataclass(frozen=True, slots=True)
class Window:
    """A phase, from `start` to `end` in bench seconds."""

    phase: str
    start: float
    end: float


def windows(
    update: Update, lines: Iterable[Line], application: str | None, *, registered: float, end: float
) -> list[Window]:
    """The phases of a finished update, without those that took no time.

    The swap lasts from Update to the application's first line, which the pattern `application` of the
    board file tells; without one, to the registration at `registered`. Then come the first boot, and
    the confirmation up to `end`.
    """
    executed = update.executed
    assert executed is not None, "the update was not executed"
    started = registered
    for line in lines:
        if (
            application is not None
            and executed < line.time < registered
            and line.search(application) is not None
        ):
            started = line.time
    bounds = (update.record.started, executed, started, registered, end)
    return [
        Window(phase, bounds[number], bounds[number + 1])
        for number, phase in enumerate(PHASES)
        if bounds[number] < bounds[number + 1]
    ]


def phase_at(time: float, found: Iterable[Window]) -> str:
    """The phase of a moment; one between two windows belongs to the earlier."""
    return max((w for w in found if w.start <= time), key=lambda w: w.start).phase
