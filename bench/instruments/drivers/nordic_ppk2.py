"""Nordic Power Profiler Kit II: 100,000 samples of current a second over USB serial, and eight logic inputs.

Its commands and who confirms them: `bench/instruments/commands/nordic_ppk2.toml`; the stream: `ppk2_stream`.

It answers nothing but the calibration, so nothing can be read back: the samples themselves show whether a
setting was taken. No filter for range switches is applied: what it measured is what comes out.
"""

from __future__ import annotations

import contextlib
import re
import threading

import numpy
import serial

from bench.clock import Clock
from bench.config.address import AddressKind
from bench.errors import InstrumentError
from bench.instruments.current_meter import CurrentMeter, InlineMeter, Measuring, MeterRatings
from bench.instruments.drivers.ppk2_stream import (
    RANGES,
    RATE,
    Calibration,
    WordStream,
    logic_of,
    ranges_of,
    readings_of,
)
from bench.instruments.instrument import Instrument
from bench.instruments.samples import Samples, Sampling
from bench.instruments.wires.serial_wire import SerialWire
from bench.instruments.wires.wire import reason_of

GET_METADATA = b"\x19"
AMPERE_METER = b"\x11\x01"
SOURCE_METER = b"\x11\x02"
REGULATOR = b"\x0d"
CONNECT = b"\x0c\x01"
DISCONNECT = b"\x0c\x00"
START = b"\x06"
STOP = b"\x07"

SOURCE = "2"
"""What its metadata calls source mode."""

LOWEST, HIGHEST = 0.8, 5.0
"""Volts."""

KEPT = 64 * 1024 * 1024
"""Bytes kept until they are read: 167 s."""

TAIL = 0.1
"""Bench seconds after the stop in which the last samples arrive."""

SHORT = 0.001
SHORT_SECONDS = 0.25
"""Share of the samples, and seconds, by which the total may fall short of the clock."""


class NordicPpk2(Instrument[SerialWire], InlineMeter):
    """The driver. `meter()` measures; before that, `use_ampere_meter` or `use_source`."""

    wire = SerialWire
    addresses = frozenset({AddressKind.SERIAL})
    models = "^PPK2,"
    outputs = ("1",)

    def __init__(self, name: str, transport: SerialWire, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        transport.identify = self._identify
        self._metadata: dict[str, str] = {}
        self._meter = Ppk2Meter(self)
        self._volts: float | None = None
        self._connected = False

    def take_over(self) -> None:
        """A source that an earlier user has left lets go of the board: nothing else would."""
        if self._metadata.get("mode", "").strip() == SOURCE:
            self.connected = False
            self.transport.record("mode", "it was left as a source: the board is disconnected from it")

    def meter(self, number: int = 1) -> CurrentMeter:
        """Its only meter."""
        if number != 1:
            raise InstrumentError(f"{self.name}: no meter {number}; it has 1", help="correct the bench file")
        return self._meter

    def close(self) -> None:
        with contextlib.suppress(InstrumentError):
            self._meter.stop()
        super().close()

    @property
    def volts(self) -> float:
        """The board's supply, which the calibration needs. Raises `InstrumentError` before a mode is set."""
        if self._volts is None:
            raise InstrumentError(
                f"{self.name}: neither use_ampere_meter nor use_source was called",
                help="nothing was sent; the calibration depends on the board's voltage",
            )
        return self._volts

    def use_ampere_meter(self, volts: float) -> None:
        """Measure what a supply of `volts` feeds through it."""
        self._check(volts)
        self.transport.send_bytes(AMPERE_METER)
        self._volts = volts

    def pass_through(self, volts: float) -> None:
        self.use_ampere_meter(volts)
        self.connected = True

    def use_source(self, volts: float) -> None:
        """Feed the board itself, with `volts`; it stays disconnected until `connected` is set."""
        self._check(volts)
        self.connected = False
        self.transport.send_bytes(SOURCE_METER)
        self.transport.send_bytes(REGULATOR + round(volts * 1000).to_bytes(2, "big"))
        self._volts = volts

    @property
    def connected(self) -> bool:
        """Whether the board is connected, as it was last set: the instrument cannot be asked."""
        return self._connected

    @connected.setter
    def connected(self, on: bool) -> None:
        self.transport.send_bytes(CONNECT if on else DISCONNECT)
        self._connected = on

    def calibration(self) -> Calibration:
        """What it said at opening. Raises `InstrumentError` where a value is missing or cannot be."""

        def column(name: str) -> numpy.ndarray:
            return numpy.array([self._value(f"{name}{n}") for n in range(RANGES)])

        columns = {name.lower(): column(name) for name in ("R", "GS", "GI", "O", "S", "I", "UG")}
        made = Calibration(**columns, volts=self.volts)
        if not bool(numpy.all(made.r > 0)):
            raise self.transport.fault("metadata", f"its calibration has shunts of {made.r.tolist()} ohms")
        return made

    def _value(self, name: str) -> float:
        try:
            value = float(self._metadata[name])
        except (KeyError, ValueError):
            value = numpy.nan
        if not numpy.isfinite(value):
            raise self.transport.fault("metadata", f"its calibration value {name} is missing or no number")
        return value

    def _identify(self) -> str:
        self.transport.send_bytes(STOP)  # an earlier user may have left it running
        self.clock.sleep(TAIL, f"{self.name}: old samples run out")
        text = self.transport.query_until(GET_METADATA, b"END", 8192).decode("ascii", "replace")
        self._metadata = dict(re.findall(r"(\w+): *([^\r\n]*)", text))
        return f"PPK2,HW {self._metadata['HW']}" if "R0" in self._metadata and "HW" in self._metadata else ""

    def _check(self, volts: float) -> None:
        if not LOWEST <= volts <= HIGHEST:
            raise InstrumentError(
                f"{self.name}: {volts:g} V is outside {LOWEST:g} to {HIGHEST:g} V", help="nothing was sent"
            )
        if self._meter.running:
            raise InstrumentError(f"{self.name}: it is measuring", help="nothing was sent; call stop() first")


class Ppk2Meter(CurrentMeter):
    """The stream, taken by a thread of its own; slower rates are made of it here.

    AVERAGE: means of 100 ksps; one lost sample makes the mean it belongs to a lost one. POINT: every
    so-manieth sample. `range` cannot be chosen. At slower rates, range is the largest within a sample
    and logic is that of its first moment.
    """

    def __init__(self, owner: NordicPpk2) -> None:
        super().__init__(owner.name, MeterRatings(1.0, RATE, (Sampling.AVERAGE, Sampling.POINT)))
        self._owner = owner
        self._clock = owner.clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._taking = False
        self._fresh = bytearray()
        self._fault: str | None = None
        self._words = WordStream()
        self._begun = 0.0
        self._ended: float | None = None
        self._raw = 0
        self._delivered = 0
        self._rest = (numpy.empty(0, dtype=numpy.uint32), numpy.empty(0, dtype=bool))
        self._amperes: numpy.ndarray | None = None

    @property
    def resyncs(self) -> int:
        """How often the stream lost bytes and was put right since the start."""
        return self._words.resyncs

    def _configure(self, rate: float, mode: Sampling, range: float | None) -> Measuring:
        return Measuring(RATE / int(RATE / rate), mode, None)

    def _start(self, measuring: Measuring) -> None:
        self._amperes = self._owner.calibration().table()
        self._fresh.clear()
        self._fault, self._ended = None, None
        self._words = WordStream()
        self._raw = self._delivered = 0
        self._rest = (numpy.empty(0, dtype=numpy.uint32), numpy.empty(0, dtype=bool))
        port = self._owner.transport.port
        with self._owner.transport.guarded("stream"):
            port.reset_input_buffer()
        self._owner.transport.send_bytes(START)
        self._begun = self._clock.now()
        self._taking = True
        self._thread = threading.Thread(
            target=self._take, args=(port,), name=f"{self.name}-ppk2", daemon=True
        )
        self._thread.start()

    def _take(self, port: object) -> None:
        assert isinstance(port, serial.SerialBase)
        try:
            while self._taking or port.in_waiting:
                data = port.read(max(1, port.in_waiting))
                with self._lock:
                    if len(self._fresh) + len(data) <= KEPT:
                        self._fresh += data
                    else:
                        self._fault = (
                            f"samples of {KEPT / 4 / RATE:.0f} s were not read, and the next are gone"
                        )
        except Exception as fault:  # a port that goes away raises OSError, TypeError or termios.error
            self._fault = reason_of(fault)
            with contextlib.suppress(Exception):
                port.close()

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        try:
            self._owner.transport.send_bytes(STOP)
            self._ended = self._clock.now()
            self._clock.sleep(TAIL, f"{self.name}: last samples")
        finally:
            self._taking = False
            with contextlib.suppress(Exception):
                self._owner.transport.port.cancel_read()
            if thread is not None:
                thread.join(5)

    def _read(self, measuring: Measuring) -> Samples:
        with self._lock:
            data, self._fresh = bytes(self._fresh), bytearray()
            fault = self._fault
        if fault is not None:
            raise self._owner.transport.fault("stream", fault)
        self._words.feed(data)
        words, lost = self._words.take(final=not self._running)
        self._raw += len(words)
        self._compare()
        words, lost = (numpy.concatenate(pair) for pair in zip(self._rest, (words, lost), strict=True))
        factor = round(RATE / measuring.rate)
        count = len(words) // factor
        self._rest = (words[count * factor :], lost[count * factor :])
        start = self._begun + self._delivered / measuring.rate
        self._delivered += count
        words, lost = (a[: count * factor].reshape(count, factor) for a in (words, lost))
        return self._samples(start, measuring, words, lost)

    def _samples(
        self, start: float, measuring: Measuring, words: numpy.ndarray, lost: numpy.ndarray
    ) -> Samples:
        assert self._amperes is not None
        if measuring.mode is Sampling.POINT:
            words, lost = words[:, :1], lost[:, :1]
        current = self._amperes[readings_of(words)].mean(axis=1) if len(words) else numpy.empty(0)
        gone = lost.any(axis=1)
        current = current.astype(numpy.float32)
        current[gone] = numpy.nan
        ranges = ranges_of(words).max(axis=1) if len(words) else numpy.empty(0, dtype=numpy.uint8)
        logic = logic_of(words)[:, 0] if len(words) else numpy.empty(0, dtype=numpy.uint8)
        return Samples(
            start, measuring.rate, current, range=ranges, logic=logic, lost=int(numpy.count_nonzero(gone))
        )

    def _compare(self) -> None:
        """Far fewer samples than the time was for: blocks of 64 were lost, which no counter shows."""
        until = self._clock.now() - TAIL if self._ended is None else self._ended
        expected = (until - self._begun) * RATE
        if self._raw < expected * (1 - SHORT) - SHORT_SECONDS * RATE:
            raise self._owner.transport.fault(
                "stream", f"gave {self._raw} samples in the time of {expected:.0f}: blocks of it are missing"
            )
