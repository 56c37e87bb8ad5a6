"""A download that is interrupted: by the server, by a power cut, by another package in its place."""

import pytest

from bench.firmware_update.states import Delivery, Result, State

OUTAGE = 20
"""Seconds; a confirmable message is repeated for longer (RFC 7252, 4.8.2)."""


@pytest.mark.requirement("FOTA-SERVER", "FOTA-RESUME")
@pytest.mark.delivery("pull")
def test_pull_survives_a_server_restart(dut, server, images, delivery, clock):
    """The server is away for a moment: by its profile the device goes on; else it may give up."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        with server.stopped():
            clock.sleep(OUTAGE, "the server restarts")
            back = clock.now()
        assert update.await_restart(after=back)
        record = update.finish()

    assert record.violations == []
    goes_on = server.goes_on(dut, "outage", delivery)
    assert record.ended(Result.SUCCESS) or (not goes_on and record.ended(Result.CONNECTION_LOST))
    if goes_on:
        assert record.sent < 1.2 * images.update.size, "the download started over"
    elif record.result is not Result.SUCCESS:
        record = server.update(dut, images.update, delivery)
        assert record.failure == "", "after a download that was given up"
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("RFC7959-2.5-new-sequence", "FOTA-SERVER")
@pytest.mark.delivery("push")
def test_push_starts_over_after_a_server_restart(dut, server, images, clock):
    """A server that has forgotten its transfer begins a new one, and the device takes it."""
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver(0.5)
        with server.stopped():
            clock.sleep(OUTAGE, "the server restarts")
            back = clock.now()
        assert update.await_restart(after=back)
    again = server.update(dut, images.update, Delivery.PUSH)

    assert again.violations == []
    assert again.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("FOTA-POWER", "FOTA-RESUME")
def test_power_cut_during_download(dut, server, images, delivery):
    """After a cut half-way the old version runs; the download goes on by itself, or a second one succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        off = dut.power_cycle()
        assert update.await_restart(after=off)
        assert server.version_of(dut) == images.baseline.version
        record = update.go_on()
        if server.goes_on(dut, "reboot", delivery):
            assert record.sent < 1.2 * images.update.size, "the download started over"
        elif record.result is not Result.SUCCESS:
            assert record.shows(State.IDLE)
            record = None

    if record is None:
        dut.assert_running(images.baseline)
        server.restart(dut)
        record = server.update(dut, images.update, delivery)
    assert record.violations == []
    assert record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("FOTA-POWER", "OMA-5-2-installs")
def test_power_cut_when_downloaded(dut, server, images, delivery):
    """Nobody asked for the update: the old version runs; the package waits, or a second one succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        off = dut.power_cycle()
        assert update.await_restart(after=off)
        assert server.version_of(dut) == images.baseline.version, "installed without being asked"
        waits = update.record.outcome == (State.DOWNLOADED, Result.INITIAL)
        if waits:
            assert update.execute()
            update.await_finish()
        assert update.record.violations == []
    if waits:
        assert update.record.ended(Result.SUCCESS)
    else:
        assert server.update(dut, images.update, delivery).failure == ""
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("RFC7959-2.4-etag", "FOTA-WHOLE")
@pytest.mark.delivery("pull")
@pytest.mark.parametrize("restarts", [False, True], ids=["while-on", "while-off"])
def test_package_replaced_during_pull(dut, server, images, delivery, restarts):
    """Another package under the same URI, told by its ETag: never a mixture of the two.

    Also where the board is off meanwhile: what it goes on with then is known by the ETag that it has kept.
    """
    with server.begin(dut, images.corrupted, delivery) as update:
        update.deliver(0.6)  # the damaged byte, half-way, has gone over
        update.replace_package(images.update.data)
        if restarts:
            off = dut.power_cycle()
            assert update.await_restart(after=off)
            record = update.go_on()
        else:
            record = update.finish()

    assert record.violations == []
    given_up = [Result.INITIAL] if restarts else []
    assert record.ended(Result.SUCCESS, Result.CONNECTION_LOST, Result.INTEGRITY_FAILED, *given_up)
    mixed = record.result is Result.INTEGRITY_FAILED and record.sent > 0.8 * images.update.size
    assert not mixed, "it went on with the blocks of another package"
    runs = images.update if record.result is Result.SUCCESS else images.baseline
    assert server.version_of(dut) == runs.version
    dut.assert_running(runs)
