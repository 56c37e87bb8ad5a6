"""An update at each signal level of the board file, from good to beyond the knee."""

import pytest

from bench.firmware_update.states import Result, State

RATE = 1000
"""Means a second: an update in weak signal is long."""


@pytest.mark.requirement("FOTA-SIGNAL", "OMA-5-5-4")
def test_update_at_signal_level(dut, server, images, delivery, rf, signal_level, current_if_any, level_curve):
    """Above the knee it succeeds; below, it succeeds or ends with result 4 and the old version running."""
    patience = dut.type.radio.patience
    rf.set_rsrp(signal_level)
    with level_curve.measuring(current_if_any, rate=RATE):
        record = server.update(dut, images.update, delivery, patience=patience)
    rf.clear()

    level_curve.note(signal_level, delivery, record)
    assert record.violations == []
    if signal_level >= dut.type.radio.knee:
        assert record.failure == ""
    if record.outcome == (State.IDLE, Result.SUCCESS):
        assert server.version_of(dut) == images.update.version
        dut.assert_running(images.update)
    else:
        assert record.ended(Result.CONNECTION_LOST)
        assert server.version_of(dut) == images.baseline.version
        dut.assert_running(images.baseline)
