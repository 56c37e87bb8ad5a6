"""The chip that a board file is for, so that no other one is ever written."""

from __future__ import annotations

from pydantic import Field

from bench.config.table import Table


class ChipSettings(Table):
    """What the chip must say of itself before anything is erased or written.

    `part` as its maker calls it, `variants` those allowed (none: any), `flash` and `ram` in bytes. What is
    not given is not compared.
    """

    part: str | None = Field(default=None, min_length=1)
    variants: tuple[str, ...] = ()
    flash: int | None = Field(default=None, gt=0)
    ram: int | None = Field(default=None, gt=0)


CHIPS = {"nrf9160": ChipSettings(part="nRF9160", ram=0x40000)}
"""What a board file that has no [chip] is for, by its driver (nRF9160 product specification)."""
