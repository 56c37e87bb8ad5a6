"""What bootloaders let run: signatures, versions, counters, dependencies; and when an image is believed."""

from __future__ import annotations

from typing import Any

from bench.virtual.boot import esp32, esp32_image
from bench.virtual.boot.mcuboot import package_check, swap_move, validation
from bench.virtual.defects.defect import NRF9160, Area, Patch, always
from bench.virtual.firmware.update.object5 import UpdateObject

SECURE = Area("secure boot")
HOSTILE = ("test_hostile_image_is_refused",)
SWEEP = ("test_power_cut_at_every_flash_operation[",)


@SECURE(
    validation,
    "is_signed",
    source="GHSA-gcxh-546h-phg4",
    hints=HOSTILE,
    also=(Patch(esp32_image, "signature_holds", always(lambda read, length, trusted: True)),),
)
def signature_not_checked(healthy: Any) -> Any:
    """Any image with a right hash boots, whoever signed it."""
    return lambda kind, keys, digest, signature: True


@SECURE(
    validation,
    "hash_fits",
    source="own",
    boards=NRF9160,
    hints=HOSTILE,
    also=(Patch(validation, "is_signed", always(lambda kind, keys, digest, signature: True)),),
)
def only_the_header_is_checked(healthy: Any) -> Any:
    """Hash and signature count for the header alone; the body may be anything."""
    return lambda named, digest: len(named) == len(digest)


@SECURE(package_check, "is_older", source="own", boards=NRF9160, hints=("test_no_way_back",))
def downgrade_accepted(healthy: Any) -> Any:
    """A lower version replaces a higher one."""
    return lambda candidate, running: False


@SECURE(
    validation,
    "counter_allows",
    source="MCUboot notes",
    hints=("test_counter_of_a_confirmed_image", *HOSTILE),
    also=(Patch(esp32, "least_version", always(lambda machine, fuses: 0)),),
)
def security_counter_not_checked(healthy: Any) -> Any:
    """An image with a lower security counter, or secure version, boots."""
    return lambda value, least: True


@SECURE(package_check, "needs_another", source="own", boards=NRF9160, hints=HOSTILE)
def dependency_not_checked(healthy: Any) -> Any:
    """An image boots although what it depends on is not there."""
    return lambda candidate, protected: False


@SECURE(
    UpdateObject,
    "settle",
    source="sdk-nrf sample",
    hints=("test_bad_build_gives_way_to_the_old_one",),
)
def confirmed_before_it_attaches(healthy: Any) -> Any:
    """A new image makes itself permanent as soon as it runs, before it has reached the network."""

    def settle(self: UpdateObject) -> Any:
        yield from healthy(self)
        if self.on_trial:
            yield from self.end_trial()

    return settle


@SECURE(swap_move, "last_written", source="mcuboot#1588", boards=NRF9160, hints=SWEEP)
def interrupted_swap_starts_over(healthy: Any) -> Any:
    """After a cut in the middle of a swap, the swap begins again from its first sector."""
    return lambda area: 0
