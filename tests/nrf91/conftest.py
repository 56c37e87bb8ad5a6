"""Boards of `nrf91_rig`, made, powered and put away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from nrf91_rig import DEVICE_ID, UID, VECTORS, Board, Wire

from bench.timeline import Timeline
from bench.virtual.clock import VirtualClock
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.registry import PROBES
from bench.virtual.nrf91.silicon import NRF9160, Silicon
from bench.virtual.scheduler import Scheduler


@pytest.fixture
def make_board() -> Iterator[Callable[..., Board]]:
    made: list[Board] = []

    def make(
        *,
        vectors: bytes = VECTORS,
        locked: bool = False,
        firmware: bool = True,
        uid: str = UID,
        silicon: Silicon = NRF9160,
    ) -> Board:
        scheduler = made[0].scheduler if made else Scheduler(1)
        clock = made[0].clock if made else VirtualClock(scheduler)
        chip = Nrf91Chip(scheduler, scheduler.rng(uid), device_id=DEVICE_ID, locked=locked, silicon=silicon)
        board = Board(scheduler, clock, Timeline(clock), chip, Wire(chip.dap))
        board.load(0, vectors)
        if firmware:
            chip.boot = board.firmware
        PROBES[uid] = chip
        made.append(board)
        chip.power(True)
        return board

    yield make
    PROBES.clear()
    if made:
        made[0].clock.close()


@pytest.fixture
def board(make_board: Callable[..., Board]) -> Board:
    return make_board()


@pytest.fixture
def wire(board: Board) -> Wire:
    board.wire.power_up()
    return board.wire
