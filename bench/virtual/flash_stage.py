"""A virtual board's flash on record: what each power cut would leave of it, without a run for each.

A power cut leaves nothing of a board but its non-volatile memories. So the state after a cut follows
from what the memories held when an operation began, and from what `Flash.tear` makes of it; the run
up to there need not be repeated. That this is the state that a real cut leaves is tested.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.errors import PlantError
from bench.power_cuts.stage import FlashOperation
from bench.virtual.boards.board import VirtualBoard
from bench.virtual.flash import Flash, Operation


@dataclass(frozen=True, slots=True)
class _Recording:
    """The memory when it began, and every operation since."""

    start: bytes
    operations: list[Operation]


class BoardFlashStage:
    """`FlashStage` of one virtual board. `changed()` is called when an awaited moment is reached."""

    def __init__(self, board: VirtualBoard, changed: Callable[[], None]) -> None:
        self._board = board
        self._flash: Flash = board.flash
        self._changed = changed
        self._recording: _Recording | None = None
        self._reached_state: tuple[int, bytearray] | None = None
        self.counted = 0
        self.reached = False

    # ---- the record

    def record(self) -> None:
        self._recording = recording = _Recording(bytes(self._flash.view), [])

        def begun(kind: str, offset: int, length: int) -> None:
            assert self._flash.under_way is not None
            recording.operations.append(self._flash.under_way)

        self._flash.on_operation = begun

    def stop(self) -> Sequence[FlashOperation]:
        self._flash.on_operation = _nothing
        operations = self._recorded().operations
        if bytes(self._before(len(operations))) != bytes(self._flash.view):
            raise PlantError(
                f"{self._board.name}: the flash changed otherwise than by the operations on record",
                help="record only while nobody programs the board, and stop while it is at rest",
            )
        return [self._described(number, operation) for number, operation in enumerate(operations)]

    def _described(self, number: int, operation: Operation) -> FlashOperation:
        length = len(operation.data) or self._flash.page
        for name, region in self._board.regions.items():
            if region.offset <= operation.offset < region.offset + region.size:
                place = name, operation.offset - region.offset
                break
        else:
            place = "", operation.offset
        return FlashOperation(number, operation.started, operation.kind, *place, length)

    def _recorded(self) -> _Recording:
        if self._recording is None:
            raise PlantError(f"{self._board.name}: no flash operations are on record", help="record first")
        return self._recording

    # ---- a state after a cut

    def put(self, operation: int, share: float, stream: str) -> None:
        if self._board.powered:
            raise PlantError(f"{self._board.name} is powered", help="switch it off first")
        rng = random.Random(stream)
        self._flash.view[:] = self._before(operation)
        if share > 0:
            self._flash.tear(self._recorded().operations[operation], share, rng)
        self._board.rng.seed(rng.random())
        self._flash.reseed(rng.random())

    def _before(self, operation: int) -> bytearray:
        """The memory when an operation began. Quick when asked in order."""
        recording = self._recorded()
        number, state = self._reached_state or (0, bytearray(recording.start))
        if number > operation:
            number, state = 0, bytearray(recording.start)
        for done in recording.operations[number:operation]:
            if done.kind == "erase":
                state[done.offset : done.offset + self._flash.page] = b"\xff" * self._flash.page
            else:
                end = done.offset + len(done.data)
                both = int.from_bytes(state[done.offset : end], "little") & int.from_bytes(
                    done.data, "little"
                )
                state[done.offset : end] = both.to_bytes(len(done.data), "little")
        self._reached_state = (operation, state)
        return state

    # ---- moments to come

    def count(self) -> None:
        self.counted = 0
        self.reached = False

        def begun(kind: str, offset: int, length: int) -> None:
            self.counted += 1

        self._flash.on_operation = begun

    def expect(self, operation: int, share: float) -> None:
        self.count()

        def begun(kind: str, offset: int, length: int) -> None:
            if self.counted == operation and self._flash.under_way is not None:
                delay = share * self._flash.under_way.duration
                self._board.scheduler.after(delay, self._reach)
            self.counted += 1

        self._flash.on_operation = begun

    def _reach(self) -> None:
        self.reached = True
        self._changed()

    # ---- looks

    def content(self, region: str, length: int) -> bytes:
        return self._flash.read(self._board.regions[region].offset, length)

    def end(self, region: str, length: int) -> bytes:
        place = self._board.regions[region]
        return self._flash.read(place.offset + place.size - length, length)

    def digest(self) -> str:
        return hashlib.sha256(self._flash.view).hexdigest()

    def wear(self) -> dict[int, int]:
        return {self._flash.base + page * self._flash.page: count for page, count in self._flash.wear.items()}


def _nothing(kind: str, offset: int, length: int) -> None:
    """Nobody listens."""
