"""How the ROM looks at the second-stage bootloader in flash before it jumps to it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from bench.virtual.esp32.spi_flash_chip import READ_RATE

BOOT_OFFSET = 0x1000
_MAGIC = 0xE9
_HEADER = 24
_HASH = 32
_CHECKSUM_SEED = 0xEF
_MODES = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}
_DIVIDERS = {0x0: 2, 0x1: 3, 0x2: 4, 0xF: 1}


@dataclass(frozen=True, slots=True)
class BootImage:
    """What the ROM prints about it: segments as (address, length), entry point, flash mode.

    `length` is that of the whole image, an appended SHA-256 included.
    """

    entry: int
    segments: tuple[tuple[int, int], ...]
    flash_mode: str
    clock_divider: int
    length: int

    @property
    def load_time(self) -> float:
        """Seconds to copy the segments to RAM."""
        return sum(length for _, length in self.segments) / READ_RATE


def read_boot_image(read: Callable[[int, int], bytes], flash_size: int) -> BootImage | str:
    """The image at 0x1000, or what the ROM prints when there is none it can boot.

    `read` gives bytes of the flash by address and length.

    Format: esptool documentation, "Firmware Image Format".
    """
    header = read(BOOT_OFFSET, _HEADER)
    magic, count, mode, size_and_frequency, entry = struct.unpack_from("<BBBBI", header)
    if magic != _MAGIC:
        return f"invalid header: 0x{int.from_bytes(header[:4], 'little'):08x}"
    position = BOOT_OFFSET + _HEADER
    segments = []
    checksum = _CHECKSUM_SEED
    for _ in range(count):
        address, length = struct.unpack("<II", read(position, 8))
        position += 8
        if length > flash_size - position - 16:
            return f"invalid segment length 0x{length:x}"
        for byte in read(position, length):
            checksum ^= byte
        position += length
        segments.append((address, length))
    stored = read(position | 15, 1)[0]
    if stored != checksum:
        return f"csum err:0x{stored:02x}!=0x{checksum:02x}"
    hashed = header[_HEADER - 1] == 1
    return BootImage(
        entry,
        tuple(segments),
        _MODES.get(mode, "DIO"),
        _DIVIDERS.get(size_and_frequency & 0x0F, 2),
        (position | 15) + 1 - BOOT_OFFSET + (_HASH if hashed else 0),
    )
