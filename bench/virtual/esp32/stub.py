"""The flasher that esptool loads into the ESP32's RAM, modelled by what it does on the wire.

Not a run of its machine code. Behaviour and status codes are those documented for Espressif's
flasher stub; they have not been compared with a recording of the real one.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.virtual.esp32.link import LoaderLink
from bench.virtual.esp32.loader import HEADER, SYNC_REPEAT, Exit, Jump, Op, Reboot, RunApplication, checksum
from bench.virtual.esp32.memory import Memory
from bench.virtual.esp32.spi_flash_chip import READ_RATE, SECTOR
from bench.virtual.flash import Flash
from bench.virtual.process import Steps

GREETING = b"OHAI"

BAD_DATA_LENGTH = 0xC0
BAD_DATA_CHECKSUM = 0xC1
BAD_BLOCK_SIZE = 0xC2
FAILED_SPI_OPERATION = 0xC4
NOT_IN_FLASH_MODE = 0xC6
INFLATE_ERROR = 0xC7
NOT_ENOUGH_DATA = 0xC8
TOO_MUCH_DATA = 0xC9
NOT_IMPLEMENTED = 0xFF

_BLOCK_HEADER = 16

_SHORTEST_BODY = {
    Op.FLASH_BEGIN: 16, Op.FLASH_DATA: 16, Op.FLASH_END: 4,
    Op.MEM_BEGIN: 16, Op.MEM_DATA: 16, Op.MEM_END: 8,
    Op.WRITE_REG: 16, Op.READ_REG: 4, Op.SPI_SET_PARAMS: 24, Op.SPI_ATTACH: 4,
    Op.CHANGE_BAUDRATE: 8, Op.FLASH_DEFL_BEGIN: 16, Op.FLASH_DEFL_DATA: 16, Op.FLASH_DEFL_END: 4,
    Op.SPI_FLASH_MD5: 8, Op.ERASE_REGION: 8, Op.READ_FLASH: 16,
}  # fmt: skip


@dataclass(slots=True)
class _Download:
    """A begun flash download: where the next byte goes, how many are left, what is erased."""

    address: int
    remaining: int
    erased_to: int
    inflate: Any = field(default_factory=zlib.decompressobj)


class StubLoader:
    """The flasher's command loop, as a process: `run` ends when it is told to leave."""

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
        self._download: _Download | None = None
        self._ram_address: int | None = None
        self._late_error = 0
        self._exit: Exit | None = None
        self._commands: dict[int, Callable[[bytes], Steps]] = {
            Op.FLASH_BEGIN: self._flash_begin,
            Op.FLASH_DATA: lambda body: self._flash_data(Op.FLASH_DATA, body),
            Op.FLASH_END: lambda body: self._flash_end(Op.FLASH_END, body),
            Op.FLASH_DEFL_BEGIN: lambda body: self._begin(Op.FLASH_DEFL_BEGIN, body),
            Op.FLASH_DEFL_DATA: lambda body: self._flash_data(Op.FLASH_DEFL_DATA, body),
            Op.FLASH_DEFL_END: lambda body: self._flash_end(Op.FLASH_DEFL_END, body),
            Op.MEM_BEGIN: self._mem_begin,
            Op.MEM_DATA: self._mem_data,
            Op.MEM_END: self._mem_end,
            Op.SYNC: self._sync,
            Op.WRITE_REG: self._write_reg,
            Op.READ_REG: self._read_reg,
            Op.SPI_SET_PARAMS: lambda body: self._reply(Op.SPI_SET_PARAMS),
            Op.SPI_ATTACH: lambda body: self._reply(Op.SPI_ATTACH),
            Op.CHANGE_BAUDRATE: self._change_baudrate,
            Op.SPI_FLASH_MD5: self._md5,
            Op.ERASE_FLASH: self._erase_flash,
            Op.ERASE_REGION: self._erase_region,
            Op.READ_FLASH: self._read_flash,
            Op.RUN_USER_CODE: self._run_user_code,
        }

    def run(self) -> Steps:
        """Greet, then serve commands; the generator's value says how the flasher was left (`Exit`)."""
        yield from self._link.send(GREETING)
        while self._exit is None:
            packet = yield from self._link.receive()
            if len(packet) < HEADER.size:
                continue
            direction, opcode, length, declared = HEADER.unpack_from(packet)
            if direction != 0:
                continue
            body = packet[HEADER.size :]
            fault = self._fault(opcode, body, length, declared)
            if fault:
                yield from self._reply(opcode, fault)
            else:
                yield from self._commands[opcode](body)
        return self._exit

    def _fault(self, opcode: int, body: bytes, length: int, declared: int) -> int:
        """What is wrong with a request before it is acted on; 0 when nothing is."""
        if opcode not in self._commands:
            return NOT_IMPLEMENTED
        if len(body) != length or length < _SHORTEST_BODY.get(Op(opcode), 0):
            return BAD_DATA_LENGTH
        if opcode in (Op.FLASH_DATA, Op.FLASH_DEFL_DATA, Op.MEM_DATA):
            (size,) = struct.unpack_from("<I", body)
            data = body[_BLOCK_HEADER:]
            if size != len(data):
                return BAD_DATA_LENGTH
            if declared != checksum(data):
                return BAD_DATA_CHECKSUM
        return 0

    def _reply(
        self, opcode: int, error: int = 0, *, value: int = 0, data: bytes = b"", repeat: int = 1
    ) -> Steps:
        body = data + bytes((1 if error else 0, error))
        yield from self._link.send(HEADER.pack(1, opcode, len(body), value) + body, repeat)

    # ---- registers and memory

    def _sync(self, body: bytes) -> Steps:
        yield from self._reply(Op.SYNC, repeat=SYNC_REPEAT)

    def _read_reg(self, body: bytes) -> Steps:
        (address,) = struct.unpack_from("<I", body)
        yield from self._reply(Op.READ_REG, value=self._memory.read_word(address))

    def _write_reg(self, body: bytes) -> Steps:
        for address, value, mask, delay_us in struct.iter_unpack("<IIII", body[: len(body) & ~15]):
            old = self._memory.read_word(address) if mask != 0xFFFFFFFF else 0
            self._memory.write_word(address, (old & ~mask) | (value & mask))
            if delay_us:
                yield delay_us * 1e-6
        yield from self._reply(Op.WRITE_REG)

    def _mem_begin(self, body: bytes) -> Steps:
        self._ram_address = struct.unpack_from("<IIII", body)[3]
        yield from self._reply(Op.MEM_BEGIN)

    def _mem_data(self, body: bytes) -> Steps:
        if self._ram_address is None:
            yield from self._reply(Op.MEM_DATA, NOT_IN_FLASH_MODE)
            return
        data = body[_BLOCK_HEADER:]
        self._memory.load(self._ram_address, data)
        self._ram_address += len(data)
        yield from self._reply(Op.MEM_DATA)

    def _mem_end(self, body: bytes) -> Steps:
        stay, entry = struct.unpack_from("<II", body)
        self._ram_address = None
        yield from self._reply(Op.MEM_END)
        if not stay:
            self._exit = Jump(entry)

    def _change_baudrate(self, body: bytes) -> Steps:
        (baud,) = struct.unpack_from("<I", body)
        yield from self._reply(Op.CHANGE_BAUDRATE)
        self._set_baud(baud)

    def _run_user_code(self, body: bytes) -> Steps:
        self._exit = RunApplication()
        return
        yield

    # ---- writing

    def _flash_begin(self, body: bytes) -> Steps:
        return self._begin(Op.FLASH_BEGIN, body)

    def _begin(self, opcode: Op, body: bytes) -> Steps:
        size, _, _, address = struct.unpack_from("<IIII", body)
        if address + size > self._flash.size:
            yield from self._reply(opcode, BAD_BLOCK_SIZE)
            return
        self._download = _Download(address, size, address - address % SECTOR)
        self._late_error = 0
        yield from self._reply(opcode)

    def _flash_data(self, opcode: Op, body: bytes) -> Steps:
        """Acknowledge the block first, then write it: a fault shows in the answer to the next one."""
        download = self._download
        if download is None:
            yield from self._reply(opcode, NOT_IN_FLASH_MODE)
            return
        yield from self._reply(opcode, self._late_error)
        if self._late_error:
            return
        data = body[_BLOCK_HEADER:]
        if opcode == Op.FLASH_DEFL_DATA:
            try:
                data = download.inflate.decompress(data)
            except zlib.error:
                self._late_error = INFLATE_ERROR
                return
            if len(data) > download.remaining:
                self._late_error = TOO_MUCH_DATA
        # the last uncompressed block comes padded beyond the announced size
        yield from self._program(download, data[: download.remaining])

    def _program(self, download: _Download, data: bytes) -> Steps:
        done = 0
        while done < len(data):
            address = download.address
            chunk = data[done : done + SECTOR - address % SECTOR]
            if address >= download.erased_to:
                yield from self._flash.erase(address, 1, self._now)
                download.erased_to = address - address % SECTOR + SECTOR
            yield from self._flash.write(address, chunk, self._now)
            done += len(chunk)
            download.address += len(chunk)
            download.remaining -= len(chunk)

    def _flash_end(self, opcode: Op, body: bytes) -> Steps:
        (stay,) = struct.unpack_from("<I", body)
        download, self._download = self._download, None
        error = 0
        if download is None:
            error = NOT_IN_FLASH_MODE
        elif self._late_error:
            error = self._late_error
        elif download.remaining:
            error = NOT_ENOUGH_DATA
        yield from self._reply(opcode, error)
        if not error and not stay:
            self._exit = Reboot()

    def _erase_flash(self, body: bytes) -> Steps:
        yield from self._flash.erase(0, self._flash.size, self._now)
        yield from self._reply(Op.ERASE_FLASH)

    def _erase_region(self, body: bytes) -> Steps:
        address, length = struct.unpack_from("<II", body)
        if address % SECTOR or length % SECTOR or address + length > self._flash.size:
            yield from self._reply(Op.ERASE_REGION, BAD_BLOCK_SIZE)
            return
        if length:
            yield from self._flash.erase(address, length, self._now)
        yield from self._reply(Op.ERASE_REGION)

    # ---- reading

    def _md5(self, body: bytes) -> Steps:
        address, length = struct.unpack_from("<II", body)
        if address + length > self._flash.size:
            yield from self._reply(Op.SPI_FLASH_MD5, FAILED_SPI_OPERATION)
            return
        yield length / READ_RATE
        digest = hashlib.md5(self._flash.read(address, length)).digest()
        yield from self._reply(Op.SPI_FLASH_MD5, data=digest)

    def _read_flash(self, body: bytes) -> Steps:
        """Send blocks, at most `window` ahead of the host's acknowledgements, then their MD5."""
        address, length, block, window = struct.unpack_from("<IIII", body)
        if address + length > self._flash.size or not block or not window:
            yield from self._reply(Op.READ_FLASH, FAILED_SPI_OPERATION)
            return
        yield from self._reply(Op.READ_FLASH)
        digest = hashlib.md5()
        sent = acknowledged = 0
        while acknowledged < length:
            if sent < length and sent - acknowledged < block * window:
                data = self._flash.read(address + sent, min(block, length - sent))
                yield len(data) / READ_RATE
                yield from self._link.send(data)
                digest.update(data)
                sent += len(data)
                packet = self._link.take()
            else:
                packet = yield from self._link.receive()
            if packet is not None and len(packet) == 4:
                acknowledged = int.from_bytes(packet, "little")
        yield from self._link.send(digest.digest())
