"""The ROM's flash routines and inflater, where a recording of a few blocks does not reach."""

from __future__ import annotations

import random
import zlib

import pytest
from esp32_rig import Bench, Rom

from bench.virtual.esp32.loader import checksum
from bench.virtual.esp32.rom_flash import ChipParameters, RomFlash
from bench.virtual.esp32.rom_inflate import ADLER_ERROR, DEFLATE_ERROR, WINDOW, EndlessLoop, RomInflater
from bench.virtual.esp32.spi_flash_chip import SECTOR, TIMING
from bench.virtual.flash import Flash
from bench.virtual.process import Steps

MIB = 1 << 20


def noise(length: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(length)


# ---- the inflater


def test_a_long_stream_leaves_in_whole_windows_whatever_the_blocks() -> None:
    data = noise(3 * WINDOW + 1000)
    stream = zlib.compress(data)
    for block in (7, 333, 0x400, len(stream)):
        inflater = RomInflater()
        windows: list[bytes] = []
        for start in range(0, len(stream), block):
            last = start + block >= len(stream)
            more, error = inflater.feed(stream[start : start + block], last=last)
            assert error == 0
            windows += more
        assert [len(window) for window in windows] == 4 * [WINDOW]
        written = b"".join(windows)
        assert written[: len(data)] == data
        assert written[len(data) :] == data[2 * WINDOW + 1000 : 3 * WINDOW], (
            "the window before shows behind it"
        )


def test_a_stream_that_ends_before_the_last_block_is_not_written() -> None:
    inflater = RomInflater()
    assert inflater.feed(zlib.compress(b"data" * 256), last=False) == ([], 0)
    assert inflater.feed(b"", last=True) == ([], 0)


def test_bytes_behind_the_stream_are_never_done_with() -> None:
    inflater = RomInflater()
    with pytest.raises(EndlessLoop):
        inflater.feed(zlib.compress(b"data") + b"\0", last=True)


@pytest.mark.parametrize("missing", range(1, 5))
def test_a_cut_checksum_is_a_wrong_one_in_the_last_block_only(missing: int) -> None:
    stream = zlib.compress(noise(500))
    assert stream[-missing:] != bytes(missing)
    waiting, last = RomInflater(), RomInflater()
    assert waiting.feed(stream[:-missing], last=False) == ([], 0)
    assert waiting.feed(stream[-missing:], last=True)[1] == 0
    assert last.feed(stream[:-missing], last=True) == ([], ADLER_ERROR)
    assert last.feed(b"more", last=True) == ([], ADLER_ERROR), "a failure stays"


def test_output_before_a_failure_stays_in_the_window() -> None:
    stored = b"\x78\x01" + b"\x00" + (8).to_bytes(2, "little") + (0xFFF7).to_bytes(2, "little") + b"ABCDEFGH"
    inflater = RomInflater()
    assert inflater.feed(stored + b"\x07", last=False) == ([], DEFLATE_ERROR)
    inflater.reset()
    (window,), error = inflater.feed(zlib.compress(b"1234"), last=True)
    assert error == 0
    assert window == b"1234EFGH" + bytes(WINDOW - 8)


# ---- the flash routines


def run(steps: Steps) -> object:
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def chip() -> tuple[Flash, RomFlash]:
    flash = Flash(4 * MIB, SECTOR, TIMING, random.Random(1))
    flash.view[:] = bytes(4 * MIB)
    rom = RomFlash(flash, lambda: 0.0)
    rom.parameters = ChipParameters(size=4 * MIB)
    return flash, rom


@pytest.mark.parametrize(
    ("address", "length"),
    [
        (0, 1),
        (0x1000, 0x10000),
        (0x0F000, 0x22001),
        (0x10000, 0x20000),
        (0x3F0000, 0x10000),
        (0x8000, 0x38000),
    ],
)
def test_erasing_takes_each_touched_sector_once_and_no_other(address: int, length: int) -> None:
    flash, rom = chip()
    assert run(rom.erase(address, length)) is True
    touched = range(address // SECTOR, -(-(address + length) // SECTOR))
    assert flash.wear == dict.fromkeys(touched, 1)


def test_a_chip_taken_for_larger_than_it_is_begins_again_behind_its_end() -> None:
    flash, rom = chip()
    rom.parameters = ChipParameters(size=16 * MIB)
    assert run(rom.erase(4 * MIB, SECTOR)) is True
    assert run(rom.write(4 * MIB + 252, b"12345678")) is True
    assert flash.read(250, 12) == b"\xff\xff12345678\xff\xff"
    assert run(rom.read(252, 6)) == b"12345678"


def test_writing_stops_at_a_part_that_is_not_of_whole_words() -> None:
    flash, rom = chip()
    run(rom.erase(0, SECTOR))
    assert run(rom.write(0x102, b"ABCD" * 16)) is True, "within one page any address will do"
    assert run(rom.write(0x1FE, b"ABCD" * 16)) is False
    assert flash.is_erased(0x1FE, 64)


# ---- on the wire


def test_after_a_compressed_end_the_chip_is_locked_until_the_next_begin(rom: Rom, bench: Bench) -> None:
    data = b"\x11" * 64
    rom.command(0x0B, 0, 4 * MIB, 0x10000, 0x1000, 0x100, 0xFFFF)
    rom.command(0x02, 4096, 64, 64, 0x1000)
    rom.command(0x12, 1)
    assert rom.command(0x03, 64, 0, 0, 0, data=data, check=checksum(data))[8:10] == b"\0\0"
    assert bench.chip.flash.is_erased(0x1000, 4096)
    rom.command(0x02, 4096, 64, 64, 0x1000)
    rom.command(0x03, 64, 0, 0, 0, data=data, check=checksum(data))
    assert bench.chip.flash.read(0x1000, 65) == data + b"\xff"


def test_an_access_to_no_memory_silences_the_rom_until_reset(rom: Rom, bench: Bench) -> None:
    request = bytes.fromhex("000a040000000000 00100040")
    assert rom.ask(request)
    assert rom.ask(bytes.fromhex("000a040000000000 00071220")) == []
    assert rom.ask(request) == []
    again = Rom(bench)
    assert again.ask(request) == [bytes.fromhex("010a0400831df00000000000")]


def test_no_request_breaks_the_model(bench: Bench) -> None:
    """Answered, or silent; a simulator's exception would end the test."""
    source = random.Random(18)
    opcodes = [*range(0x15), 0xD0]
    sizes = [0, 1, 4, 16, 0x100, 0x1000, 0x10000, 0xFFFFFFFF]
    places = [0, 0x1000, 0x3FF000, 0x400000, 0xFFFFF000, 0x3FFE8000, 0x40000000]
    answered = 0
    for _ in range(150):
        rom = Rom(bench)
        for _ in range(6):
            words = [source.choice(source.choice([sizes, places])) for _ in range(source.randrange(9))]
            body = b"".join(word.to_bytes(4, "little") for word in words) + source.randbytes(
                source.choice([0, 0, 3, 64])
            )
            length = source.choice([len(body), len(body), source.choice([0, 16, 24, 0xFFFF])])
            header = bytes((0, source.choice(opcodes))) + length.to_bytes(2, "little") + b"\xef\0\0\0"
            answered += bool(rom.ask((header + body)[: source.choice([None, None, 5])], 1.0))
    assert answered > 300
