"""The ESP32's address space as a loader reaches it: RAM, ROM, eFuses and the SPI controller.

Addresses and fields: ESP32 Technical Reference Manual, chapters 7 (SPI) and 13 (UART).
"""

from __future__ import annotations

from bench.virtual.esp32.efuses import BASE, CLK8M_FREQ, Efuses
from bench.virtual.esp32.spi_flash_chip import SpiFlashChip

_PAGE = 4096
_WORD = 0xFFFFFFFF

_ROM = range(0x40000000, 0x40070000)
_EFUSE = range(BASE, BASE + 0x1000)

_ROM_WORDS = (0x40001000, 0x00F01D83), (0x40000000, 0x1049C500)
"""Contents of the mask ROM: what tells the ESP32 from its siblings, and its first word (recorded)."""

_MAPPED = range(0x3F400000, 0x40C00000), range(0x50000000, 0x50002000), range(0x60000000, 0x60040000)
"""Memory and peripherals (TRM, chapter "System and Memory"); the last, the peripherals by another bus, is
recalled, unchecked."""

_APB_CTRL_DATE, _DATE, _DATE_OF_V3 = 0x3FF6607C, 0x16042000, 1 << 31
_RTC_CALIBRATION = 0x3FF5F06C
_GPIO_STRAP = 0x3FF44038
_UART0_CLKDIV = 0x3FF40014

_XTAL = 40_000_000
_CALIBRATION = _XTAL * 40 // (15625 * CLK8M_FREQ)
"""RTC calibration count; the ROM takes the crystal for count * 15625 * CK8M_FREQ / 40."""

_SPI1 = 0x3FF42000
_SPI_CMD, _SPI_ADDR, _SPI_USER, _SPI_USER2 = _SPI1, _SPI1 + 0x04, _SPI1 + 0x1C, _SPI1 + 0x24
_SPI_USER1, _SPI_MOSI_DLEN, _SPI_MISO_DLEN, _SPI_W0 = _SPI1 + 0x20, _SPI1 + 0x28, _SPI1 + 0x2C, _SPI1 + 0x80
_SPI_CMD_USER = 1 << 18
_SPI_USER_ADDR, _SPI_USER_MISO, _SPI_USER_MOSI = 1 << 30, 1 << 28, 1 << 27


class Memory:
    """Words and bytes by address. What nothing was written to reads as zero."""

    def __init__(self, efuses: Efuses, flash_chip: SpiFlashChip) -> None:
        self._efuses = efuses
        self._flash_chip = flash_chip
        self._pages: dict[int, bytearray] = {}
        self.power_up()

    def power_up(self) -> None:
        """Contents after reset. RAM is cleared too, which silicon only does on loss of power."""
        self._pages.clear()
        for address, word in _ROM_WORDS:
            self._put(address, word)
        self._put(_APB_CTRL_DATE, _DATE | (_DATE_OF_V3 if self._efuses.revision >= 300 else 0))
        self._put(_RTC_CALIBRATION, _CALIBRATION << 7)

    def set_strapping(self, value: int) -> None:
        self._put(_GPIO_STRAP, value)

    def set_uart_baud(self, baud: int) -> None:
        self._put(_UART0_CLKDIV, _XTAL // baud)

    def mapped(self, address: int) -> bool:
        """Whether an access to `address` goes anywhere; else the core takes an exception."""
        return any(address in area for area in _MAPPED)

    def holds(self, address: int) -> bool:
        """Whether anything was ever loaded near `address`."""
        return address // _PAGE in self._pages

    def read(self, address: int, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            page, offset = divmod(address + len(data), _PAGE)
            count = min(_PAGE - offset, length - len(data))
            contents = self._pages.get(page)
            data += contents[offset : offset + count] if contents else bytes(count)
        return bytes(data)

    def load(self, address: int, data: bytes) -> None:
        """Write bytes, as code loaded into RAM is."""
        done = 0
        while done < len(data):
            page, offset = divmod(address + done, _PAGE)
            count = min(_PAGE - offset, len(data) - done)
            contents = self._pages.setdefault(page, bytearray(_PAGE))
            contents[offset : offset + count] = data[done : done + count]
            done += count

    def read_word(self, address: int) -> int:
        if address in _EFUSE:
            return self._efuses.read(address - BASE)
        return int.from_bytes(self.read(address, 4), "little")

    def write_word(self, address: int, value: int) -> None:
        if address in _ROM:
            return
        if address in _EFUSE:
            self._efuses.write(address - BASE, value)
            return
        self._put(address, value)
        if address == _SPI_CMD and value & _SPI_CMD_USER:
            self._spi_user_command()
            self._put(_SPI_CMD, value & ~_SPI_CMD_USER)

    def _put(self, address: int, value: int) -> None:
        self.load(address, (value & _WORD).to_bytes(4, "little"))

    def _spi_user_command(self) -> None:
        user = self.read_word(_SPI_USER)
        address_bits = (self.read_word(_SPI_USER1) >> 26 & 0x3F) + 1
        address = self.read_word(_SPI_ADDR) >> (32 - min(32, address_bits)) if user & _SPI_USER_ADDR else 0
        mosi_length = (self.read_word(_SPI_MOSI_DLEN) & 0xFFFFFF) // 8 + 1 if user & _SPI_USER_MOSI else 0
        miso_length = (self.read_word(_SPI_MISO_DLEN) & 0xFFFFFF) // 8 + 1 if user & _SPI_USER_MISO else 0
        reply = self._flash_chip.command(
            self.read_word(_SPI_USER2) & 0xFFFF,
            address,
            self.read(_SPI_W0, min(64, mosi_length)),
            min(64, miso_length),
        )
        self.load(_SPI_W0, reply)
