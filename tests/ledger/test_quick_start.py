"""Every pytest on a PC with the bench loads its plug-in: who uses no bench does not wait for it."""

import pytest

SUITE = """
import sys

HEAVY = ("bench.config", "bench.station", "asyncio", "numpy", "pydantic", "aiohttp", "pyvisa", "esptool",
         "cryptography", "pyarrow", "matplotlib", "psutil")

def test_plug_in_is_there(request):
    assert request.config.pluginmanager.has_plugin("lwm2m-fota-bench")
    assert "fixtures.station" in sys.modules

def test_nothing_heavy_is():
    assert [name for name in HEAVY if name in sys.modules] == []
"""


@pytest.mark.parametrize("ledger", [False, True])
def test_who_uses_no_bench_loads_none_of_it(suite, ledger):
    suite.write(SUITE)
    ended = suite.run(ledger=ledger)
    assert ended.status == 0, ended.output
    assert "2 passed" in ended.output
