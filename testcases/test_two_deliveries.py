"""A second package arrives while the first one is under way, or waits to be installed."""

import pytest

from bench.firmware_update.states import Delivery, Result, State

SOMETHING_ELSE = b"\xff" * 512
REPLACED = (
    Result.CONNECTION_LOST,
    Result.INTEGRITY_FAILED,
    Result.UNSUPPORTED_PACKAGE,
    Result.INVALID_URI,
)
"""Results of a device that took `SOMETHING_ELSE`, or a URI that leads nowhere, in the first one's place."""
REFUSALS = (Result.INTEGRITY_FAILED, Result.UNSUPPORTED_PACKAGE, Result.UPDATE_FAILED)
"""Results of a package that is whole and not wanted."""


@pytest.mark.requirement("LwM2M-1.1-E.6-rejected", "LwM2M-1.0-E.6.1", "FOTA-WHOLE", "FOTA-RECOVERY")
@pytest.mark.delivery("push", "pull")
def test_push_over_a_running_pull(dut, server, images, object5, recommended):
    """It should be refused; the PULL goes on and succeeds, unless the device has taken the other package."""
    with server.begin(dut, images.update, Delivery.PULL) as update:
        update.deliver_and_linger(0.3)
        answer = object5.patient.write_package(SOMETHING_ELSE)
        with recommended("LwM2M-1.1-E.6-rejected"):
            assert answer.refused
        record = update.finish()
    assert_first_or_nothing(dut, server, images, record, answer)


@pytest.mark.requirement("LwM2M-1.1-E.6-rejected", "LwM2M-1.0-E.6.1", "FOTA-WHOLE", "FOTA-RECOVERY")
@pytest.mark.writes("pull")
def test_uri_written_during_a_download(dut, server, images, delivery, object5, recommended):
    """It should be refused; the download goes on and succeeds, unless the device has taken the other URI."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver_and_linger(0.3)
        answer = object5.write_uri(f"{server.uri_for(dut)}/fw/another.bin")
        shown = State.DOWNLOADING not in update.record.rules.hidden
        if shown:  # else it is in Idle, where a URI has its place
            with recommended("LwM2M-1.1-E.6-rejected"):
                assert answer.refused
        record = update.finish()
    assert_first_or_nothing(dut, server, images, record, answer)


def assert_first_or_nothing(dut, server, images, record, answer):
    """Never a mixture: the package that was under way runs, or nothing new where the second one was taken."""
    assert record.violations == []
    if answer.taken and record.result is not Result.SUCCESS:
        assert record.ended(*REPLACED), f"the second delivery was answered {answer}"
        dut.assert_running(images.baseline)
        server.restart(dut)
        record = server.update(dut, images.update, record.delivery)
    assert record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
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


@pytest.mark.requirement("LwM2M-1.0-E.6.1", "LwM2M-1.1-E.6-rejected", "OMA-5-2-installs")
def test_delivery_when_downloaded(dut, server, images, delivery, object5, recommended):
    """What waits to be installed is not replaced without a reset: Update installs the first.

    Another delivery should be refused; from Downloaded no step of the object leads to Downloading.
    """
    others = {
        Delivery.PUSH: lambda: object5.write_package(SOMETHING_ELSE),
        Delivery.PULL: lambda: object5.write_uri(f"{server.uri_for(dut)}/fw/another.bin"),
    }
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        answer = others[delivery]()
        with recommended("LwM2M-1.1-E.6-rejected"):
            assert answer.refused
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
