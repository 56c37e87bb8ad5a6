"""An instrument on a serial port whose replies have no line end, over pyserial.

VISA's message layer ends a read at a line end or a time-out, and these instruments send none: a reply
here is so many bytes, or what comes until the line is silent. Before each command whatever still
waits is thrown away and logged, so a stray byte never becomes part of the next answer.

`address` is a port name (`COM3`, `/dev/ttyACM0`), a pyserial URL, or the VISA name `ASRL<port>::INSTR`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any, TypeVar, Unpack

import serial
from serial.tools import list_ports

from bench.instruments.wires.wire import Checks, Wire, reason_of
from bench.timeline import Timeline

T = TypeVar("T")

SILENCE = 0.05
"""Seconds without a byte that end a reply of unknown length: 48 byte times at 9600 baud."""
NOT_OPENED = (
    "plug it in and switch it on, or correct `address`: ports present: {}; on Linux your user must be in the "
    "port's group (dialout), and no other program may hold it"
)


class SerialWire(Wire):
    """A serial port, 8N1 at `baud`; the time-out runs in the port's own time."""

    kind = "command"

    def __init__(
        self, name: str, address: str, timeline: Timeline, *, baud: int = 9600, **checks: Unpack[Checks]
    ) -> None:
        super().__init__(name, address, timeline, **checks)
        self._baud = baud
        self._port: Any = None

    @property
    def port(self) -> Any:
        """The open pyserial port, for a driver that streams. Raises `InstrumentError` when closed."""
        if self._port is None:
            raise self.fault("read", "the port is not open")
        return self._port

    @property
    def _connected(self) -> bool:
        return self._port is not None

    def _connect(self) -> None:
        port, limit = port_of(self.address), self._timeout
        with self.guarded("open"):
            try:
                self._port = serial.serial_for_url(
                    port, baudrate=self._baud, timeout=limit, write_timeout=limit
                )
            except serial.SerialException as fault:
                present = ", ".join(sorted(found.device for found in list_ports.comports())) or "none"
                raise self.fault("open", reason_of(fault), help=NOT_OPENED.format(present)) from fault

    def _disconnect(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(Exception):
                port.close()

    # ---- commands

    def write(self, command: str) -> None:
        """Send a command that has no reply."""
        with self._lock:
            self._send(command, command.encode("ascii"))
            self._ended()

    def send_bytes(self, data: bytes) -> None:
        """Send a binary command that has no reply."""
        with self._lock:
            self._send(data.hex(" "), data, clear=False)
            self._ended()

    def query(self, command: str) -> str:
        """Send a command and return what comes until the line falls silent."""
        return self._query(command, self._until_silence).decode("latin-1")

    def query_bytes(self, command: str, size: int) -> bytes:
        """Send a command and return exactly `size` bytes; fewer within the time-out is a fault."""
        return self._query(command, lambda: self._exactly(size))

    def query_until(self, command: bytes, ending: bytes, limit: int) -> bytes:
        """Send a binary command and return the reply up to and with `ending`, at most `limit` bytes."""
        label = command.hex(" ")

        def read() -> bytes:
            reply: bytes = self._port.read_until(ending, limit)
            if not reply.endswith(ending):
                raise TimeoutError(f"reply of {len(reply)} bytes does not end with {ending!r}")
            return reply

        with self._lock:
            self._send(label, command)
            reply = self._guarded(label, read)
            self._ended()
        self.log(f"< {len(reply)} bytes")
        return reply

    def _query(self, command: str, read: Callable[[], bytes]) -> bytes:
        with self._lock:
            self._send(command, command.encode("ascii"))
            reply = self._guarded(command, read)
            self._ended()
        self.log(f"< {_shown(reply)}")
        return reply

    def _send(self, label: str, data: bytes, *, clear: bool = True) -> None:
        self._need(label)
        if clear and (stray := self._guarded(label, self._stray)):
            self.log(f"stray: {_shown(stray)}")
        self.log(f"> {label}")
        self._guarded(label, lambda: self._port.write(data))

    def _stray(self) -> bytes:
        waiting = self._port.in_waiting
        stray: bytes = self._port.read(waiting) if waiting else b""
        return stray

    def _exactly(self, size: int) -> bytes:
        reply: bytes = self._port.read(size)
        if not reply:
            raise TimeoutError(f"no reply within {self._timeout:g} s")
        if len(reply) < size:
            raise TimeoutError(f"reply {_shown(reply)} is shorter than {size} bytes")
        return reply

    def _until_silence(self) -> bytes:
        reply = self._exactly(1)
        self._port.timeout = SILENCE
        try:
            while more := self._port.read(64):
                reply += more
        finally:
            self._port.timeout = self._timeout
        return reply

    def _guarded(self, command: str, call: Callable[[], T]) -> T:
        with self.guarded(command):
            return call()


def port_of(address: str) -> str:
    """The pyserial port in `ASRL<port>::INSTR` (on Windows `ASRL3` is COM3), or the address as it is."""
    match = re.fullmatch(r"ASRL(.+)::INSTR", address, re.IGNORECASE)
    if match is None:
        return address
    return f"COM{match[1]}" if match[1].isdigit() else match[1]


def _shown(data: bytes) -> str:
    return data.decode("ascii") if data.isascii() and data.decode("ascii").isprintable() else data.hex(" ")
