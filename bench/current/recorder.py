"""Keeps what a meter measures while a test goes on, in a file, and sets its times to the bench's clock."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.background import Background
from bench.clock import Clock
from bench.current.clocks import ClockFit, Marker, fit_clocks
from bench.current.edges import power_up
from bench.current.trace import Samples, SamplingKind, Trace, TraceInfo
from bench.current.trace_file import TraceWriter
from bench.errors import MeasurementError
from bench.timeline import Timeline

READ_EVERY = 5.0
"""Bench seconds between two looks at the meter; every meter keeps more than that."""


class Delivered(Samples, Protocol):
    """Samples with the moment of the first, in bench seconds as well as the meter knows it."""

    @property
    def start(self) -> float: ...
    @property
    def rate(self) -> float: ...
    @property
    def lost(self) -> int: ...


class Meter(Protocol):
    """What is used of a current meter that has been configured."""

    def start(self) -> None: ...
    def read(self) -> Delivered: ...
    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose current it is: the board's name, its supply's volts, the meter's name and kind of samples."""

    board: str
    volts: float
    meter: str
    sampling: SamplingKind


class Recording:
    """One trace while it is taken: `mark` what the bench did, then `trace` once it has ended."""

    def __init__(self, path: Path, subject: Subject) -> None:
        self.path = path
        self.subject = subject
        self.switched_on: list[float] = []
        """Bench seconds at which the board's supply was switched on."""
        self.fit: ClockFit | None = None
        """How the clocks were aligned; None: by the meter's start alone."""
        self._trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        """By the bench's clock. Raises `MeasurementError` while it is being taken."""
        if self._trace is None:
            raise MeasurementError(
                f"{self.path.name}: the recording goes on", help="leave the `with` block first"
            )
        return self._trace

    def end(self, raw: Trace) -> None:
        """The file is complete: align it by the moments at which the supply came up, if there are two.

        One supply's delay is the same each time, so what they tell is the meter's rate; the offset is
        that of the meter's start. Two that lie within ten seconds tell nothing.
        """
        pairs = [(on, power_up(raw, on)) for on in self.switched_on]
        markers = [Marker(meter, on) for on, meter in pairs if meter is not None]
        if len(markers) >= 2 and markers[-1].bench - markers[0].bench >= 10.0:
            self.fit = fit_clocks(markers)
            self._trace = self.fit.align(raw)
        else:
            self._trace = raw.aligned(0.0, 1.0)


class Recorder:
    """Records one board's meter."""

    def __init__(self, meter: Meter, subject: Subject, clock: Clock, timeline: Timeline) -> None:
        self._meter, self._subject = meter, subject
        self._clock, self._timeline = clock, timeline

    @contextlib.contextmanager
    def recording(self, path: Path) -> Iterator[Recording]:
        """The meter runs inside the block, and what it measures goes to `path`.

        When the block fails, what was measured so far is kept all the same. Raises `InstrumentError`
        for a fault of the meter, and `MeasurementError` where no sample came.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Recording(path, self._subject)
        stop = self._timeline.listen(
            lambda entry: (
                made.switched_on.append(entry.time)
                if (entry.source, entry.kind, entry.text) == (self._subject.board, "power", "on")
                else None
            )
        )
        self._meter.start()
        pump = _Pump(self._meter, self._subject, path)
        work = Background(self._clock, self._collect(pump))
        try:
            yield made
        except BaseException:
            with contextlib.suppress(Exception):  # what failed first is what matters
                self._finish(pump, work, made)
            raise
        else:
            self._finish(pump, work, made)
        finally:
            stop()

    async def _collect(self, pump: _Pump) -> None:
        while True:
            await asyncio.sleep(READ_EVERY)
            await self._clock.blocking(pump.take)

    def _finish(self, pump: _Pump, work: Background, made: Recording) -> None:
        try:
            work.end()
        finally:
            self._meter.stop()
        pump.take()
        made.end(pump.close())
        info = made.trace.info
        self._timeline.record(
            self._subject.board,
            "current",
            f"{made.trace.end - made.trace.start:.1f} s of current at {info.rate:g}/s by {info.meter}",
            lost=pump.lost,
        )


class _Pump:
    """From the meter to the file."""

    def __init__(self, meter: Meter, subject: Subject, path: Path) -> None:
        self._meter, self._subject, self._path = meter, subject, path
        self._writer: TraceWriter | None = None
        self.lost = 0

    def take(self) -> None:
        samples = self._meter.read()
        if self._writer is None:
            about = self._subject
            info = TraceInfo(samples.rate, samples.start, about.volts, about.meter, about.sampling)
            if samples.voltage is not None:
                info = dataclasses.replace(info, volts=None)
            self._writer = TraceWriter(self._path, info)
        self.lost += samples.lost
        self._writer.append(samples)

    def close(self) -> Trace:
        assert self._writer is not None
        return self._writer.close()
