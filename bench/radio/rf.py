"""The signal at one device: what it reports, and the attenuation that brings it to a wanted strength."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from bench.clock import Clock
from bench.errors import RadioError
from bench.instruments.attenuator import AttenuatorPath, ProfileRun, ProfileStep
from bench.radio.profiles import NOTHING, Level
from bench.radio.report import Reporter, SignalReport
from bench.timeline import Timeline

READINGS = 3
"""Reports of which the middle one counts."""
BETWEEN = 1.0
"""Bench seconds between two of them, in which the device measures anew."""
TOLERANCE = 1.5
"""dB by which the device's own report may differ from what was asked for: its step and its scatter."""
ROUNDS = 6
FLOOR_MARGIN = 10.0
"""dB above the leakage floor, below which what passes the attenuator is no longer what it is set to."""


class Rf:
    """The radio path of one device.

    Below `lost` dBm the device has no service, and it is back `rejoin` bench seconds after that has
    returned.
    """

    def __init__(
        self,
        board: str,
        path: AttenuatorPath,
        reporter: Reporter,
        clock: Clock,
        timeline: Timeline,
        *,
        lost: float,
        rejoin: float = 180.0,
    ) -> None:
        self.board = board
        self.path = path
        self.lost = lost
        self.rejoin = rejoin
        self.reference: float | None = None
        """dBm that arrive at 0 dB of attenuation: by the calibration, or by the first report."""
        self.floor: float | None = None
        """dBm that leak past the attenuator, where the calibration found it."""
        self._reporter = reporter
        self._clock, self._timeline = clock, timeline
        self._running: ProfileRun | None = None

    # ---- what is

    @property
    def attenuation(self) -> float:
        """dB, read back from the instrument."""
        return self.path.attenuation

    @property
    def rsrp(self) -> float:
        """dBm, as the device reports now. Raises `RadioError` when it has no cell."""
        report = self.report()
        if report is None:
            raise RadioError(
                f"{self.board}: reports no cell at {self.attenuation:g} dB of attenuation",
                help="less attenuation, or look at the antenna and the base station",
            )
        return report.rsrp

    def report(self) -> SignalReport | None:
        """The device's own report, kept on the timeline; None when it has no cell."""
        found = self._reporter.read()
        if found is None:
            self._timeline.record(self.board, "signal", "no cell", rsrp=None)
        else:
            if self.reference is None:
                self.reference = found.rsrp + self.attenuation
            self._timeline.record(
                self.board, "signal", str(found), rsrp=found.rsrp, rsrq=found.rsrq, sinr=found.sinr
            )
        return found

    def settled(self) -> float:
        """The middle of a few reports, in dBm."""
        readings = []
        for number in range(READINGS):
            if number:
                self._clock.sleep(BETWEEN, f"{self.board}: the device measures")
            readings.append(self.rsrp)
        return statistics.median(readings)

    # ---- what should be

    def clear(self) -> None:
        """The least attenuation."""
        self.path.attenuation = self.path.range.low

    def cut(self) -> None:
        """The largest attenuation: the device must lose the network."""
        self.path.attenuation = self.path.range.high

    def set_rsrp(self, dbm: float) -> float:
        """Attenuate until the device itself reports `dbm`; returns what it reports then.

        Below the strength at which the device has service there are no reports: the attenuation is then
        computed. Raises `RadioError` before anything is set for what the path cannot do, and when the
        report does not come near.
        """
        wanted = self._attenuation_for(dbm)
        self.path.attenuation = wanted
        if dbm < self.lost + TOLERANCE:
            return dbm
        reported = math.nan
        for _ in range(ROUNDS):
            reported = self.settled()
            if abs(reported - dbm) <= TOLERANCE:
                self._timeline.record(
                    self.board, "signal", f"set to {dbm:g} dBm: {self.attenuation:g} dB", wanted=dbm
                )
                return reported
            wanted = self.path.nearest(wanted + reported - dbm)
            self.path.attenuation = wanted
        raise RadioError(
            f"{self.board}: reports {reported:g} dBm at {wanted:g} dB, where {dbm:g} dBm were wanted",
            help="calibrate the path (`bench calibrate`), and look for leakage and for a second cell",
        )

    def run(self, profile: Sequence[Level]) -> ProfileRun:
        """Go through a profile from now on, while the caller does other work; its last level stays."""
        steps = [ProfileStep(self._attenuation_for(level.dbm), level.hold) for level in profile]
        self._running = self.path.run_profile(steps)
        return self._running

    def stop(self) -> None:
        """End the running profile, if there is one. Raises the `InstrumentError` that ended it before."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def _attenuation_for(self, dbm: float) -> float:
        """dB on the attenuator's steps. Raises `RadioError` for what is out of its reach."""
        held = self.path.range
        if dbm == NOTHING:
            return held.high
        if not math.isfinite(dbm):
            raise RadioError(f"{self.board}: {dbm} dBm", help="give a number, or NOTHING")
        strongest = self._strongest()
        if dbm > strongest + TOLERANCE:
            raise RadioError(
                f"{self.board}: {dbm:g} dBm, but only {strongest:g} dBm arrive without attenuation",
                help="nothing was set; aim lower, or take a fixed attenuator out of the path",
            )
        needed = strongest - dbm
        if needed > held.high:
            raise RadioError(
                f"{self.board}: {dbm:g} dBm need {needed:g} dB, and the attenuator has {held.high:g} dB",
                help="nothing was set; add a fixed attenuator to the path",
            )
        if self.floor is not None and dbm < self.floor + FLOOR_MARGIN:
            raise RadioError(
                f"{self.board}: {dbm:g} dBm are within {FLOOR_MARGIN:g} dB of what leaks past the attenuator "
                f"({self.floor:g} dBm)",
                help="nothing was set; shield the board better, or aim higher",
            )
        return self.path.nearest(strongest - dbm)

    def _strongest(self) -> float:
        """dBm at 0 dB, from the calibration or else from the present report."""
        if self.reference is None:
            self.reference = self.settled() + self.attenuation
        return self.reference
