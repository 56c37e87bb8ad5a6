"""The virtual nRF9160 under unmodified pyOCD, and the driver that uses it."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from pyocd.core.exceptions import TransferFaultError
from pyocd.core.session import Session
from pyocd.probe.aggregator import DebugProbeAggregator

from bench.clock import WallClock
from bench.dut.swd import OPTIONS, SwdFlasher
from bench.errors import FlashError, LockedError, ProbeError
from bench.timeline import Timeline
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.registry import PROBES
from bench.virtual.process import Steps
from bench.virtual.scheduler import Scheduler

UID = "VTEST1"
VECTORS = struct.pack("<II", 0x20040000, 0x401)


class Rig:
    """A powered chip behind one probe."""

    def __init__(self, *, locked: bool = False) -> None:
        self.scheduler = Scheduler(1)
        self.chip = Nrf91Chip(self.scheduler, random.Random(1), device_id="1", locked=locked)
        self.clock = WallClock()
        self.timeline = Timeline(self.clock)
        self.flasher = SwdFlasher("dut", UID, self.timeline)
        self.beats: list[float] = []
        self.boots: list[str] = []
        self.chip.boot = self._firmware
        PROBES[UID] = self.chip
        self.chip.power(True)

    def _firmware(self, reason: str) -> Steps:
        self.boots.append(reason)
        while True:
            self.beats.append(self.scheduler.now)
            yield 1.0

    def close(self) -> None:
        self.flasher.close()
        PROBES.pop(UID, None)
        self.clock.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


@pytest.fixture
def session(rig: Rig) -> Iterator[Session]:
    probe = next(p for p in DebugProbeAggregator.get_all_connected_probes() if p.unique_id == UID)
    with Session(probe, options={**OPTIONS, "target_override": "nrf91"}) as session:
        yield session


def test_program_verify_and_read_back_leave_the_rest_alone(rig: Rig) -> None:
    data = random.Random(2).randbytes(10_000)
    rig.chip.flash.view[0x3000:0x3010] = b"neighbour page.."
    rig.flasher.open()
    rig.flasher.program(0x10100, data)
    assert rig.flasher.read(0x10100, len(data)) == data
    assert bytes(rig.chip.flash.view[0x10100 : 0x10100 + len(data)]) == data
    assert rig.flasher.read(0x3000, 16) == b"neighbour page.."


def test_programming_takes_the_time_of_the_flash(rig: Rig) -> None:
    """Two pages: two erases of 87.5 ms and 2048 words of 43 us."""
    rig.flasher.open()
    before = rig.scheduler.now
    rig.flasher.program(0x10000, random.Random(3).randbytes(8192))
    assert rig.scheduler.now - before == pytest.approx(2 * 0.0875 + 2048 * 43e-6, rel=0.02)
    assert rig.chip.flash.wear[0x10] == 1


def test_verify_names_the_first_wrong_address(rig: Rig) -> None:
    rig.flasher.open()
    rig.flasher.program(0x20000, bytes(64))
    with pytest.raises(FlashError, match="0x20005 holds 0x00, not 0x01"):
        rig.flasher.verify(0x20000, bytes(5) + b"\1")


def test_erase_is_by_page(rig: Rig) -> None:
    rig.chip.flash.view[0x5000:0x8000] = bytes(0x3000)
    rig.flasher.open()
    rig.flasher.erase(0x6000, 0x1000)
    assert rig.chip.flash.is_erased(0x6000, 0x1000)
    assert not rig.chip.flash.is_erased(0x5000, 0x1000)
    assert not rig.chip.flash.is_erased(0x7000, 0x1000)


def test_flash_takes_no_store_without_write_enable(session: Session) -> None:
    target = session.target
    with pytest.raises(TransferFaultError):
        target.write32(0x1000, 0)
    assert target.read32(0x1000) == 0xFFFFFFFF


def test_stores_only_clear_bits(session: Session) -> None:
    target = session.target
    target.write32(0x50039504, 1)
    target.write32(0x1000, 0xFFFF00FF)
    target.write32(0x1000, 0x00FFFFFF)
    target.write32(0x50039504, 0)
    assert target.read32(0x1000) == 0x00FF00FF


def test_the_array_takes_whole_words_only(session: Session) -> None:
    target = session.target
    target.write32(0x50039504, 1)
    with pytest.raises(TransferFaultError):
        target.write8(0x1001, 0)
    target.write32(0x50039504, 0)
    assert target.read32(0x1000) == 0xFFFFFFFF


def test_uicr_is_erased_only_with_everything(session: Session) -> None:
    target = session.target
    target.write32(0x50039504, 1)
    target.write32(0x00FF8020, 0x12345678)
    target.write32(0x50039504, 2)
    target.write32(0x00FF8000, 0xFFFFFFFF)
    assert target.read32(0x00FF8020) == 0x12345678
    target.write32(0x5003950C, 1)
    assert target.read32(0x00FF8020) == 0xFFFFFFFF


def test_bytes_halfwords_and_a_run_over_the_tar_wrap(session: Session) -> None:
    target = session.target
    target.write8(0x20000001, 0xAB)
    target.write16(0x20000002, 0x1234)
    assert target.read32(0x20000000) == 0x1234AB00
    words = list(range(1000))
    target.write_memory_block32(0x200003F0, words)
    assert target.read_memory_block32(0x200003F0, 1000) == words
    assert target.read8(0x200003F4) == 1


def test_reading_where_nothing_is_faults_and_recovers(session: Session) -> None:
    with pytest.raises(TransferFaultError):
        session.target.read32(0x90000000)
    assert session.target.read32(0x00FF0140) == 0x9160


def test_halt_freezes_the_firmware_and_resume_lets_it_go_on(rig: Rig) -> None:
    rig.flasher.open()
    rig.flasher.program(0, VECTORS.ljust(64, b"\0"))
    rig.flasher.reset()
    rig.scheduler.elapse(2.5)
    beats = len(rig.beats)
    assert beats == 3
    rig.flasher.halt()
    rig.scheduler.elapse(10)
    assert len(rig.beats) == beats
    assert rig.flasher.read_register("pc") == 0x10400
    rig.flasher.resume()
    rig.scheduler.elapse(2)
    assert len(rig.beats) > beats


def test_closing_the_session_leaves_the_core_running(rig: Rig) -> None:
    rig.chip.flash.view[0:8] = VECTORS
    rig.chip.reset("pin")
    rig.flasher.open()
    rig.flasher.halt()
    rig.flasher.close()
    before = len(rig.beats)
    rig.scheduler.elapse(3)
    assert len(rig.beats) >= before + 2


def test_registers_read_back(rig: Rig) -> None:
    rig.flasher.open()
    rig.flasher.halt()
    rig.flasher.write_register("r3", 0xDEADBEEF)
    assert rig.flasher.read_register("r3") == 0xDEADBEEF


def test_debugger_code_steps_and_stops_at_a_breakpoint(session: Session) -> None:
    """movs r0,#1; movs r1,#2; adds r0,r0,r1; bkpt"""
    target = session.target
    target.halt()
    target.write_memory_block8(0x20000100, list(bytes.fromhex("0120 0221 4018 00be")))
    target.write_core_register("pc", 0x20000100)
    target.step()
    assert target.read_core_register("r0") == 1
    assert target.read_core_register("pc") == 0x20000102
    target.resume()
    target.session.probe.flush()
    while not target.is_halted():
        pass
    assert target.read_core_register("r0") == 3


def test_nothing_boots_from_erased_flash(rig: Rig) -> None:
    assert rig.boots == []
    rig.chip.flash.view[0:8] = VECTORS
    rig.chip.reset("pin")
    assert rig.boots == ["pin"]


def test_locked_chip_is_refused_and_nothing_is_erased() -> None:
    rig = Rig(locked=True)
    try:
        rig.chip.flash.view[0x1000:0x1004] = b"keep"
        with pytest.raises(LockedError, match="APPROTECT"):
            rig.flasher.open()
        assert rig.flasher.is_locked()
        assert bytes(rig.chip.flash.view[0x1000:0x1004]) == b"keep"
        rig.flasher.recover()
        assert rig.chip.flash.is_erased(0x1000, 4)
        rig.flasher.open()
        assert rig.flasher.identity()["part"] == "nRF9160"
    finally:
        rig.close()


def test_a_probe_is_chosen_by_its_uid_only(rig: Rig) -> None:
    with pytest.raises(ProbeError, match=f"no debug probe with UID OTHER; present: {UID}"):
        SwdFlasher("dut", "OTHER", rig.timeline).check()
    rig.flasher.check()


def test_no_supply_is_a_probe_error(rig: Rig) -> None:
    rig.chip.power(False)
    with pytest.raises(ProbeError, match="no debug connection"):
        rig.flasher.open()


def test_power_loss_while_programming_is_a_flash_error_and_half_done(rig: Rig) -> None:
    data = random.Random(4).randbytes(0x10000)
    rig.flasher.open()
    rig.scheduler.after(1.75, lambda: rig.chip.power(False))
    with pytest.raises(FlashError, match="program 0x10000"):
        rig.flasher.program(0x10000, data)
    held = bytes(rig.chip.flash.view[0x10000:0x20000])
    assert held != data
    assert held.count(0xFF) < len(held)
