"""Notifications: who observes what, when a value may and must be told (RFC 7641, LwM2M pmin/pmax)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import CoapEngine
from bench.virtual.firmware.coap_message import Message
from bench.virtual.firmware.data_model import Path
from bench.virtual.radio.modem import Address
from bench.virtual.scheduler import Handle


@dataclass
class _Observer:
    path: Path
    token: bytes
    destination: Address
    sequence: int
    last_sent: float
    last_value: bytes
    accept: int | None
    timer: Handle | None = None
    overdue: Handle | None = None


@dataclass
class Attributes:
    """Seconds; None where not set."""

    pmin: float | None = None
    pmax: float | None = None


class Observations:
    """`payload_of(path, accept)` gives content format and payload of a resource now."""

    def __init__(
        self, engine: CoapEngine, payload_of: Callable[[Path, int | None], tuple[int, bytes]]
    ) -> None:
        self._engine = engine
        self._payload_of = payload_of
        self._observers: dict[tuple[Address, Path], _Observer] = {}
        self.attributes: dict[Path, Attributes] = {}

    def add(self, path: Path, token: bytes, source: Address, accept: int | None = None) -> int:
        """Start, or renew, an observation. Returns the first sequence number."""
        self.remove(path, source)
        value = self._payload_of(path, accept)[1]
        observer = _Observer(path, token, source, 1, self._engine.machine.now(), value, accept)
        self._observers[source, path] = observer
        self._arm_pmax(observer)
        return observer.sequence

    def remove(self, path: Path, source: Address) -> None:
        observer = self._observers.pop((source, path), None)
        for timer in (observer.timer, observer.overdue) if observer is not None else ():
            if timer is not None:
                timer.cancel()

    def clear(self) -> None:
        for source, path in tuple(self._observers):
            self.remove(path, source)

    def changed(self, path: Path) -> None:
        """A resource has a new value: tell its observers, no sooner than pmin allows."""
        for observer in tuple(self._observers.values()):
            if observer.path == path[: len(observer.path)] and observer.timer is None:
                if self._payload_of(observer.path, observer.accept)[1] == observer.last_value:
                    continue
                pmin = self.effective(observer.path).pmin or 0
                wait = observer.last_sent + pmin - self._engine.machine.now()
                if wait <= 0:
                    self._notify(observer)
                else:
                    observer.timer = self._engine.machine.cpu.after(wait, partial(self._notify, observer))

    def _arm_pmax(self, observer: _Observer) -> None:
        held = self.effective(observer.path)
        if observer.overdue is not None:
            observer.overdue.cancel()
        if held.pmax and held.pmax >= (held.pmin or 0):  # a pmax below pmin does not count
            wait = observer.last_sent + held.pmax - self._engine.machine.now()
            observer.overdue = self._engine.machine.cpu.after(wait, lambda: self._notify(observer))

    def effective(self, path: Path) -> Attributes:
        """What holds for `path`: its own attributes before its instance's before its object's."""
        merged = Attributes()
        for depth in range(1, len(path) + 1):
            held = self.attributes.get(path[:depth])
            if held is not None:
                merged.pmin = merged.pmin if held.pmin is None else held.pmin
                merged.pmax = merged.pmax if held.pmax is None else held.pmax
        return merged

    def attributes_changed(self, path: Path) -> None:
        """Attributes were written at `path`: they hold for running observations too."""
        for observer in self._observers.values():
            if observer.path[: len(path)] == path:
                self._arm_pmax(observer)

    def _notify(self, observer: _Observer) -> None:
        if observer.timer is not None:
            observer.timer.cancel()
            observer.timer = None
        if not self._is_observed(observer):
            return
        content_format, payload = self._payload_of(observer.path, observer.accept)
        observer.sequence = (observer.sequence + 1) & 0xFFFFFF
        observer.last_sent, observer.last_value = self._engine.machine.now(), payload
        message = Message(coap.CON, coap.CONTENT, token=observer.token, payload=payload)
        message.add_uint(coap.OBSERVE, observer.sequence)
        message.add_uint(coap.CONTENT_FORMAT, content_format)

        def ended(how: str) -> None:
            if how != "acknowledged":  # reset, or gone: nobody is interested any more
                self.remove(observer.path, observer.destination)

        self._engine.send(
            message, observer.destination, ended=ended, wanted=lambda: self._is_observed(observer)
        )
        self._arm_pmax(observer)

    def _is_observed(self, observer: _Observer) -> bool:
        return self._observers.get((observer.destination, observer.path)) is observer
