"""A debug probe that fails on command: every method, at any of its calls, with anything.

It is the virtual probe, which the real pyOCD drives, with a fault laid over each method that pyOCD calls. As
a USB device it has one user at a time: who does not let go of it keeps the next one out.
"""

from __future__ import annotations

import errno
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import usb.core
from pyocd.probe.debug_probe import DebugProbe

from bench.virtual.nrf91.probe import VirtualProbe
from bench.virtual.nrf91.registry import PROBES

METHODS = (
    "create_associated_board",
    "open",
    "close",
    "connect",
    "disconnect",
    "swj_sequence",
    "set_clock",
    "flush",
    "reset",
    "assert_reset",
    "is_reset_asserted",
    "read_dp",
    "write_dp",
    "read_ap",
    "write_ap",
    "read_ap_multiple",
    "write_ap_multiple",
)
PROPERTIES = ("unique_id", "capabilities", "wire_protocol", "is_open", "supported_wire_protocols")


@dataclass
class Faults:
    """`calls` counts them by name; number `at` of `method` raises `error`, with `on` every later one too."""

    method: str = ""
    at: int = 0
    error: BaseException | None = None
    on: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    hit: int = 0

    def call(self, name: str) -> None:
        number = self.calls[name]
        self.calls[name] += 1
        due = number >= self.at if self.on else number == self.at
        if self.error is not None and name == self.method and due:
            self.hit += 1
            raise self.error


class FaultyProbe(VirtualProbe):
    faults: ClassVar[Faults] = Faults()
    holder: ClassVar[object | None] = None

    @classmethod
    def get_all_connected_probes(
        cls, unique_id: str | None = None, is_explicit: bool = False
    ) -> Sequence[DebugProbe]:
        cls.faults.call("get_all_connected_probes")
        return [cls(uid, chip) for uid, chip in PROBES.items()]

    def _claim(self) -> None:
        if FaultyProbe.holder not in (None, self):
            raise usb.core.USBError("Resource busy", -6, errno.EBUSY)
        FaultyProbe.holder = self

    def _release(self) -> None:
        if FaultyProbe.holder is self:
            FaultyProbe.holder = None


def _lay(name: str) -> None:
    inner: Callable[..., Any] = getattr(VirtualProbe, name)

    @functools.wraps(inner)
    def method(self: FaultyProbe, *arguments: Any, **named: Any) -> Any:
        if name == "open":
            self._claim()  # a device that fails while it is opened is already taken
            self._is_open = True
        self.faults.call(name)
        result = inner(self, *arguments, **named)
        if name == "close":
            self._release()
        if not callable(result):
            return result

        def later() -> Any:  # the answer of a transfer that pyOCD has not waited for
            self.faults.call(f"{name}, its answer")
            return result()

        return later

    setattr(FaultyProbe, name, method)


def _lay_property(name: str) -> None:
    inner = getattr(VirtualProbe, name)

    def get(self: FaultyProbe) -> Any:
        self.faults.call(name)
        return inner.fget(self)

    setattr(FaultyProbe, name, property(get))


for _name in METHODS:
    _lay(_name)
for _name in PROPERTIES:
    _lay_property(_name)
