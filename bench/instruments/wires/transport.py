"""An instrument over VISA: PyVISA's pure-Python back end, with its traps closed.

What is guarded against, each seen with pyvisa 1.16 and pyvisa-py 0.8:

- No read termination by default: every query would time out. Both terminations are set.
- Opening a port nobody listens on succeeds: the identification is asked at opening.
- Nagle's algorithm stalls write, write, query by some 40 ms: TCP_NODELAY is set.
- A peer that closed shows as a time-out at full CPU load: the socket is looked at first.
- A reply that comes after its time-out would answer the next query: after any time-out the
  connection is closed, and the next command opens it again. Unasked bytes do the same.
- A write blocks for ever when the peer does not read: there must be room for it within the time-out.
- The protocols raise what they like (RPCError, EOFError, RuntimeError, bare Exception, ...): whatever comes
  out of the back end becomes the same error as elsewhere.
- A host that has no address, a back end without its library, a resource without messages: told at opening.
- A session whose close failed keeps its socket: it is closed underneath.

Every command and reply is on the timeline: source = the instrument's name, kind "scpi", text
"> VOLT 3.7,(@1)" and "< +3.70000000E+00".
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar, Unpack

import numpy
import pyvisa
from pyvisa import rname
from pyvisa.constants import InterfaceType
from pyvisa.resources import MessageBasedResource

from bench.config.address import AddressKind, address_kinds
from bench.instruments.samples import plausible
from bench.instruments.wires.wire import CORRECT_ADDRESS, UNREACHED, Checks, Wire, reason_of
from bench.timeline import Timeline

T = TypeVar("T")

PIECE = 4096
"""Bytes given to the back end at a time."""

CURES = {
    "GPIB": "GPIB needs its adapter's driver and the package gpib-ctypes; or use the instrument's LAN port",
    "USB": "USB needs libusb (the package libusb-package brings it) and the right to open the device; "
    "compare the numbers in `address` with what `pyvisa-shell -b py` lists",
    "ASRL": "check the port's name, that nobody else holds it, and that you may open it",
}
VXI_11 = (
    "INSTR without hislip is VXI-11: switch it on at the instrument, or use the raw port: "
    "TCPIP::host::5025::SOCKET"
)

_DIGITS = tuple(b"%d" % digit for digit in range(1, 10))


@functools.lru_cache(maxsize=1)
def _resource_manager() -> Any:
    return pyvisa.ResourceManager("@py")


class Transport(Wire):
    """A VISA resource. `address` is its name; `ending` ends commands and replies."""

    kind = "scpi"

    def __init__(
        self,
        name: str,
        address: str,
        timeline: Timeline,
        *,
        ending: str = "\n",
        **checks: Unpack[Checks],
    ) -> None:
        super().__init__(name, address, timeline, **checks)
        self._ending = ending
        self._resource: Any = None

    # ---- connection

    @property
    def _connected(self) -> bool:
        return self._resource is not None

    def _connect(self) -> None:
        with self.guarded("open"):
            self._resource = self._opened()
            self._resource.timeout = self._timeout * 1000
            self._resource.read_termination = self._resource.write_termination = self._ending
            if (wire := self._socket()) is not None:
                error = wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, os.strerror(error))
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wire.settimeout(self._timeout)

    def _opened(self) -> Any:
        try:
            kinds = address_kinds(self.address)
        except ValueError as mistake:
            raise self.fault("open", str(mistake), help=CORRECT_ADDRESS) from None
        if AddressKind.VISA not in kinds:
            raise self.fault("open", f"the address is not {AddressKind.VISA}", help=CORRECT_ADDRESS)
        name = rname.ResourceName.from_string(self.address)
        if isinstance(name, rname.TCPIPSocket | rname.TCPIPInstr):
            self._look_up(name.host_address.partition(",")[0])
        manager = _resource_manager()
        try:
            resource = manager.open_resource(self.address, open_timeout=int(self._timeout * 1000))
        except Exception as fault:  # the back end raises bare Exception, among others
            help = CURES.get(name.interface_type, UNREACHED)
            if isinstance(name, rname.TCPIPInstr) and "hislip" not in name.lan_device_name.lower():
                help = VXI_11
            raise self.fault("open", reason_of(fault), help=help) from fault
        if not isinstance(resource, MessageBasedResource):
            resource.close()
            raise self.fault("open", f"a {type(resource).__name__} takes no commands", help=CORRECT_ADDRESS)
        return resource

    def _look_up(self, host: str) -> None:
        """The back end would hide why it cannot connect; it knows IPv4 alone."""
        try:
            socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as fault:
            raise self.fault(
                "open",
                f"the host {host!r} has no IPv4 address: {reason_of(fault)}",
                help="correct the host in `address`, or give the instrument's IPv4 address",
            ) from fault

    def _disconnect(self) -> None:
        resource, self._resource = self._resource, None
        if resource is None:
            return
        session = None
        with contextlib.suppress(Exception):
            session = resource.visalib.sessions.get(resource.session)
        with contextlib.suppress(Exception):
            resource.close()
        with contextlib.suppress(Exception):
            if session is not None and session.interface is not None:
                session.interface.close()

    def _socket(self) -> socket.socket | None:
        """The raw socket, where there is one: PyVISA offers no way to reach it."""
        session = self._session()
        if self._resource.interface_type != InterfaceType.tcpip:
            return None
        interface = getattr(session, "interface", None)
        interface = getattr(interface, "_sync", interface)  # HiSLIP: its synchronous channel
        return interface if isinstance(interface, socket.socket) else None

    def _session(self) -> Any:
        return self._resource.visalib.sessions.get(self._resource.session)

    def _unread(self) -> bool:
        """Whether the back end holds bytes it read beyond the last reply's end."""
        return bool(getattr(self._session(), "_pending_buffer", None))

    # ---- commands

    def write(self, command: str) -> None:
        """Send a command that has no reply."""
        with self._lock:
            self._send(command)
            self._ended()

    def query(self, command: str) -> str:
        """Send a command and return its reply without the line end."""

        with self._lock:
            self._send(command)
            reply = self._guarded(command, self._receive)
            self._ended()
        self.log(f"< {reply}")
        return reply

    def _receive(self) -> str:
        self._await_reply()
        reply: str = self._resource.read()
        return reply

    def query_block(self, command: str) -> bytes:
        """A definite-length block (`#<n><length><bytes>`, IEEE 488.2); a shorter one is a fault."""

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

        with self._lock:
            self._send(command)
            block = self._guarded(command, read)
            self._ended()
        self.log(f"< block of {len(block)} bytes")
        return block

    def query_floats(self, command: str, *, big_endian: bool, limit: float | None = None) -> numpy.ndarray:
        """A block of 32-bit floats.

        One that is not a multiple of four bytes is a fault; so is one with values that cannot be
        (not finite, or with a `limit`: beyond it), and the message says when the other byte order
        would make sense of it.
        """
        block = self.query_block(command)
        if len(block) % 4:
            self._disconnect()
            raise self.fault(command, f"answered a block of {len(block)} bytes, not a multiple of 4")
        values = numpy.frombuffer(block, dtype=">f4" if big_endian else "<f4")
        if limit is not None and not plausible(values, limit):
            swapped = plausible(numpy.frombuffer(block, dtype="<f4" if big_endian else ">f4"), limit)
            reason = (
                "values in the wrong byte order" if swapped else f"values that are none, or beyond {limit:g}"
            )
            raise self.fault(command, f"answered {reason}; nothing of it is used")
        return values.astype(numpy.float32)

    def _send(self, command: str) -> None:
        self._ready(command)
        self.log(f"> {command}")
        self._guarded(command, lambda: self._put(command))

    def _put(self, command: str) -> None:
        wire = self._socket()
        if wire is None:
            self._resource.write(command)
            return
        # the back end waits for room without a limit, so there must be some before each piece it gets
        if self._resource.resource_class != "SOCKET":  # HiSLIP: a message is one piece
            self._await_room(wire)
            self._resource.write(command)
            return
        data = (command + self._ending).encode("ascii")
        for start in range(0, len(data), PIECE):
            self._await_room(wire)
            self._resource.write_raw(data[start : start + PIECE])

    def _await_room(self, wire: socket.socket) -> None:
        if not select.select([], [wire], [], self._timeout)[1]:
            raise TimeoutError(f"takes no more bytes since {self._timeout:g} s")

    # ---- guards

    def _ready(self, command: str) -> None:
        self._need(command)
        wire = self._guarded(command, self._socket)
        if wire is None:
            return
        state = self._guarded(command, lambda: self._unasked(wire))
        if state == "closed":
            self._disconnect()
            raise self.fault(command, "the instrument closed the connection")
        if state == "bytes" and self._opening:
            self._disconnect()
            raise self.fault(command, "it speaks before it is asked")
        if state == "bytes":
            self.log("bytes nobody asked for: reopening the connection")
            self._disconnect()
            self.open()

    def _unasked(self, wire: socket.socket) -> str:
        """What came although nothing was asked, as `_look` calls it; what the back end holds counts too."""
        state = self._look(wire)
        return "bytes" if state == "nothing" and self._unread() else state

    @staticmethod
    def _look(wire: socket.socket) -> str:
        """What waits in a socket: "nothing", "bytes" or "closed" (the peer closed)."""
        if not select.select([wire], [], [], 0)[0]:
            return "nothing"
        return "bytes" if wire.recv(1, socket.MSG_PEEK) else "closed"

    def _await_reply(self) -> None:
        wire = self._socket()
        if wire is None or self._unread():
            return
        end = time.monotonic() + self._timeout
        if not select.select([wire], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError(f"no reply within {self._timeout:g} s")
        if self._look(wire) == "closed":
            raise ConnectionError("the instrument closed the connection")

    def _guarded(self, command: str, call: Callable[[], T]) -> T:
        with self.guarded(command):
            return call()

    def _reason(self, fault: Exception) -> str:
        if isinstance(fault, pyvisa.errors.VisaIOError) and "TMO" in (fault.abbreviation or ""):
            return f"reply not complete within {self._timeout:g} s"
        return reason_of(fault)
