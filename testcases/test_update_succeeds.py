"""A firmware update that must succeed, by both ways of delivery.

OMA LightweightM2M-1.0-int-770 (package delivered over CoAP), -771 (by the alternative mechanism:
the device fetches it from the Package URI).
"""

import pytest

from bench.firmware_update.states import Delivery, Result, State

REQUIREMENT = {
    Delivery.PUSH: "LightweightM2M-1.0-int-770",
    Delivery.PULL: "LightweightM2M-1.0-int-771",
}


@pytest.mark.requirement(*REQUIREMENT.values())
def test_update_succeeds(dut, server, images, delivery):
    """Downloading, Downloaded, Updating, Idle in that order; result 1; the new version runs and stays."""
    update = server.update(dut, images.update, delivery)

    assert update.states == [State.DOWNLOADING, State.DOWNLOADED, State.UPDATING, State.IDLE]
    assert update.result is Result.SUCCESS
    assert server.version_of(dut) == images.update.version

    server.restart(dut)
    assert server.version_of(dut) == images.update.version, "the new version did not survive a power cycle"
    assert dut.running_image(images.update) == images.update.data


@pytest.mark.delivery("push")
def test_baseline_is_what_was_installed(dut, server, images):
    """Before any update: Idle, result 0, and the flash holds exactly the baseline that was installed."""
    assert server.state_of(dut) == (State.IDLE, Result.INITIAL)
    assert server.version_of(dut) == images.baseline.version
    assert dut.running_image(images.baseline) == images.baseline.data
