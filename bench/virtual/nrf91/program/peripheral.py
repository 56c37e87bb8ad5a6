"""What peripherals have in common: registers that are only kept, events and what they interrupt.

Source: nRF9160 product specification, "Peripheral interface": events from offset 0x100, INTEN, INTENSET and
INTENCLR at 0x300, 0x304 and 0x308, a bit for each event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.virtual.nrf91.program.local_time import LocalTime

EVENTS, INTEN, INTENSET, INTENCLR = 0x100, 0x300, 0x304, 0x308
WORD = 0xFFFFFFFF


class NotModelled(Exception):
    """The program has touched a register that does nothing here."""


class Peripheral:
    """Registers go by their offset. `kept` are read back as they were written, from their reset values on.

    `read` and `write` raise `NotModelled`.
    """

    def __init__(self, kept: Mapping[int, int]) -> None:
        self._kept = dict(kept)

    @property
    def interrupts(self) -> bool:
        """Whether its line is up."""
        return False

    def next_moment(self) -> float | None:
        """When an event of it is due that is to interrupt, in seconds."""
        return None

    def read(self, offset: int) -> int:
        if offset not in self._kept:
            raise NotModelled
        return self._kept[offset]

    def write(self, offset: int, value: int) -> None:
        if offset not in self._kept:
            raise NotModelled
        self._kept[offset] = value & WORD


class WithEvents(Peripheral):
    """`events` are the offsets it has. One that is under way happens at its time; a program that looks
    at it before then has waited for it.
    """

    def __init__(self, time: LocalTime, kept: Mapping[int, int], events: Iterable[int]) -> None:
        super().__init__(kept)
        self._time = time
        self._events = dict.fromkeys(events, False)
        self._due: dict[int, float] = {}
        self._enabled = 0

    def happen(self, event: int, moment: float | None = None) -> None:
        """Now, or at a moment to come."""
        if moment is None:
            self._events[event] = True
        else:
            self._due[event] = moment

    def forget(self, event: int) -> None:
        """What was under way does not happen."""
        self._due.pop(event, None)

    def settle(self) -> None:
        """Let happen what is due by now."""
        now = self._time.now()
        for event in [event for event, moment in self._due.items() if moment <= now]:
            del self._due[event]
            self._events[event] = True

    @property
    def interrupts(self) -> bool:
        self.settle()
        return any(seen and self._is_enabled(event) for event, seen in self._events.items())

    def next_moment(self) -> float | None:
        return min((moment for event, moment in self._due.items() if self._is_enabled(event)), default=None)

    def _is_enabled(self, event: int) -> bool:
        return bool(self._enabled >> (event - EVENTS) // 4 & 1)

    def read(self, offset: int) -> int:
        if offset in self._events:
            if not self._events[offset] and offset in self._due:
                self._time.wait_until(self._due[offset])
            self.settle()
            return int(self._events[offset])
        if offset in (INTEN, INTENSET, INTENCLR):
            return self._enabled
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset in self._events:
            self.settle()
            self._events[offset] = bool(value & 1)
        elif offset == INTEN:
            self._enabled = value
        elif offset == INTENSET:
            self._enabled |= value
        elif offset == INTENCLR:
            self._enabled &= ~value
        else:
            super().write(offset, value)
