"""A board's UART and the host's port on it, as pyserial sees it: `vboard://NAME`.

The board side calls `transmit` and receives by `on_receive`; DTR and RTS reach it by `on_lines`. A bridge
that `waits_for_dtr` leaves both directions tri-stated until the host sets DTR, as those of Nordic's kits do
(Nordic, nRF52 DK hardware guide, "Virtual serial port").
The host side is the unmodified pyserial API: `serial.serial_for_url("vboard://nrf9160")`.

A reader thread (a console's) is given every byte, and every loss and return of the port, before
simulated time moves on, so its time stamps are exact. The thread that drives the virtual bench may
also read (esptool does): then the plant runs until bytes arrive or the port's time-out has passed in
simulated time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from bench.errors import PlantError
from bench.virtual.scheduler import Scheduler

SETTLE_LIMIT = 5.0
"""Wall seconds a console thread may take to pick up waiting bytes before the bench calls it stuck."""


class VirtualUart:
    """Both ends of one serial line. Bytes sent while no host has the port open are lost, as on a wire."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.name = name
        self.scheduler = scheduler
        self.on_receive: Callable[[bytes], None] = lambda data: None
        self.on_lines: Callable[[bool, bool], None] = lambda dtr, rts: None
        self.host_baud = 115200
        self.board_baud = 115200
        self.present = True
        self.opened = False
        self.dtr = False
        self.rts = False
        self.waits_for_dtr = False
        self._rx = bytearray()
        self._changed = threading.Condition()
        self._reader: threading.Thread | None = None
        self._reader_waiting = False
        self._cancelled = False
        self._driver = threading.current_thread()
        self._seeker: threading.Thread | None = None
        self._unsettled = False
        self.scheduler.join(self)

    # ---- the board's side

    def transmit(self, data: bytes) -> None:
        """Board to host, at this moment."""
        with self._changed:
            if self.opened and self.present and self._driven:
                if self.host_baud != self.board_baud:
                    data = bytes((b * 7 + 0x55) & 0xFF for b in data)  # framing errors: wrong bytes
                self._rx += data
                self._speak()
                self._changed.notify_all()

    @property
    def _driven(self) -> bool:
        """Whether the bridge is connected to the board's pins."""
        return self.dtr or not self.waits_for_dtr

    def vanish(self) -> None:
        """The USB serial adapter drops off the bus."""
        with self._changed:
            self.present = False
            self.dtr = self.rts = False
            self._rx.clear()
            self._speak()
            self._changed.notify_all()

    def return_(self) -> None:
        """The adapter is back; the host has to open the port again."""
        with self._changed:
            self.present = True
            self.opened = False
            self._speak()

    # ---- the host's side (called by the pyserial class)

    def open(self) -> None:
        with self._changed:
            self._rx.clear()
            self.opened = True
            opener = threading.current_thread()
            # a thread that opens the port for itself is its reader from the first byte on
            self._reader = None if opener is self._driver else opener
            self._reader_waiting = False
            self._cancelled = False
            self._seeker = None
            self._speak()
            self._changed.notify_all()

    def sought(self) -> None:
        """A thread closed or looked for the port while it was gone; at its return time waits for it."""
        with self._changed:
            thread = threading.current_thread()
            if thread is not self._driver and not self.present:
                self._seeker = thread

    def close(self) -> None:
        self.sought()
        with self._changed:
            self.opened = False
            self._reader = None
            self._changed.notify_all()

    def write(self, data: bytes) -> None:
        with self.scheduler.lock:
            if self.host_baud == self.board_baud and self._driven:
                self.on_receive(bytes(data))

    def set_lines(self, dtr: bool, rts: bool) -> None:
        if (dtr, rts) == (self.dtr, self.rts):
            return
        self.dtr, self.rts = dtr, rts
        with self.scheduler.lock:
            self.on_lines(dtr, rts)

    def spend(self, seconds: float) -> None:
        """Let the adapter's own time pass, where the calling thread is the one that drives the plant."""
        if threading.current_thread() is self._driver:
            self.scheduler.elapse(seconds)

    def waiting(self) -> int:
        """How many bytes can be read. A thread that asks for itself reads from now on."""
        with self._changed:
            if threading.current_thread() is not self._driver:
                self._reader = threading.current_thread()
            return len(self._rx)

    def read(self, size: int, timeout: float | None) -> bytes:
        """At most `size` bytes, waiting up to `timeout` seconds for the first."""
        if threading.current_thread() is self._driver:
            self.scheduler.run_until(lambda: len(self._rx) >= size or not self.opened, timeout)
        with self._changed:
            if threading.current_thread() is not self._driver:
                self._reader = threading.current_thread()
                self._await_bytes(timeout)
            data = bytes(self._rx[:size])
            del self._rx[:size]
            return data

    def _await_bytes(self, timeout: float | None) -> None:
        def ready() -> bool:
            return bool(self._rx) or not self.opened or not self.present or self._cancelled

        self._reader_waiting = True
        self._changed.notify_all()
        self._changed.wait_for(ready, timeout)
        self._reader_waiting = False
        self._cancelled = False

    def cancel_read(self) -> None:
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def clear_input(self) -> None:
        with self._changed:
            self._rx.clear()

    # ---- time

    def _speak(self) -> None:
        self._unsettled = self.scheduler.spoken = True

    def settle(self) -> None:
        """Hold time until the reader thread, if there is one, has taken every byte and waits again.

        After the port vanished: until its reader has closed it. After it returned: until the host
        that kept looking for it has opened it, or has given up.
        """
        if not self._unsettled or threading.current_thread() is self._reader:
            return
        with self._changed:
            if not self._changed.wait_for(self._settled, SETTLE_LIMIT):
                if self._seeker is None:
                    raise PlantError(
                        f"console thread of {self.name} left {len(self._rx)} bytes unread "
                        f"for {SETTLE_LIMIT:g} s",
                        help="a console reader is stuck; see the traceback of its thread",
                    )
                self._seeker = None  # it lives but no longer wants the port
            self._unsettled = False

    def _settled(self) -> bool:
        if self.present and self._seeker is not None and self._seeker.is_alive() and not self.opened:
            return False
        if not self.opened or self._reader is None or not self._reader.is_alive():
            return True
        return self.present and not self._rx and self._reader_waiting
