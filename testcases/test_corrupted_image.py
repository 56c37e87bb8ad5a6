"""A package damaged on its way must never run.

OMA LightweightM2M-1.0-int-776 (integrity check failure).
"""

import pytest

from bench.firmware_update.states import Result, State


@pytest.mark.requirement("LightweightM2M-1.0-int-776")
def test_corrupted_image_is_refused(dut, server, images, delivery):
    """One flipped bit: back to Idle with result 5, no Updating in between, the old version runs and stays."""
    update = server.update(dut, images.corrupted, delivery)

    assert update.violations == []
    assert State.UPDATING not in update.states
    assert update.outcome == (State.IDLE, Result.INTEGRITY_FAILED)

    server.restart(dut)
    assert server.version_of(dut) == images.baseline.version
    dut.assert_running(images.baseline)
