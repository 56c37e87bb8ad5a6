"""Flash is written whatever the firmware has made of the core; what a real core does not forgive fails here.

Each state is one that keeps a flash algorithm from running on a core that was only halted
(pyocd/pyOCD#2023, STMicroelectronics/OpenOCD#52).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from nrf91_rig import UID, VECTORS, Board
from pyocd.core import exceptions
from pyocd.core.session import Session
from pyocd.flash.file_programmer import FileProgrammer
from pyocd.probe.aggregator import DebugProbeAggregator

from bench.dut import swd
from bench.dut.swd import SwdFlasher
from bench.errors import FlashError
from bench.virtual.nrf91.application_state import (
    APPLICATION,
    CLOCK_INTERRUPT,
    CONTROL_SPSEL,
    MPU,
    NON_SECURE_REGIONS,
    STACK,
)
from bench.virtual.nrf91.core import (
    CONTROL_NPRIV,
    MASKS,
    MSPLIM_S,
    PSPLIM_S,
    CoreState,
)
from bench.virtual.nrf91.interrupts import SYST_CSR

IMAGE = random.Random(1).randbytes(3 * 0x1000)
PSP = 18
FLASH_PERM, RAM_PERM = 0x50003600, 0x50003700  # nrf9160.svd: SPU_S, FLASHREGION and RAMREGION
READ_EXECUTE_LOCKED, WRITE_READ_LOCKED = 0x115, 0x116

STATES = {
    "mpu": CoreState(stores=MPU),
    "unprivileged": CoreState(registers={MASKS: CONTROL_NPRIV}, stores=((0xE000ED94, 5),)),
    "main-stack-limit": CoreState(registers={MSPLIM_S: STACK}),
    "process-stack-limit": CoreState(registers={MASKS: CONTROL_SPSEL, PSP: STACK + 0x800, PSPLIM_S: STACK}),
    "non-secure": CoreState(secure=False),
    "non-secure-regions": CoreState(secure=False, stores=NON_SECURE_REGIONS),
    "interrupt": CoreState(stores=CLOCK_INTERRUPT),
    "systick": CoreState(stores=((SYST_CSR, 7),)),
    "flash-locked": CoreState(stores=((FLASH_PERM + 4 * (0x30000 // 0x8000), READ_EXECUTE_LOCKED),)),
    "ram-never-executed": CoreState(stores=((RAM_PERM, WRITE_READ_LOCKED),)),
    "ram-read-only": CoreState(stores=((RAM_PERM, READ_EXECUTE_LOCKED),)),
    "zephyr-and-tf-m": APPLICATION,
}


@pytest.fixture
def in_state(make_board: Callable[..., Board]) -> Callable[[CoreState], Board]:
    def make(state: CoreState) -> Board:
        board = make_board(firmware=False)
        board.chip.boot = board.firmware
        board.start = lambda: board.chip.core.enter(state)
        board.chip.reset("pin")
        board.boots.clear()
        return board

    return make


@pytest.fixture
def merely_halted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Algorithms as they ran before: on a core that was halted wherever it was."""
    monkeypatch.setattr(SwdFlasher, "_stop_for_algorithm", lambda self, target: target.halt())
    for operation in ("init", "erase_sector", "program"):  # wall seconds of pyOCD's, to wait for nothing
        monkeypatch.setitem(swd.OPTIONS, f"flash.timeout.{operation}", 0.3)


@pytest.mark.parametrize("name", STATES)
def test_flash_is_written_whatever_state_the_firmware_left(
    in_state: Callable[[CoreState], Board], name: str
) -> None:
    board = in_state(STATES[name])
    board.load(0x30000, bytes(0x3000))
    flasher = board.flasher()
    flasher.open()
    flasher.program(0x30000, IMAGE)
    flasher.erase(0x38000, 0x1000)
    flasher.close()
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE
    assert board.boots == ["swd"]
    assert board.is_running()


@pytest.mark.usefixtures("merely_halted")
@pytest.mark.parametrize("name", STATES)
def test_a_core_that_was_only_halted_runs_no_algorithm(
    in_state: Callable[[CoreState], Board], name: str
) -> None:
    board = in_state(STATES[name])
    board.load(0x30000, bytes(0x3000))
    flasher = board.flasher()
    flasher.open()
    with pytest.raises(FlashError, match="program 0x30000"):
        flasher.program(0x30000, IMAGE)
    flasher.close()
    assert board.chip.flash.read(0x30000, len(IMAGE)) == bytes(0x3000)


@pytest.mark.usefixtures("merely_halted")
def test_a_core_that_was_only_halted_in_its_reset_state_runs_them(board: Board) -> None:
    flasher = board.flasher()
    flasher.open()
    flasher.program(0x30000, IMAGE)
    flasher.close()
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE


@pytest.mark.parametrize("name", ["mpu", "main-stack-limit", "non-secure", "interrupt", "flash-locked"])
def test_pyocd_s_own_loader_meets_the_same(
    in_state: Callable[[CoreState], Board], tmp_path: Path, name: str
) -> None:
    """By its API alone, as in pyOCD#2023; with the reset that its commands make it succeeds."""
    board = in_state(STATES[name])
    image = tmp_path / "image.bin"
    image.write_bytes(IMAGE)
    options = {"target_override": "nrf91", "no_config": True, "auto_unlock": False, "connect_mode": "attach"}
    impatient = {f"flash.timeout.{operation}": 0.3 for operation in ("init", "erase_sector", "program")}
    probe = DebugProbeAggregator.get_probe_with_id(UID)
    assert probe is not None
    with Session(probe, options={**options, **impatient, "hide_programming_progress": True}) as session:
        assert session.target is not None
        session.target.halt()
        with pytest.raises(exceptions.Error):
            FileProgrammer(session).program(str(image), base_address=0x30000)
    probe = DebugProbeAggregator.get_probe_with_id(UID)
    with Session(probe, options={**options, "hide_programming_progress": True}) as session:
        assert session.target is not None
        session.target.reset_and_halt()
        FileProgrammer(session).program(str(image), base_address=0x30000)
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE


def test_what_writes_to_ram_beside_the_core_is_stopped_too(board: Board) -> None:
    """EasyDMA, or the modem in the memory it shares: both go on while the core stands."""
    for address in (0x20000100, 0x20000540, 0x20003400):  # algorithm, loop, stack
        board.chip.start_master(address, b"\0" * 64, 0.01)
    flasher = board.flasher()
    flasher.open()
    flasher.program(0x30000, IMAGE)
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE
    flasher.close()


@pytest.mark.usefixtures("merely_halted")
def test_what_writes_to_ram_beside_the_core_spoils_an_algorithm(board: Board) -> None:
    for address in (0x20000100, 0x20000540, 0x20003400):
        board.chip.start_master(address, b"\0" * 64, 0.01)
    flasher = board.flasher()
    flasher.open()
    with pytest.raises(FlashError, match="program 0x30000"):
        flasher.program(0x30000, IMAGE)
    flasher.close()


# ---- what the board does meanwhile, and afterwards


def test_one_reset_serves_all_that_a_session_writes(
    in_state: Callable[[CoreState], Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = in_state(APPLICATION)
    resets: list[str] = []
    reset = board.chip.reset
    monkeypatch.setattr(board.chip, "reset", lambda reason: (resets.append(reason), reset(reason)))
    flasher = board.flasher(pause=lambda seconds: board.clock.sleep(seconds, "pyOCD's pause"))
    flasher.open()
    start = board.scheduler.now
    flasher.erase(0x50000, 0x2000)
    flasher.program(0x30000, IMAGE)
    flasher.rewrite(0x40000, 0x3000, IMAGE)
    assert resets == ["swd"]
    assert board.boots == [], "nothing of the firmware has run"
    busy = 8 * 0.0875 + 2 * len(IMAGE) / 4 * 43e-6
    assert board.scheduler.now - start == pytest.approx(busy + 0.1, rel=0.03), "0.1 s for the reset, once"
    flasher.close()
    assert resets == ["swd", "swd"]
    assert board.boots == ["swd"]


def test_looking_neither_halts_nor_resets(in_state: Callable[[CoreState], Board]) -> None:
    board = in_state(APPLICATION)
    board.load(0x30000, IMAGE)
    flasher = board.flasher()
    flasher.open()
    ticks = board.ticks
    for _ in range(5):
        flasher.read(0x30000, 0x1000)
        flasher.verify(0x30000, IMAGE)
        assert flasher.holds(0x30000, IMAGE)
        flasher.digest(0x30000, 0x1000)
        flasher.identity()
        flasher.program(0x30000, IMAGE)  # holds it already
        board.clock.sleep(0.1, "the firmware goes on")
    assert board.ticks >= ticks + 45
    flasher.close()
    assert board.boots == []


def test_after_a_reset_what_is_written_next_resets_again(in_state: Callable[[CoreState], Board]) -> None:
    board = in_state(APPLICATION)
    flasher = board.flasher()
    flasher.open()
    flasher.program(0x30000, IMAGE)
    flasher.reset_by_debugger()
    assert board.is_running()
    flasher.program(0x40000, IMAGE)
    flasher.close()
    assert board.chip.flash.read(0x40000, len(IMAGE)) == IMAGE
    assert board.boots == ["swd", "swd"]


def test_a_chip_without_a_vector_table_is_programmed(make_board: Callable[..., Board]) -> None:
    board = make_board(vectors=b"\xff" * 64)
    flasher = board.flasher()
    flasher.open()
    flasher.program(0, VECTORS)
    flasher.close()
    assert board.is_running()


# ---- the watchdog that the firmware has started

WDT = 0x50018000
SECOND = 32_768


def with_watchdog(board: Board, period: float, *, config: int = 1, channels: int = 1) -> None:
    """Zephyr's driver has it run while the core sleeps, and by default while a debugger halts it, too."""
    for offset, value in {
        0x504: round(period * SECOND) - 1,
        0x508: channels,
        0x50C: config,
        0x000: 1,
    }.items():
        board.chip.write_peripheral(WDT + offset, value)


@pytest.mark.parametrize(("period", "channels"), [(2.0, 1), (0.5, 1), (0.2, 1), (1.0, 0b101)])
@pytest.mark.parametrize("config", [0x1, 0x9])
def test_a_running_watchdog_is_fed_while_flash_is_written(
    board: Board, period: float, channels: int, config: int
) -> None:
    with_watchdog(board, period, config=config, channels=channels)
    data = random.Random(2).randbytes(40 * 0x1000)
    board.load(0x30000, bytes(len(data)))
    flasher = board.flasher()
    flasher.open()
    flasher.program(0x30000, data)  # 3.5 s of erasing, 1.8 s of writing
    assert board.boots == ["power"]
    before_close = board.scheduler.now
    flasher.close()
    assert board.boots == ["power", "swd"]
    assert board.chip.flash.read(0x30000, len(data)) == data
    board.clock.sleep(0.9 * period, "the new firmware starts")
    assert board.boots == ["power", "swd"], "it has the whole period to take the watchdog over"
    board.clock.sleep(0.2 * period, "and does not")
    assert board.boots == ["power", "swd", "watchdog"]
    assert board.scheduler.now >= before_close + period


@pytest.mark.parametrize("pages", [24, 40])
def test_a_reset_in_the_middle_is_no_success(
    board: Board, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """A watchdog that nobody feeds: the core stops at its reset vector, with 0 in r0."""
    monkeypatch.setattr("bench.dut.swd_watchdog.Watchdog.feed", lambda self: None)
    with_watchdog(board, 2.0)  # in the third call of the algorithm, the last one for 24 pages
    board.load(0x30000, bytes(pages * 0x1000))
    flasher = board.flasher()
    flasher.open()
    with pytest.raises(FlashError, match=r"erase 0x30000.*failed: the core was reset between 0x46000"):
        flasher.erase(0x30000, pages * 0x1000)
    assert board.boots == ["power"], "and no firmware has run"
    flasher.close()
    assert board.boots == ["power", "swd"]


def test_a_watchdog_that_bites_between_two_operations_starts_nothing(board: Board) -> None:
    """It was told to run while the core is halted, and whoever flashes takes his time."""
    with_watchdog(board, 1.0, config=9)
    flasher = board.flasher()
    flasher.open()
    flasher.program(0x30000, IMAGE)
    board.clock.sleep(1.5, "a long look at what was written")
    flasher.program(0x40000, IMAGE)
    assert board.boots == ["power"], "no firmware has run between them"
    flasher.close()
    assert board.boots == ["power", "swd"]
    assert board.chip.flash.read(0x40000, len(IMAGE)) == IMAGE
    assert board.is_running()


def test_no_watchdog_is_touched_where_none_runs(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[tuple[int, int]] = []
    monkeypatch.setattr(board.chip.watchdog, "write", lambda *what: fed.append(what))
    flasher = board.flasher()
    flasher.open()
    flasher.program(0x30000, IMAGE)
    flasher.close()
    assert fed == []


def test_the_watchdog_pauses_with_a_halted_core_unless_it_was_told_to_run(
    make_board: Callable[..., Board],
) -> None:
    for config, boots in ((0x1, ["power"]), (0x9, ["power", "watchdog"])):
        board = make_board(uid=f"halt-{config}")
        with_watchdog(board, 1.0, config=config)
        flasher = board.flasher(f"halt-{config}")
        flasher.open()
        flasher.halt()
        board.clock.sleep(1.5, "halted")
        assert board.boots == boots
        flasher.close()


@pytest.mark.parametrize(
    ("reason", "bites"), [("soft", True), ("swd", True), ("ctrl-ap", True), ("pin", False), ("power", False)]
)
def test_which_resets_end_the_watchdog(board: Board, reason: str, bites: bool) -> None:
    with_watchdog(board, 1.0)
    board.chip.reset(reason)
    board.clock.sleep(1.5, "its period")
    assert (board.boots[-1] == "watchdog") == bites


def test_the_watchdog_is_fed_by_all_its_channels_and_only_by_the_right_word(board: Board) -> None:
    with_watchdog(board, 1.0, channels=0b11)
    board.chip.write_peripheral(WDT + 0x504, 0)  # its period cannot be changed any more
    for channel, word in ((0, 0x6E524635), (1, 0x12345678), (0, 0x6E524635)):
        board.clock.sleep(0.3, "fed by half")
        board.chip.write_peripheral(WDT + 0x600 + 4 * channel, word)
    board.clock.sleep(0.3, "the rest of its period")
    assert board.boots == ["power", "watchdog"]


# ---- the model against the emulator's own rules


def test_locked_regions_end_with_the_reset(board: Board) -> None:
    region = FLASH_PERM + 4 * (0x30000 // 0x8000)
    board.chip.write_peripheral(region, READ_EXECUTE_LOCKED)
    board.chip.write_peripheral(region, 0x17)
    assert board.chip.read_peripheral(region) == READ_EXECUTE_LOCKED, "it is locked"
    board.chip.reset("soft")
    assert board.chip.read_peripheral(region) == 0x17


def test_masked_interrupts_disturb_no_algorithm(
    in_state: Callable[[CoreState], Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firmware that was halted with PRIMASK set: nothing is taken."""
    monkeypatch.setattr(SwdFlasher, "_stop_for_algorithm", lambda self, target: target.halt())
    board = in_state(CoreState(registers={MASKS: 1}, stores=CLOCK_INTERRUPT))
    flasher = board.flasher()
    flasher.open()
    flasher.program(0x30000, IMAGE)
    flasher.close()
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE


def test_a_debugger_sees_the_state_of_the_firmware(in_state: Callable[[CoreState], Board]) -> None:
    board = in_state(APPLICATION)
    flasher = board.flasher()
    flasher.open()
    flasher.halt()
    assert flasher.read_register("psplim_ns") == STACK
    assert flasher.read_register("control") == 2
    assert struct.unpack("<I", flasher.read(0xE000ED94, 4))[0] == 5, "MPU_CTRL"
    assert struct.unpack("<I", flasher.read(0xE000EE08, 4))[0] & 1 << 16 == 0, "DSCSR.CDS: non-secure"
    flasher.resume()
    assert board.is_running()
    flasher.close()
