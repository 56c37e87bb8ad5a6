"""The images of the virtual boards, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import load_bench
from bench.firmware.image_set import ImageSet
from bench.station import images_of

BOARDS = {"mcuboot": "nrf9160", "esp32": "esp32"}


@pytest.fixture(scope="session")
def image_sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ImageSet]:
    """By container."""
    bench = load_bench(Path(__file__).parents[2] / "boards" / "virtual.toml")
    folder = tmp_path_factory.mktemp("images")
    return {container: images_of(bench, name, folder / name) for container, name in BOARDS.items()}
