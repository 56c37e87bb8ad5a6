"""Good images made anew from one of a board: of another length, of another version; well signed.

What is added to an image lies where its code does not look, so that on a real board it runs as before.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.firmware import hostile_esp32, hostile_mcuboot
from bench.firmware.image import FirmwareImage
from bench.firmware.image_set import ImageSet


@dataclass(frozen=True, slots=True)
class _Container:
    """`grow(images, data, size, filler)` and `rename(images, data, version, build)` of an image's bytes."""

    grow: Callable[[ImageSet, bytes, int, bytes], bytes]
    rename: Callable[[ImageSet, bytes, str, int], bytes]


_CONTAINERS = {
    "mcuboot": _Container(hostile_mcuboot.grown, hostile_mcuboot.renamed),
    "esp32": _Container(hostile_esp32.grown, hostile_esp32.renamed),
}


def grown(images: ImageSet, image: FirmwareImage, size: int) -> FirmwareImage:
    """The image with `size` bytes, or as many below that as its container can have.

    An MCUboot image can have any length, a signed ESP32 image whole sectors of 4096 bytes. Two lengths have
    different fillers. Raises `NotApplicable` without a signing key, `ImageError` for less than it has.
    """
    filler = random.Random(size).randbytes(size)
    data = _CONTAINERS[image.container].grow(images, image.data, size, filler)
    return replace(image, data=data, path=None)


def renamed(images: ImageSet, image: FirmwareImage, version: str, build: int = 0) -> FirmwareImage:
    """The image with another version, "major.minor.revision", and, where it has one, another build number.

    Raises `NotApplicable` without a signing key.
    """
    data = _CONTAINERS[image.container].rename(images, image.data, version, build)
    return replace(image, data=data, version=version, path=None)
