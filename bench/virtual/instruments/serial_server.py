"""A simulated instrument on a serial port: what the host writes goes to it, what it says comes back later."""

from __future__ import annotations

import itertools
from typing import Any, Protocol

import serial

from bench.virtual import protocol_vboard
from bench.virtual.scheduler import Scheduler
from bench.virtual.uart import VirtualUart

_numbers = itertools.count(1)


class SerialInstrument(Protocol):
    """Called with the plant's lock held."""

    def connect(self, uart: VirtualUart) -> None:
        """This is its serial port: set `on_receive`, use `transmit`."""
        ...

    def switch_off(self) -> None:
        """The plant closes."""
        ...


class SerialServer:
    """Gives an instrument a port `vboard://instrument-<n>` for as long as it is open."""

    def __init__(
        self, instrument: SerialInstrument, scheduler: Scheduler, *, baud: int | None = None
    ) -> None:
        """`baud`: what it insists on; None for USB serial, where the rate means nothing."""
        self.instrument: Any = instrument
        self._name = f"instrument-{next(_numbers)}"
        self._scheduler = scheduler
        self.uart = VirtualUart(scheduler, self._name) if baud else _UsbUart(scheduler, self._name)
        if baud:
            self.uart.board_baud = baud
        instrument.connect(self.uart)
        if "bench.virtual" not in serial.protocol_handler_packages:
            serial.protocol_handler_packages.append("bench.virtual")
        protocol_vboard.PORTS[self._name] = self.uart

    @property
    def address(self) -> str:
        return f"vboard://{self._name}"

    def close(self) -> None:
        """Idempotent."""
        if protocol_vboard.PORTS.pop(self._name, None) is not None:
            self.uart.vanish()
            self.instrument.switch_off()
            self._scheduler.leave(self.uart)


class _UsbUart(VirtualUart):
    """USB serial without a wire behind: any rate is the right one."""

    def open(self) -> None:
        super().open()
        self.board_baud = self.host_baud

    def write(self, data: bytes) -> None:
        self.board_baud = self.host_baud
        super().write(data)

    def transmit(self, data: bytes) -> None:
        self.board_baud = self.host_baud
        super().transmit(data)
