"""The registry of seeded defects; a defect is laid over healthy code and taken off without a trace."""

from __future__ import annotations

import contextlib
import inspect
import pathlib
import subprocess
import sys

import pytest

from bench.config import load_bench
from bench.errors import ConfigError
from bench.station import Station
from bench.virtual.defects.defect import BOARDS, Defect, seeded
from bench.virtual.defects.registry import AREAS, DEFECTS, defect_named

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def testcases() -> str:
    """The names of all testcases, as pytest collects them."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(ROOT / "testcases"),
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    ended = subprocess.run(
        [*command, "-o", "addopts="], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    return ended.stdout


def test_there_are_as_many_as_were_registered_and_no_two_of_a_name() -> None:
    assert len(DEFECTS) == sum(len(area.defects) for area in AREAS) >= 60
    assert all(area.defects for area in AREAS)


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS.keys())
def test_every_defect_is_described_and_its_targets_exist(defect: Defect) -> None:
    assert defect.text.endswith(".")
    assert defect.source
    assert set(defect.boards) <= set(BOARDS)
    bench = load_bench(ROOT / "boards" / (defect.bench or "virtual.toml"))
    assert set(defect.boards) <= set(bench.settings.boards)
    for patch in defect.patches:
        assert patch.healthy is not None


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS.keys())
def test_a_defect_is_there_inside_the_block_and_gone_after_it(defect: Defect) -> None:
    before = [patch.healthy for patch in defect.patches]
    with contextlib.suppress(ZeroDivisionError), seeded(defect):
        assert defect.patches[0].healthy is not before[0]
        raise ZeroDivisionError
    assert all(patch.healthy is held for patch, held in zip(defect.patches, before, strict=True))


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS.keys())
def test_what_stands_in_the_place_of_a_function_takes_what_that_takes(defect: Defect) -> None:
    """Else the virtual device crashes where it is called, and every testcase judges nothing."""
    for patch in defect.patches:
        healthy, made = patch.healthy, patch.make(patch.healthy)
        if not inspect.isfunction(healthy) or not inspect.isfunction(made):
            continue
        parameters = inspect.signature(healthy).parameters.values()
        wanted = [p for p in parameters if p.kind in POSITIONAL]
        needed = [p for p in wanted if p.default is p.empty]
        named = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
        for arguments in (wanted, needed):
            inspect.signature(made).bind(*arguments, **named)


def test_every_hint_leads_to_a_testcase(testcases: str) -> None:
    hints = {hint for defect in DEFECTS.values() for hint in defect.hints}
    assert [hint for hint in sorted(hints) if hint not in testcases] == []


def test_an_unknown_name_is_a_mistake_in_the_options() -> None:
    with pytest.raises(ConfigError, match="swap") as caught:
        defect_named("swap")
    assert "swap-leaves-out-a-sector" in caught.value.help


def test_no_defect_is_seeded_in_real_devices() -> None:
    bench = load_bench(ROOT / "boards" / "virtual.toml", ("esp32",))
    real = bench.settings.model_copy(
        update={"bench": bench.settings.bench.model_copy(update={"plant": None})}
    )
    bench = bench.model_copy(update={"settings": real})
    with pytest.raises(ConfigError, match="no virtual bench"):
        Station(bench, defect="never-confirmed").__enter__()


def test_a_station_seeds_it_and_says_so() -> None:
    defect = defect_named("states-numbered-from-one")
    healthy = defect.patches[0].healthy
    with Station(load_bench(ROOT / "boards" / "virtual.toml", ("esp32",)), defect=defect.name) as station:
        assert defect.patches[0].healthy is not healthy
        told = [entry.text for entry in station.timeline.since(0) if entry.kind == "defect"]
    assert told == ["seeded defect: states-numbered-from-one"]
    assert defect.patches[0].healthy is healthy
