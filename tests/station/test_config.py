"""Bench and board files: what is wrong is named by file, key, value and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import load_bench
from bench.errors import ConfigError

BOARDS = Path(__file__).parents[2] / "boards"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in BOARDS.glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    return tmp_path


def edited(folder: Path, name: str, old: str, new: str) -> Path:
    file = folder / name
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    return folder / "virtual.toml"


def test_the_shipped_bench_file_is_valid() -> None:
    bench = load_bench(BOARDS / "virtual.toml")
    assert sorted(bench.settings.boards) == ["esp32", "nrf9160"]
    assert bench.type_of("nrf9160").regions["slot0"].offset == 0x10000
    assert bench.type_of("nrf9160").image_limit == 0x70000 - 0x2000


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("virtual.toml", 'supply = "psu:1"', 'supply = "psu"', "boards.nrf9160.supply = 'psu'"),
        (
            "virtual.toml",
            'supply = "psu:1"',
            'supply = "abc:1"',
            "names instrument 'abc', which is not listed",
        ),
        ("virtual.toml", 'supply = "psu:1"', 'supply = "analyzer:1"', "analyzer:1' is already used by"),
        ("virtual.toml", 'meter = "ppk2:1"', 'meter = "ppk3:1"', "meter names instrument 'ppk3'"),
        ("virtual.toml", 'meter = "ppk2:1"', 'meter = "ppk2"', "boards.nrf9160.meter = 'ppk2'"),
        ("virtual.toml", '"rf1:1"', '"rf2:1"', "attenuator 'rf2:1' is already used by"),
        ("virtual.toml", 'meter = "ppk2:1"', 'voltmeter = "dmm"', "voltmeter names instrument 'dmm'"),
        ("virtual.toml", 'meter = "ppk2:1"', 'voltmeter = "dmm:1"', "boards.nrf9160.voltmeter = 'dmm:1'"),
        ("virtual-nrf9160.toml", "knee = -114", "knee = -130", "lost (-125) < knee (-130)"),
        ("virtual-nrf9160.toml", "[-85, -100", "[-100, -85", "must go from the best to the worst"),
        ("virtual-nrf9160.toml", 'technology = "lte-m"', 'technology = "6g"', "radio.technology = '6g'"),
        ("virtual-nrf9160.toml", "floor = 20e-6", "floor = nan", "energy.floor = nan"),
        ("virtual-nrf9160.toml", "peak = 0.45", "peak = 0", "energy.peak = 0"),
        ("virtual-nrf9160.toml", "dead = 2.5", "dead = 3.5", "dead 3.5 V must be below low 3.1 V"),
        ("virtual-nrf9160.toml", "weak = 0.25", "weak = 0.9", "weak 0.9 A must be below current_limit 0.6 A"),
        ("virtual.toml", 'type = "virtual-nrf9160"', 'type = "nrf53"', "there is no board file"),
        (
            "virtual.toml",
            'type = "virtual-nrf9160"',
            'typ = "virtual-nrf9160"',
            "boards.nrf9160.type: missing",
        ),
        ("virtual.toml", "[server]", "[server]\nport_ = 1", "server.port_ = 1: no such key"),
        ("virtual.toml", "port = 0 ", "port = 70000 ", "server.port = 70000"),
        ("virtual.toml", 'kind = "swd"', 'kind = "jtag"', "boards.nrf9160.flasher"),
        ("virtual.toml", 'mac = "24:0A', 'mac = "2Z:0A', "boards.esp32.flasher.mac = '2Z:0A"),
        ("virtual.toml", "[bench]", "[bench", "is not TOML"),
        ("virtual.toml", 'psk_key = "54', 'psk_key = "5x', "security.psk_key: not hexadecimal digits"),
        ("virtual.toml", ', psk_key = "5468697320697320616e206578616d706c652e"', "", "belong together"),
        ("virtual.toml", "[server]", '[server]\ncertificate = "s.pem"', "certificate_key belong together"),
        ("virtual.toml", "security = {", "security = { certificate_name = 'x', ", "or certificate_name"),
        ("virtual-nrf9160.toml", "readback = true", "reedback = true", "capability 'reedback' is not one of"),
        ("virtual-nrf9160.toml", 'object = "1.0"', 'object = "2.0"', "profile.object = '2.0'"),
        (
            "virtual-nrf9160.toml",
            "[capabilities]",
            "[profile.deviations]\nodd = 'x'\n[capabilities]",
            "deviations.odd",
        ),
        ("virtual-nrf9160.toml", "slot1 = [0x80000", "slot1 = [0x70000", "overlaps"),
        ("virtual-nrf9160.toml", "ovp = 5.5", "ovp = 3.0", "ovp 3 V must be above voltage 3.7 V"),
        ("virtual-nrf9160.toml", "0xf8000, 0x8000", "0xf8000, 0x80000", "beyond flash_size 0x100000"),
    ],
)
def test_a_mistake_names_key_value_and_reason(
    folder: Path, name: str, old: str, new: str, message: str
) -> None:
    file = edited(folder, name, old, new)
    with pytest.raises(ConfigError) as caught:
        load_bench(file)
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert caught.value.help


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml does not exist"):
        load_bench(tmp_path / "none.toml")


def test_an_unknown_board_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no board 'x'; the file has esp32, nrf9160"):
        load_bench(BOARDS / "virtual.toml", ("x",))


def test_only_the_named_boards_are_kept() -> None:
    assert list(load_bench(BOARDS / "virtual.toml", ("esp32",)).settings.boards) == ["esp32"]


def test_a_wrong_key_is_not_told(folder: Path) -> None:
    file = edited(folder, "virtual.toml", 'psk_key = "5468', 'psk_key = "oops5468')
    with pytest.raises(ConfigError) as caught:
        load_bench(file)
    assert "5468" not in str(caught.value)


def test_a_device_with_a_certificate_needs_its_ca(folder: Path) -> None:
    bench = (BOARDS / "virtual.toml").read_text("utf-8")
    old = next(line for line in bench.splitlines() if line.startswith("security = "))
    file = edited(folder, "virtual.toml", old, 'security = { certificate_name = "dk" }')
    with pytest.raises(ConfigError, match=r"esp32\.security\.certificate_name needs server\.client_ca"):
        load_bench(file)
