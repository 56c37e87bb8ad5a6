"""The ESP32's eFuses: four blocks of bits that only ever rise, behind their controller's registers.

Source: ESP32 Technical Reference Manual, chapter "eFuse Controller" (system parameters, registers).
"""

from __future__ import annotations

from collections.abc import Mapping

BASE = 0x3FF5A000

READ_AT = (0x000, 0x038, 0x058, 0x078)
WRITE_AT = (0x01C, 0x098, 0x0B8, 0x0D8)
WORDS = (7, 8, 8, 8)
"""Of blocks 0 to 3: offsets of the read and of the programming registers, and how many of them."""

_CONF, _COMMAND = 0x0FC, 0x104
_CONF_PROGRAM = 0x5A5A
_PROGRAM = 2

FIELDS: Mapping[str, tuple[int, int, int, int | None]] = {
    "WR_DIS": (0, 0, 16, 1),
    "RD_DIS": (0, 16, 4, 0),
    "FLASH_CRYPT_CNT": (0, 20, 7, 2),
    "UART_DOWNLOAD_DIS": (0, 27, 1, 2),
    "CHIP_PACKAGE": (3, 9, 3, None),
    "CHIP_VER_REV1": (3, 15, 1, None),
    "CLK8M_FREQ": (4, 0, 8, 4),
    "CHIP_VER_REV2": (5, 20, 1, None),
    "WAFER_VERSION_MINOR": (5, 24, 2, None),
    "FLASH_CRYPT_CONFIG": (5, 28, 4, 10),
    "CODING_SCHEME": (6, 0, 2, 10),
    "CONSOLE_DEBUG_DISABLE": (6, 2, 1, 15),
    "ABS_DONE_0": (6, 4, 1, 12),
    "ABS_DONE_1": (6, 5, 1, 13),
    "JTAG_DISABLE": (6, 6, 1, 14),
    "DISABLE_DL_ENCRYPT": (6, 7, 1, 15),
    "DISABLE_DL_DECRYPT": (6, 8, 1, 15),
    "DISABLE_DL_CACHE": (6, 9, 1, 15),
}
"""Of block 0: word, first bit, number of bits, and the bit of WR_DIS that freezes it."""

_BLOCK_FROZEN_BY = {1: 7, 2: 8, 3: 9}
_BLOCK_HIDDEN_BY = {1: 0, 2: 1, 3: 2}
"""Bits of WR_DIS and of RD_DIS for whole blocks."""

CLK8M_FREQ = 128
"""With the RTC calibration of `memory` it makes the ROM see a 40 MHz crystal."""

_D0WD = 1
_REVISION_BITS = {0: (0, 0), 1: (1, 0), 2: (1, 1), 3: (1, 1)}
"""CHIP_VER_REV1 and CHIP_VER_REV2 by major revision; v3 is told by a bit of APB_CTRL_DATE too."""


def mac_crc(mac: bytes) -> int:
    """CRC-8 that the eFuses carry beside the MAC (polynomial 0x31, reflected, from 0)."""
    crc = 0
    for byte in mac:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x8C if crc & 1 else 0)
    return crc


class Efuses:
    """As the chip leaves its factory: MAC and revision (100 is v1.0), nothing locked.

    `burn` and `burn_block` are what software on the chip, or a host through the registers, can do.
    """

    def __init__(self, mac: bytes, revision: int = 100) -> None:
        self.revision = revision
        self._blocks = [[0] * count for count in WORDS]
        self._pending = [[0] * count for count in WORDS]
        self._conf = 0
        block = self._blocks[0]
        block[1] = int.from_bytes(mac[2:], "big")
        block[2] = int.from_bytes(mac[:2], "big") | mac_crc(mac) << 16
        major, minor = divmod(revision, 100)
        first, second = _REVISION_BITS[major]
        made = {
            "CLK8M_FREQ": CLK8M_FREQ, "CHIP_VER_REV1": first, "CHIP_VER_REV2": second,
            "WAFER_VERSION_MINOR": minor, "CHIP_PACKAGE": _D0WD if major == 3 else 0,
        }  # fmt: skip
        for name, value in made.items():
            self.burn(name, value)

    def __getitem__(self, name: str) -> int:
        word, start, bits, _ = FIELDS[name]
        return self._blocks[0][word] >> start & (1 << bits) - 1

    def burn(self, name: str, value: int = 1) -> None:
        """Raise bits of a field. One that is write-protected stays as it is."""
        word, start, bits, frozen_by = FIELDS[name]
        if not self._frozen(frozen_by):
            self._blocks[0][word] |= (value & (1 << bits) - 1) << start

    def burn_block(self, number: int, data: bytes) -> None:
        """Raise bits of block 1, 2 or 3; `data` are its 32 bytes, in the order of the registers."""
        if not self._frozen(_BLOCK_FROZEN_BY[number]):
            words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
            self._blocks[number] = [old | new for old, new in zip(self._blocks[number], words, strict=True)]

    def block(self, number: int) -> bytes:
        """As the hardware itself sees it, read-protected or not."""
        return b"".join(word.to_bytes(4, "little") for word in self._blocks[number])

    def _frozen(self, bit: int | None) -> bool:
        return bit is not None and bool(self["WR_DIS"] >> bit & 1)

    # ---- what the hardware makes of them

    @property
    def encrypts_flash(self) -> bool:
        return self["FLASH_CRYPT_CNT"].bit_count() % 2 == 1

    @property
    def secure_boot(self) -> int:
        """0 (off), 1 or 2, which exists from chip v3.0 on."""
        if self["ABS_DONE_0"]:
            return 1
        return 2 if self["ABS_DONE_1"] and self.revision >= 300 else 0

    @property
    def download_disabled(self) -> bool:
        return bool(self["UART_DOWNLOAD_DIS"]) and self.revision >= 300

    # ---- registers

    def read(self, offset: int) -> int:
        for number, start in enumerate(READ_AT):
            index = (offset - start) // 4
            if 0 <= index < WORDS[number]:
                hidden = number and self["RD_DIS"] >> _BLOCK_HIDDEN_BY[number] & 1
                return 0 if hidden else self._blocks[number][index]
        return 0  # of the controller's own registers: idle, and no errors in the coding

    def write(self, offset: int, value: int) -> None:
        if offset == _CONF:
            self._conf = value
        elif offset == _COMMAND and value & _PROGRAM and self._conf == _CONF_PROGRAM:
            self._program()
        for number, start in enumerate(WRITE_AT):
            index = (offset - start) // 4
            if 0 <= index < WORDS[number]:
                self._pending[number][index] = value

    def _program(self) -> None:
        pending, self._pending = self._pending, [[0] * count for count in WORDS]
        for name, (word, start, bits, _) in FIELDS.items():
            self.burn(name, pending[0][word] >> start & (1 << bits) - 1)
        for number in _BLOCK_FROZEN_BY:
            self.burn_block(number, b"".join(word.to_bytes(4, "little") for word in pending[number]))
