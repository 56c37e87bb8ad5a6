"""A supply's power stage on a rail: set points, protections that trip after their delay and stay latched.

What makes it do other than its set points say, as an earlier user may have left it: a list or a timer that it
follows, sense leads that are not connected, a delay before it switches, relays that open at the set voltage.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.power.rail import Mode, Rail
from bench.virtual.scheduler import Handle, Scheduler

OPEN_SENSE = 1.0
"""Volts by which an output that regulates at open sense leads is too high."""


class OutputStage:
    """One output. Set the attributes, then `apply`."""

    def __init__(self, scheduler: Scheduler, rail: Rail) -> None:
        self.rail = rail
        self.volts = 0.0
        self.amps = 0.0
        self.on = False
        self.ovp: float | None = None
        """Volts above which the output trips, or None when that protection is off."""
        self.ocp = False
        self.ocp_delay = 0.0
        """Seconds the over-current must last."""
        self.ocp_level: float | None = None
        """Amperes above which it trips; None: when the output goes into constant current."""
        self.ov_tripped = False
        self.oc_tripped = False
        self.held_off = False
        """Kept off by something outside, such as the protection of another output."""
        self.on_trip: Callable[[], None] = lambda: None
        self.follows: float | None = None
        """Volts that something else gives it: a running list, a timer."""
        self.sense_open = False
        """Whether it regulates at sense leads, which nobody has connected here."""
        self.sources = True
        """False: it only sinks current."""
        self.instead: tuple[float, float] | None = None
        """Volts at most, and amperes, that it gives instead of what is set: in current priority."""
        self.discharges = True
        """Whether it pulls the rail down when it goes off; else it lets go of it."""
        self.rise_delay = 0.0
        self.fall_delay = 0.0
        """Seconds from the command to the switch."""
        self.slope = 0.0
        """Seconds more until it is up, where its voltage rises slowly."""
        self._closed = False
        self._switching: Handle | None = None
        self._asked = False
        self._scheduler = scheduler
        self._pending: Handle | None = None
        rail.watch(self._watch)

    @property
    def live(self) -> bool:
        """Whether power comes out."""
        return self._closed and self.sources and not (self.ov_tripped or self.oc_tripped or self.held_off)

    @property
    def mode(self) -> Mode:
        return self.rail.measure()[2]

    def apply(self) -> None:
        """Bring the rail to what is set."""
        if self.on != self._asked:
            self._switch(self.on)
        volts = self.volts if self.follows is None else self.follows
        volts += OPEN_SENSE * self.sense_open
        if self.live and self.ovp is not None and volts > self.ovp:
            self.ov_tripped = True
            self.on_trip()
        if self.live:
            self.rail.drive(*(self.instead or (volts, self.amps)))
        elif self.discharges or self._closed:
            self.rail.off()
        else:
            self.rail.release()

    def clear(self, *, ov: bool, oc: bool) -> None:
        """Unlatch; a cause that remains trips again."""
        self.ov_tripped = self.ov_tripped and not ov
        self.oc_tripped = self.oc_tripped and not oc
        self.held_off = False
        self.apply()

    def _switch(self, on: bool) -> None:
        self._asked = on
        if self._switching is not None:
            self._switching.cancel()
            self._switching = None
        if delay := self.rise_delay + self.slope if on else self.fall_delay:
            self._switching = self._scheduler.after(delay, self._turn)
        else:
            self._closed = on

    def _turn(self) -> None:
        self._switching = None
        self._closed = self._asked
        self.apply()

    def _watch(self) -> None:
        """Over-current: starts, keeps or stops the delay."""
        if not (self.live and self.ocp and self._over()):
            if self._pending is not None:
                self._pending.cancel()
                self._pending = None
        elif self._pending is None:
            self._pending = self._scheduler.after(self.ocp_delay, self._trip)

    def _over(self) -> bool:
        _, amps, mode = self.rail.measure()
        return mode == "CC" if self.ocp_level is None else amps > self.ocp_level

    def _trip(self) -> None:
        self._pending = None
        self.oc_tripped = True
        self.apply()
        self.on_trip()
