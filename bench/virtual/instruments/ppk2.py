"""A simulated Nordic PPK2 on USB serial, measuring one rail.

Kept of the real one (Nordic's own host software): commands without replies, the calibration text, five
ranges that it chooses, 14-bit readings, the counter of 64, eight logic inputs, 100,000 words a second that
nobody can slow down. In source mode it feeds the rail; as an ampere meter it stands in the lead of another
supply. Its DUT power switch, which is off after its own power-up, cuts the board off in both modes.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping

import numpy

from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Handle, Scheduler
from bench.virtual.uart import VirtualUart

PERIOD = 1e-5
CHUNK = 4000
"""Samples handed to USB at a time; each hand-over costs the host the same, however many."""
PHASE = 0.0003
"""Seconds by which chunks come after the round moments at which tests like to look."""

FULL_SCALE = numpy.array((50e-6, 500e-6, 5e-3, 60e-3, 1.0))
SHUNTS = numpy.array((1031.64, 101.65, 10.15, 0.94, 0.043))
OFFSETS = numpy.array((112.0, 96.5, 88.0, 105.25, 77.0))
"""Readings at no current."""
UNIT = 1.8 / 163_840
SOURCE_AMPS = 1.0

LENGTHS = {0x0C: 2, 0x0D: 3, 0x11: 2}
"""Bytes of the commands that have parameters."""


class Ppk2:
    """`rails[1]`: what it measures, or feeds."""

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self.rail = rails[1] if 1 in rails else Rail(scheduler)
        self._scheduler = scheduler
        self._uart: VirtualUart
        self._pending = bytearray()
        self._source = False
        self._connected = False
        self._millivolts = 3000
        self._next: Handle | None = None
        self._sent_until = 0.0
        self._counter = 0
        self._logic_times = [0.0]
        self._logic = [0]
        with scheduler.lock:
            self._feed()

    def leave_as_source(self, millivolts: int) -> None:
        """As an earlier user may leave it: feeding the board."""
        self._source, self._connected, self._millivolts = True, True, millivolts
        self._feed()

    def connect(self, uart: VirtualUart) -> None:
        self._uart = uart
        uart.on_receive = self._receive

    def switch_off(self) -> None:
        self._stop()
        if self._source:
            self.rail.off()

    def set_logic(self, bits: int) -> None:
        """The eight inputs, from now on."""
        self._logic_times.append(self._scheduler.now)
        self._logic.append(bits)

    def _receive(self, data: bytes) -> None:
        self._pending += data
        while self._pending and len(self._pending) >= LENGTHS.get(self._pending[0], 1):
            length = LENGTHS.get(self._pending[0], 1)
            command = bytes(self._pending[:length])
            del self._pending[:length]
            self._execute(command)

    def _execute(self, command: bytes) -> None:
        match command[0]:
            case 0x06:
                self._start()
            case 0x07:
                self._stop()
            case 0x0C:
                self._connected = command[1] == 1
                self._feed()
            case 0x0D:
                self._millivolts = min(max(int.from_bytes(command[1:], "big"), 800), 5000)
                self._feed()
            case 0x11:
                self._source = command[1] == 2
                self._feed()
            case 0x19:
                self._uart.transmit(self._metadata())

    def _feed(self) -> None:
        if self._source and self._connected:
            self.rail.drive(self._millivolts / 1000, SOURCE_AMPS)
        elif self._source:
            self.rail.off()
        if self._connected:
            self.rail.connect()
        else:
            self.rail.interrupt()

    def _metadata(self) -> bytes:
        lines = ["Calibrated: 1"]
        for name, values in (("R", SHUNTS), ("GS", (0,) * 5), ("GI", (1,) * 5), ("O", OFFSETS)):
            lines += [f"{name}{n}: {value:.4f}" for n, value in enumerate(values)]
        lines.append(f"VDD: {self._millivolts}")
        lines.append("HW: 9173")
        lines.append(f"mode: {2 if self._source else 1}")
        for name, value in (("S", 0), ("I", 0), ("UG", 1)):
            lines += [f"{name}{n}: {value:.4f}" for n in range(5)]
        return "\n".join([*lines, "IA: 56", "END", ""]).encode()

    # ---- samples

    def _start(self) -> None:
        if self._next is None:
            self._sent_until = self._scheduler.now
            self._next = self._scheduler.after(CHUNK * PERIOD + PHASE, self._send)

    def _stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
            count = int((self._scheduler.now - self._sent_until) / PERIOD + 1e-6)
            self._transmit(count)

    def _send(self) -> None:
        self._next = self._scheduler.after(CHUNK * PERIOD, self._send)
        self._transmit(CHUNK)

    def _transmit(self, count: int) -> None:
        if not count:
            return
        amps = self.rail.history.points(self._sent_until, PERIOD, count)[:, 1]
        ranges = numpy.minimum(numpy.searchsorted(FULL_SCALE, amps), 4)
        readings = numpy.clip(numpy.round((amps * SHUNTS[ranges] / UNIT + OFFSETS[ranges]) / 4), 0, 0x3FFF)
        counters = (self._counter + numpy.arange(count)) & 63
        logic = self._logic_at(self._sent_until, count)
        words = readings.astype(numpy.uint32) | (ranges << 14 | counters << 18 | logic << 24).astype(
            numpy.uint32
        )
        self._counter = self._counter + count & 63
        self._sent_until += count * PERIOD
        self._uart.transmit(words.astype("<u4").tobytes())

    def _logic_at(self, start: float, count: int) -> numpy.ndarray:
        if len(self._logic) == 1:
            return numpy.full(count, self._logic[0])
        moments = start + PERIOD * numpy.arange(count) + 1e-12
        index = numpy.searchsorted(self._logic_times, moments, side="right") - 1
        bits = numpy.array(self._logic)[index]
        keep = bisect.bisect_right(self._logic_times, start) - 1
        del self._logic_times[:keep], self._logic[:keep]
        return bits
