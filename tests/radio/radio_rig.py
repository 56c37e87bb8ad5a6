"""A simulated attenuator at its wire, and a device that reports what comes through it."""

from __future__ import annotations

import math
import random

from bench.instruments.models import open_instrument
from bench.radio.report import SignalReport
from bench.radio.rf import Rf
from bench.timeline import Timeline
from bench.virtual.clock import VirtualClock
from bench.virtual.instruments.models import Wiring, start_instrument
from bench.virtual.radio.path import RfPath
from bench.virtual.scheduler import Scheduler


class ReportingDevice:
    """Receives `strongest` dBm at 0 dB and loses its cell below `lost`.

    `compression` is how many dB its report falls for each dB; `sticks` dB of the way back up it lags;
    `scatter` dB it varies; it measures anew every `period` seconds. Without a cell it looks for `search`
    seconds once `regain` dB more than `lost` arrive.
    """

    def __init__(
        self, path: RfPath, scheduler: Scheduler, strongest: float = -80.0, lost: float = -125.0
    ) -> None:
        self.path, self.strongest, self.lost = path, strongest, lost
        self.compression, self.sticks, self.scatter = 1.0, 0.0, 0.0
        self.period = self.search = self.regain = 0.0
        self._scheduler = scheduler
        self._measured = -math.inf
        self._last: SignalReport | None = None
        self._joins_at = 0.0
        path.watch(self._level_changed)
        self.asked = 0
        self._rng = random.Random(1)
        self._worst = 0.0

    def _level_changed(self, db: float) -> None:
        arriving = self.strongest - self.path.loss
        if arriving < self.lost:
            self._joins_at = math.inf
        elif self._joins_at == math.inf and arriving >= self.lost + self.regain:
            self._joins_at = self._scheduler.now + self.search

    def read(self) -> SignalReport | None:
        self.asked += 1
        if self._scheduler.now >= self._measured + self.period:
            self._measured, self._last = self._scheduler.now, self._measure()
        return self._last

    def _measure(self) -> SignalReport | None:
        loss = self.path.loss
        if self._scheduler.now < self._joins_at:
            self._worst = loss
            return None
        rising = loss >= self._worst
        self._worst = max(self._worst, loss) if rising else self._worst
        lag = 0.0 if rising else self.sticks
        return SignalReport(
            self.strongest - self.compression * loss - lag + self._rng.gauss(0, self.scatter), -10.0, 12.0
        )


class RadioBench:
    def __init__(self, isolation: float = 100.0) -> None:
        self.scheduler = Scheduler(1)
        self.clock = VirtualClock(self.scheduler)
        self.timeline = Timeline(self.clock)
        self.air = RfPath(isolation)
        self.server = start_instrument("minicircuits_rcdat", Wiring(self.scheduler, paths={"1": self.air}))
        self.attenuator = open_instrument(
            "rf1", "minicircuits_rcdat", self.server.address, self.clock, self.timeline
        )
        self.device = ReportingDevice(self.air, self.scheduler)
        self.rf = Rf("board", self.attenuator.path("1"), self.device, self.clock, self.timeline, lost=-125.0)
        self.rf.clear()

    def close(self) -> None:
        self.attenuator.close()
        self.server.close()
        self.clock.close()
