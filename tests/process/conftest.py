from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.clock import WallClock
from bench.config import ProcessSettings, ProcessType
from bench.dut.process import ProcessDut
from bench.firmware.provider import load_packages
from bench.timeline import Timeline


@pytest.fixture
def clock() -> Iterator[WallClock]:
    made = WallClock()
    yield made
    made.close()


@pytest.fixture
def timeline(clock: WallClock) -> Timeline:
    return Timeline(clock)


@pytest.fixture
def board(tmp_path: Path, clock: WallClock, timeline: Timeline) -> Iterator[Callable[..., ProcessDut]]:
    """Makes an installed process board that runs a piece of Python; it is closed at the end."""
    made: list[ProcessDut] = []
    (tmp_path / "update.bin").write_bytes(b"update")

    def make(code: str, *arguments: str, security: dict[str, str] | None = None, **keys: Any) -> ProcessDut:
        type_ = ProcessType.model_validate(
            {
                "name": "host",
                "title": "a program",
                "kind": "process",
                "command": [sys.executable, "-c", code.replace("{", "{{").replace("}", "}}"), *arguments],
                "images": {
                    "baseline": {"version": "1"},
                    "update": {"file": tmp_path / "update.bin", "version": "2"},
                },
                **keys,
            }
        )
        settings = ProcessSettings.model_validate(
            {"type": "host", "endpoint": "ep 1", **({"security": security} if security else {})}
        )
        dut = ProcessDut("host", settings, type_, load_packages(type_), clock=clock, timeline=timeline)
        made.append(dut)
        dut.install(dut.images.baseline)
        return dut

    yield make
    for dut in made:
        dut.close()


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


@pytest.fixture
def until() -> Callable[..., None]:
    """Wall-clock waiting for what other processes do."""

    def wait(done: Callable[[], Any], limit: float = 10.0) -> None:
        end = time.monotonic() + limit
        while not done():
            assert time.monotonic() < end, "did not happen in time"
            time.sleep(0.02)

    return wait


@pytest.fixture
def lives() -> Callable[[int], bool]:
    return alive
