"""What every way into a board's flash can do, whatever the wire."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable

from bench.dut.chip import ChipIdentity
from bench.errors import ProbeError


class Flasher(ABC):
    """Program, read and reset a board from outside. Addresses are the chip's own, lengths in bytes.

    `open` must come first and `close` must always follow; both are idempotent. Every method raises
    a `BenchError` that names the board, the address and the cure.
    """

    reset_reasons: frozenset[str] | None = None
    """What the chip gave as the reasons of its last reset, by the names of its manual; None: not told."""

    def check(self) -> None:
        """Raise `ProbeError` when the way in is visibly not there. Needs no power on the board."""
        return

    @abstractmethod
    def open(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def identity(self) -> dict[str, str]:
        """Part, revision, unique id and the like, as the chip itself says."""

    def chip_identity(self) -> ChipIdentity | None:
        """What the chip says of itself, to be compared with the board file; None where nothing is known."""
        return None

    def recover(self, power_cycle: Callable[[], None]) -> None:
        """Erase everything, and so lift readout protection; `power_cycle` takes the supply away and back.

        Only ever on request. Raises `ProbeError` where there is nothing that could be lifted this way.
        """
        raise ProbeError(
            f"{type(self).__name__} cannot lift a readout protection",
            help="only boards that are flashed by a debug probe are recovered",
        )

    def why_unreadable(self) -> str | None:
        """Why what is read back says nothing about images, or None; by what the chip said last."""
        return None

    def check_writable(self, address: int, length: int) -> None:
        """Raise `LockedError` where the chip must not be written; nothing has been changed then."""
        return

    @abstractmethod
    def program(self, address: int, data: bytes) -> None:
        """Erase what is needed, write `data` at `address`, verify it, leave the rest of the flash alone."""

    def rewrite(self, address: int, length: int, data: bytes) -> None:
        """Erase the pages that cover the range, then write and verify `data` at its start."""
        self.erase(address, length)
        self.program(address, data)

    @abstractmethod
    def read(self, address: int, length: int) -> bytes: ...

    def holds(self, address: int, data: bytes) -> bool:
        """Whether the range at `address` holds exactly `data`."""
        return self.read(address, len(data)) == data

    def digest(self, address: int, length: int) -> str:
        """A hash of the range, to be compared with other hashes by the same way into the flash only."""
        return hashlib.sha256(self.read(address, length)).hexdigest()

    @abstractmethod
    def verify(self, address: int, data: bytes) -> None:
        """Raise `FlashError` naming the first address that differs."""

    @abstractmethod
    def erase(self, address: int, length: int) -> None:
        """Erase the pages that cover the range."""

    @abstractmethod
    def erase_chip(self) -> None:
        """Erase the whole flash."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the chip by its pin and let it run."""

    def reset_by_debugger(self) -> None:
        """Reset the chip from within, as a debugger does. Raises `ProbeError` where there is none."""
        raise ProbeError(
            f"{type(self).__name__} has no debugger that could reset the chip",
            help="remove the capability reset-debugger from the board file",
        )

    def catch_reset(self) -> None:
        """From now on `caught_reset` sees the next reset, whoever causes it, while the session is open.

        Raises `ProbeError` where there is no debugger.
        """
        raise ProbeError(
            f"{type(self).__name__} has no debugger that could see a reset",
            help="look at the console instead",
        )

    def caught_reset(self) -> bool:
        """Whether there was a reset since `catch_reset`. If so, `reset_reasons` are its own."""
        return False
