"""The rail by itself: droop, brown-out without end, several boards."""

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
