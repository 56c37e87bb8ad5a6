"""An ESP32 that is not what its board file says is refused before anything is written to it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from esp32_tables import ARDUINO, VIRTUAL, Row, changed, table, without

from bench.config import Bench, BoardType, load_bench
from bench.dut.esp32 import Esp32
from bench.errors import BenchError, FlashError, ImageError, LockedError, WrongChipError
from bench.firmware.esp32_layout import check_factory, differences
from bench.firmware.esp32_partitions import parse_partition_table
from bench.firmware_update.states import Delivery
from bench.station import Station
from bench.station.images import images_of
from bench.virtual.boards.esp32 import VirtualEsp32
from bench.virtual.esp32_signing import key_digest
from bench.virtual.plant import VirtualBench

FILE = Path(__file__).parents[2] / "boards" / "virtual.toml"
TABLE, OTADATA, OTA_0, OTA_1 = 0x8000, 0xD000, 0x10000, 0x190000


class Rig:
    """One virtual ESP32 in a station: the driver's side and the chip's."""

    def __init__(self, station: Station, plant: VirtualBench) -> None:
        self.station = station
        dut, board = station.duts["esp32"], plant.boards["esp32"]
        assert isinstance(dut, Esp32)
        assert isinstance(board, VirtualEsp32)
        self.dut, self.board = dut, board
        self.flash = board.chip.flash

    def put(self, address: int, data: bytes) -> None:
        self.flash.view[address : address + len(data)] = data

    def refused(self, error: type[BenchError] = WrongChipError) -> str:
        """What an install says that is refused; not a bit of the flash has changed then."""
        before = bytes(self.flash.view)
        with pytest.raises(error) as raised:
            self.dut.install(self.dut.images.baseline)
        assert raised.value.help
        assert bytes(self.flash.view) == before
        return raised.value.message

    def install(self) -> None:
        self.dut.install(self.dut.images.baseline)

    def said(self, text: str) -> list[str]:
        return [entry.text for entry in self.station.timeline if text in entry.text]


@pytest.fixture
def plants(monkeypatch: pytest.MonkeyPatch) -> list[VirtualBench]:
    seen: list[VirtualBench] = []
    started = VirtualBench.start

    def start(plant: VirtualBench) -> object:
        seen.append(plant)
        return started(plant)

    monkeypatch.setattr(VirtualBench, "start", start)
    return seen


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The virtual bench with its ESP32, whose images are built once."""
    bench = load_bench(FILE, ("esp32",))
    built = images_of(bench, "esp32", tmp_path_factory.mktemp("images"))
    files = {
        "baseline": built.baseline.path,
        "update": built.update.path,
        "factory": {f"{part.address:#x}": part.path for part in built.factory},
    }
    return with_images(bench, provider=None, **files)


@pytest.fixture
def rig(plants: list[VirtualBench], described: Bench) -> Iterator[Rig]:
    with Station(described, seed=5) as station:
        yield Rig(station, plants[0])


# ---- the table that is on the board


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        (VIRTUAL, []),
        ((*VIRTUAL, ("coredump", 1, 0x03, 0x3F0000, 0x10000)), []),
        (
            changed("otadata", offset=0xE000),
            ["'otadata' is at 0xe000 (0x2000 bytes), not at 0xd000 (0x2000 bytes)"],
        ),
        (
            changed("ota_1", size=0x170000),
            ["'ota_1' is at 0x190000 (0x170000 bytes), not at 0x190000 (0x180000 bytes)"],
        ),
        (changed("nvs", subtype=0x81), ["'nvs' has the type data/fat, not data/nvs"]),
        (
            changed("otadata", subtype=0x02),
            ["'otadata' has the type data/nvs, not data/ota", "there is no OTA data partition (data/ota)"],
        ),
        (
            changed("ota_1", kind=1, subtype=0x82),
            ["the slot 'ota_1' has the type data/spiffs, it is no application"],
        ),
        (
            changed("nvs", label="storage"),
            ["'nvs' at 0x9000 (0x4000 bytes) lies over the partition 'storage' at 0x9000 (0x4000 bytes)"],
        ),
        (without("phy_init"), ["there is no partition 'phy_init', expected at 0xf000 (0x1000 bytes)"]),
        (
            (("early", 1, 0x02, 0x8000, 0x1000), *VIRTUAL),
            ["'partition-table' at 0x8000 (0x1000 bytes) lies over the partition 'early' at 0x8000 "
             "(0x1000 bytes)"],
        ),
        (
            (*VIRTUAL, ("ota_2", 0, 0x12, 0x320000, 0x80000)),
            ["the application 'ota_2' (app/ota_2) is not in firmware.slots"],
        ),
        (
            (*VIRTUAL, ("rescue", 0, 0x00, 0x320000, 0x80000)),
            ["the application 'rescue' (app/factory) is not in firmware.slots"],
        ),
        (
            tuple((name, kind, {0x10: 0x11, 0x11: 0x10}.get(sub, sub) if kind == 0 else sub, at, size)
                  for name, kind, sub, at, size in VIRTUAL),
            ["with its OTA data erased the board starts 'ota_1' (app/ota_0), but firmware.slots begins "
             "with 'ota_0'"],
        ),
        (
            ARDUINO,
            ["'nvs' is at 0x9000 (0x5000 bytes), not at 0x9000 (0x4000 bytes)",
             "'otadata' is at 0xe000 (0x2000 bytes), not at 0xd000 (0x2000 bytes)",
             "'phy_init' at 0xf000 (0x1000 bytes) lies over the partition 'otadata' at 0xe000 (0x2000 bytes)",
             "'ota_0' at 0x10000 (0x180000 bytes) lies over the partition 'app0' at 0x10000 (0x140000 bytes)",
             "'ota_0' at 0x10000 (0x180000 bytes) lies over the partition 'app1' at 0x150000 "
             "(0x140000 bytes)",
             "'ota_1' at 0x190000 (0x180000 bytes) lies over the partition 'app1' at 0x150000 "
             "(0x140000 bytes)",
             "'ota_1' at 0x190000 (0x180000 bytes) lies over the partition 'spiffs' at 0x290000 "
             "(0x160000 bytes)",
             "'emul_efuse' at 0x310000 (0x2000 bytes) lies over the partition 'spiffs' at 0x290000 "
             "(0x160000 bytes)",
             "the application 'app0' (app/ota_0) is not in firmware.slots",
             "the application 'app1' (app/ota_1) is not in firmware.slots"],
        ),
    ],
    ids=["same", "one more", "otadata moved", "slot smaller", "type", "no otadata", "no application", "label",
         "missing", "over the table", "third slot", "factory application", "slots swapped", "arduino"],
)  # fmt: skip
def test_each_difference_is_named(described: Bench, rows: tuple[Row, ...], faults: list[str]) -> None:
    board_type = described.type_of("esp32")
    assert isinstance(board_type, BoardType)
    assert differences(parse_partition_table(table(rows)), board_type) == faults


def test_a_board_with_another_table_is_refused(rig: Rig) -> None:
    rig.put(TABLE, table(changed("otadata", offset=0xE000)))
    message = rig.refused()
    assert message.startswith(
        "esp32 is not the board that virtual-esp32's board file describes (ESP32-D0WD-V3 "
    )
    assert message.endswith(
        "in the partition table at 0x8000 'otadata' is at 0xe000 (0x2000 bytes), not at 0xd000 (0x2000 bytes)"
    )


def test_a_table_without_md5_is_compared_too(rig: Rig) -> None:
    rig.put(TABLE, table(ARDUINO, md5=False))
    assert "'app0' (app/ota_0) is not in firmware.slots" in rig.refused()


def test_a_blank_board_gets_its_factory_parts(rig: Rig) -> None:
    assert rig.flash.is_erased(0, rig.flash.size)
    rig.install()
    assert parse_partition_table(rig.flash.read(TABLE, 0xC00)).otadata is not None
    rig.install()  # and is itself from then on


def test_a_damaged_table_is_replaced_by_the_factory_s_or_refused(rig: Rig) -> None:
    damaged = bytearray(table(VIRTUAL))
    damaged[40] ^= 1
    rig.put(TABLE, bytes(damaged))
    given, rig.dut.images = rig.dut.images, replace(rig.dut.images, factory=())
    rig.put(0x1000, given.factory[0].path.read_bytes())
    assert (
        "is damaged (the partition table's MD5 does not fit its rows), and images.factory gives"
        in rig.refused()
    )
    rig.dut.images = given
    rig.install()
    assert rig.said("is damaged (the partition table's MD5 does not fit its rows): it is replaced")
    assert parse_partition_table(rig.flash.read(TABLE, 0xC00)).rows


def test_a_blank_board_without_factory_parts_is_refused(rig: Rig) -> None:
    rig.dut.images = replace(rig.dut.images, factory=())
    message = rig.refused()
    assert "there is no bootloader at 0x1000, and images.factory gives none" in message
    assert "the partition table at 0x8000 is erased, and images.factory gives none" in message


def test_a_table_at_another_place_is_found(rig: Rig) -> None:
    """As of boards whose bootloader is too long for the usual place."""
    rig.put(0xC000, table(ARDUINO))
    assert "the partition table lies at 0xc000, not at 0x8000" in rig.refused()
    rig.put(TABLE, bytes(0x1000))  # code of that bootloader
    assert "the partition table lies at 0xc000, not at 0x8000" in rig.refused()


def test_what_a_testcase_does_to_the_table_is_the_product_s(rig: Rig) -> None:
    """The board was found right in this run: its factory parts mend it, and nobody is blamed."""
    rig.install()
    rig.put(TABLE, table(ARDUINO))
    rig.install()
    assert parse_partition_table(rig.flash.read(TABLE, 0xC00)).otadata.offset == OTADATA  # type: ignore[union-attr]


# ---- the chip


def test_a_smaller_flash_is_refused(rig: Rig) -> None:
    rig.board.chip.flash_chip.id = b"\xef\x40\x15"
    assert "the flash has 0x200000 bytes, not 0x400000" in rig.refused()


def test_a_larger_flash_is_said(rig: Rig) -> None:
    rig.board.chip.flash_chip.id = b"\xef\x40\x17"
    rig.install()
    assert rig.said("the flash has 0x800000 bytes, 0x400000 are used")


def test_a_flash_of_unknown_size_is_refused(rig: Rig) -> None:
    rig.board.chip.flash_chip.id = b"\xef\x40\x02"
    assert "nobody knows the size of the flash with JEDEC id ef4002" in rig.refused(FlashError)


@pytest.mark.parametrize(("nibble", "built_for"), [(1, "0x200000"), (3, "0x800000")])
def test_a_bootloader_for_another_flash_is_refused(rig: Rig, nibble: int, built_for: str) -> None:
    bootloader = bytearray(rig.dut.images.factory[0].path.read_bytes())
    bootloader[3] = nibble << 4
    rig.put(0x1000, bytes(bootloader))
    rig.put(TABLE, table(VIRTUAL))
    rig.dut.images = replace(rig.dut.images, factory=())
    assert f"its bootloader is built for {built_for} bytes of flash" in rig.refused()


def test_a_build_for_a_later_chip_is_refused(rig: Rig) -> None:
    image = bytearray(rig.dut.images.update.data)
    image[15:17] = struct.pack("<H", 301)
    rig.dut.images = replace(rig.dut.images, update=replace(rig.dut.images.update, data=bytes(image)))
    assert "images.update needs chip revision v3.1, the chip is v3.0" in rig.refused()


# ---- factory parts, before anything is powered


def with_images(described: Bench, **changes: Any) -> Bench:
    board: Any = described.settings.boards["esp32"]
    images = board.images.model_copy(update=changes)
    boards = described.settings.boards | {"esp32": board.model_copy(update={"images": images})}
    return described.model_copy(update={"settings": described.settings.model_copy(update={"boards": boards})})


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (table(changed("otadata", offset=0xE000)), ["'otadata' is at 0xe000 (0x2000 bytes), not at 0xd000"]),
        (table(VIRTUAL)[:-0xC00 + 224 - 1] + bytes(1), ["table.bin: the partition table's MD5 does not fit"]),
        (b"\xff" * 0xC00, ["table.bin is an empty partition table"]),
        (b"label,type,subtype", ["table.bin: partition row 0 has magic 0x616c, not 0x50aa"]),
        (table(changed("ota_1", size=0x280000)), ["'ota_1' (row 4) at 0x190000 of 0x280000 bytes"]),
    ],
    ids=["moved", "md5", "empty", "csv", "beyond the flash"],
)  # fmt: skip
def test_a_factory_table_that_does_not_fit_is_found_when_it_is_read(
    described: Bench, tmp_path: Path, content: bytes, faults: list[str]
) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(content)
    with pytest.raises(ImageError) as raised:
        images_of(with_images(described, factory={"0x8000": path}), "esp32", tmp_path / "work")
    assert raised.value.help
    for fault in faults:
        assert fault in raised.value.message


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (0, b"\x7f", "is no bootloader: it does not begin with 0xe9"),
        (12, b"\x05", "is a bootloader for the chip with id 5, not 0"),
        (3, b"\x30", "is built for 8 MiB of flash, the board file says 0x400000 bytes"),
        (3, b"\x10", "is built for 2 MiB of flash, beyond which lie ota_1, emul_efuse"),
    ],
)
def test_a_factory_bootloader_that_does_not_fit_is_found_when_it_is_read(
    described: Bench, tmp_path: Path, place: int, value: bytes, fault: str
) -> None:
    images = images_of(described, "esp32", tmp_path / "good")
    data = bytearray(images.factory[0].path.read_bytes())
    data[place : place + 1] = value
    path = tmp_path / "bootloader.bin"
    path.write_bytes(data)
    with pytest.raises(ImageError) as raised:
        images_of(with_images(described, factory={"0x1000": path}), "esp32", tmp_path / "work")
    assert f"bootloader.bin {fault}" in raised.value.message


def test_a_build_for_another_chip_is_found_when_it_is_read(described: Bench, tmp_path: Path) -> None:
    built = images_of(load_bench(FILE, ("esp32",)), "esp32", tmp_path / "good")
    other = built.variants["wrong-board"].path
    for name in ("baseline", "update"):
        with pytest.raises(ImageError, match=r"wrong-board\.bin is for the chip with id 2, not 0") as raised:
            images_of(with_images(described, **{name: other}), "esp32", tmp_path / "work")
        assert raised.value.help
    variants = with_images(described, variants={"wrong-board": other})
    assert images_of(variants, "esp32", tmp_path / "work").wrong_board


def test_factory_parts_that_fit_are_taken(described: Bench, tmp_path: Path) -> None:
    images = images_of(described, "esp32", tmp_path / "good")
    board_type = described.type_of("esp32")
    assert isinstance(board_type, BoardType)
    check_factory([(part.address, part.path) for part in images.factory], board_type)


# ---- secured boards


def secure_boot(rig: Rig) -> None:
    """As a production line does it: the digest of the key in block 2, then ABS_DONE_1."""
    rig.board.chip.efuses.burn_block(2, key_digest())
    rig.board.chip.efuses.burn("ABS_DONE_1")


def test_a_board_with_secure_boot_is_tested_with_what_it_boots_by_left_alone(rig: Rig) -> None:
    rig.install()
    secure_boot(rig)
    dut, server = rig.dut, rig.station.updates
    erases = rig.flash.view[0x1000:0x9000].tobytes()
    rig.put(0x9000, bytes(0x1000))  # settings of an earlier run
    rig.install()
    server.commission(dut)
    assert server.update(dut, dut.images.update, Delivery.PULL).failure == ""
    dut.assert_running(dut.images.update)
    assert rig.flash.view[0x1000:0x9000].tobytes() == erases
    assert rig.said("Security: Secure Boot v2, no flash encryption")


def test_builds_for_the_key_of_another_chip_are_refused(rig: Rig) -> None:
    """Nothing would start, and the product would be blamed for it."""
    rig.put(0x1000, rig.dut.images.factory[0].path.read_bytes())
    rig.put(TABLE, table(VIRTUAL))
    rig.board.chip.efuses.burn_block(2, bytes(range(1, 33)))
    rig.board.chip.efuses.burn("ABS_DONE_1")
    message = rig.refused()
    for name in ("baseline", "update"):
        fault = f"images.{name} is not signed with the key that the chip asks for (SHA-256 0102030405"
        assert fault in message


def test_another_bootloader_is_refused_under_secure_boot(rig: Rig, tmp_path: Path) -> None:
    rig.install()
    secure_boot(rig)
    other = tmp_path / "bootloader.bin"
    data = bytearray(rig.dut.images.factory[0].path.read_bytes())
    data[0x100] ^= 1
    other.write_bytes(data)
    given = rig.dut.images
    rig.dut.images = replace(given, factory=(replace(given.factory[0], path=other), given.factory[1]))
    message = rig.refused(LockedError)
    assert "Secure Boot v2: what lies below 0x9000" in message
    rig.dut.images = replace(given, factory=())
    rig.install()  # the parts need not be given at all


@pytest.mark.parametrize("count", [1, 0x7F])
def test_a_board_with_flash_encryption_is_refused(rig: Rig, count: int) -> None:
    rig.install()
    rig.board.chip.efuses.burn("FLASH_CRYPT_CNT", count)
    assert "it has flash encryption in development mode: plain bytes" in rig.refused(LockedError)
    assert "what is read back is encrypted" in (rig.dut.why_not("readback") or "")


# ---- which slot runs


def entry(sequence: int, state: int) -> bytes:
    word = struct.pack("<I", sequence)
    return word + b"\xff" * 20 + struct.pack("<II", state, zlib.crc32(word, 0xFFFFFFFF))


@pytest.fixture
def updated(rig: Rig) -> Rig:
    rig.install()
    server = rig.station.updates
    server.commission(rig.dut)
    assert server.update(rig.dut, rig.dut.images.update, Delivery.PULL).failure == ""
    rig.dut.assert_running(rig.dut.images.update)
    return rig


@pytest.mark.parametrize("place", [0, 0x2000, 188416 - 4096 + 900], ids=["header", "body", "signature"])
def test_a_damaged_slot_is_passed_by_as_the_bootloader_does(updated: Rig, place: int) -> None:
    """The OTA data goes on naming it."""
    dut, server = updated.dut, updated.station.updates
    dut.power_off()
    updated.put(OTA_1 + place, bytes([updated.flash.view[OTA_1 + place] ^ 0x10]))
    mark = dut.console.mark()
    dut.power_on()
    server.restart(dut)
    assert dut.applications_started(mark)
    dut.assert_running(dut.images.baseline)
    assert dut.holds_package(dut.images.update) is False


def test_nothing_that_boots_is_the_product_s_fault(updated: Rig) -> None:
    for slot in (OTA_0, OTA_1):
        updated.put(slot, bytes(16))
    with pytest.raises(AssertionError, match="nothing boots: no application in the flash is whole"):
        updated.dut.assert_running(updated.dut.images.baseline)
    updated.put(TABLE, bytes(32))
    with pytest.raises(AssertionError, match="nothing boots: partition row 0 has magic 0x0000"):
        updated.dut.assert_running(updated.dut.images.baseline)


FOUR = (
    ("nvs", 1, 0x02, 0x9000, 0x4000),
    ("otadata", 1, 0x00, 0xD000, 0x2000),
    ("phy_init", 1, 0x01, 0xF000, 0x1000),
    ("factory", 0, 0x00, 0x10000, 0x80000),
    ("a", 0, 0x10, 0x90000, 0x80000),
    ("b", 0, 0x11, 0x110000, 0x80000),
    ("c", 0, 0x12, 0x190000, 0x80000),
)


@pytest.fixture
def four(plants: list[VirtualBench], described: Bench, tmp_path: Path) -> Iterator[Rig]:
    """A board with a factory application and three OTA slots, each of which holds the baseline."""
    held = described.types["virtual-esp32"]
    assert isinstance(held, BoardType)
    content = held.model_dump()
    content["regions"] = {
        "bootloader": [0x1000, 0x7000], "partition-table": [0x8000, 0x1000],
        **{label: [offset, size] for label, _, _, offset, size in FOUR},
    }  # fmt: skip
    content["firmware"] |= {"slots": ["factory", "a", "b", "c"], "wiped": ["otadata"], "unchanged": []}
    content["firmware"]["counter"] = None
    content["capabilities"]["anti-rollback"] = {"missing": "the table has no row for a secure version"}
    bench = described.model_copy(
        update={"types": described.types | {"virtual-esp32": BoardType.model_validate(content)}}
    )
    path = tmp_path / "table.bin"
    path.write_bytes(table(FOUR))
    given: Any = described.settings.boards["esp32"]
    bench = with_images(bench, factory={**given.images.factory, "0x8000": path})
    with Station(bench, seed=5) as station:
        rig = Rig(station, plants[0])
        rig.put(TABLE, table(FOUR))
        for _, kind, _, offset, _ in FOUR:
            if kind == 0:
                rig.put(offset, rig.dut.images.baseline.data)
        yield rig


@pytest.mark.parametrize(
    ("entries", "damaged", "runs"),
    [
        ((), (), "factory"),
        ((entry(1, 2),), (), "a"),
        ((entry(4, 2), entry(3, 2)), (), "a"),
        ((entry(2, 2), entry(3, 2)), (), "c"),
        ((entry(2, 2), entry(3, 3)), (), "b"),
        ((entry(2, 2), entry(3, 4)), (), "b"),
        ((entry(2, 2), entry(3, 1)), (), "c"),
        ((entry(2, 3), entry(3, 4)), (), "factory"),
        ((entry(3, 2),), ("c",), "b"),
        ((entry(3, 2),), ("c", "b", "a"), "factory"),
        ((entry(2, 2),), ("b", "a", "factory"), "c"),
        ((), ("factory",), "a"),
        ((entry(2, 2)[:-1] + b"\0",), (), "factory"),
    ],
)
def test_factory_and_several_slots(
    four: Rig, entries: tuple[bytes, ...], damaged: tuple[str, ...], runs: str
) -> None:
    for number, data in enumerate(entries):
        four.put(OTADATA + 0x1000 * number, data)
    for name in damaged:
        four.put(four.dut.region(name).offset, bytes(4))
    four.dut.power_on()
    with four.dut.flash_access() as flasher:
        assert four.dut.running_slot(flasher) == runs


def test_such_a_board_fits_its_file_and_is_installed(four: Rig) -> None:
    four.put(OTADATA, entry(3, 2))
    four.install()
    assert four.flash.is_erased(OTADATA, 0x2000)
    four.dut.power_on()
    with four.dut.flash_access() as flasher:
        four.dut.check_fit(flasher)


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        (["ota_0"], "at least 2 items"),
        (["ota_0", "ota_0"], "names a slot twice"),
    ],
)
def test_slots_are_checked_when_the_file_is_read(described: Bench, slots: list[str], message: str) -> None:
    content = described.types["virtual-esp32"].model_dump()
    content["firmware"]["slots"] = slots
    with pytest.raises(ValueError, match=message):
        BoardType.model_validate(content)
    content["firmware"] |= {"slots": ["ota_0", "ota_1", "nvs"], "swap": True}
    with pytest.raises(ValueError, match="3 slots; a bootloader that swaps has two"):
        BoardType.model_validate(content)
