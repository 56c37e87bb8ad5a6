"""MPU, SPU and interrupt masks by the rules of the Armv8-M manual and of Nordic's, register by register."""

from __future__ import annotations

import pytest

from bench.virtual.nrf91.access_rules import (
    FLASH_REGIONS,
    MPU_CTRL,
    MPU_RBAR,
    MPU_RLAR,
    MPU_RNR,
    PERIPHERALS,
    Mpu,
    Spu,
)
from bench.virtual.nrf91.interrupts import ICER, ICPR, IPR, ISER, ISPR, SYST_CSR, Interrupts

RAM = 0x20000000


def mpu_with(*regions: tuple[int, int], control: int = 1) -> Mpu:
    """Regions as (RBAR, RLAR)."""
    mpu = Mpu()
    for number, (base, limit) in enumerate(regions):
        mpu.write(MPU_RNR, number)
        mpu.write(MPU_RBAR, base)
        mpu.write(MPU_RLAR, limit)
    mpu.write(MPU_CTRL, control)
    return mpu


def test_an_mpu_that_is_off_forbids_nothing() -> None:
    mpu = mpu_with((RAM | 0b111, RAM | 1), control=0)
    assert mpu.allows("execute", RAM, privileged=False)


@pytest.mark.parametrize(
    ("base", "privileged", "read", "write", "execute"),
    [
        (0b000, True, True, True, True),  # AP 00: privileged code reads and writes
        (0b000, False, False, False, False),
        (0b010, False, True, True, True),  # AP 01: any code
        (0b100, True, True, False, True),  # AP 10: privileged code reads
        (0b100, False, False, False, False),
        (0b110, False, True, False, True),  # AP 11: any code reads
        (0b001, True, True, True, False),  # XN
    ],
)
def test_access_permissions(base: int, privileged: bool, read: bool, write: bool, execute: bool) -> None:
    mpu = mpu_with((RAM | base, RAM | 1))
    assert mpu.allows("read", RAM, privileged=privileged) == read
    assert mpu.allows("write", RAM, privileged=privileged) == write
    assert mpu.allows("execute", RAM, privileged=privileged) == execute


def test_a_region_ends_with_the_last_of_its_limit_s_32_bytes() -> None:
    mpu = mpu_with((RAM + 0x20, RAM + 0x40 | 1))
    inside = [offset for offset in range(0x80) if mpu.allows("read", RAM + offset, privileged=True)]
    assert inside == list(range(0x20, 0x60))


def test_what_lies_in_two_regions_faults() -> None:
    mpu = mpu_with((RAM, RAM + 0x100 | 1), (RAM + 0x80, RAM + 0x80 | 1))
    assert mpu.allows("read", RAM, privileged=True)
    assert not mpu.allows("read", RAM + 0x80, privileged=True)


@pytest.mark.parametrize(
    ("control", "privileged", "allowed"), [(5, True, True), (5, False, False), (1, True, False)]
)
def test_the_default_map_is_for_privileged_code_if_at_all(
    control: int, privileged: bool, allowed: bool
) -> None:
    mpu = mpu_with(control=control)
    assert mpu.allows("execute", RAM, privileged=privileged) == allowed
    assert mpu.allows("read", 0xE000ED94, privileged=privileged), "the private bus is nobody's region"


def test_the_aliases_reach_the_regions_that_follow() -> None:
    mpu = Mpu()
    mpu.write(MPU_RNR, 4)
    for alias in range(4):
        mpu.write(MPU_RBAR + 8 * alias, 0x100 * alias)
        mpu.write(MPU_RLAR + 8 * alias, 0x100 * alias | 1)
    for number in range(4):
        mpu.write(MPU_RNR, 4 + number)
        assert (mpu.read(MPU_RBAR), mpu.read(MPU_RLAR)) == (0x100 * number, 0x100 * number | 1)


# ---- SPU


def test_regions_are_32_kib_of_flash_and_locks_hold() -> None:
    spu = Spu()
    assert spu.closed_flash() == []
    spu.write(FLASH_REGIONS + 4 * 3, 0x115)
    spu.write(FLASH_REGIONS + 4 * 3, 0x017)
    assert spu.closed_flash() == [(0x18000, 0x20000)]
    assert not spu.writable(0x18000)
    assert spu.writable(0x17FFC)
    assert spu.writable(0x20000)
    spu.reset()
    assert spu.closed_flash() == []


@pytest.mark.parametrize(
    ("access", "address", "secure", "allowed"),
    [
        ("execute", 0x30000, True, False),  # non-secure flash
        ("read", 0x30000, True, True),
        ("execute", 0x30000, False, True),
        ("execute", 0x10000, False, False),  # secure flash
        ("read", 0x10000, False, False),
        ("read", 0x50039400, False, False),  # a peripheral's secure address
        ("read", 0x40039400, False, True),
        ("read", 0xE000ED00, False, True),
    ],
)
def test_security_attribution(access: str, address: int, secure: bool, allowed: bool) -> None:
    spu = Spu()
    spu.write(FLASH_REGIONS + 4 * (0x30000 // 0x8000), 0x7)
    assert spu.allows(access, address, secure=secure) == allowed  # type: ignore[arg-type]


def test_a_peripheral_moves_to_its_non_secure_address() -> None:
    spu = Spu()
    assert spu.answers(0x50005400)
    spu.write(PERIPHERALS + 4 * 5, 0)
    assert spu.read(PERIPHERALS + 4 * 5) == 0x2, "its mapping is the chip's"
    assert not spu.answers(0x50005400)
    assert spu.answers(0x40005400)
    assert spu.answers(0x50018400)
    spu.reset()
    assert spu.answers(0x50005400)


# ---- interrupts

PRIMASK, FAULTMASK = 1, 1 << 16


def test_an_interrupt_must_be_enabled_and_pending() -> None:
    lines = Interrupts()
    lines.write(ISER + 4, 1 << 3)
    assert not lines.due(0)
    lines.write(ISPR + 4, 1 << 3 | 1 << 4)
    assert lines.due(0)
    assert lines.read(ISPR + 4) == lines.read(ICPR + 4) == 1 << 3 | 1 << 4
    lines.write(ICER + 4, 1 << 3)
    assert not lines.due(0)
    lines.write(ISER + 4, 1 << 3)
    lines.write(ICPR + 4, 1 << 3)
    assert not lines.due(0)


@pytest.mark.parametrize(
    ("masks", "due"), [(0, True), (PRIMASK, False), (FAULTMASK, False), (0x40 << 8, False), (0x80 << 8, True)]
)
def test_masks_and_priorities(masks: int, due: bool) -> None:
    lines = Interrupts()
    lines.write(IPR + 20, 0x60 << 8)  # line 21
    lines.write(ISER, 1 << 21)
    lines.write(ISPR, 1 << 21)
    assert lines.due(masks) == due


def test_systick_interrupts_only_if_told_to() -> None:
    lines = Interrupts()
    lines.write(SYST_CSR, 5)
    assert not lines.due(0)
    lines.write(SYST_CSR, 7)
    assert lines.due(0)
    assert not lines.due(PRIMASK)
