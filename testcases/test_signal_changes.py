"""The signal changes during an update: tunnel, ramp, fading, outage, and no coverage while installing."""

import pytest

from bench.firmware_update.gate import SignalGate
from bench.firmware_update.states import Delivery, Result, State
from bench.radio.profiles import fading, outage, ramp, step, tunnel

SHORT, LONG = 20, 240
"""Seconds: a confirmable message is repeated for 45 s and given up after 93 s (RFC 7252, 4.8.2)."""


def finished(update, profile):
    """The rest of the update, and the profile with it."""
    record = update.finish()
    profile.wait()
    return record


def assert_updated(dut, server, images, record):
    assert record.failure == ""
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("FOTA-SIGNAL")
@pytest.mark.requirement("FOTA-RESUME", delivery="pull")
def test_signal_tunnel_during_download(dut, server, images, delivery, rf):
    """A short tunnel: the download succeeds; where the board says so, it goes on where it was."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.4)
        profile = rf.run(tunnel(rf.rsrp, enter=5, inside=SHORT, leave=5))
        record = finished(update, profile)

    assert_updated(dut, server, images, record)
    if server.goes_on(dut, "outage", delivery):
        assert record.sent < 1.2 * images.update.size, "the download started over"


@pytest.mark.requirement("FOTA-SIGNAL", "FOTA-RESUME", "OMA-5-5-4")
@pytest.mark.delivery("pull")
def test_signal_lost_for_long_during_download(dut, server, images, delivery, rf, clock):
    """Minutes without coverage: where the board says so it resumes; else it may end with result 4."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        rf.cut()
        clock.sleep(LONG, "no coverage")
        rf.clear()
        record = update.finish()

    if "outage" in dut.type.profile.resumes_after or record.result is Result.SUCCESS:
        assert_updated(dut, server, images, record)
        started_over = record.sent >= 1.2 * images.update.size
        assert not (started_over and server.goes_on(dut, "outage", delivery)), "the download started over"
    else:
        assert record.violations == []
        assert record.ended(Result.CONNECTION_LOST)
        assert server.version_of(dut) == images.baseline.version
        assert_updated(dut, server, images, server.update(dut, images.update, delivery))


@pytest.mark.requirement("FOTA-SIGNAL")
def test_signal_ramp_during_download(dut, server, images, delivery, rf):
    """It falls below the knee and rises again: the download gets slow, and ends well."""
    good, worst = rf.rsrp, dut.type.radio.levels[-1]
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.2)
        profile = rf.run((*ramp(good, worst, seconds=30), *ramp(worst, good, seconds=30)))
        record = finished(update, profile)

    assert_updated(dut, server, images, record)


@pytest.mark.requirement("FOTA-SIGNAL")
def test_signal_fading_at_the_knee(dut, server, images, delivery, rf, request):
    """Fast fading about the knee: blocks are lost and sent again, and nothing else."""
    seed = request.config.getoption("--seed")
    with server.begin(dut, images.update, delivery) as update:
        profile = rf.run(fading(dut.type.radio.knee, seconds=600, seed=seed))
        update.finish()
        rf.stop()
        record = update.record

    assert profile.done
    assert_updated(dut, server, images, record)


@pytest.mark.requirement("FOTA-SIGNAL")
@pytest.mark.delivery("pull")
def test_signal_fades_during_the_reboot(dut, server, images, delivery, rf):
    """No signal when the new image comes up: it attaches when there is some, and reports success."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        good = rf.rsrp
        assert update.execute()
        profile = rf.run(outage(good, at=1, seconds=dut.type.timeouts.update / 2))
        update.await_finish()
        profile.wait()
        record = update.record

    assert_updated(dut, server, images, record)


@pytest.mark.requirement("FOTA-REJOIN", "FOTA-SIGNAL")
@pytest.mark.delivery("pull")
def test_no_signal_while_updating(dut, server, images, delivery, rf, clock):
    """Out of coverage from Updating on, for far longer than an update takes: it reports once it can."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        rf.cut()
        clock.sleep(dut.type.timeouts.update + dut.type.lifetime, "no coverage")
        back = clock.now()
        rf.clear()
        update.await_finish()
        record = update.record

    assert_updated(dut, server, images, record)
    registered = server.client(dut).registration.registered_at
    assert registered - back <= dut.type.radio.rejoin, "it came back late"


@pytest.mark.requirement("OMA-4-2-signal")
def test_push_waits_for_the_signal_to_recover(dut, server, images, rf, clock):
    """While the device reports a weak signal not a block goes out; when it recovers the update runs."""
    good, weak = rf.rsrp, dut.type.radio.knee - 2
    rf.set_rsrp(weak)
    gate = SignalGate(min_strength=round((good + weak) / 2), interval=10)
    recovers = clock.now() + 120
    profile = rf.run(step(weak, good, at=120, hold=1))
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        assert update.wait_until_open(gate)
        opened = clock.now()
        record = finished(update, profile)

    assert recovers <= opened <= recovers + 2 * gate.interval
    assert min(t.time for t in record.transitions if t.state is State.DOWNLOADING) >= opened
    assert_updated(dut, server, images, record)
