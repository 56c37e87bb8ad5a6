"""The images one board is tested with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.firmware.corrupt import flip_body_bit
from bench.firmware.image import FirmwareImage


@dataclass(frozen=True, slots=True)
class FactoryPart:
    """Something below the application: bootloader, partition table. `address` is the chip's own."""

    address: int
    path: Path


@dataclass(frozen=True)
class ImageSet:
    """`baseline` runs before an update, `update` after it; `factory` goes in before both."""

    baseline: FirmwareImage
    update: FirmwareImage
    factory: tuple[FactoryPart, ...] = ()

    @cached_property
    def corrupted(self) -> FirmwareImage:
        """`update` with one bit of its body flipped; everything else, lengths included, is right."""
        return flip_body_bit(self.update)
