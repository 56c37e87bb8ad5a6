"""The debug access port at the level of SWD transactions: SW-DP, AHB-AP, APB-AP, CTRL-AP.

Source: Arm Debug Interface v5.2 (DP and MEM-AP registers, sticky errors, packed TAR increments),
nRF9160 product specification (CTRL-AP, access port numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, TypeVar

from bench.virtual.nrf91.nvmc import Interrupted, Nvmc
from bench.virtual.nrf91.silicon import Silicon

DPIDR_VALUE = 0x6BA02477  # DPv2, designer Arm
BANKED = {
    1: 0x00000040,  # DLCR: one turnaround cycle
    3: 0x00000001,  # DLPIDR: SWD protocol version 2
    4: 0x00000001,  # EVENTSTAT: no event
}
TARGETID_BANK, TARGETID = 2, 0x00090289  # nRF91, designer Nordic; the chip's revision on top
DPIDR, CTRL_STAT, SELECT, RDBUFF = 0x0, 0x4, 0x8, 0xC
CDBGRSTREQ, CDBGPWRUPREQ, CSYSPWRUPREQ = 1 << 26, 1 << 28, 1 << 30
CTRL_WRITABLE = 0x54FFFF0D  # requests, TRNCNT, MASKLANE, TRNMODE, ORUNDETECT
STICKY_ERROR = 0x20
STKERRCLR = 0x4

AHB_AP, APB_AP, CTRL_AP = 0, 3, 4
AHB_AP_IDR, APB_AP_IDR, CTRL_AP_IDR = 0x84770001, 0x54770002, 0x12880000
CSW, TAR, DRW, BD0, BASE, IDR = 0x00, 0x04, 0x0C, 0x10, 0xF8, 0xFC
DEVICE_ENABLED, SECURE_ENABLED = 0x40, 0x00800000  # CSW.DeviceEn, SPIStatus
CSW_WRITABLE = 0xFF000037  # DbgSwEnable, Prot, AddrInc, Size
CSW_RESET = 0x03000002
SINGLE, PACKED = 1, 2  # CSW.AddrInc
WRAP = 0x400  # TAR increments within 1 KiB
LINE_RESET = 50
"""Ones in a row on SWDIO that reset the line; DPIDR must be read next."""

RESET, ERASEALL, ERASEALLSTATUS, APPROTECTSTATUS, ERASEPROTECTSTATUS = 0x00, 0x04, 0x08, 0x0C, 0x18
MAILBOX_TXDATA, MAILBOX_TXSTATUS = 0x20, 0x24

P = ParamSpec("P")
T = TypeVar("T")


class BusFault(Exception):
    """Nothing answers at this address, or not to this kind of access."""

    def __init__(self, address: int) -> None:
        super().__init__(f"bus fault at {address:#010x}")


class Fault(Exception):
    """The transaction was answered FAULT."""


class NoTarget(Exception):
    """Nobody acknowledges: no supply, or a protocol error."""


class Target(Protocol):
    """What the access ports reach: the chip's bus, its protection, its resets."""

    powered: bool
    silicon: Silicon
    nvmc: Nvmc

    @property
    def protected(self) -> bool: ...

    def read(self, address: int, size: int) -> int: ...
    def write(self, address: int, size: int, value: int) -> None: ...
    def read_words(self, address: int, count: int) -> list[int]: ...
    def write_words(self, address: int, words: Sequence[int]) -> None: ...
    def hold_reset(self, reason: str, held: bool) -> None: ...
    def erase_all(self) -> None: ...
    def finish_erase_all(self) -> None: ...
    def protection_status(self) -> int: ...
    def erase_protected(self) -> bool: ...


class Dap:
    """One debug port. Every method is one SWD transaction; `_many` are runs of the same one.

    Raises `Fault` for a FAULT acknowledge and `NoTarget` where nothing acknowledges.
    """

    def __init__(self, chip: Target) -> None:
        self._chip = chip
        self._ones = 0
        self._must_identify = False
        self._readers: dict[int, Callable[[int], int]] = {
            AHB_AP: self._read_ahb,
            APB_AP: self._read_apb,
            CTRL_AP: self._read_control,
        }
        self._writers = {AHB_AP: self._write_ahb, APB_AP: self._write_apb, CTRL_AP: self._write_control}
        self._forget()

    def _forget(self) -> None:
        self._select = self._control = self._last_read = 0
        self._sticky = False
        self._csw, self._tar = CSW_RESET, 0
        self._apb_csw = self._apb_tar = 0
        self._mailbox: dict[int, int] = {}
        self._reset_register = 0

    def power_off(self) -> None:
        self._forget()

    def lay_over_reads(self, port: int, lay: Callable[[Callable[[int], int]], Callable[[int], int]]) -> None:
        """Put something between the registers of an access port and whoever reads them."""
        self._readers[port] = lay(self._readers[port])

    def line(self, length: int, bits: int) -> None:
        """`length` clocks with the bits of `bits` on SWDIO, lowest first."""
        for i in range(length):
            self._ones = self._ones + 1 if bits >> i & 1 else 0
            if self._ones >= LINE_RESET:
                self._must_identify = True

    def _need_target(self, *, reads_identity: bool = False) -> None:
        if not self._chip.powered:
            raise NoTarget("no target power")
        if reads_identity:
            self._must_identify = False
        elif self._must_identify:
            raise NoTarget("no acknowledge: after a line reset DPIDR is read first")

    def _refuse_if_sticky(self) -> None:
        if self._sticky:
            raise Fault("a sticky error is set")

    # ---- debug port

    def read_dp(self, address: int) -> int:
        self._need_target(reads_identity=address == DPIDR)
        if address == DPIDR:
            return DPIDR_VALUE
        if address == CTRL_STAT:
            bank = self._select & 0xF
            if bank == TARGETID_BANK:
                return self._chip.silicon.revision << 28 | TARGETID
            if bank:
                return BANKED.get(bank, 0)
            acknowledged = (self._control & (CDBGRSTREQ | CDBGPWRUPREQ | CSYSPWRUPREQ)) << 1
            return self._control | acknowledged | (STICKY_ERROR if self._sticky else 0)
        self._refuse_if_sticky()
        return self._last_read  # RDBUFF; RESEND at SELECT's address

    def write_dp(self, address: int, value: int) -> None:
        self._need_target()
        if address == DPIDR:  # ABORT on writing
            if value & STKERRCLR:
                self._sticky = False
            return
        self._refuse_if_sticky()
        if address == CTRL_STAT:
            if self._select & 0xF == 0:
                self._control = value & CTRL_WRITABLE
        elif address == SELECT:
            self._select = value

    # ---- access ports

    def _port(self, address: int) -> tuple[int, int]:
        self._need_target()
        self._refuse_if_sticky()
        if not self._control & CDBGPWRUPREQ:
            self._sticky = True
            raise Fault("the debug domain is not powered up")
        return self._select >> 24, self._select & 0xF0 | address & 0xC

    def _access(self, access: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One access, with what goes wrong on the bus turned into an acknowledge."""
        try:
            return access(*args, **kwargs)
        except (BusFault, Fault) as fault:
            self._sticky = True
            raise Fault(str(fault)) from None
        except Interrupted:
            if not self._chip.powered:
                raise NoTarget("no target power: the supply failed during the access") from None
            self._sticky = True
            raise Fault("the chip was reset during the access") from None

    def read_ap(self, address: int) -> int:
        port, register = self._port(address)
        reader = self._readers.get(port)
        self._last_read = self._access(reader, register) if reader is not None else 0
        return self._last_read

    def write_ap(self, address: int, value: int) -> None:
        port, register = self._port(address)
        writer = self._writers.get(port)
        if writer is not None:
            self._access(writer, register, value & 0xFFFFFFFF)

    def read_ap_many(self, address: int, count: int) -> list[int]:
        port, register = self._port(address)
        if port == AHB_AP and register == DRW and self._is_word_run(count):
            words = self._access(self._load_words, count)
            self._last_read = words[-1]
            return words
        return [self.read_ap(address) for _ in range(count)]

    def write_ap_many(self, address: int, values: Sequence[int]) -> None:
        port, register = self._port(address)
        if port == AHB_AP and register == DRW and self._is_word_run(len(values)):
            self._access(self._store_words, values)
            return
        for value in values:
            self.write_ap(address, value)

    # ---- AHB-AP

    def _read_ahb(self, register: int) -> int:
        if register == IDR:
            return AHB_AP_IDR
        if register == BASE:
            return 0xE00FF003
        if register == CSW:
            return self._csw | self._enabled()
        if register == TAR:
            return self._tar
        if register == DRW:
            value = 0
            for address, size in self._lanes():
                value |= self._load(address, size) << 8 * (address & 3)
                self._increment(size)
            return value
        if BD0 <= register < BD0 + 16:
            return self._load(self._tar & ~0xF | register & 0xC, 4)
        return 0

    def _enabled(self) -> int:
        """CSW.DeviceEn follows APPROTECT, SPIStatus SECUREAPPROTECT."""
        status = self._chip.protection_status()
        return (DEVICE_ENABLED if status & 1 else 0) | (SECURE_ENABLED if status & 3 == 3 else 0)

    def _write_ahb(self, register: int, value: int) -> None:
        if register == CSW:
            size = value & 7 if value & 7 <= 2 else 2  # what is not there reads back as what is
            self._csw = value & CSW_WRITABLE & ~7 | size
        elif register == TAR:
            self._tar = value
        elif register == DRW:
            for address, size in self._lanes():
                self._store(address, size, value >> 8 * (address & 3))
                self._increment(size)
        elif BD0 <= register < BD0 + 16:
            self._store(self._tar & ~0xF | register & 0xC, 4, value)

    def _lanes(self) -> list[tuple[int, int]]:
        """Address and size of each bus access of one DRW transfer."""
        size = 1 << (self._csw & 3)
        start = self._tar & ~(size - 1)
        if self._csw >> 4 & 3 != PACKED:
            return [(start, size)]
        return [(start & ~(WRAP - 1) | start + i & WRAP - 1, size) for i in range(0, 4, size)]

    def _increment(self, size: int) -> None:
        if self._csw >> 4 & 3 in (SINGLE, PACKED):
            self._advance(size)

    def _advance(self, count: int) -> None:
        self._tar = self._tar & ~(WRAP - 1) | self._tar + count & WRAP - 1

    def _is_word_run(self, count: int) -> bool:
        fits = (self._tar & WRAP - 1) + 4 * count <= WRAP
        return count > 0 and self._csw & 0x37 == 0x12 and fits and self._tar % 4 == 0

    def _need_access(self) -> None:
        if self._chip.protected:
            raise Fault("access port is disabled by APPROTECT")

    def _load(self, address: int, size: int) -> int:
        self._need_access()
        return self._chip.read(address, size)

    def _store(self, address: int, size: int, value: int) -> None:
        self._need_access()
        self._chip.write(address, size, value)

    def _load_words(self, count: int) -> list[int]:
        self._need_access()
        words = self._chip.read_words(self._tar, count)
        self._advance(4 * count)
        return words

    def _store_words(self, values: Sequence[int]) -> None:
        self._need_access()
        self._chip.write_words(self._tar, values)
        self._advance(4 * len(values))

    # ---- APB-AP: the trace system, of which nothing is modelled

    def _read_apb(self, register: int) -> int:
        if register == DRW or BD0 <= register < BD0 + 16:
            raise Fault("nothing behind this APB-AP")
        csw = self._apb_csw | 0x42  # enabled, words
        return {IDR: APB_AP_IDR, BASE: 0x2, CSW: csw, TAR: self._apb_tar}.get(register, 0)

    def _write_apb(self, register: int, value: int) -> None:
        if register == CSW:
            self._apb_csw = value & 0x30
        elif register == TAR:
            self._apb_tar = value
        elif register == DRW or BD0 <= register < BD0 + 16:
            raise Fault("nothing behind this APB-AP")

    # ---- CTRL-AP

    def _read_control(self, register: int) -> int:
        if register == IDR:
            return CTRL_AP_IDR
        if register == RESET:
            return self._reset_register
        if register == ERASEALLSTATUS:
            busy = self._chip.nvmc.erasing_all
            self._chip.finish_erase_all()  # whoever polls lets the time pass
            return int(busy)
        if register == APPROTECTSTATUS:
            return self._chip.protection_status()
        if register == ERASEPROTECTSTATUS:
            return int(not self._chip.erase_protected())
        return self._mailbox.get(register, 0)

    def _write_control(self, register: int, value: int) -> None:
        if register == ERASEALL:
            if value & 1 and not self._chip.erase_protected():
                self._chip.erase_all()
        elif register == RESET:
            self._reset_register = value & 1
            self._chip.hold_reset("ctrl-ap", bool(value & 1))
        elif register == MAILBOX_TXDATA:  # stays pending: no firmware reads it
            self._mailbox.update({MAILBOX_TXDATA: value, MAILBOX_TXSTATUS: 1})
