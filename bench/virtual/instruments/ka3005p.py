"""A simulated Korad KA3005P on a serial port and one rail.

Kept of the real one (KA series manual; status bits and quirks as reported from real devices): no line
ends, five-character numbers, a stray sixth byte after `ISET1?`, silence for what it does not know or
cannot set, some 20 ms until it answers, and that commands closer than 50 ms run into each other. An
over-current trip only switches the output off. Set `identity` and `ocp_bit` for its likes under other names.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.instruments.output_stage import OutputStage
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Scheduler
from bench.virtual.uart import VirtualUart

IDENTITY = b"KORADKA3005PV2.0"
VOLTS = 31.0
AMPS = 5.1
ANSWER = 0.020
"""Seconds from a query to its answer."""
APART = 0.050
"""Seconds that must lie between two commands."""
STRAY = b"K"

_BEEP = 1 << 4


class Ka3005p:
    """`rails[1]`: what hangs on its output."""

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self._scheduler = scheduler
        self.output = OutputStage(scheduler, rails[1] if 1 in rails else Rail(scheduler))
        self.output.amps = AMPS
        self.merged = 0
        """Commands that came too soon after another and were lost."""
        self.identity = IDENTITY
        self.ocp_bit: int | None = 5
        """Which bit of the status tells of OCP: 5 on a Korad, 7 on a TENMA 72-2540; None: none does."""
        self.ocp_inverted = False
        self._uart: VirtualUart
        self._last = -1.0

    def connect(self, uart: VirtualUart) -> None:
        self._uart = uart
        uart.on_receive = self._receive

    def switch_off(self) -> None:
        self.output.on = False
        self.output.apply()

    def _receive(self, data: bytes) -> None:
        since, self._last = self._scheduler.now - self._last, self._scheduler.now
        if since < APART - 1e-9:
            self.merged += 1
            return
        reply = self._execute(data.decode("latin-1"))
        if reply:
            self._scheduler.after(ANSWER, lambda: self._uart.transmit(reply))

    def _execute(self, command: str) -> bytes:
        output = self.output
        if output.oc_tripped:
            output.on = output.oc_tripped = False
        volts, amps, mode = output.rail.measure()
        match command:
            case "*IDN?":
                return self.identity
            case "VSET1?":
                return f"{output.volts:05.2f}".encode()
            case "ISET1?":
                return f"{output.amps:05.3f}".encode() + STRAY
            case "VOUT1?":
                return f"{volts:05.2f}".encode()
            case "IOUT1?":
                return f"{amps:05.3f}".encode()
            case "STATUS?":
                told = 0 if self.ocp_bit is None else (output.ocp != self.ocp_inverted) << self.ocp_bit
                return bytes([(mode == "CV") | (_BEEP if self.ocp_bit != 4 else 0) | told | output.on << 6])
            case "OUT0" | "OUT1":
                output.on = command[-1] == "1"
            case "OCP0" | "OCP1":
                output.ocp = command[-1] == "1"
            case _:
                self._set(command)
        output.apply()
        return b""

    def _set(self, command: str) -> None:
        header, _, text = command.partition(":")
        try:
            value = float(text)
        except ValueError:
            return
        if header == "VSET1" and 0 <= value <= VOLTS:
            self.output.volts = round(value, 2)
        elif header == "ISET1" and 0 <= value <= AMPS:
            self.output.amps = round(value, 3)
