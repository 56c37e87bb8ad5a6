"""What a driver says that its models have, before one is open, against what the simulated ones have."""

from __future__ import annotations

import pytest
from instrument_rig import AttenuatorBench, SupplyBench

from bench.instruments.attenuator import Attenuator
from bench.instruments.models import DRIVERS
from bench.instruments.power_supply import PowerSupply

SUPPLIES = sorted(name for name, driver in DRIVERS.items() if issubclass(driver, PowerSupply))
ATTENUATORS = sorted(name for name, driver in DRIVERS.items() if issubclass(driver, Attenuator))


@pytest.mark.parametrize("driver", SUPPLIES)
def test_outputs_of_a_supply(driver: str) -> None:
    bench = SupplyBench(driver)
    try:
        supply = bench.open()
        assert supply.channels
        assert set(map(str, supply.channels)) <= set(DRIVERS[driver].outputs)
        supply.close()
    finally:
        bench.close()


@pytest.mark.parametrize("driver", ATTENUATORS)
def test_paths_of_an_attenuator(driver: str) -> None:
    bench = AttenuatorBench(driver)
    try:
        attenuator = bench.open()
        assert attenuator.paths
        assert set(attenuator.paths) <= set(DRIVERS[driver].outputs)
        attenuator.close()
    finally:
        bench.server.close()
        bench.clock.close()
