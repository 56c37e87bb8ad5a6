"""Firmware files, by what testcases need them for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from bench.config.table import Mistake, Table, refuse

VariantName = Literal[
    "wrong-board",
    "self-test-fails",
    "never-confirms",
    "crashes-at-boot",
    "hangs",
    "cannot-attach",
    "loses-settings",
    "other-build",
    "minor-nine",
    "minor-ten",
    "largest",
    "whole-blocks",
    "one-byte-more",
    "corrupted",
    "unsupported",
    "oversized",
]
VARIANTS = (
    "wrong-board",
    "self-test-fails",
    "never-confirms",
    "crashes-at-boot",
    "hangs",
    "cannot-attach",
    "loses-settings",
    "other-build",
    "minor-nine",
    "minor-ten",
    "largest",
    "whole-blocks",
    "one-byte-more",
)
"""Builds that cannot be derived from a good one: for another board; failing its own self-test; registering
without confirming itself; faulting, or standing still, as it starts; never reaching the network; not
finding the settings of the build before. Good builds of another kind: the update's version once more, with
other content; x.9.y and x.10.y; filling a slot to within a page; of a multiple of 1024 bytes, and of one
byte more."""
DERIVED = ("corrupted", "unsupported", "oversized")
"""Packages that are derived from the update unless they are given."""


class ImageFiles(Table):
    """Firmware to install and to update to: files, or `provider` ("module:function") that builds them.

    `factory` are the parts below the application (bootloader, partition table): address -> file;
    `variants` are further builds that some testcases need, by name; `components` are packages for
    object 33629, by the names of its components. `signing_key` is the private key (PEM) that the builds
    are signed with; without it no hostile image can be derived that is well signed otherwise.
    """

    provider: str | None = None
    baseline: Path | None = None
    update: Path | None = None
    factory: dict[str, Path] = {}
    variants: dict[VariantName, Path] = {}
    components: dict[str, Path] = {}
    signing_key: Path | None = None

    @model_validator(mode="after")
    def _either(self) -> ImageFiles:
        mistakes = []
        if self.provider is None and (self.baseline is None or self.update is None):
            mistakes.append(Mistake((), "give both 'baseline' and 'update', or a 'provider'"))
        for address in self.factory:
            if not _is_address(address):
                mistakes.append(
                    Mistake(
                        ("factory", address),
                        f"factory key {address!r} is not an address such as '0x8000'",
                        "give the chip's own address, in quotes",
                    )
                )
        refuse(mistakes)
        return self


def _is_address(text: str) -> bool:
    try:
        return 0 <= int(text, 0) < 2**32
    except ValueError:
        return False
