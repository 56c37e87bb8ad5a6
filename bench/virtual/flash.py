"""NOR flash: erase sets whole pages to ones, programming clears bits, both take time and can tear.

An operation is begun, takes its time, and is then done. When the supply fails in between,
`interrupt` leaves what a real array leaves: a part of the words written, a page half erased.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from dataclasses import dataclass

from bench.virtual.process import Steps


@dataclass(frozen=True, slots=True)
class FlashTiming:
    """Seconds for one page erase and for one word, and the word's size in bytes."""

    page_erase: float
    word_write: float
    word: int = 4


@dataclass(frozen=True, slots=True)
class Operation:
    """What the array is busy with: `kind` is "erase" (one page, no `data`) or "write"; times are seconds."""

    kind: str
    offset: int
    data: bytes
    started: float
    duration: float


class Flash:
    """`size` bytes at `base`, in pages of `page` bytes. Offsets are bus addresses minus `base`.

    `array` is a ctypes buffer so that an instruction-set emulator can share it without copies;
    `view` is a writable memoryview of it. `on_operation(kind, offset, length)` is told of each
    operation as it begins, when it is also `under_way`; `wear` counts erases by page number.
    """

    def __init__(
        self, size: int, page: int, timing: FlashTiming, rng: random.Random, *, base: int = 0
    ) -> None:
        self.size, self.page, self.timing, self.base = size, page, timing, base
        self.array = ctypes.create_string_buffer(b"\xff" * size, size)
        self.view = memoryview(self.array).cast("B")
        self.wear: dict[int, int] = {}
        self.on_operation: Callable[[str, int, int], None] = lambda kind, offset, length: None
        self._rng = rng
        self.under_way: Operation | None = None

    def reseed(self, seed: float) -> None:
        """What the next torn operation looks like follows from `seed`."""
        self._rng.seed(seed)

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return bytes(self.view[offset : offset + length])

    def is_erased(self, offset: int, length: int) -> bool:
        return self.read(offset, length).count(0xFF) == length

    # ---- at once (an external programmer that accounts for time itself)

    def erase_now(self, offset: int) -> None:
        """Erase the page that holds `offset`."""
        self._check(offset, 1)
        start = offset - offset % self.page
        self.view[start : start + self.page] = b"\xff" * self.page
        number = start // self.page
        self.wear[number] = self.wear.get(number, 0) + 1

    def write_now(self, offset: int, data: bytes) -> None:
        """Program: every bit becomes old AND new."""
        self._check(offset, len(data))
        old = self.view[offset : offset + len(data)]
        if bytes(old).count(0xFF) != len(data):
            both = int.from_bytes(old, "little") & int.from_bytes(data, "little")
            data = both.to_bytes(len(data), "little")
        self.view[offset : offset + len(data)] = data

    # ---- over time (firmware); use as `yield from flash.erase(...)`

    def erase(self, offset: int, length: int, now: Callable[[], float]) -> Steps:
        """Erase every page touched by the range, one after another."""
        self._check(offset, length)
        for start in range(offset - offset % self.page, offset + length, self.page):
            yield from self._take("erase", start, b"", self.timing.page_erase, now)
            self.erase_now(start)

    def write(self, offset: int, data: bytes, now: Callable[[], float]) -> Steps:
        """Program `data`; the caller has erased."""
        self._check(offset, len(data))
        words = -(-len(data) // self.timing.word)
        yield from self._take("write", offset, data, words * self.timing.word_write, now)
        self.write_now(offset, data)

    def interrupt(self, now: float) -> None:
        """The supply failed: what was under way stays half done."""
        operation, self.under_way = self.under_way, None
        if operation is not None:
            passed = now - operation.started
            done = min(1.0, max(0.0, passed / operation.duration)) if operation.duration else 0.0
            self.tear(operation, done, self._rng)

    def tear(self, operation: Operation, done: float, rng: random.Random) -> None:
        """What is left of `operation` when the supply fails after a share `done` (0 to 1) of its time."""
        if operation.kind == "write":
            words = int(done * len(operation.data) / self.timing.word)
            whole = words * self.timing.word
            self.write_now(operation.offset, operation.data[:whole])
            torn = operation.data[whole : whole + self.timing.word]
            if torn:  # in the word under way only some of the bits have fallen
                self.write_now(operation.offset + whole, bytes(b | rng.randrange(256) for b in torn))
        else:
            page = self.view[operation.offset : operation.offset + self.page]
            for i in range(self.page):  # bits rise with the share of the erase pulse that passed
                if rng.random() < done:
                    page[i] = 0xFF
                elif rng.random() < 0.5:
                    page[i] |= rng.randrange(256)

    def _take(self, kind: str, offset: int, data: bytes, seconds: float, now: Callable[[], float]) -> Steps:
        self.under_way = Operation(kind, offset, data, now(), seconds)
        self.on_operation(kind, offset, len(data) or self.page)
        yield seconds
        self.under_way = None

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or offset + length > self.size:
            raise IndexError(f"flash access {offset:#x}+{length:#x} outside {self.size:#x} bytes")
