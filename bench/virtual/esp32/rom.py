"""The ESP32's ROM serial bootloader, with the habits of the mask ROM.

One mechanism explains what recordings of the real ROM show. The ROM keeps one request buffer and one
reply buffer for good, and a command only touches the parts it needs:

* The reply's opcode, value, data length and number of repeats are set by the command that was
  recognised last. An opcode the ROM does not know sets only status and error, so it sends the
  previous command's reply again (eight times after SYNC) with status 01 05.
* Data, status and error are bytes in the reply buffer, status and error right behind the data. The
  buffer is never cleared, so older bytes show behind and between them.
* The error byte comes from one variable. Register, SPI and digest commands return their error,
  which also clears it. The download commands (begin, data, end) only set it when they fail: after
  a failure they report status 00 with the old error.
* A data block with the expected sequence number uses that number up, and only then is its checksum
  looked at.
* Neither the length a request declares nor that of its body is looked at: what is missing is read
  from the request before.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
from bench.virtual.esp32.spi_flash_chip import READ_RATE, SECTOR
from bench.virtual.flash import Flash
from bench.virtual.process import Steps

INVALID_MESSAGE = 0x05
FAILED_TO_ACT = 0x06
INVALID_CHECKSUM = 0x07
FLASH_WRITE_ERROR = 0x08
FLASH_READ_ERROR = 0x09
FLASH_READ_LENGTH_ERROR = 0x0A
DEFLATE_ERROR = 0x0B

READ_SLOW_LIMIT = 64
_MD5_TEXT = 32
_BLOCK_HEADER = 16
_REQUEST_SIZE = 0x8000

_DATA_LENGTH = {Op.READ_FLASH_SLOW: READ_SLOW_LIMIT, Op.SPI_FLASH_MD5: _MD5_TEXT}
_TRAILER = 4
"""Status, error and two reserved bytes end every reply."""

_DOWNLOAD = {
    Op.FLASH_BEGIN, Op.FLASH_DATA, Op.FLASH_END,
    Op.MEM_BEGIN, Op.MEM_DATA, Op.MEM_END,
    Op.FLASH_DEFL_BEGIN, Op.FLASH_DEFL_DATA, Op.FLASH_DEFL_END,
}  # fmt: skip


@dataclass(slots=True)
class _Download:
    """A begun download. `kind` is the opcode of its data blocks, `address` where the next one goes."""

    kind: Op
    address: int
    sequence: int = 0
    inflate: Any = field(default_factory=zlib.decompressobj)


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
        self._link, self._memory, self._flash, self._now = link, memory, flash, now
        self._set_baud = set_baud
        self._request = bytearray(_REQUEST_SIZE)
        self._request_length = 0
        # the reply under construction
        self._opcode, self._value, self._length, self._repeat = 0, 0, 0, 1
        self._status, self._error = 0, 0
        self._data = bytearray(READ_SLOW_LIMIT + _TRAILER)
        self._download: _Download | None = None
        self._flash_size = flash.size
        self._exit: Exit | None = None
        self._new_baud = 0
        self._commands: dict[int, Callable[[], Steps]] = {
            Op.FLASH_BEGIN: self._flash_begin,
            Op.FLASH_DATA: self._block,
            Op.FLASH_END: self._flash_end,
            Op.MEM_BEGIN: self._mem_begin,
            Op.MEM_END: self._mem_end,
            Op.MEM_DATA: self._block,
            Op.SYNC: self._sync,
            Op.WRITE_REG: self._write_reg,
            Op.READ_REG: self._read_reg,
            Op.SPI_SET_PARAMS: self._spi_set_params,
            Op.SPI_ATTACH: self._spi_attach,
            Op.READ_FLASH_SLOW: self._read_flash_slow,
            Op.CHANGE_BAUDRATE: self._change_baudrate,
            Op.FLASH_DEFL_BEGIN: self._defl_begin,
            Op.FLASH_DEFL_DATA: self._block,
            Op.FLASH_DEFL_END: self._flash_end,
            Op.SPI_FLASH_MD5: self._md5,
        }

    def run(self) -> Steps:
        """Serve commands; the generator's value says how the ROM was left (`Exit`)."""
        while self._exit is None:
            packet = yield from self._link.receive()
            if len(packet) < HEADER.size:
                continue
            packet = packet[:_REQUEST_SIZE]
            self._request[: len(packet)] = packet
            self._request_length = len(packet)
            yield from self._execute()
            yield from self._reply()
            if self._new_baud:
                self._set_baud(self._new_baud)
                self._new_baud = 0
        return self._exit

    # ---- the command loop

    def _execute(self) -> Steps:
        direction, opcode, _, _ = HEADER.unpack_from(self._request)
        command = self._commands.get(opcode) if direction == 0 else None
        if command is None:
            self._status, self._error = 1, INVALID_MESSAGE
            return
        self._opcode = Op(opcode)
        self._length = _DATA_LENGTH.get(self._opcode, 0)
        self._repeat = SYNC_REPEAT if opcode == Op.SYNC else 1
        error = yield from command()
        self._status = 1 if error else 0
        if error or opcode not in _DOWNLOAD:
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
        self._value = self._memory.read_word(address)
        return 0
        yield

    def _write_reg(self) -> Steps:
        entries = max(1, (self._request_length - HEADER.size) // 16)
        words = self._words(4 * entries)
        for i in range(0, len(words), 4):
            address, value, mask, delay_us = words[i : i + 4]
            old = self._memory.read_word(address) if mask != 0xFFFFFFFF else 0
            self._memory.write_word(address, (old & ~mask) | (value & mask))
            if delay_us:
                yield delay_us * 1e-6
        return 0

    def _spi_attach(self) -> Steps:
        return 0
        yield

    def _spi_set_params(self) -> Steps:
        _, self._flash_size, *_ = self._words(6)
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
        if not self._inside(address, length):
            return FLASH_READ_ERROR
        yield length / READ_RATE
        self._data[:length] = self._flash.read(address, length)
        return 0

    def _md5(self) -> Steps:
        address, length = self._words(2)
        if not self._inside(address, length):
            return FLASH_READ_ERROR
        yield length / READ_RATE
        digest = hashlib.md5(self._flash.read(address, length)).hexdigest()
        self._data[:_MD5_TEXT] = digest.encode("ascii")
        return 0

    # ---- downloads

    def _flash_begin(self) -> Steps:
        return self._begin_flash(Op.FLASH_DATA)

    def _defl_begin(self) -> Steps:
        return self._begin_flash(Op.FLASH_DEFL_DATA)

    def _begin_flash(self, kind: Op) -> Steps:
        size, _, _, address = self._words(4)
        self._download = _Download(kind, address)
        if size:
            if address % SECTOR or not self._inside(address, size):
                return FAILED_TO_ACT
            yield from self._flash.erase(address, size, self._now)
        return 0

    def _mem_begin(self) -> Steps:
        _, _, _, address = self._words(4)
        self._download = _Download(Op.MEM_DATA, address)
        return 0
        yield

    def _block(self) -> Steps:
        """FLASH_DATA, FLASH_DEFL_DATA and MEM_DATA."""
        size, sequence = self._words(2)
        start = HEADER.size + _BLOCK_HEADER
        download = self._download
        if (
            download is None
            or download.kind != self._opcode
            or sequence != download.sequence
            or start + size > _REQUEST_SIZE
        ):
            return INVALID_MESSAGE
        download.sequence += 1
        data = bytes(self._request[start : start + size])
        if HEADER.unpack_from(self._request)[3] != checksum(data):
            return INVALID_CHECKSUM
        if download.kind == Op.MEM_DATA:
            self._memory.load(download.address, data)
        else:
            if download.kind == Op.FLASH_DEFL_DATA:
                try:
                    data = download.inflate.decompress(data)
                except zlib.error:
                    return DEFLATE_ERROR
            if not self._inside(download.address, len(data)):
                return FLASH_WRITE_ERROR
            yield from self._flash.write(download.address, data, self._now)
        download.address += len(data)
        return 0

    def _flash_end(self) -> Steps:
        (stay,) = self._words(1)
        self._download = None
        self._exit = RunApplication() if stay else Reboot()
        return 0
        yield

    def _mem_end(self) -> Steps:
        stay, entry = self._words(2)
        self._download = None
        if not stay:
            self._exit = Jump(entry)
        return 0
        yield

    def _inside(self, address: int, length: int) -> bool:
        return address + length <= min(self._flash_size, self._flash.size)
