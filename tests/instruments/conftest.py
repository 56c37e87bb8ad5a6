"""The E36312A on the wire, for the tests of one supply."""

import pytest
from instrument_rig import SupplyBench


@pytest.fixture
def bench():
    made = SupplyBench()
    yield made
    made.close()


@pytest.fixture
def supply(bench):
    opened = bench.open(identity="KEYSIGHT TECHNOLOGIES,E36312A")
    yield opened
    opened.close()
