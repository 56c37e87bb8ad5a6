"""The wire pair between one supply output and the boards it feeds.

Quasi-static: after each change of the source or of a load, the voltage at the boards is computed
and given to them at that simulated moment. In constant current the voltage droops until the loads
take no more than the limit. Where no such voltage exists (a load that takes more than the limit
however low the voltage) the rail collapses and, once the loads have died, charges again.

With the output off the boards are without power at once, as behind a supply with a down-programmer, unless
the rail has a `bleed`, through which its capacitors empty in time, or something feeds it past the supply:
a USB socket, a serial adapter's lines, a debug probe (`back_feed`).

Bursts are not followed one by one. The steady voltage is that of the mean current; from it the
boards see the lowest point that their bursts reach: the drop over the leads, and where a burst asks
for more than the limit, what it takes out of the capacitor until it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

from bench.errors import PlantError
from bench.virtual.power.draw import Draw, Running
from bench.virtual.power.load_history import LoadHistory
from bench.virtual.scheduler import Handle, Scheduler

Mode = Literal["CV", "CC", "OFF"]

SERIES_RESISTANCE = 0.05
"""Ohms of leads and contacts: two leads of 0.5 m, 0.5 mm2, and their clamps."""

CAPACITANCE = 220e-6
"""Farads at the boards' input: sets how long a collapsed rail takes to charge."""

MIN_RECOVERY = 1e-3
"""Seconds a collapsed rail stays down at least: the regulation loop's recovery."""

LEAKAGE = 1e-6
"""Amperes that empty the capacitor when nothing takes any, once the output's relay has opened."""

_DRAIN_STEPS = 50
_EMPTY = 0.01
"""Steps in which a capacitor is followed down, and volts below which it is empty."""
EMPTY = 1e-3
"""Volts below which a rail that empties is taken for empty."""

_DECAY_STEPS = 40
"""A rail that empties by its bleed loses this part of its voltage in a step."""

_DROOP_STEPS = 200
_ROUNDS = 50
_FALLS = 3
"""Falls of the voltage within one moment after which a rise means that it would go on like this."""


class Load(Protocol):
    """Something fed by a rail."""

    def set_supply(self, volts: float) -> None:
        """The voltage at its input is now `volts`."""
        ...

    def load(self, volts: float) -> float:
        """Amperes it takes now at `volts`, bursts averaged."""
        ...


@runtime_checkable
class BurstyLoad(Load, Protocol):
    """A load whose current has bursts; `load` is their mean."""

    def draws(self, volts: float) -> tuple[Running, ...]:
        """What it takes now at `volts`."""
        ...


class Rail:
    """One output's wires. Call it with the scheduler's lock held."""

    def __init__(self, scheduler: Scheduler, *, resistance: float = SERIES_RESISTANCE) -> None:
        self.resistance = resistance
        self.history = LoadHistory(scheduler)
        """For meters: what was drawn."""
        self.history.note(0.0, ())
        self._watchers: list[Callable[[], None]] = []
        self._scheduler = scheduler
        self._loads: list[Load] = []
        self._bursty: dict[Load, BurstyLoad] = {}
        self.capacitance = CAPACITANCE
        """Farads at the boards' input."""
        self.bleed: float | None = None
        """Ohms through which they empty when the output goes off; None: its down-programmer empties them."""
        self._volts = 0.0
        self._limit = 0.0
        self._past: tuple[float, float] | None = None  # volts and amperes of what feeds the boards otherwise
        self._source = (0.0, 0.0)  # volts and amperes of what feeds them now
        self._emptying: Handle | None = None
        self._driven = False
        self._interrupted = False
        self._board_volts = 0.0  # steady
        self._lowest = 0.0  # what the boards were given
        self._mode: Mode = "OFF"
        self._collapsed: Handle | None = None
        self._burst_end: Handle | None = None
        self._kept: float | None = None  # volts of the capacitor, with nothing that drives it
        self._kept_at = self._leaving = 0.0
        self._draining: Handle | None = None
        self._open = False  # the output's relays
        self._evaluating = False
        self._again = False
        self._falls = 0

    def attach(self, load: Load) -> None:
        """Connect a board; it is given the rail's present voltage."""
        self._loads.append(load)
        if isinstance(load, BurstyLoad):
            self._bursty[load] = load
        load.set_supply(self._lowest)
        self.load_changed()

    def detach(self, load: Load) -> None:
        """Disconnect a board, as pulling its supply plug does."""
        self._loads.remove(load)
        self._bursty.pop(load, None)
        load.set_supply(0.0)
        self.load_changed()

    def drive(self, volts: float, current_limit: float) -> None:
        """The output is on, at `volts`, with at most `current_limit` amperes."""
        self._volts, self._limit, self._driven, self._kept = volts, current_limit, True, None
        self._open = False
        self._recover()

    def back_feed(self, volts: float, amps: float) -> None:
        """From now on something else feeds the boards too, at `volts` with at most `amps`; 0 V: no more."""
        self._past = (volts, amps) if volts > 0 else None
        self._recover()

    def off(self) -> None:
        """The output is off."""
        self._volts, self._driven, self._kept, self._open = 0.0, False, None, False
        self._recover()

    def release(self) -> None:
        """The output's relays open at the voltage it has: the boards go on from their capacitor."""
        if self._driven and not self._interrupted:
            self._kept, self._kept_at, self._leaving = self._board_volts, self._scheduler.now, 0.0
        self._open = True
        self._volts, self._driven = 0.0, False
        self._recover()

    def interrupt(self) -> None:
        """A switch in the lead opens: the source stays as it is, and nothing of it reaches the boards."""
        self._interrupted = True
        self._recover()

    def connect(self) -> None:
        """That switch closes, as it is where there is none."""
        self._interrupted = False
        self._recover()

    def load_changed(self) -> None:
        """A board takes another current now."""
        if self._evaluating:
            self._again = True
            return
        self._evaluating = True
        self._falls = 0
        try:
            for _ in range(_ROUNDS):
                self._again = False
                self._evaluate()
                if not self._again:
                    break
            else:
                raise PlantError(
                    f"rail at {self._volts:g} V finds no steady state",
                    help="a board's load changes at each change of its supply without time passing",
                )
        finally:
            self._evaluating = False
        self.history.note(self.measure()[0], self._running())
        for watcher in tuple(self._watchers):
            watcher()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher` after each evaluation (protections). Returns the way to stop."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def measure(self) -> tuple[float, float, Mode]:
        """Volts at the supply's terminals, amperes with bursts averaged, and mode, now."""
        if not self._driven:
            return (0.0 if self._interrupted or self._open else self._board_volts), 0.0, "OFF"
        if self._interrupted:
            return self._volts, 0.0, "CV"
        if self._source is self._past:  # it holds the rail above the output, which cannot sink
            return self._board_volts, 0.0, "CV"
        if self._collapsed is not None:
            return self._board_volts, self._limit, "CC"
        amps = self._current(self._board_volts)
        return self._board_volts + amps * self.resistance, amps, self._mode

    @property
    def board_voltage(self) -> float:
        """Volts at the boards between bursts."""
        return self._board_volts

    @property
    def lowest_voltage(self) -> float:
        """Volts at the boards at the worst moment of the bursts that run now."""
        return self._lowest

    def _current(self, volts: float) -> float:
        amps = 0.0  # a plain loop: this is asked at every step towards a voltage, at every change of any load
        for load in self._loads:
            amps += load.load(volts)
        return amps

    def _running(self) -> tuple[Running, ...]:
        """What is drawn through the terminals; in a collapse the limit, which charges the capacitor."""
        if not self._driven or self._interrupted or self._source is self._past:
            return ()
        if self._collapsed is not None:
            return (Running(Draw(self._limit), 0.0),)
        return self._draws(self._board_volts)

    def _draws(self, volts: float) -> tuple[Running, ...]:
        if len(self._loads) == 1:
            return self._of(self._loads[0], volts)
        return tuple([running for load in self._loads for running in self._of(load, volts)])

    def _of(self, load: Load, volts: float) -> tuple[Running, ...]:
        bursty = self._bursty.get(load)
        if bursty is not None:
            return bursty.draws(volts)
        return (Running(Draw(load.load(volts)), 0.0),)

    def _recover(self) -> None:
        """Evaluate afresh, a collapse or not."""
        if self._emptying is not None:
            self._emptying.cancel()
            self._emptying = None
        if self._collapsed is not None:
            self._collapsed.cancel()
            self._collapsed = None
        self.load_changed()

    def _evaluate(self) -> None:
        if self._collapsed is not None:
            return
        fed = self._driven and not self._interrupted
        mode: Mode = "CV" if self._driven else "OFF"
        output = self._volts if fed else 0.0
        if self._past is not None and self._past[0] > output:
            self._source = self._past
            held = self._solve()
            if held is not None and held[0] > output:
                self._hold(held[0], mode)
                return
        if self._kept is not None and not self._interrupted:
            self._drain(self._kept)
            return
        if not fed:
            self._source = (0.0, 0.0)
            self._settle_at(self._left(), mode)
            return
        self._source = (self._volts, self._limit)
        found = self._solve()
        if found is None:
            self._collapse(0.0)  # the loads empty the capacitor
        elif self._falls >= _FALLS and found[0] > self._lowest:
            self._collapse(self._lowest)  # each fall kills a load, without which the rail rises
        else:
            volts, mode = found
            draws = self._draws(volts)
            dip = self._dip(volts, draws)
            taken = self._current(volts) if dip > 0 else 0.0
            self._settle_at(volts, mode, dip)
            if dip > 0 and self._again and self._current(volts) < taken:
                self._collapse(volts - dip)  # a burst killed a load; the capacitor must charge again

    def _drain(self, volts: float) -> None:
        """What the boards have taken out of the capacitor by now, and a look again a step later."""
        if self._draining is not None:
            self._draining.cancel()
        now = self._scheduler.now
        volts -= self._leaving * (now - self._kept_at) / self.capacitance
        self._kept, self._kept_at = (volts, now) if volts > _EMPTY else (None, now)
        self._settle_at(max(0.0, volts if self._kept is not None else 0.0), "OFF")
        self._leaving = max(self._current(volts), LEAKAGE)
        if self._kept is not None:
            step = self.capacitance * volts / _DRAIN_STEPS / self._leaving
            self._draining = self._scheduler.after(step, self.load_changed)

    def _hold(self, volts: float, mode: Mode) -> None:
        """What feeds the boards past the supply gives them this."""
        if self._falls >= _FALLS and volts > self._lowest:
            self._collapse(self._lowest)
        else:
            self._settle_at(volts, mode)

    def _left(self) -> float:
        """Volts on a rail that nothing feeds: gone at once, or emptying."""
        if self.bleed is None or self._board_volts <= EMPTY:
            return 0.0
        if self._emptying is None:
            lost = self._board_volts / _DECAY_STEPS
            taken = self._board_volts / self.bleed + self._current(self._board_volts)
            self._emptying = self._scheduler.after(lost * self.capacitance / taken, lambda: self._empty(lost))
        return self._board_volts

    def _empty(self, volts: float) -> None:
        """Bleed and boards have taken so much off the capacitors."""
        self._emptying = None
        self._board_volts -= volts
        self._recover()

    def _collapse(self, volts: float) -> None:
        """Nothing is stable at this moment: stay low until the limit current has charged the rail."""
        source, limit = self._source
        recovery = max(MIN_RECOVERY, self.capacitance * source / max(limit, 1e-3))
        self._collapsed = self._scheduler.after(recovery, self._recover)
        self._settle_at(volts, "CC")

    def _solve(self) -> tuple[float, Mode] | None:
        """The highest steady voltage at the boards, and the mode."""
        source, limit = self._source
        volts = source
        for _ in range(8):  # the drop over the leads; converges fast, as it is small
            before, volts = volts, max(0.0, source - self._current(volts) * self.resistance)
            if abs(volts - before) < 1e-12:
                break
        if self._current(volts) <= limit:
            return volts, "CV"
        step = source / _DROOP_STEPS
        above = volts
        for number in range(_DROOP_STEPS, 0, -1):
            below = min(volts, number * step)
            if self._current(below) <= limit:
                return self._refine(below, above), "CC"
            above = below
        return None

    def _refine(self, low: float, high: float) -> float:
        limit = self._source[1]
        for _ in range(30):
            middle = (low + high) / 2
            if self._current(middle) <= limit:
                low = middle
            else:
                high = middle
        return low

    def _dip(self, volts: float, draws: tuple[Running, ...]) -> float:
        """Volts by which the bursts among `draws` take the boards below the steady voltage."""
        if self._burst_end is not None:
            self._burst_end.cancel()
            self._burst_end = None
        mean = peak = 0.0
        for running in draws:
            mean += running.draw.mean * running.factor
            peak += running.draw.peak * running.factor
        if peak <= self._limit:  # then no burst asks for more than the limit either
            return min(volts, max(0.0, (peak - mean) * self.resistance))
        return min(volts, max(0.0, (self._limit - mean) * self.resistance + self._emptied(draws, mean)))

    def _emptied(self, draws: tuple[Running, ...], mean: float) -> float:
        """Volts that bursts above the limit take out of the capacitor, and a look again when the next has."""
        dip = 0.0
        first_ends = []
        for running in draws:
            for train in running.draw.pulses:
                height, others = train.height * running.factor, mean - train.mean * running.factor
                excess = others + height - self._limit
                end = running.since + train.delay + train.width
                if excess <= 0:
                    continue
                if end <= self._scheduler.now + 1e-9:
                    dip += excess * train.width / self.capacitance
                else:
                    first_ends.append(end)
        if first_ends:
            self._burst_end = self._scheduler.after(min(first_ends) - self._scheduler.now, self.load_changed)
        return dip

    def _settle_at(self, volts: float, mode: Mode, dip: float = 0.0) -> None:
        self._mode, self._board_volts = mode, volts
        lowest = volts - dip
        if lowest != self._lowest:
            self._falls += lowest < self._lowest
            self._lowest = lowest
            before = self._draws(volts)
            for load in tuple(self._loads):
                load.set_supply(lowest)
            if self._falls >= _FALLS or self._draws(volts) != before:
                self._again = True  # a load has come up or died at this voltage; else the same would be found
