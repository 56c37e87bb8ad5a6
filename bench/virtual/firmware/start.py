"""The first moments of the application, where a broken build fails.

The trait `selftest` ("fail") has a build find itself broken; `start` has it fault ("crash") or stand
still ("hang") before it does anything, until the chip's watchdog ends that.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.machine import Machine
from bench.virtual.process import Steps

WATCHDOG = 4.0
"""Seconds that the watchdog waits to be fed, a usual choice."""


def start_of(machine: Machine, traits: Mapping[str, object], reset_reason: str) -> Steps:
    """Returns when the build is sound enough to go on."""
    if reset_reason == "watchdog" or reset_reason.endswith("WDT_SYS_RESET"):
        machine.print("app: reset by the watchdog")
    if traits.get("selftest", "ok") != "ok":
        yield from _restart(machine, "app: self-test failed, restarting")
    if traits.get("start") == "crash":
        yield from _restart(machine, "app: fatal error, restarting")
    if traits.get("start") == "hang":
        stand_still(machine)
        yield 0.0


def stand_still(machine: Machine) -> None:
    """Go nowhere any more; nobody feeds the watchdog."""
    machine.cpu.halt()
    machine.cpu.watchdog(WATCHDOG, lambda: machine.reset("watchdog"))


def _restart(machine: Machine, last_words: str) -> Steps:
    machine.print(last_words)
    yield 0.2
    machine.reset("soft")
    yield 0.0
