"""A programmable RF attenuator in the field's terms. Drivers fill in the wire; the checks are here."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.background import Background
from bench.clock import Clock
from bench.errors import InstrumentError
from bench.instruments.instrument import Instrument, W
from bench.instruments.wires.wire import Wire

_EXACT = 1e-6
"""dB within which a setting counts as on its step, and a read-back as the same."""


@dataclass(frozen=True, slots=True)
class AttenuationRange:
    """What may be set, in dB: from `low` to `high` in steps."""

    low: float
    high: float
    step: float


@dataclass(frozen=True, slots=True)
class ProfileStep:
    """An attenuation in dB, and for how many bench seconds it holds."""

    attenuation: float
    hold: float


class AttenuatorPath(ABC):
    """One path. Setting raises `InstrumentError` before anything is sent for what cannot be set exactly.

    Afterwards it raises when the instrument refuses, clips, or reads back something else. Each setting
    that was made is on the timeline: kind "attenuation", with what was read back.
    """

    def __init__(self, wire: Wire, name: str, range: AttenuationRange, clock: Clock) -> None:
        self.name = name
        self.range = range
        self._wire = wire
        self._clock = clock
        self._profile: ProfileRun | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._label}>"

    @property
    def _label(self) -> str:
        return f"{self._wire.name}:{self.name}"

    @property
    def attenuation(self) -> float:
        """dB, as the instrument says now."""
        return self._get()

    @attenuation.setter
    def attenuation(self, db: float) -> None:
        self._check(db)
        if self._profile is not None and not self._profile.done:
            raise InstrumentError(
                f"{self._label}: a profile is running on this path", help="wait for it, or cancel it first"
            )
        self._change(db)

    def run_profile(self, steps: Iterable[ProfileStep]) -> ProfileRun:
        """Go through `steps` from now on, while the caller does other work.

        Every step is checked before the first is set; one running before on this path is cancelled. The
        steps begin at fixed moments from now, so the time that settings take does not add up.
        """
        plan = tuple(steps)
        for step in plan:
            self._check(step.attenuation)
            if not math.isfinite(step.hold) or step.hold < 0:
                raise InstrumentError(
                    f"{self._label}: a step of {step.hold:g} s", help="give seconds, 0 or more"
                )
        if self._profile is not None:
            self._profile.cancel()
        self._profile = ProfileRun(self._label, self._clock, self, plan)
        return self._profile

    def _change(self, db: float) -> None:
        self._set(db)
        read = self._get()
        self._wire.record(
            "attenuation", f"path {self.name}: {read:g} dB", path=self.name, set=db, read_back=read
        )
        if abs(read - db) > _EXACT:
            raise InstrumentError(
                f"{self._label}: attenuation was set to {db:g} dB, but reads back {read:g} dB",
                help="the instrument clipped or rounded it; when its steps are coarser, give `step` (dB) of "
                "this instrument in the bench file",
            )

    def _check(self, db: float) -> None:
        held = self.range
        if not math.isfinite(db) or not held.low - _EXACT <= db <= held.high + _EXACT:
            raise InstrumentError(
                f"{self._label}: {db:g} dB is outside {held.low:g} to {held.high:g} dB",
                help="nothing was sent; add a fixed attenuator, or aim less far",
            )
        steps = (db - held.low) / held.step
        if abs(steps - round(steps)) * held.step > _EXACT:
            below = held.low + math.floor(steps) * held.step
            raise InstrumentError(
                f"{self._label}: {db:g} dB is between two steps of {held.step:g} dB",
                help=f"nothing was sent; use {below:g} or {below + held.step:g} dB",
            )

    def nearest(self, db: float) -> float:
        """The value that can be set nearest to `db`, within the range."""
        held = self.range
        steps = round((min(max(db, held.low), held.high) - held.low) / held.step)
        return min(held.high, held.low + steps * held.step)

    @abstractmethod
    def _get(self) -> float: ...
    @abstractmethod
    def _set(self, db: float) -> None: ...


class ProfileRun:
    """A profile on its way through its steps."""

    def __init__(self, label: str, clock: Clock, path: AttenuatorPath, steps: Sequence[ProfileStep]) -> None:
        self.duration = sum(step.hold for step in steps)
        """Bench seconds from its start to its end."""
        self._label = label
        self._clock = clock
        self._path = path
        self._work = Background(clock, self._go(steps, clock.now()))

    @property
    def done(self) -> bool:
        """Whether it has come to its end, was cancelled, or failed (then `wait` and `cancel` raise)."""
        return self._work.done

    def wait(self) -> None:
        """Until its end. Raises the `InstrumentError` that ended it early."""
        self._work.wait(self.duration + 60, f"profile of {self.duration:g} s on {self._label}")

    def cancel(self) -> None:
        """Stay at the step it has reached. Raises the `InstrumentError` that ended it before."""
        self._work.end()

    async def _go(self, steps: Sequence[ProfileStep], begun: float) -> None:
        due = begun
        for step in steps:
            await asyncio.sleep(max(0.0, due - self._clock.now()))
            await self._clock.blocking(lambda db=step.attenuation: self._path._change(db))  # type: ignore[misc]
            due += step.hold
        await asyncio.sleep(max(0.0, due - self._clock.now()))


class Attenuator(Instrument[W]):
    """An attenuator with named paths. A driver fills `_paths` when it opens."""

    step: float | None = None
    """dB between two settings where the bench file says so; None leaves it to what the driver knows."""

    def __init__(self, name: str, transport: W, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        self._paths: Mapping[str, AttenuatorPath] = {}

    @property
    def paths(self) -> Sequence[str]:
        """The paths' names, as on the front."""
        return tuple(self._paths)

    def path(self, name: str = "1") -> AttenuatorPath:
        """One path. Raises `InstrumentError` when there is none of that name."""
        if name not in self.paths:
            raise InstrumentError(
                f"{self.name}: no path {name!r}; it has {', '.join(self.paths)}",
                help="correct the path in the bench file or the testcase",
            )
        return self._paths[name]
