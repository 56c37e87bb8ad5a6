"""Automatic Upgrade at Download (/5/0/14, object version 1.2): who decides when a package is installed."""

import pytest

from bench.firmware_update.states import Result, State

pytestmark = pytest.mark.object5("1.2")

AUTOMATIC = 14
WAITING = 60
"""Seconds in which a device that waits to be asked does nothing."""


@pytest.fixture
def automatic(dut, server, object5):
    """Writes the resource, where the device has it."""
    path = f"{object5.instance}/{AUTOMATIC}"
    server.optional(dut, path, "Automatic Upgrade at Download")

    def write(value):
        assert object5.write(AUTOMATIC, value).taken
        assert object5.read()[AUTOMATIC] is value, path

    return write


@pytest.mark.requirement("OMA-5-14-automatic")
def test_update_follows_the_download(dut, server, images, delivery, automatic):
    """True: the package is installed without Update being executed."""
    automatic(True)
    with server.begin(dut, images.update, delivery) as update:
        record = update.finish_unasked()
    assert record.ended(Result.SUCCESS), "Automatic Upgrade is true, and nobody executed Update"
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("OMA-5-14-automatic")
def test_update_waits_to_be_asked(dut, server, images, delivery, automatic, clock):
    """False: the package waits in Downloaded, and Update installs it."""
    automatic(False)
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        clock.sleep(WAITING, "nobody executes Update")
        update.look()
        assert update.record.shows(State.DOWNLOADED, Result.INITIAL), "Automatic Upgrade is false"
        assert update.execute()
        update.await_finish()
    assert update.record.failure == ""
    assert server.version_of(dut) == images.update.version
