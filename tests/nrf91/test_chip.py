"""The chip behind the probe against the board file, before anything is erased or written."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from locked_bench import AlteredBench, locked
from nrf91_rig import Board

from bench.config import ChipSettings, load_bench
from bench.dut.chip import ChipIdentity, check_chip
from bench.errors import ConfigError, LockedError, WrongChipError
from bench.station import Station
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.silicon import NRF9131, NRF9151, NRF9160, NRF9161, Silicon

BOARDS = Path(__file__).parents[2] / "boards"
FICR = {"part": 0x140, "variant": 0x148, "ram": 0x218, "flash": 0x21C, "page": 0x220, "pages": 0x224}
ERASED = 0xFFFFFFFF


def ficr(**words: int) -> Callable[[Nrf91Chip], None]:
    def alter(chip: Nrf91Chip) -> None:
        for name, value in words.items():
            struct.pack_into("<I", chip.ficr, FICR[name], value)

    return alter


@pytest.mark.parametrize("silicon", [NRF9160, NRF9161, NRF9151, NRF9131], ids=lambda s: f"nRF{s.part:x}")
def test_a_chip_says_what_it_is(make_board: Callable[..., Board], silicon: Silicon) -> None:
    board = make_board(silicon=silicon)
    if silicon.hardened:
        for offset in (0x00, 0x2C):
            struct.pack_into("<I", board.chip.uicr.view, offset, 0x50FA50FA)
        board.chip.reset("soft")
        board.chip.write_peripheral(0x40039E00, 0x5A)
        board.chip.write_peripheral(0x40039E10, 0x5A)
    flasher = board.flasher()
    flasher.open()
    found = flasher.chip_identity()
    flasher.close()
    assert found == ChipIdentity(f"nRF{silicon.part:x}", silicon.variant, 0x100000, 0x40000)


@pytest.mark.parametrize(
    ("words", "flash", "ram"),
    [
        ({"flash": ERASED}, 0x100000, 0x40000),
        ({"flash": ERASED, "pages": ERASED}, None, 0x40000),
        ({"ram": ERASED}, 0x100000, None),
        ({"flash": 512}, 0x80000, 0x40000),
    ],
)
def test_what_it_does_not_say_is_not_made_up(
    board: Board, words: dict[str, int], flash: int | None, ram: int | None
) -> None:
    ficr(**words)(board.chip)
    flasher = board.flasher()
    flasher.open()
    found = flasher.chip_identity()
    flasher.close()
    assert (found.flash, found.ram) == (flash, ram)


WANTED = ChipSettings(part="nRF9160", variants=("SIBA", "SICA"), flash=0x100000, ram=0x40000)
RIGHT = ChipIdentity("nRF9160", "SICA", 0x100000, 0x40000)


@pytest.mark.parametrize(
    "found", [RIGHT, ChipIdentity("NRF9160", "SIBA"), ChipIdentity("nRF9160", "SICA", None, 0x40000)]
)
def test_chips_that_fit(found: ChipIdentity) -> None:
    check_chip("dk", WANTED, found)
    check_chip("dk", ChipSettings(), found)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (ChipIdentity("nRF9161", "SICA", 0x100000, 0x40000), "part nRF9161, not nRF9160"),
        (ChipIdentity("nRF9160", "SIAA", 0x100000, 0x40000), "variant SIAA, not SIBA or SICA"),
        (ChipIdentity("nRF9160", "", 0x100000, 0x40000), "variant unknown"),
        (ChipIdentity("nRF9160", "SICA", 0x80000, 0x40000), "0x80000 bytes of flash, not 0x100000"),
        (ChipIdentity("nRF9160", "SICA", 0x100000, 0x20000), "0x20000 bytes of RAM, not 0x40000"),
        (ChipIdentity("nRFffffffff", "", None, None), "part nRFffffffff"),
    ],
)
def test_chips_that_do_not_fit(found: ChipIdentity, told: str) -> None:
    with pytest.raises(WrongChipError) as refused:
        check_chip("dk", WANTED, found)
    assert told in refused.value.message
    assert refused.value.message.startswith("dk:")
    assert "nothing was erased" in refused.value.help


# ---- at the board


def bench_file(folder: Path, changed: Callable[[str], str] = lambda text: text) -> Path:
    for board in BOARDS.glob("*.toml"):
        shutil.copy(board, folder)
    text = (BOARDS / "virtual.toml").read_text("utf-8")
    (folder / "bench.toml").write_text(
        text.replace("bench.virtual.plant:VirtualBench", "locked_bench:AlteredBench"), "utf-8"
    )
    board_file = folder / "virtual-nrf9160.toml"
    board_file.write_text(changed(board_file.read_text("utf-8")), "utf-8")
    return folder / "bench.toml"


def with_chip(table: str) -> Callable[[str], str]:
    return lambda text: f"{text}\n[chip]\n{table}\n"


def install(path: Path, alter: Callable[[Nrf91Chip], None]) -> Nrf91Chip:
    """Install the baseline; the chip as it is afterwards, or when it was refused."""
    AlteredBench.alter = staticmethod(alter)
    with Station(load_bench(path, ("nrf9160",))) as station:
        dut = station.duts["nrf9160"]
        chip: Nrf91Chip = AlteredBench.last.boards["nrf9160"].chip
        chip.flash.view[0x30000:0x30004] = b"mine"
        try:
            dut.install(dut.images.baseline)
        finally:
            assert not chip.powered, "left switched on"
    return chip


def test_the_right_chip_is_installed(tmp_path: Path) -> None:
    chip = install(bench_file(tmp_path, with_chip('part = "nRF9160"\nvariants = ["SICA"]')), ficr())
    assert chip.flash.wear


@pytest.mark.parametrize(
    ("table", "words", "told"),
    [
        ("", {"part": 0x9161}, "part nRF9161, not nRF9160"),
        ("", {"part": 0x9151}, "part nRF9151, not nRF9160"),
        ("", {"flash": 512}, "0x80000 bytes of flash, not 0x100000"),
        ("", {"ram": 128}, "0x20000 bytes of RAM, not 0x40000"),
        ("", {"part": ERASED}, "part nRFffffffff"),
        ('part = "nRF9161"', {}, "part nRF9160, not nRF9161"),
        ('variants = ["SIAA", "SIBA"]', {}, "variant SICA, not SIAA or SIBA"),
        ("flash = 0x200000", {}, "0x100000 bytes of flash, not 0x200000"),
    ],
)
def test_a_wrong_chip_is_named_and_nothing_is_written(
    tmp_path: Path, table: str, words: dict[str, int], told: str
) -> None:
    path = bench_file(tmp_path, with_chip(table) if table else lambda text: text)
    with pytest.raises(WrongChipError) as refused:
        install(path, ficr(**words))
    assert told in refused.value.message
    chip = AlteredBench.last.boards["nrf9160"].chip
    assert chip.flash.wear == {}
    assert chip.flash.read(0x30000, 4) == b"mine"


def test_a_locked_chip_is_told_with_the_command_that_unlocks_it(tmp_path: Path) -> None:
    with pytest.raises(LockedError) as refused:
        install(bench_file(tmp_path), locked)
    assert "bench recover nrf9160" in refused.value.help
    assert AlteredBench.last.boards["nrf9160"].chip.flash.read(0x30000, 4) == b"mine"


@pytest.mark.parametrize(
    ("table", "told"), [("parts = 1", "chip.parts"), ('part = ""', "chip.part"), ("ram = 0", "chip.ram")]
)
def test_mistakes_in_the_table_are_named(tmp_path: Path, table: str, told: str) -> None:
    path = bench_file(tmp_path, with_chip(table))
    with pytest.raises(ConfigError, match=told):
        load_bench(path, ("nrf9160",))
