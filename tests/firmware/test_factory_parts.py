"""Factory parts that would be erased with something else are found when the images are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import Bench, load_bench
from bench.errors import FileError, ImageError
from bench.firmware.image_set import ImageSet
from bench.firmware.provider import load_images

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return load_bench(ROOT / "boards" / "virtual.toml", ("nrf9160",))


def given(bench: Bench, folder: Path, **sizes: int) -> ImageSet:
    """Images with factory parts of so many bytes at the addresses that their names tell."""
    parts = {}
    for name, size in sizes.items():
        address = name.removeprefix("at_")
        parts[address] = folder / f"{name}.bin"
        parts[address].write_bytes(bytes(size))
    board = bench.settings.boards["nrf9160"]
    images = board.images.model_copy(update={"factory": parts})
    return load_images(bench.type_of("nrf9160"), board.model_copy(update={"images": images}), folder / "w")


def test_parts_beside_the_application_are_taken(bench: Bench, tmp_path: Path) -> None:
    images = given(bench, tmp_path, at_0x0=0xF000, at_0xF000=0x1000, at_0xF8000=16)
    assert [part.address for part in images.factory] == [0, 0xF000, 0xF8000]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"at_0x0": 0x10001},
            r"at_0x0\.bin lies at 0x0 to 0x10001, over the slot 'slot0' at 0x10000 to 0x80000",
        ),
        ({"at_0x7ffff": 1}, r"lies at 0x7ffff to 0x80000, over the slot 'slot0'"),
        (
            {"at_0x0": 0x200, "at_0x1ff": 8},
            r"at_0x1ff\.bin lies .* over the factory part .*at_0x0\.bin at 0x0",
        ),
        ({"at_0x0": 0}, r"at_0x0\.bin is empty"),
    ],
)
def test_others_are_told(bench: Bench, tmp_path: Path, sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ImageError, match=message) as raised:
        given(bench, tmp_path, **sizes)
    assert raised.value.help


def test_one_that_is_not_there_is_told(bench: Bench, tmp_path: Path) -> None:
    board = bench.settings.boards["nrf9160"]
    images = board.images.model_copy(update={"factory": {"0x0": tmp_path / "absent.bin"}})
    with pytest.raises(FileError, match=r"absent\.bin does not exist"):
        load_images(bench.type_of("nrf9160"), board.model_copy(update={"images": images}), tmp_path / "w")
