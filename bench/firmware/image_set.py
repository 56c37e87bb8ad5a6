"""The images one board is tested with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.errors import NotApplicable
from bench.firmware.corrupt import flip_body_bit, padded, replaced
from bench.firmware.image import FirmwareImage, read_file


@dataclass(frozen=True)
class FactoryPart:
    """Something below the application: bootloader, partition table. `address` is the chip's own.

    The file is read once, and `data` is what is flashed: whatever becomes of the file meanwhile, the hash
    in the ledger is that of what was on the board. Raises `FileError`.
    """

    address: int
    path: Path
    data: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", read_file(self.path))

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class ImageSet:
    """`baseline` runs before an update, `update` after it; `factory` goes in before both.

    `limit` is the size of the largest image that fits, `slot_size` that of a whole slot, in bytes (0:
    not known); `variants` are
    builds that cannot be derived from a good one, or that replace derived ones; `components` are
    packages for components beside the application, by their names. `signing_key` (PEM) is the key
    that the builds are signed with, where it is known.
    """

    baseline: FirmwareImage
    update: FirmwareImage
    factory: tuple[FactoryPart, ...] = ()
    limit: int = 0
    slot_size: int = 0
    variants: Mapping[str, FirmwareImage] = field(default_factory=dict)
    components: Mapping[str, FirmwareImage] = field(default_factory=dict)
    signing_key: bytes | None = field(default=None, repr=False)

    def component(self, name: str) -> FirmwareImage:
        """The package for a component of object 33629. Raises `NotApplicable` without one."""
        if name not in self.components:
            raise NotApplicable(f"there is no package for the component {name!r} in images.components")
        return self.components[name]

    @cached_property
    def corrupted(self) -> FirmwareImage:
        """`update` with one bit of its body flipped; everything else, lengths included, is right."""
        return self.variants.get("corrupted") or flip_body_bit(self.update)

    @cached_property
    def unsupported(self) -> FirmwareImage:
        """A file of the size of `update` that is no firmware at all."""
        return self.variants.get("unsupported") or replaced(self.update)

    @cached_property
    def oversized(self) -> FirmwareImage:
        """`update`, padded beyond the largest image that fits. Raises `NotApplicable` without a limit."""
        given = self.variants.get("oversized")
        if given is None and not self.limit:
            raise NotApplicable("the board file gives no limit to the size of a package")
        return given or padded(self.update, self.limit + 4096)

    def require(self, name: str) -> None:
        """Raise `NotApplicable` where a testcase cannot have the image that it names."""
        derived = {
            "corrupted": lambda: self.corrupted,
            "unsupported": lambda: self.unsupported,
            "oversized": lambda: self.oversized,
        }
        derived.get(name, lambda: self.variant(name))()

    @property
    def wrong_board(self) -> FirmwareImage:
        """A correctly built and signed image for another board. Raises `NotApplicable` without one."""
        return self.variant("wrong-board")

    @property
    def self_test_fails(self) -> FirmwareImage:
        """A build that finds itself broken when it starts. Raises `NotApplicable` without one."""
        return self.variant("self-test-fails")

    def variant(self, name: str) -> FirmwareImage:
        """A build that cannot be derived, by its name. Raises `NotApplicable` without it."""
        if name not in self.variants:
            raise NotApplicable(f"the bench file gives no image variant {name!r}")
        return self.variants[name]
