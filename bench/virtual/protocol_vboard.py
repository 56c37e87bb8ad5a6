"""pyserial's URL handler for `vboard://NAME`: a virtual board's UART with DTR and RTS.

pyserial finds this module by its name once `bench.virtual` is in
`serial.protocol_handler_packages`; the plant puts it there.

DTR and RTS do what they do on the host's own ports. Linux raises both in one request at each opening
(drivers/tty/tty_port.c, `tty_port_block_til_ready`; `acm_port_dtr_rts`, `cp210x_dtr_rts`) and drops both in
one at closing (HUPCL, the default); pyserial's POSIX `open` sets what was asked for afterwards, DTR first and
RTS second, each in a request of its own. On Windows pyserial's DCB sets both at opening.
"""

from __future__ import annotations

import os
import urllib.parse
from typing import Any

import serial
from serial.serialutil import SerialBase, SerialException

from bench.virtual.uart import VirtualUart

PORTS: dict[str, VirtualUart] = {}
"""UARTs of the open plant, by the name in the URL."""

RAISES_ON_OPENING = os.name != "nt"
"""Whether the host's system raises DTR and RTS by itself when a port is opened."""

CONTROL_TRANSFER = 1e-3
"""Seconds a USB serial adapter takes to change one modem line: one full-speed frame."""


class Serial(SerialBase):
    """A pyserial port on a `VirtualUart`."""

    BAUDRATES = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 1500000, 2000000)

    is_open: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._uart: VirtualUart | None = None
        super().__init__(*args, **kwargs)

    def open(self) -> None:
        if self.is_open:
            raise SerialException("port is already open")
        if self._port is None:
            raise SerialException("port must be configured before it can be used")
        name = urllib.parse.urlsplit(self._port).netloc
        uart = PORTS.get(name)
        if uart is not None:
            uart.sought()
        if uart is None or not uart.present:
            raise SerialException(2, f"could not open port {self._port}: no such virtual board")
        if uart.opened:
            raise SerialException(16, f"could not open port {self._port}: device or resource busy")
        uart.open()
        self._uart = uart
        self.is_open = True
        if RAISES_ON_OPENING:
            uart.set_lines(True, True)
        else:
            uart.set_lines(bool(self._dtr_state), bool(self._rts_state))
        self._reconfigure_port()
        self._update_dtr_state()
        self._update_rts_state()

    def close(self) -> None:
        if self.is_open and self._uart is not None:
            self._uart.set_lines(False, False)
            self._uart.close()
            self.is_open = False

    def _reconfigure_port(self) -> None:
        if self._uart is not None:
            self._uart.host_baud = int(self._baudrate)

    def _update_dtr_state(self) -> None:
        if self._uart is not None:
            self._drive(self._uart, bool(self._dtr_state), self._uart.rts)

    def _update_rts_state(self) -> None:
        if self._uart is not None:
            self._drive(self._uart, self._uart.dtr, bool(self._rts_state))

    def _drive(self, uart: VirtualUart, dtr: bool, rts: bool) -> None:
        """One request to the adapter."""
        if (uart.dtr, uart.rts) != (dtr, rts):
            uart.set_lines(dtr, rts)
            uart.spend(CONTROL_TRANSFER)

    def _update_break_state(self) -> None:
        pass

    def _need(self) -> VirtualUart:
        if not self.is_open or self._uart is None:
            raise serial.PortNotOpenError()
        if not (self._uart.present and self._uart.opened):
            raise SerialException("device reports readiness to read but returned no data: adapter is gone")
        return self._uart

    @property
    def in_waiting(self) -> int:
        return self._need().waiting()

    @property
    def out_waiting(self) -> int:
        return 0

    def read(self, size: int = 1) -> bytes:
        data = self._need().read(size, self._timeout)
        if not data:
            self._need()
        return data

    def write(self, b: Any) -> int:
        self._need().write(bytes(b))
        return len(b)

    def flush(self) -> None:
        self._need()

    def reset_input_buffer(self) -> None:
        self._need().clear_input()

    def reset_output_buffer(self) -> None:
        self._need()

    def cancel_read(self) -> None:
        self._need().cancel_read()

    @property
    def cts(self) -> bool:
        return True

    @property
    def dsr(self) -> bool:
        return True

    @property
    def ri(self) -> bool:
        return False

    @property
    def cd(self) -> bool:
        return True
