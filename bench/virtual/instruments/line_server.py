"""A simulated instrument's LAN port: command lines over a raw TCP socket, as on port 5025."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass, field
from typing import Protocol

from bench.errors import PlantError
from bench.virtual.scheduler import Scheduler

MAX_LINE = 64 * 1024
"""Bytes without a line end after which input is thrown away, with error -223."""


class LineInstrument(Protocol):
    """An instrument that is spoken to in lines. Called with the plant's lock held."""

    def execute(self, line: str) -> bytes | None:
        """Carry out one line; its reply without the line end."""
        ...

    def overlong(self) -> None:
        """A line without end was thrown away."""
        ...


SETTLE_LIMIT = 5.0
"""Wall seconds a command may wait before the bench calls the instrument's thread stuck."""


@dataclass(slots=True)
class _Peer:
    received: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)


class LineServer:
    """Serves one instrument to any number of connections, from one daemon thread.

    The plant stands still while a command is carried out: the scheduler's lock is held.
    """

    def __init__(
        self,
        instrument: LineInstrument,
        scheduler: Scheduler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ending: bytes = b"\n",
        command_ending: bytes | None = None,
        greeting: bytes = b"",
    ) -> None:
        """`ending` ends replies, and commands too unless `command_ending` does; `greeting` is sent to whoever
        connects."""
        self.instrument = instrument
        self._ending = ending
        self._command_ending = command_ending or ending
        self._greeting = greeting
        self._scheduler = scheduler
        self._listener = socket.create_server((host, port))
        self._listener.setblocking(False)
        self.host, self.port = self._listener.getsockname()[:2]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._peers: dict[socket.socket, _Peer] = {}
        self._idle = threading.Condition(scheduler.lock)
        self._closing = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name=f"instrument-{self.port}", daemon=True)
        self._thread.start()
        scheduler.join(self)

    @property
    def address(self) -> str:
        return f"TCPIP::{self.host}::{self.port}::SOCKET"

    def close(self) -> None:
        """Drop every connection and end the thread. Idempotent.

        Raises what ended the thread early, if anything did.
        """
        if not self._closing:
            self._closing = True
            self._scheduler.leave(self)
            with contextlib.suppress(OSError):  # the thread has ended already
                self._wake.send(b"\0")
            self._thread.join(5)
            self._wake.close()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def settle(self) -> None:
        """Hold time until every command that was sent has been carried out.

        Waiting gives the plant's lock away, so the serving thread can have it.
        """
        with self._idle:
            if self._nothing_waits():  # as at nearly every jump of time
                return
            if not self._idle.wait_for(self._nothing_waits, SETTLE_LIMIT):
                raise PlantError(
                    f"the instrument at {self.address} left a command waiting for {SETTLE_LIMIT:g} s",
                    help="its thread is stuck or dead; see its traceback",
                )

    def _nothing_waits(self) -> bool:
        return not any(map(_readable, self._peers)) or not self._thread.is_alive()

    def _serve(self) -> None:
        try:
            while not self._closing:
                for key, events in self._selector.select():
                    with self._idle:
                        if key.fileobj is self._listener:
                            self._accept()
                        elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._peers:
                            self._attend(key.fileobj, events)
                        self._idle.notify_all()
        except BaseException as failure:  # a fault of the plant must not end as a silent time-out
            self.failure = failure
        finally:
            for peer in tuple(self._peers):
                self._drop(peer)
            self._selector.close()
            self._listener.close()
            self._woken.close()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers[connection] = _Peer(unsent=bytearray(self._greeting))
        self._selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _attend(self, connection: socket.socket, events: int) -> None:
        peer = self._peers[connection]
        try:
            if events & selectors.EVENT_READ:
                data = connection.recv(65536)
                if not data:
                    self._drop(connection)
                    return
                self._take(peer, data)
            if peer.unsent:
                sent = connection.send(peer.unsent)
                del peer.unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(connection)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.unsent else 0)
        self._selector.modify(connection, wanted)

    def _take(self, peer: _Peer, data: bytes) -> None:
        peer.received += data
        while (end := peer.received.find(self._command_ending)) >= 0:
            line = peer.received[:end].decode("latin-1")
            del peer.received[: end + len(self._command_ending)]
            reply = self.instrument.execute(line)
            if reply is not None:
                peer.unsent += reply + self._ending
        if len(peer.received) > MAX_LINE:
            peer.received.clear()
            self.instrument.overlong()

    def _drop(self, connection: socket.socket) -> None:
        del self._peers[connection]
        self._selector.unregister(connection)
        connection.close()


def _readable(connection: socket.socket) -> bool:
    """Whether bytes have arrived that nobody took."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:  # nothing there, or the connection is broken
        return False
