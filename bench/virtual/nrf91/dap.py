"""The debug access port at the level of SWD transactions: SW-DP, AHB-AP, APB-AP, CTRL-AP.

Source: Arm Debug Interface v5.2 (DP and MEM-AP registers, sticky errors, packed TAR increments),
nRF9160 product specification (CTRL-AP, access port numbers).
"""

from __future__ import annotations

from typing import Protocol

DPIDR_VALUE = 0x6BA02477  # DPv2, designer Arm
TARGETID_VALUE = 0x10090289  # revision 1, part 0x0090, designer Nordic
DPIDR, CTRL_STAT, SELECT, RDBUFF = 0x0, 0x4, 0x8, 0xC
POWER_UP_REQUESTS = 0x50000000
STICKY_ERROR = 0x20
STKERRCLR = 0x4

AHB_AP, APB_AP, CTRL_AP = 0, 3, 4
AHB_AP_IDR, APB_AP_IDR, CTRL_AP_IDR = 0x84770001, 0x54770002, 0x12880000
CSW, TAR, DRW, BD0, BASE, IDR = 0x00, 0x04, 0x0C, 0x10, 0xF8, 0xFC
DEVICE_ENABLED = 0x00800040
CSW_RESET = 0x03000002
WRAP = 0x400  # TAR increments within 1 KiB

RESET, ERASEALL, ERASEALLSTATUS, APPROTECTSTATUS, ERASEPROTECTSTATUS = 0x00, 0x04, 0x08, 0x0C, 0x18


class BusFault(Exception):
    """Nothing answers at this address."""


class Fault(Exception):
    """The transaction was answered FAULT."""


class NoTarget(Exception):
    """Nobody answers: the board has no supply."""


class Target(Protocol):
    """What the access ports reach: the chip's bus, its protection, its resets."""

    powered: bool
    protected: bool

    def read(self, address: int, size: int) -> int: ...
    def write(self, address: int, size: int, value: int) -> None: ...
    def read_words(self, address: int, count: int) -> list[int]: ...
    def write_words(self, address: int, words: list[int]) -> None: ...
    def pass_time(self) -> None: ...
    def reset(self, reason: str) -> None: ...
    def erase_all(self) -> None: ...


class Dap:
    """One debug port. Every method is one SWD transaction; `_many` are runs of the same one."""

    def __init__(self, chip: Target) -> None:
        self._chip = chip
        self.reset_asserted = False
        self._forget()

    def _forget(self) -> None:
        self._select = self._control = 0
        self._sticky = False
        self._csw, self._tar = CSW_RESET, 0
        self._control_ap: dict[int, int] = {}

    def power_off(self) -> None:
        self._forget()

    def _need_power(self) -> None:
        if not self._chip.powered:
            raise NoTarget("no ACK: the target has no supply")

    # ---- debug port

    def read_dp(self, address: int) -> int:
        self._need_power()
        bank = self._select & 0xF
        if address == DPIDR:
            return DPIDR_VALUE
        if address == CTRL_STAT and bank == 0:
            acknowledged = (self._control & POWER_UP_REQUESTS) << 1
            return self._control | acknowledged | (STICKY_ERROR if self._sticky else 0)
        if address == CTRL_STAT and bank == 2:
            return TARGETID_VALUE
        return 0

    def write_dp(self, address: int, value: int) -> None:
        self._need_power()
        if address == DPIDR:  # ABORT on writing
            if value & STKERRCLR:
                self._sticky = False
        elif address == CTRL_STAT and self._select & 0xF == 0:
            self._control = value & 0x5FFFFFFF
        elif address == SELECT:
            self._select = value

    # ---- access ports

    def _port(self, address: int) -> tuple[int, int]:
        self._need_power()
        if self._sticky:
            raise Fault("sticky error is set")
        if self._control & POWER_UP_REQUESTS != POWER_UP_REQUESTS:
            raise Fault("the debug domain is not powered up")
        return self._select >> 24, self._select & 0xF0 | address & 0xC

    def read_ap(self, address: int) -> int:
        port, register = self._port(address)
        if port == AHB_AP:
            return self._read_ahb(register)
        if port == APB_AP:
            return {IDR: APB_AP_IDR, BASE: 0x2, CSW: 0x40}.get(register, 0)
        if port == CTRL_AP:
            return self._read_control(register)
        return 0

    def write_ap(self, address: int, value: int) -> None:
        port, register = self._port(address)
        if port == AHB_AP:
            self._write_ahb(register, value)
        elif port == CTRL_AP:
            self._write_control(register, value)

    def read_ap_many(self, address: int, count: int) -> list[int]:
        port, register = self._port(address)
        if port == AHB_AP and register == DRW and self._is_word_run(count):
            self._need_access()
            try:
                words = self._chip.read_words(self._tar, count)
            except BusFault as fault:
                raise self._fault(fault) from None
            self._advance(4 * count)
            self._chip.pass_time()
            return words
        return [self.read_ap(address) for _ in range(count)]

    def write_ap_many(self, address: int, values: list[int]) -> None:
        port, register = self._port(address)
        if port == AHB_AP and register == DRW and self._is_word_run(len(values)):
            self._need_access()
            try:
                self._chip.write_words(self._tar, list(values))
            except BusFault as fault:
                raise self._fault(fault) from None
            self._advance(4 * len(values))
            self._chip.pass_time()
            return
        for value in values:
            self.write_ap(address, value)

    def pin_reset(self) -> None:
        self._need_power()
        self._chip.reset("pin")

    # ---- AHB-AP

    def _read_ahb(self, register: int) -> int:
        if register == IDR:
            return AHB_AP_IDR
        if register == BASE:
            return 0xE00FF003
        if register == CSW:
            enabled = 0 if self._chip.protected else DEVICE_ENABLED
            return self._csw & ~DEVICE_ENABLED | enabled
        if register == TAR:
            return self._tar
        if register == DRW:
            size = self._size()
            address = self._tar & ~(size - 1)
            value = self._access_read(address, size) << 8 * (address & 3) & 0xFFFFFFFF
            self._increment(size)
            return value
        if BD0 <= register < BD0 + 16:
            return self._access_read(self._tar & ~0xF | register & 0xC, 4)
        return 0

    def _write_ahb(self, register: int, value: int) -> None:
        if register == CSW:
            self._csw = value & 0x7F000F37
        elif register == TAR:
            self._tar = value
        elif register == DRW:
            size = self._size()
            address = self._tar & ~(size - 1)
            self._access_write(address, size, value >> 8 * (address & 3))
            self._increment(size)
        elif BD0 <= register < BD0 + 16:
            self._access_write(self._tar & ~0xF | register & 0xC, 4, value)

    def _size(self) -> int:
        return min(4, 1 << (self._csw & 7))

    def _increment(self, size: int) -> None:
        if self._csw >> 4 & 3:
            self._advance(size)

    def _advance(self, count: int) -> None:
        self._tar = self._tar & ~(WRAP - 1) | self._tar + count & WRAP - 1

    def _is_word_run(self, count: int) -> bool:
        fits = (self._tar & WRAP - 1) + 4 * count <= WRAP
        return self._csw & 7 == 2 and self._csw >> 4 & 3 == 1 and fits and self._tar % 4 == 0

    def _need_access(self) -> None:
        if self._chip.protected:
            self._sticky = True
            raise Fault("access port is disabled by APPROTECT")

    def _fault(self, fault: BusFault) -> Fault:
        self._sticky = True
        return Fault(f"bus fault at {fault.args[0]:#010x}")

    def _access_read(self, address: int, size: int) -> int:
        self._need_access()
        try:
            value = self._chip.read(address, size)
        except BusFault as fault:
            raise self._fault(fault) from None
        self._chip.pass_time()
        return value

    def _access_write(self, address: int, size: int, value: int) -> None:
        self._need_access()
        try:
            self._chip.write(address, size, value)
        except BusFault as fault:
            raise self._fault(fault) from None
        self._chip.pass_time()

    # ---- CTRL-AP

    def _read_control(self, register: int) -> int:
        if register == IDR:
            return CTRL_AP_IDR
        if register == ERASEALLSTATUS:
            return 0
        if register == APPROTECTSTATUS:
            return 0 if self._chip.protected else 3
        if register == ERASEPROTECTSTATUS:
            return 1  # erase protection is off
        return self._control_ap.get(register, 0)

    def _write_control(self, register: int, value: int) -> None:
        if register == ERASEALL and value == 1:
            self._chip.erase_all()
        elif register == RESET:
            if self._control_ap.get(RESET) == 1 and value == 0:
                self._chip.reset("swd")
            self._control_ap[RESET] = value
        else:
            self._control_ap[register] = value
