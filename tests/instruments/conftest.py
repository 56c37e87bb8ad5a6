"""A supply on the wire: the E36312A, or what a test names by `parametrize("bench", ..., indirect=True)`.

Whatever a driver says in any of these tests is looked up in its table of commands.
"""

import pytest
from instrument_rig import SupplyBench
from sent import Sent

from bench.instruments.command_table import tables


@pytest.fixture(autouse=True)
def sent(monkeypatch):
    recorded = Sent(monkeypatch)
    yield recorded.lines
    unknown = {(d, line) for d, line in recorded.lines if d in tables() and tables()[d].find(line) is None}
    assert unknown == set(), "not in bench/instruments/commands"


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
