"""Key/value settings in flash: an append-only log over two halves of a region, safe against torn writes.

A half begins with a header (magic, generation, CRC), written last when the half is filled; records
follow (length, CRC, CBOR pair). The half with the highest valid generation counts.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cbor2

from bench.virtual.machine import Machine, Region
from bench.virtual.process import Signal, Steps

MAGIC = 0x53455431
_HEADER = struct.Struct("<III")
_RECORD = struct.Struct("<II")


class Settings:
    """Read at boot with `load`; `put` writes through to the flash and takes its time."""

    def __init__(self, machine: Machine, region: Region) -> None:
        self._machine = machine
        self._half = region.size // 2
        self._starts = (region.offset, region.offset + self._half)
        self._active = 0
        self._generation = 0
        self._end = 0
        self._writing = False
        self._written = Signal()
        self.values: dict[str, Any] = {}

    def load(self) -> None:
        """Take in what the flash holds; a torn record ends its half."""
        best = None
        for number, start in enumerate(self._starts):
            magic, generation, crc = _HEADER.unpack(self._machine.flash.read(start, 12))
            fits = crc == zlib.crc32(struct.pack("<II", magic, generation))
            if magic == MAGIC and fits and (best is None or generation > best[0]):
                best = (generation, number)
        self.values = {}
        if best is None:
            self._generation, self._end = 0, self._half  # the first put writes a fresh half
            return
        self._generation, self._active = best
        position = _HEADER.size
        while position + _RECORD.size <= self._half:
            length, crc = _RECORD.unpack(self._read(position, _RECORD.size))
            if length == 0xFFFFFFFF and crc == 0xFFFFFFFF:
                self._end = position
                return
            if length > self._half - position - _RECORD.size:
                break
            body = self._read(position + _RECORD.size, length)
            if zlib.crc32(body) != crc:
                break
            key, value = cbor2.loads(body)
            self.values[key] = value
            position += _RECORD.size + _aligned(length)
        self._end = self._half  # torn or full: the next put starts a fresh half

    def _read(self, position: int, length: int) -> bytes:
        return self._machine.flash.read(self._starts[self._active] + position, length)

    def put(self, key: str, value: Any) -> Steps:
        """Store one value; it counts once the flash has taken all of it."""
        if self.values.get(key) == value:
            return
        self.values[key] = value
        while self._writing:  # another process is at it
            yield self._written
        self._writing = True
        yield from self._append(_record(key, value))
        self._writing = False
        self._written.send()

    def _append(self, record: bytes) -> Steps:
        if self._end + len(record) > self._half:
            yield from self._start_half()
            return
        position, self._end = self._end, self._end + len(record)
        start = self._starts[self._active] + position
        yield from self._machine.flash.write(start, record, self._machine.now)

    def _start_half(self) -> Steps:
        """Write everything into the other half, its header last."""
        self._active = 1 - self._active if self._generation else 0
        self._generation += 1
        start = self._starts[self._active]
        body = b"".join(_record(key, value) for key, value in self.values.items())
        self._end = _HEADER.size + len(body)
        flash, now = self._machine.flash, self._machine.now
        yield from flash.erase(start, self._half, now)
        yield from flash.write(start + _HEADER.size, body, now)
        head = struct.pack("<II", MAGIC, self._generation)
        yield from flash.write(start, head + struct.pack("<I", zlib.crc32(head)), now)


def _record(key: str, value: Any) -> bytes:
    body = cbor2.dumps([key, value])
    return (_RECORD.pack(len(body), zlib.crc32(body)) + body).ljust(
        _RECORD.size + _aligned(len(body)), b"\xff"
    )


def _aligned(length: int) -> int:
    return -(-length // 4) * 4
