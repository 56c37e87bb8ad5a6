"""The board files of real boards against the partition tables that their projects publish.

And what an installation really erases and writes, through pyOCD and esptool, in the virtual chips' flash.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from published_layouts import PUBLISHED

from bench.config import Bench, BoardType, load_bench
from bench.errors import ConfigError, ImageError
from bench.firmware.hostile_kinds import with_raised_counter
from bench.station import Station, images_of
from bench.virtual import images as virtual_images
from bench.virtual.plant import VirtualBench

BOARDS = Path(__file__).parents[2] / "boards"
PATTERN = 0xA5


def with_type(board_file: str) -> tuple[Bench, str]:
    """The virtual bench with one board, which a real board's file describes."""
    base = load_bench(BOARDS / "virtual.toml")
    board_type = BoardType.model_validate(flat(board_file))
    name = board_type.driver
    bench = load_bench(BOARDS / "virtual.toml", (name,))
    used = bench.settings.boards[name].type
    assert base.types[used].name == used
    on_virtual_chip = board_type.model_copy(update={"name": used, "chip": None})
    return bench.model_copy(update={"types": {used: on_virtual_chip}}), name


def flat(board_file: str) -> dict[str, object]:
    raw = tomllib.loads((BOARDS / f"{board_file}.toml").read_text("utf-8"))
    return {**raw.pop("board"), **raw}


def test_every_real_board_file_is_compared() -> None:
    real = {
        file.stem
        for file in BOARDS.glob("*.toml")
        if (board := tomllib.loads(file.read_text("utf-8")).get("board"))
        and board.get("kind") != "process"
        and not file.stem.startswith("virtual")
    }
    assert real == set(PUBLISHED)


@pytest.mark.parametrize("board_file", sorted(PUBLISHED))
def test_regions_are_those_of_the_published_table(board_file: str) -> None:
    layout = PUBLISHED[board_file]
    board_type = BoardType.model_validate(flat(board_file))
    assert board_type.name == board_file
    in_flash = {n: r for n, r in board_type.regions.items() if r.offset < board_type.flash_size}
    found = {layout.called[name]: (r.offset, r.size) for name, r in in_flash.items()}
    assert found == {name: layout.partitions[name] for name in found}
    for name, (offset, size) in layout.beside.items():
        region = board_type.regions[name]
        assert region.offset <= offset
        assert offset + size <= region.offset + region.size
    text = (BOARDS / f"{board_file}.toml").read_text("utf-8")
    assert text.startswith("# ")
    assert "commit" in text[: text.index("[board]")]  # the origin and its version stand at the top


@pytest.mark.parametrize("board_file", sorted(name for name in PUBLISHED if not name.startswith("esp32")))
def test_it_is_for_the_chip_that_its_name_tells(board_file: str) -> None:
    chip = BoardType.model_validate(flat(board_file)).expected_chip
    named = "nRF9160" if board_file.startswith("thingy91") else f"nRF{board_file[3:7]}"
    assert (chip.part, chip.flash, chip.ram) == (named, 0x100000, 0x40000)


@pytest.mark.parametrize("board_file", sorted(PUBLISHED))
def test_nothing_foreign_is_listed_as_wiped(board_file: str) -> None:
    layout = PUBLISHED[board_file]
    board_type = BoardType.model_validate(flat(board_file))
    erased = {layout.called[name] for name in (*board_type.firmware.slots, *board_type.firmware.wiped)}
    assert not erased & set(layout.foreign)
    for name in erased:
        offset, size = layout.partitions[name]
        for other in layout.foreign:
            start, length = layout.partitions[other]
            assert offset + size <= start or start + length <= offset


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> list[VirtualBench]:
    seen: list[VirtualBench] = []
    started = VirtualBench.start

    def start(plant: VirtualBench) -> object:
        seen.append(plant)
        return started(plant)

    monkeypatch.setattr(VirtualBench, "start", start)
    return seen


@pytest.mark.parametrize("board_file", sorted(PUBLISHED))
def test_installing_a_baseline_touches_only_what_is_ours(
    board_file: str, plant: list[VirtualBench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page that was erased or written lies in a partition that the bench owns."""
    layout = PUBLISHED[board_file]
    bench, name = with_type(board_file)
    # the virtual boards' variants are larger than some of these slots, and of other security counters
    whole = virtual_images.build_set
    monkeypatch.setattr(
        virtual_images, "build_set", lambda board, out: replace(whole(board, out), variants={})
    )
    if (
        name == "esp32"
    ):  # the table that the board carries, as gen_esp32part.py makes it from the published one
        kinds = {"nvs": (1, 2), "otadata": (1, 0), "phy_init": (1, 1)}
        kinds |= {"factory": (0, 0), "ota_0": (0, 0x10), "ota_1": (0, 0x11)}
        rows = tuple((label, *kind, *layout.partitions[label]) for label, kind in kinds.items())
        monkeypatch.setattr(virtual_images, "ESP32_PARTITIONS", rows)
    with Station(bench, seed=5) as station:
        dut = station.duts[name]
        flash = plant[0].boards[name].flash
        boot = dut.region(
            dut.type.firmware.unchanged[0]
        )  # erased as it comes: the core must not start rubbish
        flash.view[boot.offset + boot.size :] = bytes([PATTERN]) * (flash.size - boot.offset - boot.size)
        flash.wear.clear()
        before = flash.read(0, flash.size)
        dut.install(dut.images.baseline)
        after = flash.read(0, flash.size)
        touched = {
            at
            for at in range(0, flash.size, flash.page)
            if flash.wear.get(at // flash.page) or after[at : at + flash.page] != before[at : at + flash.page]
        }
        firmware = dut.type.firmware
        ours = {layout.partitions[layout.called[n]] for n in (*firmware.slots[:1], *firmware.wiped)}
        ours |= {
            (part.address, -(-part.path.stat().st_size // flash.page) * flash.page)
            for part in dut.images.factory
        }
        allowed = {at for start, size in ours for at in range(start, start + size, flash.page)}
        assert touched <= allowed, sorted(map(hex, touched - allowed))
        for region in firmware.wiped:
            if region not in firmware.slots[:1]:
                start, size = layout.partitions[layout.called[region]]
                assert flash.is_erased(start, size)
        for foreign in layout.foreign:
            start, size = layout.partitions[foreign]
            if start not in {part.address for part in dut.images.factory}:  # what is built is ours
                assert flash.read(start, size) == bytes([PATTERN]) * size
        assert (
            flash.read(dut.region(firmware.slots[0]).offset, dut.images.baseline.size)
            == dut.images.baseline.data
        )


# ---- what a board file may not say


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in BOARDS.glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    return tmp_path


def refused(folder: Path, board_file: str, old: str, new: str) -> str:
    file = folder / f"{board_file}.toml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    bench = folder / "virtual.toml"
    board = "esp32" if board_file.startswith("esp32") else "nrf9160"
    kept = bench.read_text("utf-8").replace(f'type = "virtual-{board}"', f'type = "{board_file}"')
    bench.write_text(kept, "utf-8")
    with pytest.raises(ConfigError) as told:
        load_bench(bench, (board,))
    assert told.value.help
    assert f"{board_file}.toml" in told.value.message
    return told.value.message


TFM, NCS, ESP = "nrf9160dk-zephyr-tfm", "nrf9160dk-ncs", "esp32-devkitc"
STORAGE = "storage = [0xf8000, 0x8000]"


@pytest.mark.parametrize(
    ("board_file", "old", "new", "message"),
    [
        # the flash map that wiped TF-M's storage and the end of the bootloader, in a file that knows them
        (
            TFM,
            STORAGE,
            "storage = [0xf0000, 0x8000]",
            "'storage' (0xf0000 to 0xf8000) overlaps 'tfm_ps' (0xf0000 to 0xf4000)",
        ),
        (
            TFM,
            STORAGE,
            STORAGE + "\ncounters = [0xf000, 0x1000]",
            "'counters' (0xf000 to 0x10000) overlaps 'mcuboot' (0x0 to 0x10000)",
        ),
        (
            TFM,
            STORAGE,
            STORAGE + "\ntfm = [0x10000, 0x1000]",
            "'slot0' (0x10000 to 0x80000) overlaps 'tfm' (0x10000 to 0x11000)",
        ),
        (
            TFM,
            STORAGE,
            STORAGE + "\ntail = [0xff000, 0x1000]",
            "'tail' (0xff000 to 0x100000) overlaps 'storage'",
        ),
        (
            TFM,
            'wiped = ["slot0"',
            'wiped = ["tfm_its", "slot0"',
            "'tfm_its' is in firmware.wiped and in firmware.kept",
        ),
        (
            TFM,
            'wiped = ["slot0"',
            'wiped = ["mcuboot", "slot0"',
            "'mcuboot' is in firmware.wiped and in firmware.unchanged",
        ),
        (TFM, 'unchanged = ["mcuboot", "uicr"]', "unchanged = []\nwiped_ = 1", "wiped_ = 1: no such key"),
        (
            TFM,
            'wiped = ["slot0"',
            'wiped = ["setings", "slot0"',
            "firmware names region 'setings', but regions has",
        ),
        (
            TFM,
            'kept = ["tfm_ps"',
            'kept = ["slot1", "tfm_ps"',
            "'slot1' is in firmware.slots and in firmware.kept",
        ),
        (
            TFM,
            'unchanged = ["mcuboot"',
            'unchanged = ["slot0", "mcuboot"',
            "'slot0' is in firmware.slots and in firmware.unchanged",
        ),
        (
            TFM,
            'unchanged = ["mcuboot"',
            'unchanged = ["tfm_ps", "mcuboot"',
            "'tfm_ps' is in firmware.unchanged and in firmware.kept",
        ),
        (
            TFM,
            STORAGE,
            "storage = [0xf8800, 0x7800]",
            "'storage' (0xf8800 to 0x100000) does not begin at a page",
        ),
        (
            TFM,
            STORAGE,
            "storage = [0xf8000, 0x7800]",
            "'storage' (0xf8000 to 0xff800) does not end at a page",
        ),
        (
            TFM,
            STORAGE,
            "storage = [0x100000, 0x8000]",
            "'storage' (0x100000 to 0x108000) lies beyond flash_size 0x100000",
        ),
        (
            TFM,
            STORAGE,
            "storage = [0xff9000, 0x1000]",
            "lies beyond flash_size 0x100000, nor in UICR (0xff8000 to 0xff9000)",
        ),
        (
            TFM,
            "flash_size = 0x100000",
            "flash_size = 0x100800",
            "flash_size 0x100800 is no multiple of a page",
        ),
        (
            TFM,
            "mcuboot = [0x00000, 0x10000]",
            "mcuboot = [0x08000, 0x8000]",
            "no region holds the bootloader at 0x0",
        ),
        (
            TFM,
            'slots = ["slot0", "slot1"]',
            'slots = ["slot1", "slot1"]',
            "firmware.slots names a slot twice: slot1, slot1",
        ),
        (
            NCS,
            'wiped = ["slot0"',
            'wiped = ["uicr", "slot0"',
            "'uicr' is in firmware.wiped and in firmware.unchanged",
        ),
        (
            NCS,
            'anti-rollback = { missing = "the counter',
            "anti-rollback = true # ",
            "firmware.counter = 'otp' is not in firmware.wiped",
        ),
        (
            TFM,
            'anti-rollback = { missing = "MCUboot',
            "anti-rollback = true # ",
            "firmware.counter names none",
        ),
        (
            ESP,
            'wiped = ["nvs"',
            'wiped = ["bootloader", "nvs"',
            "'bootloader' is in firmware.wiped and in firmware.unchanged",
        ),
        (
            ESP,
            "factory = [0x10000",
            "factory = [0xf000",
            "'factory' (0xf000 to 0x10f000) overlaps 'phy_init' (0xf000 to 0x10000)",
        ),
        (
            ESP,
            "ota_1 = [0x210000, 0x100000]",
            "ota_1 = [0x210000, 0x200000]",
            "'ota_1' (0x210000 to 0x410000) lies beyond flash_size 0x400000",
        ),
        (ESP, "off_below = 0.6", "off_below = 2.1", "off_below 2.1 V must not be above dead 2 V"),
        (ESP, "discharge = 20", "discharge = 0", "supply.discharge = 0"),
        (ESP, "discharge = 20", "discharge = inf", "supply.discharge = inf"),
    ],
)
def test_a_map_that_would_destroy_something_is_refused(
    folder: Path, board_file: str, old: str, new: str, message: str
) -> None:
    assert message in refused(folder, board_file, old, new)


def test_what_lies_beside_the_flash_cannot_be_wiped(folder: Path) -> None:
    file = folder / f"{NCS}.toml"
    file.write_text(
        file.read_text("utf-8")
        .replace('"uicr"', '"mcuboot"')
        .replace('["mcuboot", "mcuboot"]', '["mcuboot"]'),
        "utf-8",
    )
    told = refused(folder, NCS, 'wiped = ["slot0"', 'wiped = ["uicr", "slot0"')
    assert "erases region 'uicr' (0xff8000 to 0xff8108), which lies beside the flash" in told


@pytest.mark.parametrize("region", ["bootloader", "partition-table"])
def test_what_boots_cannot_be_wiped(folder: Path, region: str) -> None:
    file = folder / f"{ESP}.toml"
    file.write_text(
        file.read_text("utf-8").replace(
            'unchanged = ["bootloader", "partition-table", "phy_init"]', "unchanged = []"
        ),
        "utf-8",
    )
    told = refused(folder, ESP, 'wiped = ["nvs"', f'wiped = ["{region}", "nvs"')
    assert f"firmware.wiped names region '{region}'" in told
    assert "holds the" in told


# ---- what images may not do


def test_a_factory_part_over_what_is_kept_is_refused(tmp_path: Path) -> None:
    bench, name = with_type(TFM)
    board = bench.settings.boards[name]
    part = tmp_path / "keys.bin"
    part.write_bytes(bytes(16))
    images = board.images.model_copy(update={"factory": {"0xf4100": part}})
    bench.settings.boards[name] = board.model_copy(update={"images": images})
    with pytest.raises(
        ImageError, match=r"keys\.bin lies at 0xf4100 to 0xf4110, over the region 'tfm_its', which is"
    ):
        images_of(bench, name, tmp_path / "work")


def test_an_update_that_counts_up_for_good_is_refused(tmp_path: Path, raised_update: Path) -> None:
    bench, name = with_type(NCS)
    board = bench.settings.boards[name]
    images = board.images.model_copy(update={"update": raised_update})
    bench.settings.boards[name] = board.model_copy(update={"images": images})
    with pytest.raises(ImageError, match=r"its security counter is 256, that of the baseline 1; 'otp' of"):
        images_of(bench, name, tmp_path / "work")
    bench, name = with_type(TFM)  # without such a counter it is nobody's business
    bench.settings.boards[name] = bench.settings.boards[name].model_copy(update={"images": images})
    assert images_of(bench, name, tmp_path / "work").update.path == raised_update


@pytest.fixture
def raised_update(tmp_path: Path) -> Path:
    virtual = load_bench(BOARDS / "virtual.toml", ("nrf9160",))
    images = images_of(virtual, "nrf9160", tmp_path / "virtual")
    file = tmp_path / "raised.bin"
    file.write_bytes(with_raised_counter(images, images.update).data)
    return file
