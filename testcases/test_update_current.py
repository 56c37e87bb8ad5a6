"""What an update costs: energy per phase, peaks, and the current at rest before and after it."""

import pytest

from bench.firmware_update.states import Delivery, Result, State
from bench.packages.misbehaviour import Refuse


@pytest.mark.requirement("FOTA-ENERGY")
def test_energy_of_an_update(dut, server, images, delivery, current):
    """Download, swap and restart stay within the board file's energy and peak current."""
    limits = dut.type.energy
    with current.cold_start() as recording:
        record = server.update(dut, images.update, delivery)

    costs = current.costs(record, recording)
    assert record.failure == ""
    assert all(cost.complete for cost in costs), "samples were lost"
    names = [cost.phase.name for cost in costs]
    assert names == ["idle", "downloading", "downloaded", "updating", "idle"], "phases that were seen"
    for cost in costs[1:4]:
        current.note(f"energy while {cost.phase.name}", cost.energy, "J")
        current.note(f"time {cost.phase.name}", cost.duration, "s")
    energy = current.note("energy of the update", sum(c.energy for c in costs[1:4]), "J", limits.update)
    peak = current.note("peak current", max(c.peak for c in costs), "A", limits.peak)
    sending = current.note("peak while downloading at good signal", costs[1].peak, "A", limits.sending)
    assert energy.within, str(energy)
    assert peak.within, str(peak)
    assert sending.within, f"{sending}: does it send at full power?"


def succeeds(dut, server, images):
    record = server.update(dut, images.update)
    assert record.ended(Result.SUCCESS)


def fails(dut, server, images):
    record = server.update(dut, images.corrupted)
    assert record.ended(Result.INTEGRITY_FAILED)


def rolls_back(dut, server, images):
    record = server.update(dut, images.self_test_fails)
    assert record.ended(Result.UPDATE_FAILED)


def succeeds_by_pull(dut, server, images):
    record = server.update(dut, images.update, Delivery.PULL)
    assert record.ended(Result.SUCCESS)


def fails_by_pull(dut, server, images):
    with server.begin(dut, images.update, Delivery.PULL) as update:
        update.publish().misbehave(Refuse("5.03"))
        record = update.finish()
    assert record.ended(Result.CONNECTION_LOST)


def is_cancelled(dut, server, images):
    with server.begin(dut, images.update) as update:
        update.deliver(0.5)
        server.make_idle(dut)
        assert update.await_pair(State.IDLE, timeout=dut.type.timeouts.boot)


UPDATES = [
    succeeds,
    fails,
    pytest.param(rolls_back, marks=pytest.mark.image("self-test-fails")),
    is_cancelled,
    pytest.param(succeeds_by_pull, marks=pytest.mark.delivery("pull")),
    pytest.param(fails_by_pull, marks=pytest.mark.delivery("pull")),
]


@pytest.mark.requirement("FOTA-FLOOR", "FOTA-ENERGY")
@pytest.mark.parametrize("update", UPDATES, ids=lambda f: f.__name__)
def test_floor_after_an_update_that(dut, server, images, current, update):
    """The board goes back to the same rest, whatever became of the update: nothing keeps it awake."""
    limits = dut.type.energy
    with current.resting():
        before = current.floor()
        update(dut, server, images)
        after = current.floor()

    current.note("floor before", before.amps, "A", limits.floor)
    floor = current.note("floor after", after.amps, "A", limits.floor)
    assert before.settled, f"{before.amps:.3g} A before the update, and it does not come to rest"
    assert after.settled, f"{after.amps:.3g} A after the update, and it does not come to rest"
    assert floor.within, str(floor)
    assert after.amps <= before.amps * (1 + limits.tolerance), f"{before.amps:.3g} A before"
