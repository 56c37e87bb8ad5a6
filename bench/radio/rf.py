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
SEARCHING = 5.0
"""Bench seconds between two questions whether the device has found a cell."""
TOLERANCE = 1.5
"""dB by which the device's own report may differ from what was asked for: its step and its scatter."""
ROUNDS = 6
SETTLING = 3.0
"""Bench seconds after a new attenuation, from which on a report is of it: a device in idle mode measures
once a paging cycle, most often of 1.28 or 2.56 s (3GPP TS 36.304, 7.1, and 36.133, 4.2.2.1)."""
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
        """dBm that arrive at 0 dB of attenuation: by the calibration, or by the first settled report."""
        self.slope = 1.0
        """dB by which the report falls for each dB of attenuation, by the calibration."""
        self.floor: float | None = None
        """dBm that leak past the attenuator, where the calibration found it."""
        self._reporter = reporter
        self._clock, self._timeline = clock, timeline
        self._running: ProfileRun | None = None
        self._changed = -math.inf

    # ---- what is

    @property
    def attenuation(self) -> float:
        """dB, read back from the instrument."""
        return self.path.attenuation

    @attenuation.setter
    def attenuation(self, db: float) -> None:
        self._changed = self._clock.now()
        self.path.attenuation = db

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
            if self.reference is None and self._is_settled:
                self.reference = found.rsrp + self.slope * self.attenuation
            self._timeline.record(
                self.board, "signal", str(found), rsrp=found.rsrp, rsrq=found.rsrq, sinr=found.sinr
            )
        return found

    @property
    def _is_settled(self) -> bool:
        """Whether a report is of the present attenuation, and not of one before."""
        return self._running is None and self._clock.now() >= self._changed + SETTLING

    def settled(self) -> float:
        """The middle of a few reports of the present attenuation, in dBm.

        Raises `RadioError` when the device has no cell.
        """
        if self._clock.now() < self._changed + SETTLING:
            rest = self._changed + SETTLING - self._clock.now()
            self._clock.sleep(rest, f"{self.board}: the device gets used to {self.attenuation:g} dB")
        readings = []
        for number in range(READINGS):
            if number:
                self._clock.sleep(BETWEEN, f"{self.board}: the device measures")
            readings.append(self.rsrp)
        return statistics.median(readings)

    def await_cell(self) -> None:
        """Until the device has a cell again. Raises `RadioError` after `rejoin` bench seconds without."""
        begun = self._clock.now()
        while self.report() is None:
            if self._clock.now() - begun > self.rejoin:
                raise RadioError(
                    f"{self.board}: no cell at {self.attenuation:g} dB, {self.rejoin:g} s after the signal "
                    "returned",
                    help="does the device search for ever? see radio.rejoin in the board file",
                )
            self._clock.sleep(SEARCHING, f"{self.board}: the device looks for a cell")

    # ---- what should be

    def clear(self) -> None:
        """The least attenuation."""
        self.attenuation = self.path.range.low

    def cut(self) -> None:
        """The largest attenuation: the device must lose the network."""
        self.attenuation = self.path.range.high

    def set_rsrp(self, dbm: float) -> float:
        """Attenuate until the device itself reports `dbm`; returns what it reports then.

        A device without a cell is given all of the signal first, until it has one: from below it would not
        come back at the edge of service. Below `lost` there are no reports: the attenuation is computed.
        Raises `RadioError` before anything is set for what the path cannot do, and when the report does not
        come near.
        """
        wanted = self._attenuation_for(dbm)
        if dbm < self.lost + TOLERANCE:
            self.attenuation = wanted
            return dbm
        if self.report() is None:
            self._recover()
        self.attenuation = wanted
        reported = math.nan
        for _ in range(ROUNDS):
            reported = self.settled()
            if abs(reported - dbm) <= TOLERANCE:
                self._timeline.record(
                    self.board, "signal", f"set to {dbm:g} dBm: {self.attenuation:g} dB", wanted=dbm
                )
                return reported
            wanted = self.path.nearest(wanted + reported - dbm)
            self.attenuation = wanted
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
        arriving = strongest - self.slope * held.low
        if dbm > arriving + TOLERANCE:
            raise RadioError(
                f"{self.board}: {dbm:g} dBm, but only {arriving:g} dBm arrive at the least attenuation",
                help="nothing was set; aim lower, or take a fixed attenuator out of the path",
            )
        needed = (strongest - dbm) / self.slope
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
        return self.path.nearest(needed)

    def _strongest(self) -> float:
        """dBm at 0 dB, from the calibration or else from the present report."""
        if self.reference is None:
            if self.report() is None:
                self._recover()
            self.reference = self.settled() + self.slope * self.attenuation
        return self.reference

    def _recover(self) -> None:
        self.clear()
        self.await_cell()
