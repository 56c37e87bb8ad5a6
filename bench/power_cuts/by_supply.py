"""Power cuts by the supply, at moments spread over the phases that a reference run showed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from bench.clock import Clock
from bench.dut.hardware import HardwareDut
from bench.errors import Inconclusive, NotApplicable, PlantError, WaitTimeout
from bench.firmware_update.service import UpdateService
from bench.firmware_update.states import Delivery
from bench.firmware_update.update import Update
from bench.power_cuts.phases import Window, windows
from bench.timeline import Timeline

OFF_TIME = 1.0
"""Seconds without supply."""
SETTLING = 30.0
"""Seconds after the result in which a board may still write; they are cut, too."""
RAMP = 1.0
"""Seconds in which the voltage sinks: a capacitor that empties."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When to cut: after `share` (0 to 1) of a phase of the reference run."""

    window: Window
    share: float

    def __str__(self) -> str:
        return f"{self.window.phase} at {100 * self.share:.0f} %"

    @property
    def time(self) -> float:
        """On the reference run's clock, in bench seconds."""
        return self.window.start + self.share * (self.window.end - self.window.start)


def spread(found: Sequence[Window], count: int, seed: int) -> list[Moment]:
    """`count` moments: the phases take turns, and the moments of a phase share it out evenly.

    Each moment lies at random within its own part of the phase.
    """
    chosen = list(islice(cycle(found), count))
    moments = []
    for number, window in enumerate(found):
        mine = sum(w is window for w in chosen)
        rng = random.Random(f"{seed}/{number}")
        moments.append([Moment(window, (part + rng.random()) / mine) for part in range(mine)])
    return [moments[i % len(found)].pop(0) for i in range(count)]


class SupplyCuts:
    """One board, freshly installed and registered, and updates of it that are cut."""

    def __init__(
        self, dut: HardwareDut, server: UpdateService, delivery: Delivery, clock: Clock, timeline: Timeline
    ) -> None:
        self._dut, self._server, self._delivery = dut, server, delivery
        self._clock, self._timeline = clock, timeline
        self._executed = 0.0  # on the reference run

    def reference(self) -> list[Window]:
        """The phases of an update that nothing disturbs."""
        dut, server, clock = self._dut, self._server, self._clock
        with self._timeline.step(dut.endpoint, "reference run"):
            with server.begin(dut, dut.images.update, self._delivery) as update:
                record = update.finish()
            assert record.failure == "", f"the update without a power cut: {record.failure}"
            clock.sleep(SETTLING, "the board comes to rest")
        registration = server.lwm2m.registration(dut.endpoint)
        assert registration is not None
        assert update.executed is not None
        self._executed = update.executed
        return windows(
            update,
            dut.console.lines(),
            dut.type.console.application,
            registered=registration.registered_at,
            end=clock.now(),
        )

    def clean_cut(self) -> float:
        """Off, and on again. Returns the moment (bench seconds) when it was off."""
        self._dut.power_off()
        off = self._clock.now()
        self._clock.sleep(OFF_TIME, f"{self._dut.name}: supply off")
        self._dut.power_on()
        return off

    def brown_out(self) -> float:
        """The voltage sinks slowly until the board must have died, and slowly returns; never off.

        Returns the moment (bench seconds) when it was lowest.

        Raises `NotApplicable` when the board file does not say what voltage that is.
        """
        dut, wanted = self._dut, self._dut.type.supply
        if wanted.dead is None:
            raise NotApplicable(f"the board file of {dut.type.name} gives no supply.dead")
        dut.ramp_supply(wanted.dead, RAMP)
        lowest = self._clock.now()
        dut.ramp_supply(wanted.voltage, RAMP)
        return lowest

    def survive(self, moments: Iterable[Moment], interrupt: Callable[[], float]) -> list[str]:
        """Cut an update at each moment; one line for each that the board did not take well.

        Raises `Inconclusive` without any moment: a board that was not cut has survived nothing.
        """
        problems: list[str] = []
        chosen = list(moments)
        if not chosen:
            raise Inconclusive(
                f"{self._dut.name}: not one power cut was made, so that it survived shows nothing",
                help="ask for at least one (--power-cuts)",
            )
        for moment in chosen:
            with self._timeline.step(self._dut.endpoint, f"power cut: {moment}"):
                problem = self._survive(moment, interrupt)
            if problem:
                self._timeline.record(self._dut.endpoint, "power cut", f"{moment}: {problem}")
                problems.append(f"cut in {moment}: {problem}")
        return problems

    def _survive(self, moment: Moment, interrupt: Callable[[], float]) -> str:
        dut, server = self._dut, self._server
        self.start_over()
        with server.begin(dut, dut.images.update, self._delivery) as update:
            self._go_to(update, moment)
            died = interrupt()
            try:
                server.await_registered(dut, after=died)
            except WaitTimeout:
                said = [line.text for line in dut.console.lines()[-3:]]
                return f"it did not boot and register; its last lines: {said}"
        return self._condition()

    def start_over(self) -> None:
        """The baseline freshly installed, powered and registered."""
        dut = self._dut
        dut.power_off()
        dut.install(dut.images.baseline)
        self._server.commission(dut)

    def _go_to(self, update: Update, moment: Moment) -> None:
        """Take the update to the moment; a part of the download is a part of the bytes."""
        if moment.time < self._executed:
            update.deliver(moment.share)
            return
        update.deliver()
        if not update.await_downloaded() or not update.execute():
            raise PlantError(
                f"{self._dut.name}: the update cannot be taken to the {moment.window.phase}: "
                f"{update.record.failure}",
                help="a board that fails without power cuts is not ready for them",
            )
        assert update.executed is not None
        left = update.executed + moment.time - self._executed - self._clock.now()
        self._clock.sleep(max(0.0, left), f"until {moment}")

    def _condition(self) -> str:
        """What is wrong with the board that has come back: version, slot, ability to be updated."""
        dut, server, images = self._dut, self._server, self._dut.images
        version = server.version_of(dut)
        image = {i.version: i for i in (images.baseline, images.update)}.get(version)
        if image is None:
            return f"it runs version {version}, neither the old one nor the new one"
        try:
            server.await_rest(dut)
            server.make_idle(dut)  # it may have kept the package, and takes no other
        except AssertionError as refusal:
            return str(refusal)
        record = server.update(dut, images.update, self._delivery)
        if record.failure:
            return f"version {version} runs, but an update failed: {record.failure}"
        try:
            dut.assert_running(images.update)
        except AssertionError as difference:
            return str(difference)
        return ""
