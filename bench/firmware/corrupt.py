"""Images damaged on purpose, derived from one good build."""

from __future__ import annotations

from dataclasses import replace

from bench.firmware.image import FirmwareImage


def flip_body_bit(image: FirmwareImage) -> FirmwareImage:
    """One bit flipped in the middle of the image; header, lengths and trailers stay as they were."""
    data = bytearray(image.data)
    data[len(data) // 2] ^= 0x10
    return replace(image, data=bytes(data), path=None)


def truncate(image: FirmwareImage, size: int) -> FirmwareImage:
    """The first `size` bytes only."""
    return replace(image, data=image.data[:size], path=None)
