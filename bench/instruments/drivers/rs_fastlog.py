"""FastLog of the R&S NGM and NGU supplies as a current meter.

Its commands and who confirms them: `bench/instruments/commands/rs_ngm202.toml`. A block comes every 250 ms,
whatever the rate, and is overwritten 20 ms later: R&S example for FastLog over SCPI.

So a block that is not fetched within 20 ms is lost. The moments at which blocks come tell how many were
lost between two that were fetched; their place is filled with NaN and they are counted.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import numpy

from bench.background import Background
from bench.clock import Clock
from bench.instruments.current_meter import CurrentMeter, Measuring, MeterRatings
from bench.instruments.samples import Samples, Sampling
from bench.instruments.wires.transport import Transport

BLOCK = 0.250
"""Seconds of samples in a block."""

LOOK = 0.005
"""Seconds between looks for a block, well within the 20 ms for which it is kept."""

RATES = {100: "S100", 1000: "S001k", 10_000: "S010k", 50_000: "S050k", 250_000: "S250k", 500_000: "S500k"}

DATA_READY = 1 << 12
VOLTS = 22.0
"""No reading of these supplies is beyond that."""

KEPT = 64_000_000
"""Samples kept until they are read: two minutes at the fastest rate, 512 MB."""


class Supply(Protocol):
    """What is used of the supply's driver."""

    @property
    def transport(self) -> Transport: ...
    def set(self, command: str) -> None: ...
    def number(self, query: str) -> float: ...


class FastLogMeter(CurrentMeter):
    """Volts and amperes of one output."""

    def __init__(self, name: str, number: int, supply: Supply, clock: Clock, amps: float) -> None:
        ratings = MeterRatings(min(RATES), max(RATES), (Sampling.POINT,))
        super().__init__(f"{name} FastLog", ratings)
        self._number = number
        self._supply = supply
        self._clock = clock
        self._limit = max(VOLTS, 1.5 * amps)
        self._work: Background | None = None
        self._blocks: list[numpy.ndarray] = []
        self._begun = 0.0
        self._last: float | None = None
        self._delivered = 0

    def _configure(self, rate: float, mode: Sampling, range: float | None) -> Measuring:
        chosen = min(r for r in RATES if r >= rate)
        self._supply.set(f"INST OUT{self._number};:FLOG:SRAT {RATES[chosen]}")
        self._supply.set("FLOG:TARG SCPI")
        summary = f"STAT:OPER:INST:ISUM{self._number}"  # *RST leaves an earlier user's filters as they are
        self._supply.set(f"{summary}:PTR {DATA_READY}")
        self._supply.set(f"{summary}:NTR 0")
        return Measuring(float(chosen), mode, None)

    def _start(self, measuring: Measuring) -> None:
        self._blocks.clear()
        self._delivered, self._last = 0, None
        self._supply.number(f"STAT:OPER:INST:ISUM{self._number}:EVEN?")  # what was before is not ours
        self._supply.set(f"INST OUT{self._number};:FLOG 1")
        self._begun = self._clock.now()
        self._work = Background(self._clock, self._collect(measuring.rate))

    async def _collect(self, rate: float) -> None:
        while True:
            await asyncio.sleep(self._until_next())
            await self._clock.blocking(lambda: self._look(rate))
            if sum(map(len, self._blocks)) > KEPT:
                raise self._supply.transport.fault("FLOG:DATA?", f"{KEPT} samples were not read; call read()")

    def _until_next(self) -> float:
        """Seconds until it is worth looking: at once and often until the first block gives the beat."""
        if self._last is None:
            return LOOK
        return max(LOOK, self._last + BLOCK - self._clock.now())

    def _look(self, rate: float) -> None:
        ready = int(self._supply.number(f"STAT:OPER:INST:ISUM{self._number}:EVEN?")) & DATA_READY
        seen = self._clock.now()
        if not ready:
            return
        values = self._supply.transport.query_floats(
            f"INST OUT{self._number};:FLOG:DATA?", big_endian=False, limit=self._limit
        )
        expected = round(rate * BLOCK)
        if len(values) == 0:
            return  # gone already: the next block's moment tells how many
        if len(values) != 2 * expected:
            raise self._supply.transport.fault(
                "FLOG:DATA?", f"answered {len(values) / 2:g} samples instead of {expected}"
            )
        since = self._begun if self._last is None else self._last
        missed = max(0, round((seen - since) / BLOCK) - 1)
        if missed:
            self._blocks.append(numpy.full((missed * expected, 2), numpy.nan, dtype=numpy.float32))
        self._blocks.append(values.reshape(expected, 2))
        self._last = seen

    def _read(self, measuring: Measuring) -> Samples:
        if self._work is not None:
            self._work.check()
        blocks, self._blocks = self._blocks, []
        table = numpy.concatenate(blocks) if blocks else numpy.empty((0, 2), dtype=numpy.float32)
        start = self._begun + self._delivered / measuring.rate
        self._delivered += len(table)
        lost = int(numpy.count_nonzero(numpy.isnan(table[:, 1])))
        return Samples(start, measuring.rate, table[:, 1].copy(), table[:, 0].copy(), lost=lost)

    def _stop(self) -> None:
        work, self._work = self._work, None
        try:
            if work is not None:
                work.end()
        finally:
            self._supply.set(f"INST OUT{self._number};:FLOG 0")
