"""A supply's power stage on a rail: set points, protections that trip after their delay and stay latched."""

from __future__ import annotations

from bench.virtual.power.rail import Mode, Rail
from bench.virtual.scheduler import Handle, Scheduler


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
        self._scheduler = scheduler
        self._pending: Handle | None = None
        rail.watch(self._watch)

    @property
    def live(self) -> bool:
        """Whether power comes out."""
        return self.on and not (self.ov_tripped or self.oc_tripped)

    @property
    def mode(self) -> Mode:
        return self.rail.measure()[2]

    def apply(self) -> None:
        """Bring the rail to what is set."""
        if self.live and self.ovp is not None and self.volts > self.ovp:
            self.ov_tripped = True
        if self.live:
            self.rail.drive(self.volts, self.amps)
        else:
            self.rail.off()

    def clear(self, *, ov: bool, oc: bool) -> None:
        """Unlatch; a cause that remains trips again."""
        self.ov_tripped = self.ov_tripped and not ov
        self.oc_tripped = self.oc_tripped and not oc
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
