"""What the SPI flash chip answers to user commands: its ids, status registers and SFDP header.

Command codes, ids and times are those of the Winbond W25Q series (W25Q32JV data sheet). The array
itself is `bench.virtual.flash.Flash`.
"""

from __future__ import annotations

from bench.virtual.flash import FlashTiming

SECTOR = 4096

TIMING = FlashTiming(page_erase=45e-3, word_write=0.4e-3 / 64, word=4)
"""Typical times: sector erase 45 ms, page program 0.4 ms per 256 bytes.

Larger areas are charged as sectors one by one; the chip's block erase (150 ms per 64 KiB) is not
modelled.
"""

READ_RATE = 4e6
"""Bytes per second at which a loader reads the flash and digests it; an estimate."""

_WINBOND = 0xEF
_W25Q = 0x40

_WRITE_STATUS, _READ_STATUS = (0x01, 0x31, 0x11), (0x05, 0x35, 0x15)
_WRITE_DISABLE, _WRITE_ENABLE, _READ_SFDP, _READ_ID = 0x04, 0x06, 0x5A, 0x9F


class SpiFlashChip:
    """The command side of one flash chip of `size` bytes (a power of two)."""

    def __init__(self, size: int) -> None:
        self.id = bytes((_WINBOND, _W25Q, size.bit_length() - 1))
        self._sfdp = bytearray(b"\xff" * 0x100)
        self._sfdp[0x00:0x10] = bytes.fromhex("53464450 0501 00 ff 00 0501 10 800000 ff")
        self._sfdp[0x10] = _WINBOND
        self.power_up()

    def power_up(self) -> None:
        self._status = [0x00, 0x02, 0x60]
        self._write_enabled = False

    def command(self, code: int, address: int, mosi: bytes, miso_length: int) -> bytes:
        """Run one command; `miso_length` bytes come back (ones where the chip does not drive)."""
        reply = b""
        if code == _READ_ID:
            reply = self.id
        elif code == _READ_SFDP:
            reply = bytes(self._sfdp[address : address + miso_length])
        elif code in _READ_STATUS:
            register = _READ_STATUS.index(code)
            status = self._status[register] | (0x02 if register == 0 and self._write_enabled else 0)
            reply = bytes([status]) * miso_length
        elif code == _WRITE_ENABLE:
            self._write_enabled = True
        elif code == _WRITE_DISABLE:
            self._write_enabled = False
        elif code in _WRITE_STATUS and self._write_enabled:
            first = _WRITE_STATUS.index(code)
            for register, value in enumerate(mosi[: 3 - first], first):
                self._status[register] = value & ~0x03 if register == 0 else value
            self._write_enabled = False
        return reply[:miso_length].ljust(miso_length, b"\xff")
