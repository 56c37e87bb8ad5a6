"""What is modelled by register stands where the vendor's register file (nrf9160.svd, in pyOCD) has it."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from pyocd.debug.svd.loader import SVDFile

from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.program import clock_power, port, rtc, uarte
from bench.virtual.nrf91.program import peripherals as table
from bench.virtual.nrf91.program.local_time import LocalTime
from bench.virtual.nrf91.program.peripheral import NotModelled
from bench.virtual.nrf91.program.peripherals import Peripherals
from bench.virtual.nrf91.program.register_names import name_of
from bench.virtual.scheduler import Scheduler


@pytest.fixture(scope="module")
def registers() -> Mapping[str, int]:
    """Address by name."""
    file = SVDFile.from_builtin("nrf9160.svd")
    file.load()
    return {
        f"{peripheral.name}.{register.name}": peripheral.base_address + register.address_offset
        for peripheral in file.device.peripherals
        for register in peripheral.registers or ()
    }


@pytest.mark.parametrize(
    ("base", "peripheral", "module"),
    [
        (table.UARTES[0], "UARTE0_NS", uarte),
        (table.RTCS[0], "RTC0_NS", rtc),
        (table.CLOCK, "CLOCK_NS", clock_power),
        (table.CLOCK, "POWER_NS", clock_power),
        (table.PORT, "P0_NS", port),
        (table.NVMC, "NVMC_NS", table),
        (table.REGULATORS, "REGULATORS_NS", table),
    ],
)
def test_registers_stand_where_the_vendor_has_them(
    registers: Mapping[str, int], base: int, peripheral: str, module: object
) -> None:
    compared = 0
    for name, address in registers.items():
        owner, _, register = name.partition(".")
        plain = register.removeprefix("EVENTS_").removeprefix("TASKS_").replace(".", "_")
        ours = getattr(module, plain, None)
        if owner == peripheral and isinstance(ours, int):
            assert base + ours == address, name
            compared += 1
    assert compared >= 2


def test_every_register_is_there_or_is_refused(registers: Mapping[str, int]) -> None:
    """Reading any of the vendor's registers gives a word, or says that it is not modelled."""
    scheduler = Scheduler(1)
    chip = Nrf91Chip(scheduler, random.Random(1), device_id="0123456789abcdef")
    found = Peripherals(chip, LocalTime(scheduler), {}, lambda data, baud: None)
    answered = refused = 0
    for address in registers.values():
        if not 0x40000000 <= address < 0x60000000:
            continue
        try:
            peripheral, offset = found.find(address)
            assert 0 <= peripheral.read(offset) <= 0xFFFFFFFF
            answered += 1
        except NotModelled:
            refused += 1
    assert answered > 100
    assert refused > 1000


def test_a_register_has_its_vendors_name(registers: Mapping[str, int]) -> None:
    assert name_of(registers["TIMER0_S.TASKS_START"]) == "TIMER0_S.TASKS_START"
    assert name_of(0x5000F0FC) == "TIMER0_S"
    assert name_of(0x51000000) == "no peripheral"
