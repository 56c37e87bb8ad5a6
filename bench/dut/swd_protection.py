"""Readout protection of an nRF91 over its CTRL-AP: what it is, and erasing everything to lift it.

Everything here works at the debug port alone, on which no core has been looked for.

Sources: nRF9160 and nRF9151 product specifications (CTRL-AP); the unlocking sequences of pyOCD
(target_nRF91.py), probe-rs (sequences/nrf91.rs, which follows Nordic's nAN-41) and Black Magic Probe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyocd.core import exceptions

from bench.dut.pauses import Pause
from bench.errors import FlashError, LockedError, ProbeError

AHB_AP, CTRL_AP = 0, 4 << 24
RESET, ERASEALL, ERASEALLSTATUS, APPROTECTSTATUS, ERASEPROTECTSTATUS = 0x00, 0x04, 0x08, 0x0C, 0x18
CSW, IDR = 0x00, 0xFC
DEVICE_ENABLED = 0x40  # CSW.DeviceEn (ADIv5)
CTRL_AP_IDR, AHB_AP_IDR = 0x12880000, 0x84770001
TARGETID, TARGETID_NRF91 = 0x24, 0x00090289
"""DP bank 2, register 4: revision, part 0x0090, designer Nordic."""
HARDENED_FROM = 3
"""TARGETID.REVISION from which an erased UICR means "protected" (nRF9131, nRF9151, nRF9161)."""
NON_SECURE, SECURE = 1, 2
OPEN = NON_SECURE | SECURE

OPEN_READINGS, LOCKED_READINGS = 3, 25
"""Equal readings in a row that are believed. "Locked" takes more: it may be a bad contact (pyOCD issue
1766), or firmware that has not yet opened the ports of a hardened chip since power came up."""
READINGS = 250
SILENT_READINGS = 50
"""Failed or foreign readings in a row after which nobody is there."""
READING_PAUSE = 0.02
"""Seconds between two readings of a chip that is not open."""
ERASE_LIMIT = 30.0
"""Seconds for ERASEALL (0.2 usual); pyOCD's limit."""
ERASE_POLL, AFTER_ERASE, AFTER_RESET = 0.02, 0.01, 0.2
"""Seconds; the latter two as pyOCD and Black Magic Probe wait."""
ERASE_TRIES = 3
"""Erasures until a hardened chip opens: some want more than one (pyOCD, Black Magic Probe)."""


@dataclass(frozen=True, slots=True)
class Protection:
    """`status` is CTRL-AP.APPROTECTSTATUS: a set bit is open."""

    status: int

    @property
    def locked(self) -> bool:
        return self.status & OPEN != OPEN

    def __str__(self) -> str:
        on = [("APPROTECT", NON_SECURE), ("SECUREAPPROTECT", SECURE)]
        return " and ".join(name for name, bit in on if not self.status & bit) or "none"


class ControlPort:
    """CTRL-AP behind a connected pyOCD debug `port`; `name` is the board's, `uid` the probe's."""

    def __init__(self, port: Any, name: str, uid: str, pause: Pause) -> None:
        self._port, self._name, self._uid, self._pause = port, name, uid, pause

    def is_hardened(self) -> bool:
        """Whether firmware, too, has to open the access ports. Raises `ProbeError` for another chip."""
        target = int(self._port.read_dp(TARGETID))
        if target & 0x0FFFFFFF != TARGETID_NRF91:
            raise self._foreign(f"TARGETID {target:#010x}")
        return target >> 28 >= HARDENED_FROM

    def protection(self) -> Protection:
        """By readings that agree with each other, and with what the AHB-AP says of itself.

        Changes nothing. Raises `ProbeError` where no nRF91 answers, or what answers does not settle.
        """
        status = self._settled(self._protection_once, lambda found: found & OPEN == OPEN)
        return Protection(status)

    def _protection_once(self) -> int:
        status = int(self._port.read_ap(CTRL_AP | APPROTECTSTATUS))
        identity = int(self._port.read_ap(AHB_AP | IDR))
        if identity != AHB_AP_IDR:
            raise self._foreign(f"AHB-AP IDR {identity:#010x}, not {AHB_AP_IDR:#010x}")
        if bool(self._port.read_ap(AHB_AP | CSW) & DEVICE_ENABLED) != bool(status & NON_SECURE):
            raise _Disagreement(f"APPROTECTSTATUS says {status:#x}, CSW of the AHB-AP the contrary")
        return status

    def _settled(self, read: Callable[[], int], good: Callable[[int], bool]) -> int:
        """A value read often enough without another in between; one that is not `good` more often."""
        last: int | None = None
        equal = silent = 0
        trouble: Exception | None = None
        for _ in range(READINGS):
            try:
                self._identify()
                found = read()
                self._identify()  # a contact may break in between
            except (exceptions.TransferError, ProbeError, _Disagreement) as error:
                trouble, last, equal = error, None, 0
                silent += not isinstance(error, _Disagreement)
                if silent >= SILENT_READINGS:
                    raise
                self._calm()
                self._pause(READING_PAUSE)
                continue
            silent = 0
            equal = equal + 1 if found == last else 1
            last = found
            if equal >= (OPEN_READINGS if good(found) else LOCKED_READINGS):
                return found
            if not good(found):
                self._pause(READING_PAUSE)
        raise ProbeError(
            f"{self._name}: CTRL-AP of the chip behind {self._uid} does not give the same answer twice"
            + ("" if trouble is None else f" (last trouble: {trouble})"),
            help="nothing was erased; shorten the SWD cable, check its ground, lower flasher.frequency",
        )

    def _identify(self) -> None:
        identity = int(self._port.read_ap(CTRL_AP | IDR))
        if identity != CTRL_AP_IDR:
            raise self._foreign(f"CTRL-AP IDR {identity:#010x}, not {CTRL_AP_IDR:#010x}")

    def _foreign(self, found: str) -> ProbeError:
        return ProbeError(
            f"{self._name}: no nRF91 behind probe {self._uid}: {found}",
            help="is it the right board, is it powered? check the SWD cable, lower flasher.frequency",
        )

    def _calm(self) -> None:
        try:
            self._port.clear_sticky_err()
        except exceptions.TransferError:
            pass  # the next reading finds out

    def erase_all(self) -> None:
        """Flash, UICR and RAM, then a soft reset. Raises `LockedError` where ERASEPROTECT forbids it."""
        self.is_hardened()  # whatever is no nRF91 is not touched
        allowed = self._settled(lambda: int(self._port.read_ap(CTRL_AP | ERASEPROTECTSTATUS)), bool)
        if not allowed & 1:
            raise LockedError(
                f"{self._name}: ERASEPROTECT of the chip behind {self._uid} forbids erasing it",
                help="only the firmware on it can lift that, if it was built to",
            )
        self._port.write_ap(CTRL_AP | ERASEALL, 1)
        waited = 0.0
        while self._port.read_ap(CTRL_AP | ERASEALLSTATUS):
            if waited > ERASE_LIMIT:
                raise FlashError(
                    f"{self._name}: erasing everything over CTRL-AP took more than {ERASE_LIMIT:g} s",
                    help="switch the board's supply off and on and recover again",
                )
            self._pause(ERASE_POLL)
            waited += ERASE_POLL
        self._pause(AFTER_ERASE)
        self.soft_reset()

    def soft_reset(self) -> None:
        """CTRL-AP.RESET, which is no pin reset: APPROTECT.DISABLE and a chip that was erased stay open."""
        self._port.write_ap(CTRL_AP | RESET, 1)
        self._port.write_ap(CTRL_AP | RESET, 0)
        self._pause(AFTER_RESET)

    def pin_reset(self) -> None:
        """nRESET of the probe, if it is wired; the debug port starts anew with it."""
        self._port.probe.reset()
        self._pause(AFTER_RESET)
        self._port.connect()


class _Disagreement(Exception):
    """Two registers that tell the same thing do not agree: a bad reading."""
