from __future__ import annotations

from collections.abc import Iterator

import pytest
from esp32_rig import Bench, Rom, make_bench

from bench.virtual import protocol_vboard


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = make_bench()
    bench.chip.power(True)
    yield bench
    bench.clock.close()
    protocol_vboard.PORTS.pop("esp", None)


@pytest.fixture
def rom(bench: Bench) -> Rom:
    return Rom(bench)


@pytest.fixture
def paced_bench() -> Iterator[Bench]:
    """Twenty simulated seconds to a wall second, for clients in other processes."""
    bench = make_bench(pace=20.0)
    bench.chip.power(True)
    yield bench
    bench.clock.close()
    protocol_vboard.PORTS.pop("esp", None)
