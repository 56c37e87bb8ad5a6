"""Images damaged on purpose, derived from one good build."""

from __future__ import annotations

import random
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


def padded(image: FirmwareImage, size: int) -> FirmwareImage:
    """The whole image, and zeros up to `size` bytes."""
    return replace(image, data=image.data.ljust(size, b"\0"), path=None)


def replaced(image: FirmwareImage) -> FirmwareImage:
    """A PNG file's signature, and noise, as many bytes as the image has."""
    noise = random.Random(image.sha256).randbytes(image.size)
    return replace(image, data=(b"\x89PNG\r\n\x1a\n" + noise)[: image.size], path=None)
