"""What software on a virtual board may touch: its flash, its processor, its UART, its supply current.

Bootloaders and the application are written against this, never against a chip, so that they run
alike on the nRF9160 and the ESP32.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bench.virtual.flash import Flash
from bench.virtual.process import Cpu


@dataclass(frozen=True, slots=True)
class Region:
    """A named part of the flash: offset from the flash's base and size, both in bytes."""

    offset: int
    size: int


class Machine(Protocol):
    """One powered board as its software sees it."""

    @property
    def name(self) -> str: ...
    @property
    def flash(self) -> Flash: ...
    @property
    def cpu(self) -> Cpu: ...
    @property
    def rng(self) -> random.Random: ...
    @property
    def regions(self) -> Mapping[str, Region]:
        """The flash map of the board file."""
        ...

    def now(self) -> float:
        """Simulated seconds."""
        ...

    def print(self, text: str) -> None:
        """Send one line, ended by CR LF, out of the UART."""
        ...

    def activity(self, name: str) -> None:
        """Say what the board is doing now; its supply current follows.

        Names and what they draw are in `bench.virtual.power.draw_figures`; each belongs to a part of it.
        """
        ...

    def reset(self, reason: str) -> None:
        """Reset the chip from software; the calling process does not go on."""
        ...


@dataclass(frozen=True, slots=True)
class RunningImage:
    """The image the bootloader jumped to, as found in the flash (never as somebody meant it to be).

    `region` is where it runs; `version` what its header says ("1.2.3"); `traits` the switches the
    build carries (see `bench.virtual.images`); `confirmed` whether it will stay after a reset;
    `arrival` how it came to run: "normal", "test" (first boot after an upgrade) or "revert".
    """

    region: str
    version: str
    traits: Mapping[str, object]
    confirmed: bool
    arrival: str
