"""What board and bench files say about components, and what is missing in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import load_bench
from bench.config.components import ComponentSettings
from bench.errors import ConfigError, FileError, NotApplicable
from bench.station import images_of

BOARDS = Path(__file__).parents[2] / "boards"


@pytest.fixture
def bench_file(tmp_path: Path) -> Path:
    for name in ("virtual.toml", "virtual-nrf9160.toml", "virtual-esp32.toml"):
        (tmp_path / name).write_text((BOARDS / name).read_text("utf-8"), "utf-8")
    return tmp_path / "virtual.toml"


def test_a_name_that_is_not_installed_is_named(bench_file: Path) -> None:
    board = bench_file.with_name("virtual-nrf9160.toml")
    board.write_text(board.read_text("utf-8").replace('linked = ["sensors"', 'linked = ["sensor"'), "utf-8")
    with pytest.raises(
        ConfigError, match=r"components = .*: 'sensor' is not one of installed: sensors, display"
    ):
        load_bench(bench_file)


def test_the_capability_needs_the_table(bench_file: Path) -> None:
    board = bench_file.with_name("virtual-esp32.toml")
    board.write_text(board.read_text("utf-8").replace("readback = true", "components = true"), "utf-8")
    with pytest.raises(ConfigError, match=r"capability 'components' needs a table \[components\]"):
        load_bench(bench_file)


def test_what_a_board_does_not_have_is_not_applicable() -> None:
    settings = ComponentSettings(installed={"modem": "1", "boot": "2"}, linked=("modem", "boot"))
    assert settings.pair("linked") == ("modem", "boot")
    with pytest.raises(NotApplicable, match="none that are 'conflicting'"):
        settings.pair("conflicting")


def test_packages_are_those_of_the_provider_or_of_the_file(bench_file: Path, tmp_path: Path) -> None:
    (tmp_path / "own.bin").write_bytes(b"own")
    given = 'images = { provider = "bench.virtual.images:build_set", components = { modem = "own.bin" } }'
    text = bench_file.read_text("utf-8")
    bench_file.write_text(
        text.replace('images = { provider = "bench.virtual.images:build_set" }', given, 1), "utf-8"
    )
    images = images_of(load_bench(bench_file, ("nrf9160",)), "nrf9160", tmp_path / "work")
    assert images.component("modem").data == b"own"
    assert images.component("sensors").data.startswith(b"VCMP")
    with pytest.raises(NotApplicable, match="no package for the component 'radio'"):
        images.component("radio")
    (tmp_path / "own.bin").unlink()
    with pytest.raises(FileError, match=r"own\.bin does not exist"):
        images_of(load_bench(bench_file, ("nrf9160",)), "nrf9160", tmp_path / "work")
