"""Which version is the higher one, which one runs, and when that is said."""

from __future__ import annotations

from typing import Any

from bench.virtual.boot.esp32 import EspOtaSlots
from bench.virtual.boot.mcuboot import package_check, slot_check, swap_loader, validation
from bench.virtual.boot.mcuboot.boot_state import PRIMARY, BootState
from bench.virtual.boot.mcuboot.image import Header
from bench.virtual.defects.defect import NRF9160, Area, Patch
from bench.virtual.firmware.update.component import Component
from bench.virtual.firmware.update.components import ComponentObject
from bench.virtual.firmware.update.machine import IDLE, SUCCESS, UPDATING
from bench.virtual.firmware.update.object5 import UpdateObject

RULES = Area("rules of versions and counters")
SHORT = 5
"""Characters."""


@RULES(
    package_check, "is_older", source="own", boards=NRF9160, hints=("test_last_number_of_a_version_counts",)
)
def revisions_not_compared(healthy: Any) -> Any:
    """1.1.0 replaces 1.1.1: only the first two numbers count."""
    return lambda candidate, running: candidate.number[:2] < running.number[:2]


@RULES(
    package_check, "is_older", source="own", boards=NRF9160, hints=("test_last_number_of_a_version_counts",)
)
def build_numbers_compared_first(healthy: Any) -> Any:
    """A higher version with a lower build number is refused."""

    def is_older(candidate: Header, running: Header) -> bool:
        return (candidate.build, candidate.number) < (running.build, running.number)

    return is_older


def _lowest_byte_in(healthy: Any) -> Any:
    def security_counter(*image: Any, is_main: bool) -> int | None:
        counter = healthy(*image, is_main=is_main)
        return None if counter is None else counter & 0xFF

    return security_counter


@RULES(
    validation,
    "counter_allows",
    source="own",
    boards=NRF9160,
    hints=("test_counter_of_a_confirmed_image_keeps_older_ones_out",),
    also=(Patch(slot_check, "security_counter", _lowest_byte_in),),
)
def security_counter_of_8_bits(healthy: Any) -> Any:
    """Of the security counter only the lowest byte counts: 256 is below 1."""
    return lambda value, least: healthy(value & 0xFF, least)


def _burned_with_the_request(healthy: Any) -> Any:
    def request_upgrade(self: EspOtaSlots) -> Any:
        objection = yield from healthy(self)
        if objection is None and self._board.guarded:
            yield from self._board.burn(self._place, lambda *line: None)
        return objection

    return request_upgrade


@RULES(
    swap_loader,
    "protects_from_rollback",
    source="MCUboot notes",
    hints=("test_counter_rises_only_with_a_confirmed_image",),
    also=(Patch(EspOtaSlots, "request_upgrade", _burned_with_the_request),),
)
def counter_raised_before_the_confirmation(healthy: Any) -> Any:
    """The security counter rises with the first start of an image, which may have to give way again."""

    def protects(boot: BootState) -> Any:
        return (yield from slot_check.raise_counter(boot, boot.primary, boot.headers[PRIMARY], 0))

    return protects


@RULES(Component, "start_new", source="own", boards=NRF9160, hints=("test_one_component",))
def component_version_read_before_the_installation(healthy: Any) -> Any:
    """A component that was just installed is reported in its old version until the next restart."""
    return lambda self: None


@RULES(ComponentObject, "_restart", source="own", boards=NRF9160, hints=("test_one_component",))
def component_success_before_the_restart(healthy: Any) -> Any:
    """A component shows Idle and result 1 while its installation is still to come."""

    def restart(self: ComponentObject, batch: list[Component]) -> Any:
        yield from self._keep(batch)
        for component in batch:
            component.fota.become(IDLE, SUCCESS)
        yield 10.0
        self._machine.reset("soft")
        yield 0.0

    return restart


@RULES(
    UpdateObject,
    "_fail",
    source="own, after brown-outs that restart an update for ever",
    hints=("test_new_image_fails_its_self_test",),
)
def failed_installation_tried_for_ever(healthy: Any) -> Any:
    """An update that came to nothing is asked of the bootloader again, after each rollback."""

    def fail(self: UpdateObject) -> Any:
        self.fota.tried = False
        yield from self.fota.keep()
        yield from self._slots.request_upgrade()
        if self.fota.state == UPDATING:
            self._machine.reset("soft")
            yield 0.0

    return fail
