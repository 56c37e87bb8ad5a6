"""What SWD transactions do to the debug port, the access ports and the bus behind them."""

from __future__ import annotations

import pytest
from nrf91_rig import (
    BYTE,
    CSW,
    DP_ABORT,
    DP_CTRL,
    DP_RDBUFF,
    DP_SELECT,
    DRW,
    HALF,
    INCREMENT,
    PACKED,
    TAR,
    WORD,
    Board,
    Wire,
)

from bench.virtual.nrf91.dap import Fault, NoTarget

RAM = 0x20000000
STICKYERR = 0x20


def test_identification_of_the_debug_port(wire: Wire) -> None:
    dap = wire.dap
    assert dap.read_dp(0) == 0x6BA02477
    dap.write_dp(DP_SELECT, 2)
    assert dap.read_dp(4) & 0x0FFFFFFF == 0x00090289
    dap.write_dp(DP_SELECT, 3)
    assert dap.read_dp(4) & 0xF == 1  # DLPIDR: SWD protocol version 2


def test_power_up_is_requested_and_acknowledged(board: Board) -> None:
    dap = board.wire.dap
    assert dap.read_dp(DP_CTRL) & 0xF0000000 == 0
    with pytest.raises(Fault):
        dap.read_ap(0xC)
    dap.write_dp(DP_ABORT, 0x1E)
    board.wire.power_up()
    assert dap.read_dp(DP_CTRL) & 0xF0000000 == 0xF0000000


def test_a_banked_write_leaves_ctrl_stat_alone(wire: Wire) -> None:
    wire.dap.write_dp(DP_SELECT, 1)
    wire.dap.write_dp(DP_CTRL, 0)
    wire.dap.write_dp(DP_SELECT, 0)
    assert wire.dap.read_dp(DP_CTRL) & 0x50000000 == 0x50000000


@pytest.mark.parametrize(("port", "idr"), [(0, 0x84770001), (3, 0x54770002), (4, 0x12880000), (1, 0), (9, 0)])
def test_identification_of_the_access_ports(wire: Wire, port: int, idr: int) -> None:
    assert wire.read(port, 0xFC) == idr


def test_a_fault_sticks_until_it_is_cleared(wire: Wire) -> None:
    wire.poke(RAM, 0x11223344)
    with pytest.raises(Fault):
        wire.peek(0x60000000)
    assert wire.dap.read_dp(DP_CTRL) & STICKYERR
    assert wire.dap.read_dp(0) == 0x6BA02477  # DPIDR answers even now
    for refused in (
        lambda: wire.dap.read_ap(DRW),
        lambda: wire.dap.read_dp(DP_RDBUFF),
        lambda: wire.dap.write_dp(DP_SELECT, 0),
    ):
        with pytest.raises(Fault):
            refused()
    wire.dap.write_dp(DP_ABORT, 0x4)
    assert not wire.dap.read_dp(DP_CTRL) & STICKYERR
    assert wire.peek(RAM) == 0x11223344
    assert wire.dap.read_dp(DP_RDBUFF) == 0x11223344


def test_a_line_reset_wants_the_identity_first(wire: Wire) -> None:
    wire.dap.line(51, (1 << 51) - 1)
    wire.dap.line(8, 0)
    with pytest.raises(NoTarget):
        wire.dap.read_dp(DP_CTRL)
    wire.dap.read_dp(0)
    assert wire.dap.read_dp(DP_CTRL) & 0x50000000


def test_no_supply_no_acknowledge(wire: Wire, board: Board) -> None:
    board.chip.power(False)
    with pytest.raises(NoTarget, match="no target power"):
        wire.dap.read_dp(0)
    board.chip.power(True)
    assert wire.dap.read_dp(DP_CTRL) & 0x50000000 == 0, "the debug port forgets what it was told"


def test_bytes_and_half_words_travel_in_their_lanes(wire: Wire) -> None:
    wire.poke(RAM, 0xDDCCBBAA)
    assert wire.peek(RAM + 2, BYTE) >> 16 & 0xFF == 0xCC
    assert wire.peek(RAM + 2, HALF) >> 16 == 0xDDCC
    wire.poke(RAM + 1, 0x00001100, BYTE)
    wire.poke(RAM + 2, 0x33220000, HALF)
    assert wire.peek(RAM) == 0x332211AA


def test_the_address_increment_wraps_at_one_kibibyte(wire: Wire, board: Board) -> None:
    wire.write(0, CSW, 0x03000000 | INCREMENT | WORD)
    wire.write(0, TAR, RAM + 0x3FC)
    wire.dap.write_ap(DRW, 0x1)
    assert wire.read(0, TAR) == RAM
    wire.dap.write_ap(DRW, 0x2)
    assert wire.peek(RAM + 0x3FC) == 1
    assert wire.peek(RAM) == 2
    assert wire.peek(RAM + 0x400) == 0
    wire.write(0, CSW, 0x03000000 | INCREMENT | WORD)
    wire.write(0, TAR, RAM + 0x3FC)
    assert wire.dap.read_ap_many(DRW, 2) == [1, 2], "a run of transfers wraps like single ones"


def test_without_increment_the_address_stays(wire: Wire) -> None:
    wire.peek(RAM + 8)
    assert wire.read(0, TAR) == RAM + 8


def test_packed_transfers_carry_four_bytes(wire: Wire) -> None:
    wire.write(0, CSW, 0x03000000 | PACKED | BYTE)
    wire.write(0, TAR, RAM)
    wire.dap.write_ap(DRW, 0x44332211)
    assert wire.read(0, TAR) == RAM + 4
    assert wire.peek(RAM) == 0x44332211
    wire.write(0, CSW, 0x03000000 | PACKED | HALF)
    wire.write(0, TAR, RAM)
    assert wire.dap.read_ap(DRW) == 0x44332211


def test_banked_data_registers_reach_four_words(wire: Wire) -> None:
    wire.write(0, TAR, RAM + 0x10)
    wire.write(0, 0x18, 0xCAFE)
    assert wire.peek(RAM + 0x18) == 0xCAFE


def test_an_unsupported_size_reads_back_as_a_supported_one(wire: Wire) -> None:
    wire.write(0, CSW, 0x03000003)
    assert wire.read(0, CSW) & 7 <= 2


@pytest.mark.parametrize("address", [0x00100000, 0x00FE0000, 0x20040000, 0x60000000, 0xF0000000])
def test_nothing_answers_outside_the_memory_map(wire: Wire, address: int) -> None:
    with pytest.raises(Fault):
        wire.peek(address)


def test_core_sight_tables_and_factory_information(wire: Wire) -> None:
    assert wire.read(0, 0xF8) == 0xE00FF003
    assert wire.peek(0xE00FF000) == 0xFFF0F003
    cidr = [wire.peek(0xE000E000 + offset) for offset in (0xFF0, 0xFF4, 0xFF8, 0xFFC)]
    assert cidr == [0x0D, 0x90, 0x05, 0xB1]
    assert wire.peek(0xE000ED00) & 0xFF0FFFF0 == 0x410FD210  # Cortex-M33
    assert wire.peek(0x00FF0140) == 0x9160
    assert wire.peek(0x00FF0220) == 0x1000
    assert wire.peek(0x00FF0204) | wire.peek(0x00FF0208) << 32 == 0x0123456789ABCDEF
    wire.poke(0x00FF0140, 0)
    assert wire.peek(0x00FF0140) == 0x9160, "FICR is read-only"


def test_locked_access_port_is_off_but_ctrl_ap_answers(make_board) -> None:
    wire = make_board(locked=True).wire
    wire.power_up()
    assert not wire.read(0, CSW) & 0x40
    assert wire.read(4, 0x0C) & 1 == 0
    with pytest.raises(Fault):
        wire.peek(RAM)
    wire.dap.write_dp(DP_ABORT, 0x4)
    assert wire.read(4, 0xFC) == 0x12880000
