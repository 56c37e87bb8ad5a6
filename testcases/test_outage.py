"""The way between the device and the server is cut during the download; the server stays up.

Beside OMA LightweightM2M-1.0-int-775, where it is the server that goes away.
"""

import pytest

from bench.firmware_update.states import Result

SHORT = 20
"""Seconds; a confirmable message is repeated for longer (RFC 7252 section 4.8.2: 45 s)."""

pytestmark = pytest.mark.capability("outage")


@pytest.mark.requirement("FOTA-LINK")
@pytest.mark.requirement("RFC7252-4.2-backoff", delivery="pull")
def test_short_outage(dut, server, images, delivery, clock):
    """Retransmissions bridge it: the download goes on where it was, and the update succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        with dut.outage():
            clock.sleep(SHORT, "the outage")
        record = update.finish()

    assert record.violations == []
    assert record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("LightweightM2M-1.0-int-775", "OMA-5-5-4", "FOTA-LINK", "FOTA-RECOVERY")
def test_link_dies(dut, server, images, delivery, clock):
    """The link stays away: result 4 and the old version, unless a PULL goes on; an update succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        with dut.outage():
            clock.sleep(dut.type.timeouts.download, "the link is dead")
        assert update.await_contact(after=clock.now())
        record = update.go_on()  # no clause says how long a device may try

    assert record.violations == []
    if record.result is Result.SUCCESS:
        dut.assert_running(images.update)
    else:
        assert record.ended(Result.CONNECTION_LOST)
        assert server.version_of(dut) == images.baseline.version
    assert server.update(dut, images.update, delivery).failure == ""
