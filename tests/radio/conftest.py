from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from radio_rig import RadioBench


@pytest.fixture
def make() -> Iterator[Callable[..., RadioBench]]:
    made: list[RadioBench] = []

    def build(isolation: float = 100.0) -> RadioBench:
        made.append(RadioBench(isolation))
        return made[-1]

    yield build
    for bench in made:
        bench.close()


@pytest.fixture
def radio(make: Callable[..., RadioBench]) -> RadioBench:
    return make()
