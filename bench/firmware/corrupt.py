"""Images damaged on purpose, derived from one good build."""

from __future__ import annotations

import random
from dataclasses import replace

from bench.firmware.image import FirmwareImage


def flipped(data: bytes, offset: int, bit: int = 4) -> bytes:
    """With one bit (0 to 7) of one byte turned over."""
    return data[:offset] + bytes([data[offset] ^ 1 << bit]) + data[offset + 1 :]


def flip_body_bit(image: FirmwareImage) -> FirmwareImage:
    """One bit flipped in the middle of the image; header, lengths and trailers stay as they were."""
    return replace(image, data=flipped(image.data, image.size // 2), path=None)


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
