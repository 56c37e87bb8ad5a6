"""A current meter: configure, start, read now and then, stop. Drivers fill in the instrument."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from bench.errors import InstrumentError
from bench.instruments.samples import Samples, Sampling


@dataclass(frozen=True, slots=True)
class Measuring:
    """What the meter really does: samples a second, kind of sample, range in amperes (None: it chooses)."""

    rate: float
    mode: Sampling
    range: float | None


@dataclass(frozen=True, slots=True)
class MeterRatings:
    """What a meter can do: rates in samples a second, kinds of sample, ranges in amperes (none: fixed)."""

    slowest: float
    fastest: float
    modes: tuple[Sampling, ...]
    ranges: tuple[float, ...] = ()


class CurrentMeter(ABC):
    """Measures the current of one board.

    `read` may be called any number of times while it runs, and must be often enough: each driver says
    how much it keeps, and what comes beyond that is an error, never a gap that nobody sees.
    """

    def __init__(self, name: str, ratings: MeterRatings) -> None:
        self.name = name
        self.ratings = ratings
        self._measuring: Measuring | None = None
        self._running = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def measuring(self) -> Measuring | None:
        """What was configured last, or None."""
        return self._measuring

    @property
    def running(self) -> bool:
        return self._running

    def configure(
        self, *, rate: float, mode: Sampling = Sampling.AVERAGE, range: float | None = None
    ) -> Measuring:
        """Set rate (samples a second), kind of sample, and range (the largest current in A; None: auto).

        The instrument takes the next faster rate that it has; the return value says which. Raises
        `InstrumentError` before anything is sent for what it cannot do, or while it runs.
        """
        held = self.ratings
        if self._running:
            raise self._refused("it is running", "call stop() first")
        if not math.isfinite(rate) or not held.slowest <= rate <= held.fastest:
            raise self._refused(
                f"rate {rate:g}/s is outside {held.slowest:g} to {held.fastest:g}/s", "choose a rate it has"
            )
        if mode not in held.modes:
            raise self._refused(
                f"it has no {mode.value} samples", f"it has: {', '.join(m.value for m in held.modes)}"
            )
        chosen = None if range is None else self._range(range)
        self._measuring = self._configure(rate, mode, chosen)
        return self._measuring

    def start(self) -> None:
        """Begin to sample. Raises `InstrumentError` unless configured, or when already running."""
        if self._running:
            raise self._refused("it is running already", "call stop() first")
        if self._measuring is None:
            raise self._refused("it was never configured", "call configure(rate=...) first")
        self._start(self._measuring)
        self._running = True

    def read(self) -> Samples:
        """What was sampled since the last read, possibly nothing. Also after `stop`, for the rest."""
        if self._measuring is None:
            raise self._refused("it was never configured", "call configure(rate=...) first")
        return self._read(self._measuring)

    def stop(self) -> None:
        """End sampling; the rest waits for `read`. Idempotent."""
        if self._running:
            self._running = False
            self._stop()

    def _range(self, amps: float) -> float:
        fitting = [r for r in self.ratings.ranges if r >= amps]
        if not math.isfinite(amps) or amps <= 0 or not fitting:
            has = ", ".join(f"{r:g}" for r in self.ratings.ranges) or "a fixed one"
            raise self._refused(f"no range takes {amps:g} A", f"ranges in A: {has}")
        return min(fitting)

    def _refused(self, reason: str, help: str) -> InstrumentError:
        return InstrumentError(f"{self.name}: {reason}", help=f"nothing was sent; {help}")

    # ---- the instrument

    @abstractmethod
    def _configure(self, rate: float, mode: Sampling, range: float | None) -> Measuring: ...
    @abstractmethod
    def _start(self, measuring: Measuring) -> None: ...
    @abstractmethod
    def _read(self, measuring: Measuring) -> Samples: ...
    @abstractmethod
    def _stop(self) -> None: ...


class InlineMeter(ABC):
    """An instrument that sits in the lead between a supply and a board, and may interrupt it."""

    @abstractmethod
    def meter(self, number: int = 1) -> CurrentMeter:
        """One of its meters. Raises `InstrumentError` when there is none of that number."""

    @abstractmethod
    def pass_through(self, volts: float) -> None:
        """Let the board have what its supply gives, `volts`, and be ready to measure it."""
