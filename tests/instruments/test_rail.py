"""The rail by itself: droop, brown-out without end, several boards."""

import math

import pytest

from bench.virtual.power.rail import CAPACITANCE, Rail
from bench.virtual.scheduler import Scheduler


class OhmicBoard:
    """Takes volts / ohms while powered; comes up at 3.0 V, dies below 2.8 V."""

    def __init__(self, scheduler: Scheduler, ohms: float) -> None:
        self.ohms = ohms
        self.powered = False
        self.boots: list[float] = []
        self._scheduler = scheduler

    def set_supply(self, volts: float) -> None:
        if not self.powered and volts >= 3.0:
            self.powered = True
            self.boots.append(self._scheduler.now)
        elif volts < 2.8:
            self.powered = False

    def load(self, volts: float) -> float:
        return volts / self.ohms if self.powered else 0.0


def test_droop_below_brown_out_repeats_in_time_not_in_one_moment():
    scheduler = Scheduler(1)
    rail = Rail(scheduler)
    board = OhmicBoard(scheduler, ohms=10)
    rail.attach(board)
    rail.drive(3.7, 0.2)  # 10 ohms at 0.2 A hold 2.0 V: below brown-out, but a steady droop
    assert rail.measure()[2] == "CC"
    scheduler.run_to(0.1)
    assert 5 < len(board.boots) < 100
    rail.drive(3.7, 1.0)
    assert board.powered
    assert rail.measure()[2] == "CV"
    rail.off()
    assert not board.powered
    assert rail.measure() == (0.0, 0.0, "OFF")
    scheduler.run_to(1.0)
    assert not board.powered


def test_boards_on_one_rail_share_its_limit():
    scheduler = Scheduler(1)
    rail = Rail(scheduler, resistance=0.1)
    boards = [OhmicBoard(scheduler, ohms=37) for _ in range(2)]
    for board in boards:
        rail.attach(board)
    rail.drive(3.7, 0.5)
    volts, amps, mode = rail.measure()
    assert (volts, mode) == (pytest.approx(3.7), "CV")
    assert amps == pytest.approx(2 * rail.board_voltage / 37)
    assert rail.board_voltage == pytest.approx(3.7 - amps * 0.1)
    rail.drive(3.7, 0.19)
    volts, amps, mode = rail.measure()
    assert (amps, mode) == (pytest.approx(0.19), "CC")
    assert rail.board_voltage == pytest.approx(0.19 * 37 / 2)
    assert all(board.powered for board in boards)
    rail.detach(boards[0])
    assert not boards[0].powered
    assert boards[1].powered
    assert rail.measure()[2] == "CV"


def test_a_load_that_changes_nothing_by_its_supply_is_not_solved_for_again():
    class Resistor:
        asked = 0

        def set_supply(self, volts: float) -> None:
            pass

        def load(self, volts: float) -> float:
            self.asked += 1
            return volts / 37

    scheduler = Scheduler(1)
    rail, resistor = Rail(scheduler), Resistor()
    rail.attach(resistor)
    rail.drive(3.7, 1.0)
    first, resistor.asked = rail.board_voltage, 0
    rail.drive(3.6, 1.0)  # the voltage falls
    fallen = resistor.asked
    assert rail.board_voltage == pytest.approx(first * 3.6 / 3.7)
    resistor.asked = 0
    rail.load_changed()  # the same voltage
    assert resistor.asked >= fallen - 2  # to find it, and to see that the board is as it was


class SteadyBoard:
    """Takes `amps` down to 2.8 V."""

    def __init__(self, amps: float) -> None:
        self.amps = amps
        self.volts = 0.0

    def set_supply(self, volts: float) -> None:
        self.volts = volts

    def load(self, volts: float) -> float:
        return self.amps if volts >= 2.8 else 0.0


@pytest.mark.parametrize("amps", [20e-6, 1e-3, 0.1])
def test_board_lives_on_its_capacitor_when_the_relays_open(amps):
    scheduler = Scheduler(1)
    rail = Rail(scheduler, resistance=0.05)
    board = SteadyBoard(amps)
    rail.attach(board)
    rail.drive(3.7, 1.0)
    rail.release()
    assert rail.measure() == (0.0, 0.0, "OFF")
    lasts = CAPACITANCE * 0.9 / amps
    scheduler.run_to(0.9 * lasts)
    assert 2.8 < board.volts < 3.0
    scheduler.run_to(1.1 * lasts)
    assert board.volts < 2.8
    rail.drive(3.7, 1.0)
    assert board.volts == pytest.approx(3.7, abs=0.01)
    rail.release()
    rail.off()
    assert board.volts == 0.0


def test_open_relays_leave_nothing_to_what_was_not_driven():
    scheduler = Scheduler(1)
    rail = Rail(scheduler)
    board = SteadyBoard(1e-3)
    rail.attach(board)
    rail.release()
    assert board.volts == 0.0
    rail.drive(3.7, 1.0)
    rail.interrupt()
    rail.release()
    rail.connect()
    assert board.volts == 0.0


def test_with_the_output_off_the_board_is_without_power_at_once():
    scheduler = Scheduler(1)
    rail = Rail(scheduler)
    rail.attach(OhmicBoard(scheduler, ohms=37))
    rail.drive(3.7, 1.0)
    rail.off()
    assert rail.measure() == (0.0, 0.0, "OFF")
    assert rail.board_voltage == 0.0


def test_capacitors_empty_through_the_bleed_and_the_board_while_it_lives():
    scheduler = Scheduler(1)
    rail = Rail(scheduler, resistance=0.0)
    board = OhmicBoard(scheduler, ohms=100)
    rail.attach(board)
    rail.bleed, rail.capacitance = 1000.0, 1e-3
    rail.drive(3.7, 1.0)
    start = scheduler.now
    rail.off()
    assert rail.measure() == (pytest.approx(3.7), 0.0, "OFF")
    assert board.powered
    while board.powered:
        scheduler.run_to(scheduler.next_time())
    died = scheduler.now - start
    ohms = 1 / (1 / 1000 + 1 / 100)
    assert died == pytest.approx(ohms * 1e-3 * math.log(3.7 / 2.8), abs=0.03)
    while rail.board_voltage > 1.0:
        scheduler.run_to(scheduler.next_time())
    alone = scheduler.now - start - died  # now the bleed takes everything
    assert alone == pytest.approx(1000 * 1e-3 * math.log(2.8 / 1.0), rel=0.1)
    scheduler.run_to(scheduler.now + 20)
    assert rail.measure() == (0.0, 0.0, "OFF")
    rail.drive(3.7, 1.0)  # and nothing of it is left over
    scheduler.run_to(scheduler.now + 5)
    assert rail.board_voltage == pytest.approx(3.7, abs=1e-6)
    assert len(board.boots) == 2


def test_what_feeds_the_board_past_the_supply_keeps_it_alive():
    scheduler = Scheduler(1)
    rail = Rail(scheduler, resistance=0.0)
    board = OhmicBoard(scheduler, ohms=100)
    rail.attach(board)
    rail.drive(3.7, 1.0)
    rail.back_feed(3.3, 0.1)
    assert rail.measure() == (pytest.approx(3.7), pytest.approx(0.037), "CV")  # the higher one feeds
    rail.off()
    assert board.powered
    assert rail.measure() == (pytest.approx(3.3), 0.0, "OFF")
    rail.drive(2.5, 1.0)  # an output cannot pull it down
    assert board.powered
    assert rail.measure() == (pytest.approx(3.3), 0.0, "CV")
    rail.back_feed(0.0, 0.0)
    assert not board.powered
    assert rail.board_voltage == pytest.approx(2.5)


def test_a_weak_back_feed_holds_the_rail_but_not_the_board():
    scheduler = Scheduler(1)
    rail = Rail(scheduler, resistance=0.0)
    board = OhmicBoard(scheduler, ohms=100)
    rail.attach(board)
    rail.drive(3.7, 1.0)
    rail.back_feed(2.6, 0.005)  # through the clamps of an I/O pin
    rail.off()
    assert not board.powered
    assert rail.measure()[0] == pytest.approx(2.6)
