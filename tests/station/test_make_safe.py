"""From whatever an earlier user left set, a board's supply comes to the board file's settings, output off.

With the manner of makers that tie the voltage setpoint to the OVP level; none of the models driven here is
known to, so the simulated ones are given it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.config import load_bench
from bench.dut.hardware import HardwareDut
from bench.instruments.power_supply import Trip
from bench.station import Station
from bench.virtual.instruments.ovp_order import E3632A, FREE, GENESYS, PWX, OvpOrder
from bench.virtual.instruments.scpi_supply import ScpiSupply
from bench.virtual.plant import VirtualBench
from bench.virtual.power.rail import Rail

FILE = Path(__file__).parents[2] / "boards" / "virtual.toml"
ORDERS = {"none": FREE, "Genesys": GENESYS, "PWX": PWX, "E3632A": E3632A}


@dataclass(frozen=True)
class Fed:
    """A virtual board, its supply and what reaches it."""

    dut: HardwareDut
    rail: Rail


@pytest.fixture(scope="module", params=["nrf9160", "esp32"])
def fed(request: pytest.FixtureRequest) -> Iterator[Fed]:
    seen: list[VirtualBench] = []
    started = VirtualBench.start

    def start(plant: VirtualBench) -> object:
        seen.append(plant)
        return started(plant)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VirtualBench, "start", start)
        with Station(load_bench(FILE, (request.param,)), seed=5) as station:
            dut = station.duts[request.param]
            yield Fed(dut, seen[0].rails[seen[0].bench.settings.boards[dut.name].supply])


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
@pytest.mark.parametrize(
    ("volts", "level"),
    [
        ("highest", "highest"),  # 20 V with OVP 22 V on the analyzer, 6.18 V with 6.6 V on the supply
        ("above the wanted level", "just above"),
        ("lowest", "below the wanted voltage"),
        ("lowest", "lowest"),
        ("wanted", "just above"),
        ("wanted", "highest"),
    ],
)
def test_no_step_is_refused_and_nothing_reaches_the_board(
    fed: Fed,
    monkeypatch: pytest.MonkeyPatch,
    order: OvpOrder,
    volts: str,
    level: str,
) -> None:
    dut = fed.dut
    supply, wanted = dut.supply, dut.type.supply
    ranges = supply.ratings
    left = {
        "lowest": ranges.voltage.low,
        "wanted": wanted.voltage,
        "above the wanted level": wanted.ovp + 0.3,
        "highest": ranges.voltage.high,
    }[volts]
    supply.voltage = ranges.voltage.low
    supply.ovp = {
        "lowest": ranges.ovp.low,
        "below the wanted voltage": 3.0,
        "just above": min(1.06 * left, ranges.ovp.high),
        "highest": ranges.ovp.high,
    }[level]
    supply.voltage = left
    monkeypatch.setattr(ScpiSupply, "ovp_order", order)
    seen: list[float] = []
    stop = fed.rail.watch(lambda: seen.append(fed.rail.lowest_voltage))

    dut.make_safe()

    stop()
    assert (supply.voltage, supply.ovp) == (
        pytest.approx(wanted.voltage, abs=2e-3),
        pytest.approx(wanted.ovp, abs=0.05),
    )
    assert supply.current_limit == pytest.approx(wanted.current_limit, abs=2e-3)
    assert not supply.output
    assert set(seen) <= {0.0}
    dut.power_on()
    assert supply.measure_voltage() == pytest.approx(wanted.voltage, abs=0.02)
    dut.power_off()


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
def test_a_trip_whose_cause_is_still_set_is_cleared(
    fed: Fed, monkeypatch: pytest.MonkeyPatch, order: OvpOrder
) -> None:
    dut = fed.dut
    supply, wanted = dut.supply, dut.type.supply
    supply.ovp = 3.1
    supply.voltage = 3.3
    supply.output = True
    assert supply.tripped is Trip.OVER_VOLTAGE
    monkeypatch.setattr(ScpiSupply, "ovp_order", order)
    dut.make_safe()
    assert supply.tripped is None
    assert not supply.output
    assert supply.voltage == pytest.approx(wanted.voltage, abs=2e-3)
    assert supply.ovp == pytest.approx(wanted.ovp, abs=0.05)
