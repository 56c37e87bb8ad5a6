"""The driver: pyOCD's own flash algorithm executed on the chip, protection, probe selection, faults."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nrf91_rig import DEVICE_ID, UID, VECTORS, Board
from pyocd.coresight import cortex_m

from bench.dut.swd import SwdFlasher
from bench.errors import BenchError, FlashError, LockedError, ProbeError

FICR_CODESIZE = 0x224
IMAGE = random.Random(1).randbytes(3 * 0x1000)


@pytest.fixture
def flasher(board: Board) -> Iterator[SwdFlasher]:
    flasher = board.flasher()
    flasher.open()
    yield flasher
    flasher.close()


def texts(board: Board) -> list[str]:
    return [e.text for e in board.timeline.since(source="dut.swd", kind="swd")]


def test_identity_is_the_chips_own(flasher: SwdFlasher) -> None:
    identity = flasher.identity()
    assert identity["part"] == "nRF9160"
    assert identity["variant"] == "SICA"
    assert identity["device_id"] == DEVICE_ID
    assert identity["probe"] == UID


def test_program_changes_what_it_was_given_and_nothing_else(board: Board, flasher: SwdFlasher) -> None:
    old = random.Random(2).randbytes(0x6000)
    board.load(0x20000, old)
    flasher.program(0x21010, IMAGE)
    expected = old[:0x1010] + IMAGE + old[0x1010 + len(IMAGE) :]
    assert board.chip.flash.read(0x20000, 0x6000) == expected
    assert flasher.read(0x20000, 0x6000) == expected
    assert set(board.chip.flash.wear) == {0x21, 0x22, 0x23, 0x24}
    assert board.chip.flash.read(0, len(VECTORS)) == VECTORS


def test_programming_runs_the_algorithm_from_ram_and_takes_the_flashs_time(
    board: Board, flasher: SwdFlasher
) -> None:
    start = board.scheduler.now
    flasher.program(0x30000, IMAGE)
    expected = 3 * 0.0875 + len(IMAGE) / 4 * 43e-6
    assert board.scheduler.now - start == pytest.approx(expected, rel=0.02)
    assert int.from_bytes(board.chip.ram[0:4], "little") == 0xE7FDBE00  # its return trap: bkpt; b .-2
    assert board.chip.flash.wear == {0x30: 1, 0x31: 1, 0x32: 1}


def test_more_than_one_call_of_the_algorithm(board: Board, flasher: SwdFlasher) -> None:
    data = random.Random(3).randbytes(0x14321)
    board.load(0x30000, bytes(0x1000))
    flasher.program(0x30103, data)
    assert board.chip.flash.read(0x30103, len(data)) == data
    assert board.chip.flash.read(0x30000, 0x103) == bytes(0x103)
    assert board.chip.flash.wear == dict.fromkeys(range(0x30, 0x45), 1)


def test_what_is_there_is_not_programmed_again(board: Board, flasher: SwdFlasher) -> None:
    board.load(0x30000, IMAGE)
    flasher.program(0x30000, IMAGE)
    assert board.chip.flash.wear == {}
    assert board.is_running()
    board.chip.flash.view[0x30805] ^= 0x10
    flasher.program(0x30000, IMAGE)
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE
    assert board.chip.flash.wear == {0x30: 1, 0x31: 1, 0x32: 1}


def test_read_takes_any_alignment_and_leaves_the_core_running(board: Board, flasher: SwdFlasher) -> None:
    board.load(0x30000, IMAGE)
    assert flasher.read(0x30003, 0x1001) == IMAGE[3 : 3 + 0x1001]
    assert board.is_running()
    assert board.boots == ["power"]


def test_verify_names_the_first_difference(board: Board, flasher: SwdFlasher) -> None:
    flasher.program(0x30000, IMAGE)
    board.chip.flash.view[0x30805] ^= 0x10
    with pytest.raises(FlashError, match="0x30805"):
        flasher.verify(0x30000, IMAGE)


def test_erase_takes_the_pages_of_the_range(board: Board, flasher: SwdFlasher) -> None:
    board.load(0x20000, bytes(0x4000))
    flasher.erase(0x21000, 0x1001)
    assert board.chip.flash.is_erased(0x21000, 0x2000)
    assert board.chip.flash.read(0x20000, 0x1000) == bytes(0x1000)
    assert board.chip.flash.read(0x23000, 0x1000) == bytes(0x1000)


def test_an_erase_that_fails_names_the_page(board: Board, flasher: SwdFlasher) -> None:
    pages = 0x24
    struct.pack_into("<I", board.chip.ficr, FICR_CODESIZE, pages)  # the algorithm refuses what lies beyond
    with pytest.raises(FlashError, match="0x00024000"):
        flasher.erase(0x20000, 0x8000)
    assert board.chip.flash.wear == {0x20: 1, 0x21: 1, 0x22: 1, 0x23: 1}


def test_rewrite_leaves_nothing_old_and_erases_each_page_once(board: Board, flasher: SwdFlasher) -> None:
    board.load(0x2F000, bytes(0x15000))
    data = IMAGE[:-0x123]
    flasher.rewrite(0x30000, 0x13000, data)
    assert board.chip.flash.read(0x30000, 0x13000) == data.ljust(0x13000, b"\xff")
    assert board.chip.flash.wear == dict.fromkeys(range(0x30, 0x43), 1)
    assert board.chip.flash.read(0x2F000, 0x1000) == bytes(0x1000)
    assert board.chip.flash.read(0x43000, 0x1000) == bytes(0x1000)


def test_rewrite_fails_where_the_erase_left_something(
    board: Board, flasher: SwdFlasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase_now = board.chip.flash.erase_now

    def weakly(offset: int) -> None:
        erase_now(offset)
        board.chip.flash.view[0x30100] = 0x00

    monkeypatch.setattr(board.chip.flash, "erase_now", weakly)
    with pytest.raises(FlashError, match=r"write 0x30000.*page not written.*0x00030000"):
        flasher.rewrite(0x30000, 0x3000, IMAGE)


def test_erase_chip_spares_uicr(board: Board, flasher: SwdFlasher) -> None:
    board.chip.uicr.view[0x108:0x10C] = bytes(4)
    board.load(0x80000, IMAGE)
    flasher.erase_chip()
    assert board.chip.flash.is_erased(0, board.chip.flash.size)
    assert flasher.read(0x00FF8108, 4) == bytes(4)


def test_reset_after_programming_boots_the_new_image(board: Board, flasher: SwdFlasher) -> None:
    flasher.program(0x30000, IMAGE)
    assert not board.is_running(), "its RAM is the algorithm's"
    flasher.reset()
    assert board.boots == ["power", "pin"]
    assert board.is_running()


def test_close_after_programming_starts_the_firmware_anew(board: Board, flasher: SwdFlasher) -> None:
    flasher.program(0x30000, IMAGE)
    flasher.close()
    assert board.boots == ["power", "swd"]
    assert board.is_running()


def test_pauses_of_pyocd_are_the_bench_s(board: Board) -> None:
    pauses: list[float] = []
    flasher = board.flasher(pause=pauses.append)
    flasher.open()
    assert pauses == []
    flasher.reset_by_debugger()
    assert pauses[0] == 0.1  # reset.post_delay
    flasher.close()
    assert cortex_m.sleep is time.sleep, "pyOCD's own is not given back"


def test_close_without_programming_disturbs_nothing(board: Board, flasher: SwdFlasher) -> None:
    flasher.halt()
    flasher.close()
    flasher.close()
    assert board.boots == ["power"]
    assert board.is_running()


def test_halt_registers_resume(board: Board, flasher: SwdFlasher) -> None:
    flasher.halt()
    assert flasher.read_register("pc") == board.chip.program_counter()
    flasher.write_register("r3", 0x1234)
    assert flasher.read_register("r3") == 0x1234
    flasher.resume()
    assert board.is_running()
    with pytest.raises(BenchError, match="read register pc"):
        flasher.read_register("pc")
    with pytest.raises(BenchError, match="r99"):
        flasher.read_register("r99")


def test_operations_are_on_the_timeline_without_wall_time(board: Board, flasher: SwdFlasher) -> None:
    flasher.program(0x30000, IMAGE)
    flasher.close()
    assert texts(board) == [
        "session open",
        "read 0x30000+0x3000",
        "program 0x30000+0x3000",
        "verify 0x30000+0x3000",
        "session closed",
    ]


def test_the_same_work_takes_the_same_simulated_time(make_board: Callable[..., Board]) -> None:
    ends = []
    for uid in ("A", "B"):
        board = make_board(uid=uid)
        start = board.scheduler.now
        flasher = board.flasher(uid)
        flasher.open()
        flasher.program(0x30000, IMAGE)
        flasher.close()
        ends.append(board.scheduler.now - start)
    assert ends[0] == pytest.approx(ends[1], abs=1e-9)


# ---- what goes wrong


def test_an_operation_without_a_session_says_so(board: Board) -> None:
    with pytest.raises(ProbeError, match="not open"):
        board.flasher().read(0, 4)


@pytest.mark.parametrize("uid", ["PROBE", "probe-1", "PROBE-10", ""])
def test_only_the_whole_uid_selects_a_probe(board: Board, uid: str) -> None:
    for attempt in (board.flasher(uid).open, board.flasher(uid).check):
        with pytest.raises(ProbeError, match=f"present: {UID}"):
            attempt()
    board.flasher().check()


def test_with_two_probes_the_named_one_is_used(make_board: Callable[..., Board]) -> None:
    first, second = make_board(uid="A"), make_board(uid="B")
    flasher = second.flasher("B")
    flasher.open()
    flasher.program(0x30000, IMAGE)
    flasher.close()
    assert second.chip.flash.read(0x30000, len(IMAGE)) == IMAGE
    assert first.chip.flash.is_erased(0x30000, len(IMAGE))


def test_addresses_outside_the_flash_are_refused(board: Board, flasher: SwdFlasher) -> None:
    with pytest.raises(FlashError, match="0xff000\\+0x3000"):
        flasher.program(0xFF000, IMAGE)
    with pytest.raises(FlashError, match="0x20000000"):
        flasher.erase(0x20000000, 0x1000)
    assert board.is_running()


def test_no_supply_is_a_probe_error(board: Board) -> None:
    board.chip.power(False)
    with pytest.raises(ProbeError, match=UID):
        board.flasher().open()


@pytest.mark.parametrize("after", [0.05, 0.2, 0.35])
def test_supply_lost_while_programming_leaves_it_half_done(
    board: Board, flasher: SwdFlasher, after: float
) -> None:
    board.load(0x30000, bytes(0x3000))
    board.scheduler.after(after, lambda: board.chip.power(False))
    with pytest.raises(FlashError, match="program 0x30000"):
        flasher.program(0x30000, IMAGE)
    found = board.chip.flash.read(0x30000, len(IMAGE))
    assert found not in (IMAGE, bytes(0x3000))
    flasher.close()
    board.chip.power(True)
    assert board.is_running(), "the vector table was not touched"
    again = board.flasher()
    again.open()
    again.program(0x30000, IMAGE)
    again.close()
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE


def test_a_locked_chip_is_refused_and_not_erased(make_board: Callable[..., Board]) -> None:
    board = make_board(locked=True)
    board.load(0x30000, IMAGE)
    flasher = board.flasher()
    with pytest.raises(LockedError) as refused:
        flasher.open()
    assert "recover" in refused.value.help
    assert flasher.is_locked()
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE
    assert board.chip.flash.wear == {}
    assert board.is_running(), "a locked chip goes on running"


def test_recover_erases_everything_and_unlocks(make_board: Callable[..., Board]) -> None:
    board = make_board(locked=True)
    board.load(0x30000, IMAGE)
    flasher = board.flasher()
    flasher.recover()
    assert not flasher.is_locked()
    assert board.chip.flash.is_erased(0, board.chip.flash.size)
    assert board.chip.uicr.is_erased(0, 0x1000)
    flasher.open()
    flasher.program(0, VECTORS)
    flasher.close()
    assert board.is_running()


def test_recover_erases_an_open_chip_too(board: Board, flasher: SwdFlasher) -> None:
    flasher.recover()
    assert board.chip.flash.is_erased(0, board.chip.flash.size)


def test_eraseprotect_stops_recover(make_board: Callable[..., Board]) -> None:
    board = make_board(locked=True)
    board.chip.uicr.view[0x30:0x34] = bytes(4)
    with pytest.raises(LockedError, match="ERASEPROTECT"):
        board.flasher().recover()
    assert board.chip.flash.read(0, len(VECTORS)) == VECTORS


def test_no_configuration_of_the_working_directory_takes_part(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyocd.yaml").write_text("auto_unlock: true\nconnect_mode: halt\n")
    (tmp_path / "pyocd_user.py").write_text("raise RuntimeError('the user script ran')\n")
    monkeypatch.chdir(tmp_path)
    flasher = board.flasher()
    flasher.open()
    assert board.is_running()
    flasher.close()
    assert Path.cwd() == tmp_path
