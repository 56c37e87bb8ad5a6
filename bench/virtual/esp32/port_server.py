"""A virtual board's serial port for other processes: RFC 2217 (telnet with baud rate, DTR and RTS).

For a running virtual bench whose clock is paced by wall time: `esptool --port rfc2217://...` then
sees the board. The server's threads only pass bytes and lines on; time belongs to the bench.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import serial.rfc2217

from bench.virtual.protocol_vboard import PORTS, Serial
from bench.virtual.uart import VirtualUart

HOLD = 0.25
"""Wall seconds (the remote host's own) for which "DTR and RTS both on" is held back, see `_TightPort`."""

_CHUNK = 65536


class _TightPort(Serial):
    """Changes DTR and RTS together where a remote host means them to.

    The usual reset sequence releases EN a moment before it pulls GPIO0 low. Over a network that
    moment is tens of milliseconds and the chip would boot its application; so, like Espressif's own
    RFC 2217 server, this end makes one change of the two. Both lines on is electrically the same
    as both off, so that nothing else is lost by waiting.
    """

    _held: threading.Timer | None = None

    def _update_dtr_state(self) -> None:
        self._drive_both()

    def _update_rts_state(self) -> None:
        self._drive_both()

    def _drive_both(self) -> None:
        uart = self._uart
        if uart is None:
            return
        with uart.scheduler.lock:
            if self._held is not None:
                self._held.cancel()
                self._held = None
            if self._dtr_state and self._rts_state and uart.rts and not uart.dtr:
                self._held = threading.Timer(HOLD, self._let_go)
                self._held.daemon = True
                self._held.start()
            else:
                uart.set_lines(bool(self._dtr_state), bool(self._rts_state))

    def _let_go(self) -> None:
        uart = self._uart
        if uart is not None:
            with uart.scheduler.lock:
                uart.set_lines(bool(self._dtr_state), bool(self._rts_state))


class _Connection:
    """What pyserial's `PortManager` writes its telnet replies to; shared by two threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            self._socket.sendall(data)


class PortServer:
    """Serves one UART on a loopback port of the system's choice, to one client at a time."""

    def __init__(self, uart: VirtualUart) -> None:
        self.uart = uart
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None

    def start(self) -> str:
        """Listen; returns the URL for esptool or pyserial. The UART must be open to no one else."""
        if PORTS.setdefault(self.uart.name, self.uart) is not self.uart:
            raise ValueError(f"another virtual UART is named {self.uart.name}")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        host, port = self._listener.getsockname()[:2]
        threading.Thread(target=self._accept, name=f"{self.uart.name}-rfc2217", daemon=True).start()
        return f"rfc2217://{host}:{port}"

    def close(self) -> None:
        """Stop listening and drop the client. Idempotent."""
        for end in (self._listener, self._client):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._listener = self._client = None

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._client = client
            with client, contextlib.suppress(OSError, serial.SerialException):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        """This thread carries board to host; a second one the other way."""
        port = _TightPort()
        port.port = f"vboard://{self.uart.name}"
        with self.uart.scheduler.lock:  # or time could wait for a reader that waits for the lock
            port.open()
        try:
            connection = _Connection(client)
            manager = serial.rfc2217.PortManager(port, connection)
            threading.Thread(
                target=self._from_host, args=(client, port, manager), name=f"{self.uart.name}-tx", daemon=True
            ).start()
            while self.uart.opened:
                data = port.read(_CHUNK)
                if data:
                    connection.write(b"".join(manager.escape(data)))
        finally:
            with self.uart.scheduler.lock:
                port.close()

    def _from_host(self, client: socket.socket, port: Serial, manager: Any) -> None:
        try:
            while data := client.recv(_CHUNK):
                payload = b"".join(manager.filter(data))
                if payload:
                    port.write(payload)
        except (OSError, serial.SerialException):
            pass
        finally:
            self.uart.close()  # ends the other thread's read
