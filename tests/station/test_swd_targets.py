"""The names of pyOCD's targets, without pyOCD, and mistakes in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pyocd.target import normalise_target_type_name
from pyocd.target.builtin import BUILTIN_TARGETS

from bench.config import load_bench
from bench.config.swd_targets import builtin_targets, normalised, why_unknown
from bench.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_they_are_those_of_pyocd_itself() -> None:
    assert builtin_targets() == frozenset(BUILTIN_TARGETS)


@pytest.mark.parametrize("name", ["nRF91", "STM32F103--RB", "a b\tc", "nrf9160_xxAA", "ü__x"])
def test_names_are_normalised_as_pyocd_does(name: str) -> None:
    assert normalised(name) == normalise_target_type_name(name)


@pytest.mark.parametrize("name", ["nrf91", "NRF91", "nrf52840", "cortex_m"])
def test_known(name: str) -> None:
    assert why_unknown(name) is None


@pytest.mark.parametrize(
    ("name", "nearest"), [("nrf9160", "nrf91"), ("nrf19", "nrf91"), ("nRF52-480", "nrf52840"), ("", "")]
)
def test_unknown_ones_are_told_with_the_nearest(name: str, nearest: str) -> None:
    why = why_unknown(name)
    assert why is not None
    assert nearest in why
    assert "pyocd list --targets" in why


def test_the_bench_file_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    for board in (ROOT / "boards").glob("*.toml"):
        (tmp_path / board.name).write_text(board.read_text("utf-8"), "utf-8")
    text = (ROOT / "boards" / "virtual.toml").read_text("utf-8")
    file = tmp_path / "bench.toml"
    file.write_text(text.replace('{ kind = "swd",', '{ kind = "swd", target = "nrf9161",'), "utf-8")
    with pytest.raises(ConfigError, match=r"boards\.nrf9160\.flasher\.target = 'nrf9161'.*'nrf91'"):
        load_bench(file)


def test_a_known_target_costs_no_import_of_pyocd() -> None:
    code = (
        "import sys; from bench.config.swd_targets import why_unknown; "
        "assert why_unknown('nrf52840') is None; assert not [m for m in sys.modules if 'pyocd' in m]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
