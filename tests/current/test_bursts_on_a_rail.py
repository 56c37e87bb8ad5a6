"""Bursts, series resistance and a current limit: what voltage the boards see, and when they die of it."""

import pytest

from bench.virtual.power.consumers import Consumers
from bench.virtual.power.draw import Draw, Pulses, Running
from bench.virtual.power.rail import CAPACITANCE, Rail
from bench.virtual.scheduler import Scheduler


class BurstyBoard:
    """Takes `draw` while powered; comes up at 3.0 V, dies below 2.8 V."""

    def __init__(self, scheduler: Scheduler, draw: Draw) -> None:
        self.draw = draw
        self.powered = False
        self.since = 0.0
        self.deaths: list[float] = []
        self._scheduler = scheduler

    def set_supply(self, volts: float) -> None:
        if not self.powered and volts >= 3.0:
            self.powered, self.since = True, self._scheduler.now
        elif self.powered and volts < 2.8:
            self.powered = False
            self.deaths.append(self._scheduler.now)

    def load(self, volts: float) -> float:
        return self.draw.mean if self.powered else 0.0

    def draws(self, volts: float) -> tuple[Running, ...]:
        return (Running(self.draw, self.since),) if self.powered else ()


def rail_with(draw: Draw, resistance: float = 0.05) -> tuple[Scheduler, Rail, BurstyBoard]:
    scheduler = Scheduler(1)
    rail, board = Rail(scheduler, resistance=resistance), BurstyBoard(scheduler, draw)
    rail.attach(board)
    return scheduler, rail, board


ATTACH = Draw(0.045, (Pulses(0.255, 1e-3, 0.017, delay=0.002),))


def test_bursts_drop_over_the_leads():
    _, rail, board = rail_with(ATTACH, resistance=0.5)
    rail.drive(3.7, 1.0)
    assert board.powered
    assert rail.board_voltage == pytest.approx(3.7 - 0.5 * ATTACH.mean)
    assert rail.lowest_voltage == pytest.approx(3.7 - 0.5 * ATTACH.peak)
    assert rail.measure() == (pytest.approx(3.7), pytest.approx(ATTACH.mean), "CV")


def test_a_weak_lead_browns_the_board_out_at_its_peaks_only():
    _, rail, board = rail_with(ATTACH, resistance=2.9)
    rail.drive(3.6, 1.0)  # 3.6 V - 0.3 A * 2.9 ohms = 2.73 V
    assert board.deaths
    _, rail, board = rail_with(Draw(ATTACH.mean), resistance=2.9)
    rail.drive(3.6, 1.0)
    assert board.powered
    assert not board.deaths


def test_the_capacitor_bridges_a_short_burst_above_the_limit():
    scheduler, rail, board = rail_with(ATTACH)
    rail.drive(3.7, 0.15)  # (0.3 - 0.15) A for 1 ms out of 220 uF: 0.7 V
    scheduler.run_to(1.0)
    assert board.powered
    assert not board.deaths
    excess = ATTACH.mean - ATTACH.pulses[0].mean + ATTACH.pulses[0].height - 0.15
    dip = (0.15 - ATTACH.mean) * 0.05 + excess * 1e-3 / CAPACITANCE
    assert rail.lowest_voltage == pytest.approx(rail.board_voltage - dip)
    assert rail.measure()[2] == "CV"


def test_a_longer_burst_empties_the_capacitor_at_its_first_end_and_again_after_each_boot():
    long = Draw(0.045, (Pulses(0.255, 2e-3, 0.034, delay=0.1),))
    scheduler, rail, board = rail_with(long)
    rail.drive(3.7, 0.15)  # 1.4 V
    assert board.powered
    scheduler.run_to(0.1019)
    assert not board.deaths
    scheduler.run_to(0.1021)
    assert board.deaths == [pytest.approx(0.102)]
    assert not board.powered
    assert rail.measure()[2] == "CC"
    scheduler.run_to(1.0)
    assert 5 < len(board.deaths) < 12  # a boot loop in time, as a supply that is too weak causes it
    rail.drive(3.7, 0.35)
    before = len(board.deaths)
    scheduler.run_to(2.0)
    assert board.powered
    assert len(board.deaths) == before


def test_a_meter_reads_bursts_from_the_rail():
    scheduler, rail, _ = rail_with(ATTACH)
    rail.drive(3.7, 1.0)
    scheduler.run_to(1.0)
    rail.off()
    scheduler.run_to(2.0)
    samples = rail.history.means(0.0, 1e-4, 20_000)
    assert samples[:, 1].sum() * 1e-4 == pytest.approx(0.045 + 59 * 0.255e-3, rel=1e-9)
    assert samples[:, 1].max() == pytest.approx(0.3)
    assert samples[:10_000, 0] == pytest.approx(3.7)
    assert not samples[10_001:].any()


def test_parts_of_a_board_go_through_their_courses():
    scheduler = Scheduler(1)
    changes: list[float] = []
    parts = Consumers("nrf9160", scheduler, lambda: changes.append(scheduler.now))

    def mean() -> float:
        return sum(running.mean for running in parts.running(3.7))

    parts.begin("idle")
    parts.begin("connected")
    assert mean() == pytest.approx(0.045 + 0.0005 + 2.7e-6)
    scheduler.run_to(1.0)
    assert mean() == pytest.approx(0.045 / 8 + 0.0005 + 2.7e-6)
    parts.begin("connected")  # it does already: its course goes on
    scheduler.run_to(11.0)
    assert mean() == pytest.approx(0.045 / 128 + 2.7e-6)  # connection released, UART suspended
    assert changes == [0.0, 0.0, 0.2, 2.0, 10.0]
    parts.begin("psm")
    assert mean() == pytest.approx(2.7e-6)
    parts.tx_power = 0.0
    parts.begin("tx")
    assert mean() == pytest.approx(0.045 + 2.7e-6)
    assert sum(running.mean for running in parts.running(3.0)) == pytest.approx((0.045 + 2.7e-6) * 3.7 / 3.0)
    parts.begin("flash")
    parts.off()
    assert parts.running(3.7) == ()
    scheduler.run_to(100.0)
    assert parts.running(3.7) == ()
