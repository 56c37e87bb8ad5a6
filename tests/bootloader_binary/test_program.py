"""Machine code on the virtual nRF9160: what it sees, what it leaves, and what ends it with an error."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.errors import PlantError
from bench.virtual import images
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.program import program as programs
from bench.virtual.nrf91.program.program import Jump, Program
from bench.virtual.process import Steps
from bench.virtual.scheduler import Scheduler

SLOT0, SLOT_SIZE = 0x10000, 0xA000
SLOT1 = SLOT0 + SLOT_SIZE
MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
LONG = 60.0
"""Seconds, more than any of these takes."""


@dataclass
class Rig:
    """A chip whose flash is executed: what it has sent, where it has gone, what it did to its flash."""

    chip: Nrf91Chip
    said: bytes = b""
    ended: list[Jump | None] = field(default_factory=list)
    operations: list[tuple[str, int, int]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    retained: dict[int, int] = field(default_factory=dict)

    def boot(self, reason: str) -> Steps:
        self.reasons.append(reason)
        closed = [(SLOT0, SLOT1), (SLOT1, SLOT1 + SLOT_SIZE)]
        self.program = Program(
            "board", self.chip, closed, self.retained, self._send, lambda: self.chip.reset("soft")
        )
        self.ended.append((yield from self.program.run()))

    def _send(self, data: bytes, baud: float) -> None:
        self.said += data

    def load(self, address: int, data: bytes) -> None:
        self.chip.flash.view[address : address + len(data)] = data

    def run(self) -> None:
        self.chip.power(True)
        self.chip.scheduler.run_to(self.chip.scheduler.now + LONG)


@pytest.fixture
def rig() -> Rig:
    scheduler = Scheduler(1)
    made = Rig(Nrf91Chip(scheduler, random.Random(1), device_id="0123456789abcdef"))
    made.chip.boot = made.boot
    made.chip.flash.on_operation = lambda *told: made.operations.append(told)
    return made


def vectors(entry: int = 0x40) -> bytes:
    return struct.pack("<16I", 0x20040000, entry | 1, *[0] * 14)


def code(*halfwords: int) -> bytes:
    return vectors() + struct.pack(f"<{len(halfwords)}H", *halfwords)


def image(folder: Path, version: str) -> bytes:
    return images.build("nrf9160", version, size=20_000, out=folder / version).read_bytes()


def test_a_bootloader_prints_and_goes_on_in_the_application(
    rig: Rig, compiled: Callable[..., Path], tmp_path: Path
) -> None:
    """Its own check of SysTick, PendSV, SVC and RTC has passed, or it would have said so."""
    rig.load(0, compiled().read_bytes())
    rig.load(SLOT0, image(tmp_path, "1.0.0"))
    rig.run()
    assert rig.said == b"bootloader of the tests\r\nstarting slot0\r\n"
    stack, entry = struct.unpack_from("<II", rig.chip.flash.view, SLOT0 + images.HEADER_SIZE)
    assert rig.ended == [Jump(entry & ~1, stack)]
    assert rig.operations == []


@pytest.mark.parametrize("instructions", [64_000, 1_009])
def test_an_exchange_is_the_same_in_slices_of_any_size(
    rig: Rig,
    compiled: Callable[..., Path],
    tmp_path: Path,
    instructions: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each page is one erase and one write, however often the emulator stops on the way."""
    monkeypatch.setattr(programs, "SLICE", instructions)
    old, new = image(tmp_path, "1.0.0"), image(tmp_path, "1.1.0")
    rig.load(0, compiled().read_bytes())
    rig.load(SLOT0, old)
    rig.load(SLOT1, new)
    rig.load(SLOT1 + SLOT_SIZE - 16, MAGIC)
    rig.run()
    assert rig.said.endswith(b"swap: to the new image\r\nstarting slot0\r\n")
    assert bytes(rig.chip.flash.view[SLOT0 : SLOT0 + len(new)]) == new
    assert bytes(rig.chip.flash.view[SLOT1 : SLOT1 + len(old)]) == old
    pages = -(-len(new) // 0x1000)
    copies = [("erase", 0xE000, 0x1000), ("write", 0xE000, 0x1000), ("write", 0xD040, 4)]
    assert rig.operations[1:4] == copies
    assert [kind for kind, _, _ in rig.operations].count("erase") == 3 * pages + 2


def test_the_supply_fails_in_the_middle_of_a_page(
    rig: Rig, compiled: Callable[..., Path], tmp_path: Path
) -> None:
    """What a word of the emulator's has not been given its time is not in the flash."""
    rig.load(0, compiled().read_bytes())
    rig.load(SLOT0, image(tmp_path, "1.0.0"))
    rig.load(SLOT1, image(tmp_path, "1.1.0"))
    rig.load(SLOT1 + SLOT_SIZE - 16, MAGIC)

    def begun(kind: str, offset: int, length: int) -> None:
        if (kind, offset) == ("write", 0xE000):
            rig.chip.scheduler.after(0.022, lambda: rig.chip.power(False))

    rig.chip.flash.on_operation = begun
    rig.run()
    written = bytes(rig.chip.flash.view[0xE000:0xF000])
    whole = int(0.022 / 43e-6) * 4
    assert written[:whole] == bytes(rig.chip.flash.view[SLOT0 : SLOT0 + whole])
    assert written[whole + 4 :] == b"\xff" * (0x1000 - whole - 4)
    assert rig.ended == []


def test_what_is_not_modelled_is_told_by_name(rig: Rig, compiled: Callable[..., Path]) -> None:
    rig.load(0, compiled("NOT_MODELLED").read_bytes())
    with pytest.raises(
        PlantError, match=r"board: its bootloader writes 0x1 to 0x5000f000 \(TIMER0_S\.TASKS_START\) at PC "
    ) as told:
        rig.run()
    assert "docs/virtual-bench.md" in told.value.help


def test_a_fault_without_a_handler_leaves_the_core_standing(rig: Rig) -> None:
    rig.load(0, code(0xDE00))  # udf
    rig.run()
    assert rig.ended == [None]


def test_a_store_to_flash_that_is_not_opened_is_a_fault(rig: Rig) -> None:
    rig.load(0, code(0x2080, 0x0240, 0x6000, 0xE7FE))  # r0 = 0x8000; str r0, [r0]; b .
    rig.run()
    assert rig.ended == [None]
    assert rig.operations == []


def test_one_instruction_that_stores_to_two_pages_is_two_writes(rig: Rig) -> None:
    program = [
        0x4803,  # ldr r0, =CONFIG
        0x2101,  # movs r1, #1
        0x6001,  # str r1, [r0]
        0x4803,  # ldr r0, =0x8ff8
        0x2200,  # movs r2, #0
        0x43D3,  # mvns r3, r2
        0xC00E,  # stmia r0!, {r1, r2, r3}
        0xE7FE,
    ]
    rig.load(0, code(*program) + struct.pack("<II", 0x50039504, 0x8FF8))
    rig.run()
    assert rig.operations == [("write", 0x8FF8, 8), ("write", 0x9000, 4)]
    assert bytes(rig.chip.flash.view[0x8FF8:0x9004]) == struct.pack("<III", 1, 0, 0xFFFFFFFF)


def test_a_reset_by_the_program_is_one_and_its_reason_is_kept(rig: Rig) -> None:
    """It resets itself unless RESETREAS says that it did."""
    program = [
        0x4805,  # ldr r0, =RESETREAS
        0x6801,  # ldr r1, [r0]
        0x0C09,  # lsrs r1, r1, #16
        0xD104,  # bne end
        0x4804,  # ldr r0, =AIRCR
        0x4905,  # ldr r1, =key and SYSRESETREQ
        0x6001,  # str r1, [r0]
        0xE7FE,
        0xE7FE,
        0xE7FE,  # end
    ]
    literals = struct.pack("<III", 0x50005400, 0xE000ED0C, 0x05FA0004)
    body = code(*program)
    rig.load(0, body.ljust(0x58, b"\0") + literals)
    rig.run()
    assert rig.reasons == ["power", "soft"]
