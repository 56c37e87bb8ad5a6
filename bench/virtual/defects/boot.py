"""Bootloaders: what they verify, swap, revert and confirm."""

from __future__ import annotations

from typing import Any

from bench.virtual.boot import esp32, esp32_image, esp32_otadata
from bench.virtual.boot import slots as checks
from bench.virtual.boot.esp32 import EspOtaSlots
from bench.virtual.boot.mcuboot import boot_state, package_check, swap_move, validation
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.area import SECTOR
from bench.virtual.boot.mcuboot.request import set_pending
from bench.virtual.boot.mcuboot.trailer import SwapType, write_image_ok
from bench.virtual.defects.defect import ESP32, NRF9160, Area, Patch, always
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.update.object5 import UpdateObject
from bench.virtual.firmware.update.reception import Reception

BOOT = Area("boot, swap and revert")
PUSH_OK = ("test_push_succeeds",)
REVERTS = ("test_new_image_fails_its_self_test",)


def _always_ok(healthy: Any) -> Any:
    def check(self: Any, length: int) -> Any:
        yield 0.1
        return checks.OK

    return check


@BOOT(
    McubootSlots,
    "check",
    source="own",
    hints=("test_corrupted_image",),
    also=(Patch(EspOtaSlots, "check", _always_ok),),
)
def package_not_checked_after_the_download(healthy: Any) -> Any:
    """Whatever comes in is Downloaded."""
    return _always_ok(healthy)


@BOOT(
    McubootSlots,
    "check",
    source="GHSA-gcxh-546h-phg4 and others",
    boards=NRF9160,
    hints=("test_corrupted_image",),
    also=(Patch(validation, "hash_fits", always(lambda named, digest: True)),),
)
def hash_never_checked(healthy: Any) -> Any:
    """Neither the application nor the bootloader looks at the hash of the image."""
    return _always_ok(healthy)


@BOOT(
    package_check,
    "is_for",
    source="own",
    boards=NRF9160,
    hints=("test_image_for_another_board",),
)
def board_not_checked(healthy: Any) -> Any:
    """A correctly signed image for another board is booted."""
    return lambda protected, board: True


@BOOT(esp32_image, "_is_for_this_chip", source="own", boards=ESP32, hints=("test_image_for_another_board",))
def chip_not_checked(healthy: Any) -> Any:
    """An image for another chip is taken and booted."""
    return lambda header, revision, log: True


@BOOT(boot_state, "wanted_swap", source="esp-idf#7859", boards=NRF9160, hints=REVERTS)
def never_reverts(healthy: Any) -> Any:
    """An image that was not confirmed is booted again."""

    def wanted(primary: Any, secondary: Any, options: Any) -> SwapType:
        kind: SwapType = healthy(primary, secondary, options)
        return SwapType.NONE if kind is SwapType.REVERT else kind

    return wanted


@BOOT(boot_state, "wanted_swap", source="esp-idf#7859", boards=NRF9160, hints=REVERTS)
def every_upgrade_is_permanent(healthy: Any) -> Any:
    """A new image counts as confirmed from its first start on."""

    def wanted(primary: Any, secondary: Any, options: Any) -> SwapType:
        kind: SwapType = healthy(primary, secondary, options)
        return SwapType.PERMANENT if kind is SwapType.TEST else kind

    return wanted


@BOOT(
    McubootSlots,
    "confirm",
    source="esphome#11300",
    hints=PUSH_OK,
    also=(Patch(EspOtaSlots, "confirm", lambda healthy: _never_confirms),),
)
def never_confirmed(healthy: Any) -> Any:
    """A healthy image is never confirmed, and reverts at the next restart."""
    return _never_confirms


def _never_confirms(self: Any) -> Any:
    yield 0.01


@BOOT(McubootSlots, "confirm", source="mcuboot#480", boards=NRF9160, hints=PUSH_OK)
def confirmed_in_the_wrong_slot(healthy: Any) -> Any:
    """The confirm flag is written to the trailer of the other slot."""

    def confirm(self: McubootSlots) -> Any:
        yield from write_image_ok(self._other)

    return confirm


@BOOT(esp32, "_abort_unconfirmed", source="esp-idf#7859", boards=ESP32, hints=REVERTS)
def rollback_not_enabled(healthy: Any) -> Any:
    """An image that was not confirmed is booted again."""

    def abort(board: Any, found: Any) -> Any:
        yield 0.0
        return []

    return abort


@BOOT(EspOtaSlots, "request_upgrade", source="esp-idf#7859", boards=ESP32, hints=REVERTS)
def image_valid_at_once(healthy: Any) -> Any:
    """A new image is marked VALID before it has ever run."""

    def request_upgrade(self: EspOtaSlots) -> Any:
        yield from healthy(self)
        active = self._active()
        assert active is not None
        yield from self._write(active.with_state(esp32_otadata.VALID))

    return request_upgrade


@BOOT(Reception, "verify", source="own", hints=("test_power_cut_when_downloaded",))
def installed_without_being_asked(healthy: Any) -> Any:
    """A complete package is marked for installation at once: the next restart installs it."""

    def verify(self: Reception) -> Any:
        yield from healthy(self)
        if self._fota.state == 2:
            yield from self._store._place.request_upgrade()  # type: ignore[attr-defined]

    return verify


@BOOT(UpdateObject, "_install", source="own", hints=PUSH_OK)
def upgrade_never_requested(healthy: Any) -> Any:
    """The device restarts for an update that it has not asked the bootloader for."""

    def install(self: UpdateObject) -> Any:
        yield from self.fota.keep()
        yield 1.0
        self._machine.reset("soft")
        yield 0.0

    return install


@BOOT(UpdateObject, "_install", source="own", hints=PUSH_OK)
def device_does_not_restart(healthy: Any) -> Any:
    """Updating is shown, and the device waits for somebody to restart it."""

    def install(self: UpdateObject) -> Any:
        yield from self.fota.keep()
        yield from self._slots.request_upgrade()

    return install


@BOOT(Application, "_trial", source="own", hints=PUSH_OK)
def trial_never_ends(healthy: Any) -> Any:
    """The new image registers, and forgets that it is on trial."""

    def trial(self: Application, client: Any, update: UpdateObject) -> Any:
        yield client.registered

    return trial


@BOOT(swap_move, "transfer", source="mcuboot#829", boards=NRF9160, hints=PUSH_OK)
def swap_leaves_out_a_sector(healthy: Any) -> Any:
    """One sector of the swap is erased and not copied."""

    def transfer(source: Any, number: int, target: Any, into: int) -> Any:
        if source is not target and number == 7:
            yield from target.erase(into * SECTOR, SECTOR)
        else:
            yield from healthy(source, number, target, into)

    return transfer


@BOOT(
    McubootSlots,
    "erase",
    source="MCUboot notes",
    boards=NRF9160,
    hints=("test_power_cut_when_downloaded", "test_push_succeeds"),
)
def erase_spares_the_trailer(healthy: Any) -> Any:
    """Erasing the slot leaves the request of an earlier upgrade in its trailer."""

    def erase(self: McubootSlots, start: int = 0) -> Any:
        yield from healthy(self, start)
        yield from set_pending(self._other, self._state.options)

    return erase
