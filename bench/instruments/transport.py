"""One wire to one instrument, over PyVISA's pure-Python back end, with its traps closed.

What is guarded against, each seen with pyvisa 1.16 and pyvisa-py 0.8 on raw sockets:

- No read termination by default: every query would time out. Both terminations are set.
- Opening a port nobody listens on succeeds: `*IDN?` is asked at opening.
- Nagle's algorithm stalls write, write, query by some 40 ms: TCP_NODELAY is set.
- A peer that closed shows as a time-out at full CPU load: the socket is looked at first.
- A reply that comes after its time-out would answer the next query: after any time-out the
  connection is closed, and the next command opens it again. Unasked bytes do the same.
- A write blocks for ever when the peer does not read: it is given the same time limit.

Every command and reply is on the timeline: source = the instrument's name, kind "scpi", text
"> VOLT 3.7,(@1)" and "< +3.70000000E+00".
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy
import pyvisa
from pyvisa.constants import InterfaceType

from bench.errors import InstrumentError
from bench.timeline import Timeline

T = TypeVar("T")

OVERFLOW = 9.9e37
"""What SCPI instruments answer for "no number": 9.9E37 (overrange) and 9.91E37 (not a number), IEEE 488.2."""

_DIGITS = tuple(b"%d" % digit for digit in range(1, 10))

LOGGED = 200
"""Characters of a reply that go onto the timeline."""


@functools.lru_cache(maxsize=1)
def _resource_manager() -> Any:
    return pyvisa.ResourceManager("@py")


class Transport:
    """Text commands and replies. Every fault is an `InstrumentError` naming instrument, address, command.

    `address` is a VISA resource name; `identity` the text `*IDN?` must answer or begin with (case
    does not matter; None: anything); `timeout` is in wall seconds, because it watches a wire.
    """

    def __init__(
        self,
        name: str,
        address: str,
        timeline: Timeline,
        *,
        identity: str | None = None,
        timeout: float = 3.0,
    ) -> None:
        self.name = name
        self.address = address
        self.idn = ""
        self.on_open: Callable[[], None] = lambda: None
        """Run after every opening, a reopening included: a driver clears the error queue here."""
        self._timeline = timeline
        self._identity = identity
        self._timeout = timeout
        self._resource: Any = None
        self._wanted = False

    # ---- connection

    def open(self) -> None:
        """Connect and check who answers. Idempotent."""
        self._wanted = True
        if self._resource is not None:
            return
        try:
            self._resource = self._connect()
            self.idn = self.query("*IDN?").strip()
            if self._identity is not None and not self.idn.lower().startswith(self._identity.lower()):
                raise InstrumentError(
                    f"{self.name} at {self.address} is {self.idn!r}, "
                    f"but the bench file names {self._identity!r}",
                    help="correct the address or the identity in the bench file; nothing was changed on it",
                )
            self.on_open()
        except BaseException:
            self._disconnect()
            raise

    def close(self) -> None:
        """Idempotent; never raises."""
        self._wanted = False
        self._disconnect()

    def _connect(self) -> Any:
        try:
            resource = _resource_manager().open_resource(
                self.address,
                open_timeout=int(self._timeout * 1000),
                read_termination="\n",
                write_termination="\n",
            )
        except Exception as fault:  # the back end raises bare Exception, among others
            raise self._fault("open", str(fault)) from fault
        resource.timeout = self._timeout * 1000
        self._resource = resource
        if (wire := self._socket()) is not None:
            error = wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self._disconnect()
                raise self._fault("open", os.strerror(error))
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire.settimeout(self._timeout)
        return resource

    def _disconnect(self) -> None:
        resource, self._resource = self._resource, None
        if resource is not None:
            with contextlib.suppress(Exception):
                resource.close()

    def _socket(self) -> socket.socket | None:
        """The raw socket, where there is one: PyVISA offers no way to reach it."""
        session = self._session()
        if self._resource.interface_type != InterfaceType.tcpip:
            return None
        interface = getattr(session, "interface", None)
        return interface if isinstance(interface, socket.socket) else None

    def _session(self) -> Any:
        return self._resource.visalib.sessions.get(self._resource.session)

    def _unread(self) -> bool:
        """Whether the back end holds bytes it read beyond the last reply's end."""
        return bool(getattr(self._session(), "_pending_buffer", None))

    # ---- commands

    def write(self, command: str) -> None:
        """Send a command that has no reply."""
        self._ready(command)
        self._timeline.record(self.name, "scpi", f"> {command}")
        self._guarded(command, lambda: self._resource.write(command))

    def query(self, command: str) -> str:
        """Send a command and return its reply without the line end."""
        self.write(command)

        def read() -> str:
            self._await_reply()
            reply: str = self._resource.read()
            return reply

        reply = self._guarded(command, read)
        self._timeline.record(self.name, "scpi", f"< {reply[:LOGGED]}")
        return reply

    def query_number(self, command: str) -> float:
        """A finite number. NaN, infinity and 9.9E37 are faults."""
        reply = self.query(command)
        try:
            value = float(reply)
        except ValueError:
            self._disconnect()  # who knows which question this answers
            raise self._fault(command, f"answered {reply!r}, which is not a number") from None
        if not math.isfinite(value) or abs(value) >= OVERFLOW:
            raise self._fault(command, f"answered {reply!r}, which stands for no valid reading")
        return value

    def query_floats(self, command: str, *, big_endian: bool) -> numpy.ndarray:
        """A definite-length block (`#<n><length><bytes>`) of 32-bit floats.

        A block shorter than its header says, or not a multiple of four bytes, is a fault.
        """
        self.write(command)

        def read() -> bytes:
            self._await_reply()
            # byte counts throughout: data bytes equal to the line end must not end the read
            start = self._resource.read_bytes(2)
            if start[:1] != b"#" or start[1:] not in _DIGITS:
                raise ValueError(f"answered {start!r}..., which does not begin a definite-length block")
            length = int(self._resource.read_bytes(int(start[1:])))
            block: bytes = self._resource.read_bytes(length) if length else b""
            if self._resource.read_bytes(1) != b"\n":
                raise ValueError(f"answered more than the {length} bytes its block header says")
            return block

        block = self._guarded(command, read)
        self._timeline.record(self.name, "scpi", f"< block of {len(block)} bytes")
        if len(block) % 4:
            self._disconnect()
            raise self._fault(command, f"answered a block of {len(block)} bytes, not a multiple of 4")
        return numpy.frombuffer(block, dtype=">f4" if big_endian else "<f4")

    def fault(self, command: str, reason: str) -> InstrumentError:
        """For drivers: an error that names this instrument, its address and the command."""
        return self._fault(command, reason)

    # ---- guards

    def _ready(self, command: str) -> None:
        if not self._wanted:
            raise self._fault(command, "the connection is not open")
        if self._resource is None:
            self._timeline.record(self.name, "scpi", "reopening the connection")
            self.open()
            return
        wire = self._socket()
        if wire is None:
            return
        state = self._guarded(command, lambda: _look(wire))
        if state == "closed":
            self._disconnect()
            raise self._fault(command, "the instrument closed the connection")
        if state == "bytes" or self._unread():
            self._timeline.record(self.name, "scpi", "bytes nobody asked for: reopening the connection")
            self._disconnect()
            self.open()
            return
        if not select.select([], [wire], [], self._timeout)[1]:
            self._disconnect()
            raise self._fault(command, f"takes no more bytes since {self._timeout:g} s")

    def _await_reply(self) -> None:
        wire = self._socket()
        if wire is None or self._unread():
            return
        end = time.monotonic() + self._timeout
        if not select.select([wire], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError(f"no reply within {self._timeout:g} s")
        if _look(wire) == "closed":
            raise ConnectionError("the instrument closed the connection")

    def _guarded(self, command: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except (pyvisa.errors.Error, OSError, ValueError) as fault:
            self._disconnect()
            reason = str(fault)
            if isinstance(fault, pyvisa.errors.VisaIOError) and "TMO" in (fault.abbreviation or ""):
                reason = f"reply not complete within {self._timeout:g} s"
            raise self._fault(command, reason) from fault

    def _fault(self, command: str, reason: str | None) -> InstrumentError:
        return InstrumentError(
            f"{self.name} at {self.address}: {command}: {reason}",
            help="check that the instrument is on, reachable, in remote mode and held by no other program",
        )


def _look(wire: socket.socket) -> str:
    """What waits in a socket: "nothing", "bytes" or "closed" (the peer closed)."""
    if not select.select([wire], [], [], 0)[0]:
        return "nothing"
    return "bytes" if wire.recv(1, socket.MSG_PEEK) else "closed"
