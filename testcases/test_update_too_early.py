"""Update is executed although there is nothing to install.

OMA LightweightM2M-1.0-int-772 (firmware package not downloaded).
"""

import pytest

from bench.firmware_update.states import Result, State


@pytest.mark.requirement("LightweightM2M-1.0-int-772", "OMA-5-2-only-when-downloaded")
def test_update_in_idle(dut, server, images, object5):
    """Refused, and nothing changes."""
    assert object5.execute().refused
    assert object5.shows(State.IDLE, Result.INITIAL)
    assert server.version_of(dut) == images.baseline.version


@pytest.mark.requirement("LightweightM2M-1.0-int-772", "OMA-5-2-only-when-downloaded")
def test_update_while_downloading(dut, server, images, delivery, object5):
    """Refused, and the download goes on to a successful update."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver_and_linger(0.3)
        assert object5.execute().refused
        record = update.finish()

    assert record.violations == []
    assert record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version


@pytest.mark.requirement("LightweightM2M-1.0-int-772", "OMA-5-2-only-when-downloaded")
def test_update_after_a_finished_update(dut, server, images):
    """An update that is over cannot be executed once more."""
    assert server.update(dut, images.update).failure == ""
    assert server.object5(dut).execute().refused
    assert server.version_of(dut) == images.update.version
