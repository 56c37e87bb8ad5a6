"""Every pytest on a PC with the bench loads its plug-in: who uses no bench does not wait for it."""

import subprocess
import sys

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
    ended = suite.run("-p", "no:anyio", ledger=ledger)  # a library for tests brings it, and it loads asyncio
    assert ended.status == 0, ended.output
    assert "2 passed" in ended.output


def test_nothing_is_imported_before_pytest_loads_it_as_a_plug_in():
    """It would warn of that in every run on this PC."""
    look = "import sys, fixtures.plugin as own; print([m for m in own.pytest_plugins if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60)
    assert found.stdout == "[]\n", found.stderr
