"""Which reset a chip has seen, by its own word, whatever its firmware does.

Many firmwares clear RESETREAS first of all. So the core is stopped before its first instruction (vector
catch), the register read, and the core let go.

A chip whose access port is shut until the firmware opens it (nRF91x1: APPROTECT.DISABLE in nrfx,
nrf9120_bitfields.h; after which resets says the nRF5340's register of that name: pin, watchdog, brown-out and
power-on) cannot be caught by those. There DHCSR.S_RESET_ST, once it can be read again, tells that there was a
reset, and RESETREAS which one, unless the firmware was quicker.
"""

from __future__ import annotations

import contextlib
from typing import Any

from pyocd.core import exceptions
from pyocd.core.target import Target

RESETREAS = (0x50005400, 0x40005400)
"""While POWER is secure, as after a reset, and when the firmware has made it non-secure (SPU, PERIPHID)."""
RESET_REASONS = {0: "RESETPIN", 1: "DOG", 2: "OFF", 4: "DIF", 16: "SREQ", 17: "LOCKUP", 18: "CTRLAP"}
"""By bit (nRF9160 product specification, POWER; nrf9160.svd in pyOCD; nrfx, nrf9160_bitfields.h, and the same
in nrf9120_bitfields.h for the nRF91x1). Bits add up until ones clear them; power-on sets none."""
CLEAR = 0xFFFFFFFF

DHCSR = 0xE000EDF0
S_HALT, S_RESET_ST = 1 << 17, 1 << 25
"""Armv8-M, DHCSR: S_RESET_ST says whether the core was reset since DHCSR was last read."""
CORE_RESET = Target.VectorCatch.CORE_RESET


class ResetCatch:
    """Armed when it is made. The core runs on until its next reset, of which RESETREAS will tell alone."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self._caught = self._was_reset = False
        target.selected_core_or_raise.clear_debug_cause_bits()  # what halted it before does not count
        target.set_vector_catch(target.get_vector_catch() | CORE_RESET)
        for address in RESETREAS:
            with contextlib.suppress(exceptions.TransferFaultError):
                target.write32(address, CLEAR)
        target.read32(DHCSR)

    def look(self) -> bool:
        """Whether there was a reset, as far as can be seen now: the access port may still be shut."""
        try:
            state = self._target.read32(DHCSR)
        except exceptions.TransferError:
            return False
        self._was_reset |= bool(state & S_RESET_ST)
        self._caught = bool(state & S_HALT) and (
            self._target.get_halt_reason() is Target.HaltReason.VECTOR_CATCH
        )
        return self._caught or self._was_reset

    def release(self) -> frozenset[str] | None:
        """Let the core go. Returns the reasons, none if there was no reset; None where nobody can tell."""
        target = self._target
        catching = target.get_vector_catch()
        target.set_vector_catch(catching & ~CORE_RESET)
        self.look()  # it may have stopped only after the look before, which met it still in reset
        word = self._word()
        if self._caught:
            target.resume()
        reasons = frozenset(name for bit, name in RESET_REASONS.items() if word >> bit & 1)
        lost = not catching & CORE_RESET  # a reset took the debug logic with it
        return None if not reasons and not self._caught and (self._was_reset or lost) else reasons

    def _word(self) -> int:
        word = 0
        faults = []
        for address in RESETREAS:
            try:
                word |= self._target.read32(address)
            except exceptions.TransferFaultError as fault:
                faults.append(fault)
        if len(faults) == len(RESETREAS):
            raise faults[0]
        return word
