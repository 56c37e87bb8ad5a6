"""The power-cut sweep of a virtual board, shared out over processes.

Each process opens a station of its own and does the same reference update, which the seed makes the
same, and then its share of the cuts.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import Literal

from bench import garbage
from bench.config import Bench
from bench.dut.hardware import HardwareDut
from bench.errors import BenchError, ConfigError, NotApplicable, PlantError
from bench.firmware.image import FirmwareImage
from bench.firmware.image_set import ImageSet
from bench.firmware_update.states import Delivery, Result
from bench.power_cuts.beginnings import BeginningName
from bench.power_cuts.part import WHOLE, SweepPart
from bench.power_cuts.report import PHASES, Cut, CutResult
from bench.power_cuts.sweep import Sweep
from bench.station import Station

WORKERS = 2
_POLL = 1.0
"""Wall seconds between looks whether a worker has died."""
_RUN = 16
"""Neighbouring cuts that go to one worker together: they often leave equal states."""


ImageName = Literal["update", "self-test-fails"]

IMAGES: dict[ImageName, tuple[Callable[[ImageSet], FirmwareImage], Result]] = {
    "update": (lambda images: images.update, Result.SUCCESS),
    "self-test-fails": (lambda images: images.self_test_fails, Result.UPDATE_FAILED),  # goes back by itself
}
"""What an update goes to, and its result when nothing disturbs it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to sweep: one board of a bench file, an update to one of `IMAGES`, the phases of it.

    `only` is the number of a single cut, or None for all of the `part`. Numbers depend neither on the phases
    nor on the part. `beginning` is what the board has behind it. Of the operations in its image slots one of
    every `in_slots` is cut; of the others, what it keeps beside the images, each. `defect` is one to be
    seeded in the board.
    """

    bench: Bench
    board: str
    delivery: Delivery
    image: ImageName = "update"
    phases: tuple[str, ...] = PHASES
    seed: int = 0
    only: int | None = None
    part: SweepPart = WHOLE
    beginning: BeginningName = "fresh"
    in_slots: int = 1
    defect: str | None = None


@dataclass(frozen=True, slots=True)
class _Fault:
    message: str


@dataclass(frozen=True, slots=True)
class _End:
    cuts: int


_Message = CutResult | _Fault | _End


def sweep(
    order: Order,
    on_progress: Callable[[int, int, CutResult], None] = lambda done, total, result: None,
    *,
    workers: int = WORKERS,
) -> list[CutResult]:
    """Every cut of one update and what came of it, by number.

    `on_progress(done, total, result)` is called after each. Raises `NotApplicable` for a board that is
    not virtual and for a part that holds no operation, and `PlantError` when a worker cannot do its work.
    """
    if order.bench.settings.bench.plant is None:
        raise NotApplicable("only the flash of a virtual board can be looked into while it works")
    context = multiprocessing.get_context("spawn")
    # each lays out the whole update first, which takes as long as some hundred cuts
    parts = min(workers, os.cpu_count() or 1) if order.only is None and order.part.is_whole else 1
    messages: Queue[tuple[int, int, _Message]] = context.Queue()
    running = [
        context.Process(target=_work, args=(order, part, parts, messages), daemon=True)
        for part in range(parts)
    ]
    for process in running:
        process.start()
    try:
        results = _gathered(running, messages, on_progress)
    finally:
        for process in running:
            process.terminate()
            process.join()
        messages.close()
    if not results:  # which is no finding about the board
        raise NotApplicable(f"part {order.part} of this sweep holds none of its flash operations")
    return results


def _gathered(
    running: Sequence[BaseProcess],
    messages: Queue[tuple[int, int, _Message]],
    on_progress: Callable[[int, int, CutResult], None],
) -> list[CutResult]:
    results: dict[int, CutResult] = {}
    ended: dict[int, int] = {}
    while len(ended) < len(running):
        part, total, message = _next(running, ended, messages)
        match message:
            case CutResult():
                results[message.cut.number] = message
                on_progress(len(results), total, message)
            case _Fault(text):
                raise PlantError(
                    f"the sweep cannot go on: {text}", help="repair the bench; this is no finding"
                )
            case _End(cuts):
                ended[part] = cuts
    if len(set(ended.values())) > 1:
        raise PlantError(
            f"workers laid out different numbers of cuts: {sorted(ended.values())}",
            help="something on the virtual bench does not follow from the seed",
        )
    return [results[number] for number in sorted(results)]


def _next(
    running: Sequence[BaseProcess], ended: dict[int, int], messages: Queue[tuple[int, int, _Message]]
) -> tuple[int, int, _Message]:
    while True:
        dead = [n for n, process in enumerate(running) if n not in ended and not process.is_alive()]
        try:
            return messages.get(timeout=_POLL)
        except queue.Empty:
            if dead:
                code = running[dead[0]].exitcode
                raise PlantError(
                    f"worker {dead[0]} of the sweep ended with exit code {code}",
                    help="see its traceback above",
                ) from None


def _work(order: Order, part: int, parts: int, messages: Queue[tuple[int, int, _Message]]) -> None:
    """A worker process."""
    try:
        total = 0
        with Station(order.bench, seed=order.seed, defect=order.defect) as station:
            garbage.seldom()
            wanted, results = _run(station, order, part, parts)
            total = len(wanted)
            for result in results:
                messages.put((part, total, result))
        messages.put((part, total, _End(total)))
    except (BenchError, NotApplicable, AssertionError) as fault:
        messages.put((part, 0, _Fault(str(fault))))


def _run(station: Station, order: Order, part: int, parts: int) -> tuple[Sequence[Cut], Iterator[CutResult]]:
    """What is to be cut in all, and the outcomes of this worker's share of it."""
    dut = station.duts[order.board]
    if not isinstance(dut, HardwareDut):
        raise NotApplicable(f"{order.board} is a program")
    stage = station.flash_stage(order.board)
    sweep = Sweep(dut, station.updates, stage, station.clock, order.seed)
    choose, result = IMAGES[order.image]
    sweep.prepare(order.delivery, choose(dut.images), result, order.beginning)
    wanted = _wanted(order, sweep)
    mine = [cut for place, cut in enumerate(wanted) if place // _RUN % parts == part]
    return wanted, (sweep.run(cut) for cut in mine)


def _wanted(order: Order, sweep: Sweep) -> Sequence[Cut]:
    cuts = sweep.cuts
    if order.only is None:
        held = {
            operation.number
            for operation in sweep.operations
            if order.part.holds(operation.number)
            and (operation.region not in sweep.slots or operation.number % order.in_slots == 0)
        }
        return [cut for cut in cuts if cut.phase in order.phases and cut.operation in held]
    if order.only < len(cuts):
        return [cuts[order.only]]
    raise ConfigError(
        f"there is no cut {order.only}: the update of {order.board} by {order.delivery} has "
        f"{len(cuts)}, from 0",
        help="give --cut a number from the table of the sweep, with the same --seed",
    )
