"""What the running application may do with the slot an update goes into."""

from __future__ import annotations

from typing import Protocol

from bench.virtual.process import Steps

OK = "ok"
INTEGRITY = "integrity"
UNSUPPORTED = "unsupported"
WRONG_BOARD = "wrong board"
SIGNATURE = "signature"


class UpdateSlots(Protocol):
    """The update slot, its bootloader's request and confirm marks. All steps take simulated time."""

    @property
    def region(self) -> str:
        """The flash region updates go into."""
        ...

    @property
    def capacity(self) -> int:
        """The largest image, in bytes."""
        ...

    @property
    def confirmed(self) -> bool:
        """Whether the running image stays after the next reset."""
        ...

    def erase(self, start: int = 0) -> Steps:
        """Erase the slot from `start` (a multiple of 4096) on, request marks included."""
        ...

    def package(self) -> tuple[str, str]:
        """Name and version of the image in the slot; empty strings when it has none."""
        ...

    def write(self, offset: int, data: bytes) -> Steps:
        """Program `data` at `offset` of the erased slot."""
        ...

    def check(self, length: int) -> Steps:
        """Look at the `length` bytes written; one of the verdicts above is the value."""
        ...

    def request_upgrade(self) -> Steps:
        """Ask the bootloader to run the new image, on trial, after the next reset.

        The value is why that cannot be, or None.
        """
        ...

    def confirm(self) -> Steps:
        """Make the running image stay."""
        ...

    def invalidate(self) -> Steps:
        """Make sure that what lies in the slot is never booted."""
        ...
