"""A supply on the wire: the E36312A, or what a test names by `parametrize("bench", ..., indirect=True)`."""

import pytest
from instrument_rig import SupplyBench


@pytest.fixture
def bench(request):
    made = SupplyBench(getattr(request, "param", "keysight_e36312a"))
    yield made
    made.close()


@pytest.fixture
def supply(bench):
    opened = bench.open()
    yield opened
    opened.close()
