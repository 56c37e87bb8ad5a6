"""A second package arrives while the first one is under way, or waits to be installed."""

import pytest

from bench.firmware_update.states import Delivery, Result, State

SOMETHING_ELSE = b"\xff" * 512
UNDER_WAY = (State.DOWNLOADING, State.DOWNLOADED)
"""A quick device may have the whole package meanwhile."""
REFUSALS = (Result.INTEGRITY_FAILED, Result.UNSUPPORTED_PACKAGE, Result.UPDATE_FAILED)
"""Results of a package that is whole and not wanted."""


@pytest.mark.requirement("LwM2M-1.0-E.6.1")
@pytest.mark.delivery("push", "pull")
def test_push_over_a_running_pull(dut, server, images, object5):
    """Refused; the PULL goes on and succeeds."""
    with server.begin(dut, images.update, Delivery.PULL) as update:
        update.deliver(0.3)
        assert object5.write_package(SOMETHING_ELSE).refused
        assert update.record.state in UNDER_WAY, f"{update.record.shows(State.DOWNLOADING)}"
        record = update.finish()

    assert record.violations == []
    assert record.ended(Result.SUCCESS)
    dut.assert_running(images.update)


@pytest.mark.requirement("LwM2M-1.0-E.6.1")
def test_uri_written_during_a_download(dut, server, images, delivery, object5):
    """Refused, or taken without effect; the download goes on and succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.3)
        before = update.record.state  # Idle, where by a documented deviation Downloading is not shown
        object5.write_uri(f"{server.uri_for(dut)}/fw/another.bin")
        assert update.record.state in (before, State.DOWNLOADED), f"it shows {update.record.state.name}"
        record = update.finish()

    assert record.violations == []
    assert record.ended(Result.SUCCESS)
    dut.assert_running(images.update)


@pytest.mark.requirement("RFC7959-2.5-new-sequence", "FOTA-WHOLE")
@pytest.mark.delivery("push")
def test_push_given_up_for_another(dut, server, images):
    """A PUSH is abandoned half-way and another package pushed: the second runs, whole."""
    with server.begin(dut, images.corrupted, Delivery.PUSH) as abandoned:
        abandoned.deliver(0.6)
    update = server.update(dut, images.update, Delivery.PUSH)

    assert update.violations == []
    assert update.ended(Result.SUCCESS)
    dut.assert_running(images.update)


@pytest.mark.requirement("LwM2M-1.0-E.6.1", "OMA-5-2-installs")
def test_delivery_when_downloaded(dut, server, images, object5):
    """What waits to be installed is not replaced without a reset: refused, and Update installs the first."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        assert object5.write_package(SOMETHING_ELSE).refused
        object5.write_uri(f"{server.uri_for(dut)}/fw/another.bin")
        assert object5.shows(State.DOWNLOADED, Result.INITIAL)
        assert update.execute()
        update.await_finish()

    assert update.record.violations == []
    assert update.record.ended(Result.SUCCESS)
    dut.assert_running(images.update)


@pytest.mark.requirement("LwM2M-1.0-E.6.1", "OMA-5-3-success", "FOTA-WHOLE")
def test_two_updates_back_to_back(dut, server, images, delivery):
    """The same image once more, at once: no restart in between, no violation, and it runs."""
    first = server.update(dut, images.update, delivery)
    second = server.update(dut, images.update, delivery)

    assert first.ended(Result.SUCCESS)
    assert second.violations == []
    assert second.ended(Result.SUCCESS, *REFUSALS), "what it runs already may be refused"
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)
