"""Access port protection: what UICR says, what firmware has opened, what ERASEALL has left open.

Source: nRF9160 and nRF9151 product specifications (debug and trace, CTRL-AP, UICR), Nordic's MDK
(system_nrf91_approtect.h; values of UICR.APPROTECT, APPROTECT.DISABLE and FORCEPROTECT in
nrf9160_bitfields.h and nrf9120_bitfields.h), and what pyOCD, probe-rs and Black Magic Probe do to unlock:

- nRF9160: UICR alone decides, erased means open. It closes at any reset; after ERASEALL it opens with a
  reset by the pin or by power, for the CTRL-AP's own is not enough (pyOCD, Black Magic Probe: "older").
- nRF9131, nRF9151, nRF9161 ("hardened"): open needs UICR *and* the firmware, which writes
  APPROTECT.DISABLE after each start. An erased UICR is closed. ERASEALL opens them too, from the next soft
  reset until a hard one.

Which resets clear APPROTECT.DISABLE (pin, power, watchdog) is told of the nRF5340, which has the same
mechanism; of the nRF91 it is unconfirmed. That a core asleep closes the ports (nRF9151 anomaly 36) is not
modelled.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.nrf91 import memory_map as mem

HARD_RESETS = ("power", "pin", "watchdog")
OPENING_RESETS = ("power", "pin")
ERASED = 0xFFFFFFFF
HW_UNPROTECTED = 0x50FA50FA
SW_UNPROTECTED = 0x5A
FORCE = 1 << 9

APPROTECT, SECUREAPPROTECT = 0, 1
"""Bits of CTRL-AP.APPROTECTSTATUS; a set bit is open."""
_UICR = {APPROTECT: mem.UICR_APPROTECT, SECUREAPPROTECT: mem.UICR_SECUREAPPROTECT}
_DISABLE = {mem.APPROTECT_DISABLE: APPROTECT, mem.SECUREAPPROTECT_DISABLE: SECUREAPPROTECT}


class Protection:
    """`uicr(offset)` is the word there now; it counts from the next reset on."""

    def __init__(self, uicr: Callable[[int], int], *, hardened: bool) -> None:
        self._uicr = uicr
        self._hardened = hardened
        self._by_uicr = {APPROTECT: False, SECUREAPPROTECT: False}  # open, as latched
        self._by_firmware = {APPROTECT: False, SECUREAPPROTECT: False}
        self._forced = {APPROTECT: False, SECUREAPPROTECT: False}
        self._erased = self._released = False

    def reset(self, reason: str) -> None:
        """The chip leaves reset: "power", "pin", "watchdog", "soft", "swd"."""
        if reason in HARD_RESETS:
            self._by_firmware = dict.fromkeys(self._by_firmware, False)
            self._forced = dict.fromkeys(self._forced, False)
            self._released = False
        elif self._erased:
            self._released = True
        self._erased = False
        for bit, offset in _UICR.items():
            word = self._uicr(offset)
            if self._hardened:
                self._by_uicr[bit] = word == HW_UNPROTECTED
            elif word != ERASED:
                self._by_uicr[bit] = False
            elif reason in OPENING_RESETS:
                self._by_uicr[bit] = True

    def erased_all(self) -> None:
        """ERASEALL has ended."""
        self._erased = True

    def _is_open(self, bit: int) -> bool:
        if not self._hardened:
            return self._by_uicr[bit]
        return self._released or (self._by_uicr[bit] and self._by_firmware[bit])

    @property
    def status(self) -> int:
        """CTRL-AP.APPROTECTSTATUS."""
        return sum(self._is_open(bit) << bit for bit in _UICR)

    def is_register(self, address: int) -> bool:
        """Whether APPROTECT has a register there (DISABLE and FORCEPROTECT in one)."""
        return self._hardened and address in _DISABLE

    def write(self, address: int, value: int) -> None:
        """A store of the firmware to such a register."""
        bit = _DISABLE[address]
        if value & FORCE:
            self._forced[bit], self._by_firmware[bit] = True, False
        elif not self._forced[bit]:
            self._by_firmware[bit] = value & 0xFF == SW_UNPROTECTED
