"""The core under an unmodified pyOCD: run control, registers, breakpoints, memory of every width."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from nrf91_rig import UID, Board
from pyocd.core import exceptions
from pyocd.core.session import Session
from pyocd.core.target import Target
from pyocd.probe.aggregator import DebugProbeAggregator

RAM = 0x20000000
# movs r0, #0; adds r0, #1; str r0, [r1]; b .-4
COUNTER = struct.pack("<4H", 0x2000, 0x3001, 0x6008, 0xE7FC)
VECTORS = struct.pack("<16I", 0x20040000, 0x00000401, *[0x00000421] * 14)


def attach(**options: Any) -> Session:
    probe = DebugProbeAggregator.get_probe_with_id(UID)
    assert probe is not None
    settings = {"target_override": "nrf91", "no_config": True, "connect_mode": "attach"}
    return Session(probe, options={**settings, "auto_unlock": False, **options})


@pytest.fixture
def target(board: Board) -> Iterator[Any]:
    with attach() as session:
        yield session.target


def wait_halted(target: Any) -> None:
    for _ in range(100):
        if target.get_state() is Target.State.HALTED:
            return
    raise AssertionError(f"still {target.get_state()}")


def run_from_ram(target: Any, code: bytes = COUNTER) -> None:
    target.halt()
    target.write_memory_block8(RAM, code)
    target.write_core_register("r1", RAM + 0x100)
    target.write_core_register("pc", RAM)


def test_discovery_finds_one_cortex_m33_with_its_parts(target: Any) -> None:
    core = target.selected_core
    assert core.name == "Cortex-M33"
    assert core.has_fpu
    assert core.fpb is not None
    assert core.fpb.nb_code == 8
    assert core.dwt is not None


def test_attaching_leaves_the_firmware_running(board: Board, target: Any) -> None:
    assert target.get_state() is Target.State.RUNNING
    assert board.is_running()
    assert board.boots == ["power"]


def test_halt_freezes_the_firmware_and_resume_lets_it_go_on(board: Board, target: Any) -> None:
    board.chip.program_counter = lambda: 0x12344
    target.halt()
    assert target.get_state() is Target.State.HALTED
    assert target.read_core_register("pc") == 0x12344
    assert not board.is_running()
    target.resume()
    assert board.is_running()
    assert board.boots == ["power"], "the same firmware, not a new one"


def test_registers_keep_what_is_written(target: Any) -> None:
    target.halt()
    values = {"r0": 1, "r7": 0xDEADBEEF, "r12": 12, "lr": 0x1235, "sp": 0x20001000, "s5": 1.5}
    for name, value in values.items():
        target.write_core_register(name, value)
    for name, value in values.items():
        assert target.read_core_register(name) == value
    target.write_core_register("primask", 1)
    assert target.read_core_register("primask") == 1


def test_registers_of_a_running_core_cannot_be_read(target: Any) -> None:
    with pytest.raises(exceptions.CoreRegisterAccessError):
        target.read_core_register("r0")


def test_code_in_ram_runs_and_the_firmware_waits(board: Board, target: Any) -> None:
    run_from_ram(target)
    target.resume()
    first = target.read32(RAM + 0x100)
    assert target.read32(RAM + 0x100) > first, "it runs between two looks"
    assert not board.is_running()
    target.halt()
    assert RAM <= target.read_core_register("pc") < RAM + len(COUNTER)
    assert target.read_core_register("r0") - target.read32(RAM + 0x100) in (0, 1)


def test_stepping_goes_instruction_by_instruction(target: Any) -> None:
    run_from_ram(target)
    seen = []
    for _ in range(5):
        target.step()
        seen.append(target.read_core_register("pc") - RAM)
    assert seen == [2, 4, 6, 2, 4]
    assert target.read_core_register("r0") == 2
    assert target.read32(RAM + 0x100) == 1


def test_hardware_breakpoint_stops_before_its_instruction(target: Any) -> None:
    run_from_ram(target)
    assert target.set_breakpoint(RAM + 4, Target.BreakpointType.HW)
    target.resume()
    wait_halted(target)
    assert target.read_core_register("pc") == RAM + 4
    assert target.read_core_register("r0") == 1
    assert target.get_halt_reason() is Target.HaltReason.BREAKPOINT
    target.step()
    assert target.read_core_register("pc") == RAM + 6
    target.resume()
    wait_halted(target)
    assert target.read_core_register("r0") == 2
    target.remove_breakpoint(RAM + 4)
    target.resume()
    assert target.get_state() is Target.State.RUNNING


def test_software_breakpoint_stops_at_its_instruction(target: Any) -> None:
    run_from_ram(target)
    target.set_breakpoint(RAM + 6, Target.BreakpointType.SW)
    target.resume()
    wait_halted(target)
    assert target.read_core_register("pc") == RAM + 6
    assert target.read32(RAM + 0x100) == 1


def test_a_fault_locks_the_core_up(target: Any) -> None:
    run_from_ram(target, struct.pack("<2H", 0x6008, 0xE7FE))
    target.write_core_register("r1", 0x60000000)  # where nothing is
    target.resume()
    assert target.get_state() is Target.State.LOCKUP
    target.halt()
    assert target.get_state() is Target.State.HALTED


def test_reset_boots_the_firmware_again(board: Board, target: Any) -> None:
    run_from_ram(target)
    target.resume()
    target.reset()
    assert board.boots == ["power", "swd"]
    assert target.get_state() is Target.State.RUNNING
    assert board.is_running()


def test_hardware_reset_is_the_pin(board: Board, target: Any) -> None:
    target.reset(Target.ResetType.HARDWARE)
    assert board.boots == ["power", "pin"]


def test_reset_and_halt_holds_the_firmware_at_its_first_instruction(board: Board, target: Any) -> None:
    target.reset_and_halt()
    assert target.get_state() is Target.State.HALTED
    assert board.boots == ["power"]
    assert target.read_core_register("pc") == 0x400
    assert target.read_core_register("sp") == 0x20040000
    assert target.read_core_register("xpsr") & 1 << 24
    assert not board.is_running()
    target.resume()
    assert board.boots == ["power", "swd"]
    assert board.is_running()


def test_a_halted_core_that_loses_its_supply_boots_again(board: Board, target: Any) -> None:
    target.halt()
    board.chip.power(False)
    board.chip.power(True)
    assert board.boots == ["power", "power"]
    assert board.is_running()


def test_erased_flash_boots_nothing(make_board: Callable[..., Board]) -> None:
    board = make_board(vectors=b"\xff" * 64)
    with attach() as session:
        assert session.target.get_state() is Target.State.LOCKUP
        session.target.halt()
        assert session.target.get_state() is Target.State.HALTED
    assert board.boots == []


def test_without_firmware_the_flash_is_executed(make_board: Callable[..., Board]) -> None:
    board = make_board(firmware=False)
    board.load(0x400, struct.pack("<2H", 0x4900, 0xE000) + struct.pack("<I", RAM + 0x100) + COUNTER)
    with attach() as session:
        target = session.target
        target.reset_and_halt()
        target.set_breakpoint(0x40C, Target.BreakpointType.HW)
        target.resume()
        wait_halted(target)
        assert target.read_core_register("pc") == 0x40C
        assert target.read_core_register("r0") == 1
        assert target.read_core_register("r1") == RAM + 0x100


def test_memory_of_every_width_and_alignment(target: Any) -> None:
    target.write32(RAM, 0x03020100)
    assert [target.read8(RAM + i) for i in range(4)] == [0, 1, 2, 3]
    assert target.read16(RAM + 2) == 0x0302
    target.write16(RAM + 2, 0xBEEF)
    target.write8(RAM + 1, 0x55)
    assert target.read32(RAM) == 0xBEEF5500
    data = [(7 * i) & 0xFF for i in range(3001)]
    target.write_memory_block8(RAM + 0x3F9, data)
    assert target.read_memory_block8(RAM + 0x3F9, len(data)) == data
    words = list(range(1000))
    target.write_memory_block32(RAM + 0x7FC, words)
    assert target.read_memory_block32(RAM + 0x7FC, 1000) == words


def test_a_fault_does_not_spoil_the_next_access(target: Any) -> None:
    with pytest.raises(exceptions.TransferFaultError):
        target.read32(0x60000000)
    assert target.read32(0x00FF0140) == 0x9160


def test_cycle_counter_follows_simulated_time(board: Board, target: Any) -> None:
    target.write32(0xE000EDFC, 1 << 24)
    target.write32(0xE0001000, target.read32(0xE0001000) | 1)
    before, since = target.read32(0xE0001004), board.scheduler.now
    board.clock.sleep(0.5, "count cycles")
    passed = target.read32(0xE0001004) - before
    assert passed == pytest.approx((board.scheduler.now - since) * 64e6, rel=1e-3)


def test_the_reset_reason_register_tells_and_is_cleared_by_ones(board: Board, target: Any) -> None:
    assert target.read32(0x50005400) == 0
    board.chip.reset("watchdog")
    assert target.read32(0x50005400) == 2
    target.write32(0x50005400, 2)
    assert target.read32(0x40005400) == 0


def test_closing_a_session_leaves_the_firmware_running(board: Board) -> None:
    with attach(resume_on_disconnect=True) as session:
        session.target.halt()
        assert not board.is_running()
    assert board.is_running()


def test_code_that_resets_the_chip_boots_the_firmware(board: Board, target: Any) -> None:
    run_from_ram(target, struct.pack("<2H", 0x6008, 0xE7FE))  # str r0, [r1]; b .
    target.write_core_register("r0", 0x05FA0004)
    target.write_core_register("r1", 0xE000ED0C)
    target.resume()
    assert target.get_state() is Target.State.RUNNING
    assert board.boots == ["power", "soft"]
    assert board.is_running()


def test_code_may_write_flash_only_as_the_controller_allows(board: Board, target: Any) -> None:
    # str r0, [r1] (CONFIG); str r2, [r3]; str r4, [r3]; str r5, [r1]; bkpt
    run_from_ram(target, struct.pack("<5H", 0x6008, 0x601A, 0x601C, 0x600D, 0xBE00))
    values = {"r0": 1, "r1": 0x50039504, "r2": 0xFFFF00FF, "r3": 0x40000, "r4": 0x0FFFFFFF, "r5": 0}
    for name, value in values.items():
        target.write_core_register(name, value)
    before = board.scheduler.now
    target.resume()
    wait_halted(target)
    assert target.read_core_register("pc") == RAM + 8
    # what was stored last counts, and only bits that were set before can be there
    assert target.read32(0x40000) & 0x0FFFFFFF == target.read32(0x40000)
    assert board.scheduler.now - before >= 41e-6
    target.write_core_register("pc", RAM + 2)  # once more, with the controller closed again
    target.resume()
    assert target.get_state() is Target.State.LOCKUP


def result_of(target: Any, address: int) -> int:
    """r0 after the code at `address` has run to its BKPT."""
    target.write_core_register("r0", 0)
    target.write_core_register("pc", address)
    target.resume()
    wait_halted(target)
    return int(target.read_core_register("r0"))


@pytest.mark.parametrize("at", [RAM + 0x800, RAM + 0xFFE, RAM + 0xFFC])
def test_code_changed_in_ram_is_run_as_it_is_now(target: Any, at: int) -> None:
    target.halt()
    target.write_memory_block8(at, struct.pack("<3H", 0x3001, 0x3010, 0xBE00))  # adds r0, #1; adds r0, #16
    assert result_of(target, at) == 0x11
    target.write16(at + 2, 0x3020)
    assert result_of(target, at) == 0x21
    target.write_memory_block32(RAM + 0x1000 - 0x400, [0] * 0x200)
    target.write_memory_block8(at, struct.pack("<3H", 0x3002, 0x3040, 0xBE00))
    assert result_of(target, at) == 0x42
    for word in range(100):
        target.write32(RAM + 0x2000 + 4 * word, word)
    target.write16(at, 0x3004)
    assert result_of(target, at) == 0x44


def test_code_changed_in_flash_is_run_as_it_is_now(target: Any) -> None:
    target.halt()
    config, page = 0x50039504, 0x40000
    for constant in (0x11, 0x22):
        target.write32(config, 2)  # erasing
        target.write32(page, 0xFFFFFFFF)
        target.write32(config, 1)  # writing
        target.write32(page, 0xBE003000 | constant)  # adds r0, #constant; bkpt
        target.write32(config, 0)
        assert result_of(target, page) == constant


def test_a_debugger_can_look_after_each_page_that_code_erases(board: Board, target: Any) -> None:
    # loop: str r0, [r1] (a page); adds r1, r1, r2; cmp r1, r3; bne loop; bkpt
    run_from_ram(target, struct.pack("<5H", 0x6008, 0x1889, 0x4299, 0xD1FB, 0xBE00))
    target.write32(0x50039504, 2)
    pages = 5
    for name, value in {
        "r0": 0xFFFFFFFF,
        "r1": 0x40000,
        "r2": 0x1000,
        "r3": 0x40000 + pages * 0x1000,
    }.items():
        target.write_core_register(name, value)
    board.load(0x40000, bytes(pages * 0x1000))
    target.resume()
    erased = []
    while target.get_state() is Target.State.RUNNING:
        erased.append(len(board.chip.flash.wear))
    assert erased == list(range(1, pages + 1))
    assert board.chip.flash.is_erased(0x40000, pages * 0x1000)
