"""What a sweep begins with: a board as it leaves the factory, or one that has been in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from bench.clock import Clock
from bench.dut.hardware import HardwareDut
from bench.errors import PlantError
from bench.firmware_update.service import UpdateService
from bench.power_cuts.stage import FlashStage

UPDATES = 3
"""Odd: the second of two slots runs; more than one: both entries of an ESP32's OTA data are written."""
MARGIN = 1
"""Pairs of writes of the lifetime that the log has room for when the sweep begins: less than an update
writes of itself."""
MOST = 1000
"""Pairs after which a board counts as one that keeps no log; flash pages are far smaller."""
LIFETIME = "/1/{account}/1"

BeginningName = Literal["fresh", "used"]
Beginning = Callable[[HardwareDut, UpdateService, FlashStage, Clock], None]
"""Brings a board that is registered and runs the baseline to where the reference update begins."""


def _fresh(dut: HardwareDut, server: UpdateService, stage: FlashStage, clock: Clock) -> None:
    """As it was flashed."""


def _used(dut: HardwareDut, server: UpdateService, stage: FlashStage, clock: Clock) -> None:
    """The baseline in the slot that it was not flashed into, and a log of settings that is all but full.

    Raises `PlantError` for a board that cannot be brought there.
    """
    for _ in range(UPDATES):
        record = server.update(dut, dut.images.baseline)
        if record.failure:
            raise PlantError(
                f"{dut.name}: an update to the version that it runs failed: {record.failure}",
                help="run testcases/test_soak.py first",
            )
    _fill(dut, server, stage, clock)


def _fill(dut: HardwareDut, server: UpdateService, stage: FlashStage, clock: Clock) -> None:
    """Set the lifetime again and again: the log has turned twice, and is about to turn a third time."""
    path, lifetime = LIFETIME.format(account=server.account_of(dut)), dut.type.lifetime

    def write_pair() -> None:
        for seconds in (lifetime + 1, lifetime):
            server.client(dut).patient.write(path, seconds)
            clock.sleep(1, f"{dut.name} keeps its lifetime")

    def pairs_until_it_turns() -> int:
        before = stage.wear()
        for number in range(MOST):
            write_pair()
            if stage.wear() != before:
                return number
        raise PlantError(
            f"{dut.name}: {MOST} changes of its lifetime have erased no page of its flash",
            help="a sweep of a used board needs one that keeps a log of its settings",
        )

    pairs_until_it_turns()
    for _ in range(pairs_until_it_turns() - MARGIN):
        write_pair()


BEGINNINGS: Mapping[BeginningName, Beginning] = {"fresh": _fresh, "used": _used}
