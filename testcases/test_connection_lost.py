"""The connection is lost during the download and does not come back in time.

OMA LightweightM2M-1.0-int-775 (connection lost during download).
"""

import pytest

from bench.firmware_update.states import Delivery, Result, State


@pytest.mark.requirement("LightweightM2M-1.0-int-775", "OMA-5-5-4", "FOTA-RECOVERY")
def test_server_dies(dut, server, images, delivery, clock):
    """Half-way the server is gone: result 4 and the old version, unless a PULL goes on; updates succeed."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        with server.stopped():
            clock.sleep(dut.type.timeouts.download, "the server stays away")
            back = clock.now()
        assert update.await_restart(after=back)
        record = update.go_on()  # no clause says how long a device may try

    assert record.violations == []
    if record.result is Result.SUCCESS:
        dut.assert_running(images.update)
    else:
        assert record.ended(Result.CONNECTION_LOST)
        assert server.version_of(dut) == images.baseline.version
    assert server.update(dut, images.update, delivery).failure == ""


@pytest.mark.requirement("LightweightM2M-1.0-int-775", "OMA-5-5-4", "FOTA-TIME", "FOTA-RECOVERY")
@pytest.mark.delivery("push")
def test_push_stalls(dut, server, images, clock):
    """The server stops in the middle of a PUSH and says no more: result 4, and a new PUSH succeeds."""
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver(0.5)
        assert update.await_pair(State.IDLE, Result.CONNECTION_LOST, timeout=dut.type.timeouts.download)
        assert update.record.violations == []
    assert server.update(dut, images.update, Delivery.PUSH).failure == ""
    assert server.version_of(dut) == images.update.version
