"""The supply rail of a board, as it is measured: whether a power cut has come to pass, or a lower voltage.

An output that is off proves nothing. A board may be fed past its supply, through a USB socket, a serial
adapter, a debug probe or a battery, and its capacitors may hold it: then it lives through the cut, and a
testcase that counts on the cut passes for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.clock import Clock
from bench.config import BoardType
from bench.errors import InstrumentError, NoReadingError
from bench.instruments.power_supply import OffReadback, SupplyChannel
from bench.instruments.voltmeter import Voltmeter
from bench.timeline import Timeline

PAUSES = (0.02, 0.25)
"""Bench seconds between two looks at a rail: the first, and the longest; each is twice the one before."""
MARGIN = 0.1
"""Volts by which a rail may be above the voltage it was lowered to: noise and accuracy of a read-back."""
CURES = (
    "no verdict on the product: the board is fed past its supply, or holds its charge. Unplug its USB "
    "socket, take VCC off the serial adapter, look for a battery and for a probe that feeds it; a resistor "
    "across the rail empties large capacitors, and [supply] discharge in the board file gives them longer"
)


class Rail:
    """Measured by `voltmeter` where the bench file gives one, else by the read-back of `supply`."""

    def __init__(
        self,
        name: str,
        board_type: BoardType,
        supply: SupplyChannel,
        clock: Clock,
        timeline: Timeline,
        voltmeter: Voltmeter | None = None,
    ) -> None:
        self._name, self._type, self._supply = name, board_type, supply
        self._clock, self._timeline, self._voltmeter = clock, timeline, voltmeter
        self._told = False
        self._silent = False  # the supply has answered that it has no reading

    @property
    def unproved(self) -> str | None:
        """Why a power cut of this board cannot be proved, or None when it can."""
        if self._voltmeter is not None or self._supply.off_readback is OffReadback.TERMINALS:
            return None
        if self._silent:
            return (
                f"with its output off {self._supply.name} has no reading, and {self._name} has no voltmeter"
            )
        shows = self._supply.off_readback
        what = "shows" if shows is OffReadback.OWN else "may show"
        other = shows.value if shows is OffReadback.OWN else OffReadback.OWN.value
        return f"with its output off {self._supply.name} {what} {other}, and {self._name} has no voltmeter"

    @property
    def proof(self) -> str:
        """How power cuts of this board are looked at, for the ledger."""
        reason = self.unproved
        return f"measured by {self._source}" if reason is None else f"not proved: {reason}"

    def await_down(self) -> None:
        """Wait until the rail is down after its output went off.

        Raises `InstrumentError` naming the volts when it does not come down in time.
        """
        limit = self._type.off_below
        volts, seconds = self._await(limit, self._volts_when_off)
        if volts is not None and volts >= limit:
            raise InstrumentError(
                f"{self._name}: its supply {self._supply.name} is off, and yet its rail has {volts:.2f} V "
                f"after {seconds:.3g} s, by {self._source}; below {limit:g} V it would be off",
                help=CURES,
            )
        if not self._told and self.unproved is not None:
            self._told = True
            self._timeline.record(self._name, "power", f"power cuts are not proved: {self.unproved}")
        if seconds > 0:
            text = "rail down" if volts is None else f"rail down to {volts:.2f} V"
            self._timeline.record(self._name, "power", text, seconds=seconds)

    def await_lowered(self, level: float) -> None:
        """Wait until the rail has followed its output, which is on, down to `level` volts.

        Raises `InstrumentError` naming the volts when it does not.
        """
        limit = level + MARGIN
        volts, seconds = self._await(limit, self._volts)
        if volts is not None and volts >= limit:
            raise InstrumentError(
                f"{self._name}: its supply {self._supply.name} gives {level:g} V, and yet its rail has "
                f"{volts:.2f} V after {seconds:.3g} s, by {self._source}",
                help=CURES,
            )

    def _await(self, limit: float, measure: Callable[[], float | None]) -> tuple[float | None, float]:
        """The last reading (None: it was none) and the bench seconds waited for it."""
        begin = self._clock.now()
        pause = PAUSES[0]
        while True:
            volts = measure()
            waited = self._clock.now() - begin
            left = self._type.supply.discharge - waited
            if volts is None or volts < limit or left <= 0:
                return volts, waited
            self._clock.sleep(min(pause, left), f"{self._name}: its rail has {volts:.2f} V")
            pause = min(2 * pause, PAUSES[1])

    @property
    def _source(self) -> str:
        return self._supply.name if self._voltmeter is None else self._voltmeter.name

    def _volts_when_off(self) -> float | None:
        """A supply known to show only itself is not asked."""
        if self._voltmeter is None and self._supply.off_readback is OffReadback.OWN:
            return None
        try:
            return self._volts()
        except NoReadingError:
            if self._voltmeter is not None:
                raise
            self._silent = True
            return None

    def _volts(self) -> float:
        return (self._voltmeter or self._supply).measure_voltage()
