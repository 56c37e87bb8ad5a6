"""The rules of the flash, as a debugger meets them word by word, and their price in time."""

from __future__ import annotations

import pytest
from nrf91_rig import DP_ABORT, Board, Wire

from bench.virtual.nrf91.dap import Fault, NoTarget

CONFIG, READY, ERASEALL = 0x50039504, 0x50039400, 0x5003950C
UICR, APPROTECT, OTP = 0x00FF8000, 0x00FF8000, 0x00FF8108
WEN, EEN = 1, 2
PAGE = 0x20000


def program(wire: Wire, address: int, value: int) -> None:
    wire.poke(CONFIG, WEN)
    wire.poke(address, value)
    wire.poke(CONFIG, 0)


def test_nothing_is_written_while_writing_is_off(wire: Wire) -> None:
    with pytest.raises(Fault):
        wire.poke(PAGE, 0)
    wire.dap.write_dp(DP_ABORT, 0x4)
    assert wire.peek(PAGE) == 0xFFFFFFFF


def test_writing_only_clears_bits(wire: Wire) -> None:
    program(wire, PAGE, 0xFFFF00F0)
    program(wire, PAGE, 0x00FFFFFF)
    assert wire.peek(PAGE) == 0x00FF00F0


def test_only_whole_words_are_written(wire: Wire) -> None:
    wire.poke(CONFIG, WEN)
    with pytest.raises(Fault):
        wire.poke(PAGE, 0, size=0)
    wire.dap.write_dp(DP_ABORT, 0x4)
    assert wire.peek(PAGE) == 0xFFFFFFFF


def test_erasing_sets_one_page_and_leaves_its_neighbours(wire: Wire, board: Board) -> None:
    board.load(PAGE - 0x1000, bytes(0x3000))
    wire.poke(CONFIG, EEN)
    wire.poke(PAGE, 0xFFFFFFFF)
    wire.poke(CONFIG, 0)
    assert board.chip.flash.is_erased(PAGE, 0x1000)
    assert board.chip.flash.read(PAGE - 0x1000, 0x1000) == bytes(0x1000)
    assert board.chip.flash.read(PAGE + 0x1000, 0x1000) == bytes(0x1000)


def test_erasing_a_page_and_writing_a_word_take_their_time(wire: Wire, board: Board) -> None:
    wire.poke(CONFIG, EEN)
    start = board.scheduler.now
    wire.poke(PAGE, 0xFFFFFFFF)
    assert 0.085 <= board.scheduler.now - start <= 0.090
    wire.poke(CONFIG, WEN)
    start = board.scheduler.now
    wire.poke(PAGE, 0)
    assert 43e-6 <= board.scheduler.now - start < 200e-6
    assert wire.peek(READY) == 1


def test_uicr_is_written_like_flash_and_erased_only_with_everything(wire: Wire, board: Board) -> None:
    program(wire, OTP, 0x12345678)
    assert wire.peek(OTP) == 0x12345678
    wire.poke(CONFIG, EEN)
    wire.poke(UICR, 0xFFFFFFFF)
    assert wire.peek(OTP) == 0x12345678
    board.load(PAGE, bytes(16))
    wire.poke(ERASEALL, 1)
    wire.poke(CONFIG, 0)
    assert wire.peek(OTP) == 0xFFFFFFFF
    assert board.chip.flash.is_erased(0, board.chip.flash.size)


def test_eraseall_does_nothing_while_erasing_is_off(wire: Wire, board: Board) -> None:
    board.load(PAGE, bytes(16))
    wire.poke(ERASEALL, 1)
    assert wire.peek(PAGE) == 0


def test_supply_lost_during_an_erase_leaves_the_page_half_erased(wire: Wire, board: Board) -> None:
    board.load(PAGE, bytes(0x1000))
    wire.poke(CONFIG, EEN)
    board.scheduler.after(0.04, lambda: board.chip.power(False))
    with pytest.raises(NoTarget, match="no target power"):
        wire.poke(PAGE, 0xFFFFFFFF)
    page = board.chip.flash.read(PAGE, 0x1000)
    assert 0 < page.count(0xFF) < 0x1000


def test_supply_lost_while_words_are_written_leaves_the_rest_unwritten(wire: Wire, board: Board) -> None:
    wire.poke(CONFIG, WEN)
    wire.write(0, 0x0, 0x03000012)
    wire.write(0, 0x4, PAGE)
    board.scheduler.after(100 * 43e-6, lambda: board.chip.power(False))
    with pytest.raises(NoTarget, match="no target power"):
        wire.dap.write_ap_many(0xC, [0] * 256)
    written = board.chip.flash.read(PAGE, 1024)
    zeros = len(written) - len(written.lstrip(b"\0"))
    assert 4 * 90 <= zeros <= 4 * 101
    assert board.chip.flash.is_erased(PAGE + 4 * 102, 1024 - 4 * 102)


def test_protection_closes_at_the_next_reset_and_eraseall_opens_it(wire: Wire, board: Board) -> None:
    board.load(PAGE, bytes(16))
    program(wire, APPROTECT, 0)
    assert wire.read(4, 0x0C) & 1 == 1, "not before a reset"
    board.chip.reset("pin")
    assert wire.read(4, 0x0C) & 1 == 0
    with pytest.raises(Fault):
        wire.peek(PAGE)
    wire.dap.write_dp(DP_ABORT, 0x4)
    start = board.scheduler.now
    wire.write(4, 0x04, 1)
    assert wire.read(4, 0x08) == 1, "busy"
    while wire.read(4, 0x08):
        pass
    assert board.scheduler.now - start >= 0.17
    wire.write(4, 0x00, 1)
    wire.write(4, 0x00, 0)
    assert wire.read(4, 0x0C) & 1 == 0, "an nRF9160 wants its pin"
    board.chip.hold_reset("pin", True)
    board.chip.hold_reset("pin", False)
    assert wire.read(4, 0x0C) & 3 == 3
    assert wire.peek(PAGE) == 0xFFFFFFFF


def test_eraseprotect_refuses_ctrl_ap_eraseall(wire: Wire, board: Board) -> None:
    board.load(PAGE, bytes(16))
    assert wire.read(4, 0x18) == 1
    program(wire, UICR + 0x30, 0)
    assert wire.read(4, 0x18) == 0
    wire.write(4, 0x04, 1)
    assert wire.peek(PAGE) == 0
