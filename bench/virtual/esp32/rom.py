"""The ESP32's ROM serial bootloader, with the habits of the mask ROM.

One mechanism explains what recordings of the real ROM show. The ROM keeps one request buffer and one
reply buffer for good, and a command only touches the parts it needs:

* The reply's opcode, value and number of repeats are set by the command that was recognised last. An opcode
  the ROM does not know sets only status and error, so it sends the previous command's reply again (eight
  times after SYNC), without its data, with status 01 05.
* Data, status and error are bytes in the reply buffer, status and error right behind the data. The
  buffer is never cleared, so older bytes show behind and between them.
* The error byte comes from one variable. Register, SPI and digest commands return their error,
  which also clears it. The download commands (begin, data, end) and SPI_SET_PARAMS only set it when they
  fail: after a failure they report status 00 with the old error.
* FLASH and MEM downloads are one: block size, sequence number and address are shared. A MEM_DATA on a begun
  FLASH download writes to that address, which is no memory. Compressed downloads have a state of their own.
* An end (MEM_END, FLASH_DEFL_END that stays) changes no state: data may go on. But what then comes for the
  flash is acknowledged and lost. (Recorded behind FLASH_DEFL_END and MEM_END together; taken for the flash's
  lock, esp_rom_spiflash_lock, by the first.)
* A block must not be larger than announced; one for the flash is of whole words. Then its sequence number is
  compared and used up, and only then is its checksum looked at (the low byte of the field).
* Whether erasing fails is told, whether writing fails is not.
* The length a request declares counts for begin commands and SPI_SET_PARAMS, which must have their exact
  size, and for WRITE_REG. Else neither it nor that of the body is looked at: what is missing is read
  from the request before, the header included.
* An access to what is no memory is an exception, after which the ROM is silent.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

from bench.virtual.esp32.link import LoaderLink
from bench.virtual.esp32.loader import (
    HEADER,
    SYNC_REPEAT,
    Exit,
    Jump,
    Op,
    Reboot,
    RunApplication,
    checksum,
)
from bench.virtual.esp32.memory import Memory
from bench.virtual.esp32.rom_flash import ChipParameters, RomFlash
from bench.virtual.esp32.rom_inflate import EndlessLoop, RomInflater
from bench.virtual.esp32.spi_flash_chip import READ_RATE
from bench.virtual.flash import Flash
from bench.virtual.process import Signal, Steps

INVALID_MESSAGE = 0x05
FAILED_TO_ACT = 0x06
INVALID_CHECKSUM = 0x07
FLASH_READ_ERROR = 0x09
FLASH_READ_LENGTH_ERROR = 0x0A

READ_SLOW_LIMIT = 64
_MD5_TEXT = 32
_BLOCK_HEADER = 16
_REQUEST_SIZE = 0x10010
"""The longest request a header can declare; how much the ROM really holds is not known."""

LARGEST_BLOCK = 0x1800
"""Largest block a begin command may announce: esptool's for RAM. Recordings tell that 0x800 is taken and
0x4000 is not."""

_LONGEST_BODY = _BLOCK_HEADER + LARGEST_BLOCK
"""A data command that declares more is refused; recordings tell it of 0xFFFF only."""

_EXACT_LENGTH = {
    Op.FLASH_BEGIN: 16, Op.MEM_BEGIN: 16, Op.FLASH_DEFL_BEGIN: 16, Op.SPI_SET_PARAMS: 24,
}  # fmt: skip

_DATA_LENGTH = {Op.READ_FLASH_SLOW: READ_SLOW_LIMIT, Op.SPI_FLASH_MD5: _MD5_TEXT}
_TRAILER = 4
"""Status, error and two reserved bytes end every reply."""

_KEEPS_ERROR = {
    Op.FLASH_BEGIN, Op.FLASH_DATA, Op.FLASH_END,
    Op.MEM_BEGIN, Op.MEM_DATA, Op.MEM_END,
    Op.FLASH_DEFL_BEGIN, Op.FLASH_DEFL_DATA, Op.FLASH_DEFL_END, Op.SPI_SET_PARAMS,
}  # fmt: skip


class _Dead(Exception):
    """The core stands in an exception handler or in an endless loop."""


@dataclass(slots=True)
class _Download:
    """A download: the blocks announced, their largest size, the next one's number and address."""

    blocks: int = 0
    block: int = 0
    sequence: int = 0
    address: int = 0
    begun: bool = False

    def begin(self, blocks: int, block: int, address: int) -> None:
        self.blocks, self.block, self.sequence, self.address = blocks, block, 0, address
        self.begun = True


class RomLoader:
    """The ROM's command loop, as a process: `run` ends when the ROM is told to leave.

    `set_baud` changes the chip's own baud rate.
    """

    def __init__(
        self,
        link: LoaderLink,
        memory: Memory,
        flash: Flash,
        now: Callable[[], float],
        set_baud: Callable[[int], None],
    ) -> None:
        self._link, self._memory = link, memory
        self._flash = RomFlash(flash, now)
        self._set_baud = set_baud
        self._request = bytearray(_REQUEST_SIZE)
        # the reply under construction
        self._opcode, self._value, self._length, self._repeat = 0, 0, 0, 1
        self._status, self._error = 0, 0
        self._data = bytearray(READ_SLOW_LIMIT + _TRAILER)
        self._plain, self._compressed = _Download(), _Download()
        self._inflater = RomInflater()
        self._exit: Exit | None = None
        self._new_baud = 0
        self._commands: dict[int, Callable[[], Steps]] = {
            Op.FLASH_BEGIN: self._flash_begin,
            Op.FLASH_DATA: self._flash_data,
            Op.FLASH_END: self._flash_end,
            Op.MEM_BEGIN: self._mem_begin,
            Op.MEM_END: self._mem_end,
            Op.MEM_DATA: self._mem_data,
            Op.SYNC: self._sync,
            Op.WRITE_REG: self._write_reg,
            Op.READ_REG: self._read_reg,
            Op.SPI_SET_PARAMS: self._spi_set_params,
            Op.SPI_ATTACH: self._spi_attach,
            Op.READ_FLASH_SLOW: self._read_flash_slow,
            Op.CHANGE_BAUDRATE: self._change_baudrate,
            Op.FLASH_DEFL_BEGIN: self._defl_begin,
            Op.FLASH_DEFL_DATA: self._defl_data,
            Op.FLASH_DEFL_END: self._defl_end,
            Op.SPI_FLASH_MD5: self._md5,
        }

    def run(self) -> Steps:
        """Serve commands; the generator's value says how the ROM was left (`Exit`)."""
        while self._exit is None:
            packet = yield from self._link.receive()
            packet = packet[:_REQUEST_SIZE]
            self._request[: len(packet)] = packet
            try:
                yield from self._execute()
            except (_Dead, EndlessLoop, ZeroDivisionError):
                yield Signal()
            yield from self._reply()
            if self._new_baud:
                self._set_baud(self._new_baud)
                self._new_baud = 0
        return self._exit

    # ---- the command loop

    def _execute(self) -> Steps:
        direction, opcode, length, _ = HEADER.unpack_from(self._request)
        command = self._commands.get(opcode) if direction == 0 else None
        if command is None:
            self._length, self._status, self._error = 0, 1, INVALID_MESSAGE
            return
        self._opcode = Op(opcode)
        self._length = _DATA_LENGTH.get(self._opcode, 0)
        self._repeat = SYNC_REPEAT if opcode == Op.SYNC else 1
        if length != _EXACT_LENGTH.get(self._opcode, length):
            error = INVALID_MESSAGE
        else:
            error = yield from command()
        self._status = 1 if error else 0
        if error or opcode not in _KEEPS_ERROR:
            self._error = error

    def _reply(self) -> Steps:
        self._data[self._length] = self._status
        self._data[self._length + 1] = self._error
        size = self._length + _TRAILER
        packet = HEADER.pack(1, self._opcode, size, self._value) + self._data[:size]
        yield from self._link.send(packet, self._repeat)

    def _words(self, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"<{count}I", self._request, HEADER.size)

    # ---- commands: each is a process whose value is its error, 0 for none

    def _sync(self) -> Steps:
        (self._value,) = self._words(1)
        return 0
        yield

    def _read_reg(self) -> Steps:
        (address,) = self._words(1)
        self._must_be_memory(address, 4)
        self._value = self._memory.read_word(address)
        return 0
        yield

    def _write_reg(self) -> Steps:
        words = self._words(4 * (HEADER.unpack_from(self._request)[2] // 16))
        for i in range(0, len(words), 4):
            address, value, mask, delay_us = words[i : i + 4]
            self._must_be_memory(address, 4)
            old = self._memory.read_word(address) if mask != 0xFFFFFFFF else 0
            self._memory.write_word(address, (old & ~mask) | (value & mask))
            if delay_us:
                yield delay_us * 1e-6
        return 0

    def _spi_attach(self) -> Steps:
        return 0
        yield

    def _spi_set_params(self) -> Steps:
        _, size, block, sector, page, _ = self._words(6)
        self._flash.parameters = ChipParameters(size, block, sector, page)
        return 0
        yield

    def _change_baudrate(self) -> Steps:
        (self._new_baud,) = self._words(1)
        return 0
        yield

    def _read_flash_slow(self) -> Steps:
        address, length = self._words(2)
        if length > READ_SLOW_LIMIT:
            return FLASH_READ_LENGTH_ERROR
        data = yield from self._flash.read(address, length)
        if data is None:
            return FLASH_READ_ERROR
        self._data[: len(data)] = data
        return 0

    def _md5(self) -> Steps:
        address, length = self._words(2)
        if address + length > self._flash.parameters.size:
            return FLASH_READ_ERROR
        yield length / READ_RATE
        digest = hashlib.md5()
        for part in self._flash.contents(address, length):
            digest.update(part)
        self._data[:_MD5_TEXT] = digest.hexdigest().encode("ascii")
        return 0

    # ---- downloads

    def _flash_begin(self) -> Steps:
        return self._begin(self._plain)

    def _defl_begin(self) -> Steps:
        return self._begin(self._compressed)

    def _begin(self, download: _Download) -> Steps:
        size, blocks, block, address = self._words(4)
        if block > LARGEST_BLOCK:
            return INVALID_MESSAGE
        download.begin(blocks, block, address)
        if download is self._compressed:
            self._inflater.reset()
        erased = yield from self._flash.erase(address, size)
        return 0 if erased else FAILED_TO_ACT

    def _mem_begin(self) -> Steps:
        _, blocks, block, address = self._words(4)
        if block > LARGEST_BLOCK:
            return INVALID_MESSAGE
        self._plain.begin(blocks, block, address)
        return 0
        yield

    def _flash_data(self) -> Steps:
        if self._words(1)[0] % 4:
            return INVALID_MESSAGE
        data, error = self._block(self._plain)
        if not error:
            yield from self._flash.write(self._plain.address, data)
            self._plain.address += len(data)
        return error

    def _defl_data(self) -> Steps:
        download = self._compressed
        data, error = self._block(download)
        if error:
            return error
        windows, error = self._inflater.feed(data, last=download.sequence >= download.blocks)
        for window in windows:
            yield from self._flash.write(download.address, window)
            download.address += len(window)
        return error

    def _mem_data(self) -> Steps:
        data, error = self._block(self._plain)
        if data:
            self._must_be_memory(self._plain.address, len(data))
            self._memory.load(self._plain.address, data)
            self._plain.address += len(data)
        return error
        yield

    def _block(self, download: _Download) -> tuple[bytes, int]:
        """The data of a block and 0, or nothing and an error."""
        _, _, declared_length, declared = HEADER.unpack_from(self._request)
        size, sequence = self._words(2)
        if declared_length > _LONGEST_BODY or size > download.block or sequence != download.sequence:
            return b"", INVALID_MESSAGE
        download.sequence += 1
        start = HEADER.size + _BLOCK_HEADER
        data = bytes(self._request[start : start + size])
        if declared & 0xFF != checksum(data):
            return b"", INVALID_CHECKSUM
        return data, 0

    def _flash_end(self) -> Steps:
        """Leaves in any case; an error when there was no download, or not all of it came."""
        (stay,) = self._words(1)
        self._exit = RunApplication() if stay else Reboot()
        complete = self._plain.begun and self._plain.sequence >= self._plain.blocks
        return 0 if complete else FAILED_TO_ACT
        yield

    def _defl_end(self) -> Steps:
        (stay,) = self._words(1)
        self._flash.lock()
        if not stay:
            self._exit = Reboot()
        return 0
        yield

    def _mem_end(self) -> Steps:
        stay, entry = self._words(2)
        if not stay:
            self._exit = Jump(entry)
        return 0
        yield

    def _must_be_memory(self, address: int, length: int) -> None:
        if not (self._memory.mapped(address) and self._memory.mapped(address + length - 1)):
            raise _Dead
