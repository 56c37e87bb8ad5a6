"""Readout protection: what the virtual chips do, what opening makes of it, and lifting it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest
from nrf91_rig import UID, VECTORS, Board
from pyocd.core.session import Session
from pyocd.probe.aggregator import DebugProbeAggregator

from bench.errors import LockedError, ProbeError
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.dap import Fault
from bench.virtual.nrf91.false_zeros import lay_false_zeros
from bench.virtual.nrf91.silicon import NRF9131, NRF9151, NRF9160, NRF9161, Silicon
from bench.virtual.process import Steps

HARDENED = [NRF9131, NRF9151, NRF9161]
EVERY = [NRF9160, *HARDENED]
UNPROTECTED = 0x50FA50FA
IMAGE = random.Random(1).randbytes(0x1000)
MakeBoard = Callable[..., Board]


def named(silicon: Silicon) -> str:
    return f"nRF{silicon.part:x}"


def uicr(board: Board, *, approtect: int, secure: int) -> None:
    struct.pack_into("<I", board.chip.uicr.view, 0x00, approtect)
    struct.pack_into("<I", board.chip.uicr.view, 0x2C, secure)


def status(board: Board) -> int:
    board.wire.power_up()
    return board.wire.read(4, 0x0C)


def with_mdk_start(board: Board, after: float = 0.002) -> None:
    """Firmware that opens the access ports as MDK's SystemInit does, so long after its start."""
    ticking = board.firmware

    def firmware(reason: str) -> Steps:
        yield after
        board.chip.write_peripheral(mem.APPROTECT_DISABLE, 0x5A)
        board.chip.write_peripheral(mem.SECUREAPPROTECT_DISABLE, 0x5A)
        yield from ticking(reason)

    board.chip.boot = firmware


def power_cycle(board: Board) -> None:
    board.chip.power(False)
    board.chip.power(True)


# ---- the model


def test_an_nrf9160_with_an_erased_uicr_is_open_and_a_hardened_chip_is_not(make_board: MakeBoard) -> None:
    assert status(make_board(uid="A")) == 3
    for number, silicon in enumerate(HARDENED):
        assert status(make_board(uid=str(number), silicon=silicon)) == 0, named(silicon)


@pytest.mark.parametrize("silicon", HARDENED, ids=named)
def test_a_hardened_chip_wants_uicr_and_firmware(make_board: MakeBoard, silicon: Silicon) -> None:
    board = make_board(silicon=silicon, firmware=False)
    uicr(board, approtect=UNPROTECTED, secure=UNPROTECTED)
    power_cycle(board)
    assert status(board) == 0, "UICR alone"
    board.chip.write_peripheral(mem.APPROTECT_DISABLE, 0x5A)
    assert status(board) == 1
    board.chip.write_peripheral(mem.SECUREAPPROTECT_DISABLE, 0x5A)
    assert status(board) == 3
    board.chip.reset("soft")
    assert status(board) == 3
    for reason in ("pin", "watchdog"):
        board.chip.reset(reason)
        assert status(board) == 0, reason
        board.chip.write_peripheral(mem.APPROTECT_DISABLE, 0x5A)
        board.chip.write_peripheral(mem.SECUREAPPROTECT_DISABLE, 0x5A)
    uicr(board, approtect=0xFFFFFFFF, secure=UNPROTECTED)
    board.chip.reset("soft")
    assert status(board) == 2, "firmware alone"


def test_firmware_that_forces_protection_has_the_last_word_until_a_hard_reset(make_board: MakeBoard) -> None:
    board = make_board(silicon=NRF9161, firmware=False)
    uicr(board, approtect=UNPROTECTED, secure=UNPROTECTED)
    power_cycle(board)
    board.chip.write_peripheral(mem.APPROTECT_DISABLE, 1 << 9)
    board.chip.write_peripheral(mem.APPROTECT_DISABLE, 0x5A)
    assert status(board) == 0
    board.chip.reset("pin")
    board.chip.write_peripheral(mem.APPROTECT_DISABLE, 0x5A)
    assert status(board) == 1


@pytest.mark.parametrize("silicon", EVERY, ids=named)
def test_target_id_tells_a_hardened_chip(make_board: MakeBoard, silicon: Silicon) -> None:
    wire = make_board(silicon=silicon).wire
    wire.power_up()
    wire.dap.write_dp(0x8, 2)
    target = wire.dap.read_dp(0x4)
    assert target & 0x0FFFFFFF == 0x00090289
    assert (target >> 28 > 2) == (silicon is not NRF9160)


def test_an_ahb_ap_says_itself_that_it_is_closed(make_board: MakeBoard) -> None:
    board = make_board(silicon=NRF9151, firmware=False)
    uicr(board, approtect=UNPROTECTED, secure=UNPROTECTED)
    power_cycle(board)
    board.wire.power_up()
    assert board.wire.read(0, 0x00) & 0x00800040 == 0
    board.chip.write_peripheral(mem.APPROTECT_DISABLE, 0x5A)
    assert board.wire.read(0, 0x00) & 0x00800040 == 0x40
    with pytest.raises(Fault):
        board.wire.peek(0)


# ---- opening


@pytest.mark.parametrize("silicon", EVERY, ids=named)
def test_opening_a_locked_chip_erases_nothing_and_says_the_cure(
    make_board: MakeBoard, silicon: Silicon
) -> None:
    board = make_board(silicon=silicon, locked=True)
    board.load(0x30000, IMAGE)
    before = bytes(board.chip.flash.view), bytes(board.chip.uicr.view)
    flasher = board.flasher()
    for _ in range(2):
        with pytest.raises(LockedError, match="APPROTECT") as refused:
            flasher.open()
    assert "bench recover dut" in refused.value.help
    assert (bytes(board.chip.flash.view), bytes(board.chip.uicr.view)) == before
    assert not board.chip.flash.wear
    assert board.boots == ["power"], "it goes on running"


@pytest.mark.parametrize(
    ("approtect", "secure", "told"),
    [(0, 0xFFFFFFFF, r"\(APPROTECT\)"), (0xFFFFFFFF, 0, r"\(SECUREAPPROTECT\)"), (0, 0, "and SECURE")],
)
def test_each_of_both_protections_locks(
    make_board: MakeBoard, approtect: int, secure: int, told: str
) -> None:
    board = make_board()
    uicr(board, approtect=approtect, secure=secure)
    board.chip.reset("pin")
    with pytest.raises(LockedError, match=told):
        board.flasher().open()


def test_opening_never_unlocks_though_pyocd_would(make_board: MakeBoard) -> None:
    """The positive control: pyOCD's own default erases the same chip."""
    board = make_board(locked=True)
    board.load(0x30000, IMAGE)
    with pytest.raises(LockedError):
        board.flasher().open()
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE
    (probe,) = DebugProbeAggregator.get_all_connected_probes()
    with Session(probe, options={"target_override": "nrf91", "no_config": True}):
        pass
    assert board.chip.flash.is_erased(0, board.chip.flash.size)


@pytest.mark.parametrize("silicon", HARDENED, ids=named)
def test_a_hardened_chip_opens_when_its_firmware_has_started(make_board: MakeBoard, silicon: Silicon) -> None:
    board = make_board(silicon=silicon)
    uicr(board, approtect=UNPROTECTED, secure=UNPROTECTED)
    with_mdk_start(board, after=0.1)
    power_cycle(board)
    flasher = board.flasher(pause=lambda seconds: board.clock.sleep(seconds, "pause"))
    flasher.open()  # the first readings say "locked", and they are right
    assert flasher.identity()["part"] == named(silicon)
    flasher.close()


@pytest.mark.parametrize("of_identification", [True, False], ids=["whole port", "status alone"])
@pytest.mark.parametrize("seed", range(10))
def test_false_zeros_now_and_then_are_no_lock(board: Board, seed: int, of_identification: bool) -> None:
    """Nor does pyOCD, which reads once, erase what it then takes for locked."""
    board.load(0x30000, IMAGE)
    bad = True
    lay_false_zeros(
        board.chip.dap, random.Random(seed), 0.3, of_identification=of_identification, while_=lambda: bad
    )
    flasher = board.flasher(pause=lambda seconds: None)
    assert not flasher.is_locked()
    failures: list[type] = []
    try:
        flasher.open()
    except ProbeError as told:  # pyOCD reads some things once, and then there is no session
        failures.append(type(told))
    assert LockedError not in failures
    bad = False
    flasher.open()
    assert not flasher.is_locked()
    flasher.close()
    assert board.chip.flash.read(0x30000, len(IMAGE)) == IMAGE


@pytest.mark.parametrize("of_identification", [True, False], ids=["whole port", "status alone"])
def test_false_zeros_after_power_up_are_waited_for(board: Board, of_identification: bool) -> None:
    settled = board.scheduler.now + 0.4
    lay_false_zeros(
        board.chip.dap,
        random.Random(1),
        1.0,
        of_identification=of_identification,
        while_=lambda: board.scheduler.now < settled,
    )
    flasher = board.flasher(pause=lambda seconds: board.clock.sleep(seconds, "pause"))
    assert not flasher.is_locked()
    assert board.scheduler.now >= settled


@pytest.mark.parametrize("of_identification", [True, False], ids=["whole port", "status alone"])
def test_zeros_alone_are_never_a_lock(board: Board, of_identification: bool) -> None:
    """A wire that says nothing but zeros is a bad wire; what it hides nobody knows."""
    lay_false_zeros(board.chip.dap, random.Random(1), 1.0, of_identification=of_identification)
    flasher = board.flasher(pause=lambda seconds: None)
    for attempt in (flasher.open, flasher.is_locked):
        with pytest.raises(ProbeError) as told:
            attempt()
        assert not isinstance(told.value, LockedError)
        assert told.value.help
    assert board.chip.flash.read(0, len(VECTORS)) == VECTORS


def test_a_locked_chip_with_false_zeros_is_locked(make_board: MakeBoard) -> None:
    board = make_board(locked=True)
    lay_false_zeros(board.chip.dap, random.Random(3), 0.02, of_identification=True)
    assert board.flasher(pause=lambda seconds: None).is_locked()


def test_another_chip_is_not_taken_for_a_locked_one_and_not_erased(board: Board) -> None:
    board.chip.dap.lay_over_reads(4, lambda read: lambda register: 0x02880000 if register == 0xFC else 0)
    flasher = board.flasher(pause=lambda seconds: None)
    for attempt in (flasher.open, flasher.recover):
        with pytest.raises(ProbeError, match="IDR 0x02880000"):
            attempt()
    assert board.chip.flash.read(0, len(VECTORS)) == VECTORS


# ---- lifting it


@pytest.mark.parametrize("silicon", EVERY, ids=named)
def test_recover_unlocks_for_good(make_board: MakeBoard, silicon: Silicon) -> None:
    board = make_board(silicon=silicon, locked=True, firmware=False)
    board.load(0x30000, IMAGE)
    cycles: list[int] = []
    flasher = board.flasher(pause=lambda seconds: board.clock.sleep(seconds, "pause"))

    def cycle() -> None:
        cycles.append(1)
        power_cycle(board)

    flasher.recover(cycle)
    assert cycles == [1]
    assert board.chip.flash.is_erased(0x30000, len(IMAGE))
    power_cycle(board)
    assert not flasher.is_locked()
    flasher.open()
    assert flasher.identity()["part"] == named(silicon)
    flasher.program(0x30000, IMAGE)
    flasher.close()


def test_what_recover_writes_is_for_hardened_chips_alone(make_board: MakeBoard) -> None:
    old = make_board(uid="A", locked=True, firmware=False)
    old.flasher("A").recover(lambda: power_cycle(old))
    assert old.chip.uicr.is_erased(0, 0x1000)
    assert old.chip.flash.is_erased(0, old.chip.flash.size)
    new = make_board(uid="B", locked=True, firmware=False, silicon=NRF9161)
    new.flasher("B").recover(lambda: power_cycle(new))
    words = struct.unpack_from("<12I", new.chip.uicr.view)
    assert words[0] == words[11] == UNPROTECTED
    assert not new.chip.flash.is_erased(0, 0x1000)


@pytest.mark.parametrize("silicon", EVERY, ids=named)
def test_the_pin_is_pulled_only_where_it_is_needed(make_board: MakeBoard, silicon: Silicon) -> None:
    board = make_board(silicon=silicon, locked=True, firmware=False)
    pulled: list[bool] = []
    hold = board.chip.hold_reset

    def hold_reset(reason: str, held: bool) -> None:
        pulled.extend([held] if reason == "pin" else [])
        hold(reason, held)

    board.chip.hold_reset = hold_reset  # type: ignore[method-assign]
    board.flasher().recover(lambda: power_cycle(board))
    assert bool(pulled) == (silicon is NRF9160)


def test_an_nrf9160_whose_reset_pin_is_not_wired_is_unlocked_by_its_supply(make_board: MakeBoard) -> None:
    board = make_board(locked=True)
    hold = board.chip.hold_reset
    board.chip.hold_reset = lambda reason, held: None if reason == "pin" else hold(reason, held)  # type: ignore
    with pytest.raises(LockedError, match="still locked") as told:
        board.flasher().recover()
    assert "nRESET" in told.value.help
    board.flasher().recover(lambda: power_cycle(board))
    assert not board.flasher().is_locked()


@pytest.mark.parametrize("forgotten", ["UICR", "program"])
def test_without_either_a_hardened_chip_is_locked_again(
    make_board: MakeBoard, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """What recover writes is needed, both of it."""
    from pyocd.target.family import target_nRF91

    method = {"UICR": "write_uicr", "program": "write_flash"}[forgotten]
    monkeypatch.setattr(target_nRF91.NRF91, method, lambda *_: None)
    board = make_board(locked=True, firmware=False, silicon=NRF9151)
    with pytest.raises(LockedError, match="still locked"):
        board.flasher().recover(lambda: power_cycle(board))


def test_a_hardened_chip_that_wants_two_erasures_gets_them(make_board: MakeBoard) -> None:
    board = make_board(locked=True, firmware=False, silicon=NRF9161)
    erasures: list[int] = []
    told = board.chip.protection.erased_all

    def lazily() -> None:
        erasures.append(1)
        if len(erasures) > 1:
            told()

    board.chip.protection.erased_all = lazily  # type: ignore[method-assign]
    board.flasher().recover(lambda: power_cycle(board))
    assert len(erasures) == 2


def test_a_hardened_chip_that_never_opens_is_told(make_board: MakeBoard) -> None:
    board = make_board(locked=True, firmware=False, silicon=NRF9161)
    erasures: list[int] = []
    board.chip.protection.erased_all = lambda: erasures.append(1)  # type: ignore[method-assign]
    with pytest.raises(LockedError, match="erased, and still locked"):
        board.flasher().recover(lambda: power_cycle(board))
    assert len(erasures) == 3


@pytest.mark.parametrize("silicon", EVERY, ids=named)
def test_eraseprotect_stops_recover(make_board: MakeBoard, silicon: Silicon) -> None:
    board = make_board(locked=True, silicon=silicon)
    struct.pack_into("<I", board.chip.uicr.view, 0x30, 0)
    with pytest.raises(LockedError, match="ERASEPROTECT"):
        board.flasher().recover()
    assert board.chip.flash.read(0, len(VECTORS)) == VECTORS


def test_recover_frees_the_probe_whatever_happens(make_board: MakeBoard) -> None:
    board = make_board(locked=True)
    board.chip.power(False)
    flasher = board.flasher()
    with pytest.raises(ProbeError, match=UID):
        flasher.recover()
    board.chip.power(True)
    flasher.recover(lambda: power_cycle(board))
    assert not flasher.is_locked()
