"""A package damaged on its way must never run.

OMA LightweightM2M-1.0-int-776 (integrity check failure).
"""

import pytest

from bench.firmware_update.states import Result


@pytest.mark.requirement("LightweightM2M-1.0-int-776", "OMA-5-5-5", "FOTA-STAYS")
def test_corrupted_image_is_refused(dut, server, images, delivery):
    """One flipped bit: back to Idle with result 5, or as the board's profile says; the old version stays."""
    update = server.update(dut, images.corrupted, delivery)

    assert update.violations == []
    assert update.ended(Result.INTEGRITY_FAILED)

    server.restart(dut)
    assert server.version_of(dut) == images.baseline.version
    dut.assert_running(images.baseline)
