"""Every kind of hostile image, by container; and images whose security counter is raised."""

from __future__ import annotations

from dataclasses import replace

from bench.firmware import hostile_esp32, hostile_mcuboot
from bench.firmware.hostile import HostileKind
from bench.firmware.image import FirmwareImage
from bench.firmware.image_set import ImageSet

KINDS: dict[str, tuple[HostileKind, ...]] = {
    "mcuboot": hostile_mcuboot.MCUBOOT_KINDS,
    "esp32": hostile_esp32.ESP32_KINDS,
}

_RAISED = {"mcuboot": hostile_mcuboot.raised, "esp32": hostile_esp32.raised}


def with_raised_counter(images: ImageSet, image: FirmwareImage) -> FirmwareImage:
    """An image of the board with a security counter (ESP32: secure version) above the update's.

    Raises `NotApplicable` without a signing key, or without a counter in the update.
    """
    return replace(image, data=_RAISED[image.container](images, image.data), path=None)
