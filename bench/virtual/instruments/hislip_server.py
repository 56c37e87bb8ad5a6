"""A simulated instrument's HiSLIP port.

Source: IVI-6.1 HiSLIP: header (prologue "HS", type, control code, parameter, payload length), the
synchronous and the asynchronous connection of a session, messages 0-1, 6-7, 8-9, 15-18, 19, 21-23.
"""

from __future__ import annotations

import enum
import itertools
import socket
import struct
import threading
from typing import Any

from bench.virtual.instruments.line_server import LineInstrument
from bench.virtual.scheduler import Scheduler

HEADER = struct.Struct("!2sBBIQ")
LARGEST = 1 << 20
"""Bytes of payload it takes in one message."""


class Message(enum.IntEnum):
    """Message types, IVI-6.1 table 4."""

    INITIALIZE = 0
    INITIALIZE_RESPONSE = 1
    FATAL_ERROR = 2
    ERROR = 3
    DATA = 6
    DATA_END = 7
    CLEAR_COMPLETE = 8
    CLEAR_ACKNOWLEDGE = 9
    MAX_SIZE = 15
    MAX_SIZE_RESPONSE = 16
    ASYNC_INITIALIZE = 17
    ASYNC_INITIALIZE_RESPONSE = 18
    ASYNC_CLEAR = 19
    STATUS = 21
    STATUS_RESPONSE = 22
    ASYNC_CLEAR_ACKNOWLEDGE = 23


class HislipServer:
    """Serves one instrument to any number of sessions; two daemon threads each."""

    def __init__(self, instrument: LineInstrument, scheduler: Scheduler) -> None:
        self.instrument: Any = instrument
        self._scheduler = scheduler
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._sessions = itertools.count(1)
        self._closed = False
        threading.Thread(target=self._accept, name=f"hislip-{self._port}", daemon=True).start()

    @property
    def address(self) -> str:
        return f"TCPIP::127.0.0.1::hislip0,{self._port}::INSTR"

    def close(self) -> None:
        """Idempotent."""
        if not self._closed:
            self._closed = True
            # a thread blocked in accept keeps the port open: connect once to wake it
            with socket.create_connection(("127.0.0.1", self._port)):
                self._listener.close()
            for connection in tuple(self._open):
                _shut(connection)

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        pending = b""
        try:
            while True:
                prologue, kind, _, parameter, length = HEADER.unpack(_exactly(connection, HEADER.size))
                if prologue != b"HS" or length > LARGEST:
                    _send(connection, Message.FATAL_ERROR, 1)
                    return
                payload = _exactly(connection, length)
                if kind in (Message.DATA, Message.DATA_END):
                    pending += payload
                    if kind == Message.DATA_END:
                        self._execute(connection, pending, parameter)
                        pending = b""
                else:
                    self._control(connection, kind, parameter)
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            connection.close()

    def _control(self, connection: socket.socket, kind: int, parameter: int) -> None:
        match kind:
            case Message.INITIALIZE:  # Initialize: protocol 1.0 and a session
                _send(connection, Message.INITIALIZE_RESPONSE, 0, 1 << 24 | next(self._sessions))
            case Message.ASYNC_INITIALIZE:
                _send(connection, Message.ASYNC_INITIALIZE_RESPONSE, 0, 0)
            case Message.MAX_SIZE:
                _send(connection, Message.MAX_SIZE_RESPONSE, 0, 0, struct.pack("!Q", LARGEST))
            case Message.ASYNC_CLEAR:
                _send(connection, Message.ASYNC_CLEAR_ACKNOWLEDGE)
            case Message.CLEAR_COMPLETE:
                _send(connection, Message.CLEAR_ACKNOWLEDGE)
            case Message.STATUS:
                _send(connection, Message.STATUS_RESPONSE)
            case _:
                _send(connection, Message.ERROR, 1)

    def _execute(self, connection: socket.socket, message: bytes, message_id: int) -> None:
        for line in message.decode("latin-1").splitlines():
            with self._scheduler.lock:
                reply = self.instrument.execute(line)
            if reply is not None:
                _send(connection, Message.DATA_END, 0, message_id, reply + b"\n")


def _send(
    connection: socket.socket, kind: int, control: int = 0, parameter: int = 0, payload: bytes = b""
) -> None:
    connection.sendall(HEADER.pack(b"HS", kind, control, parameter, len(payload)) + payload)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the peer went away")
        data += more
    return data


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
