"""PUSH only when the device's own report of its signal (object 4) allows it."""

import pytest

from bench.firmware_update.gate import SIGNAL_STRENGTH, SignalGate
from bench.firmware_update.states import Delivery, Result

pytestmark = [pytest.mark.capability("signal"), pytest.mark.delivery("push")]

MARGIN = 6
"""dB around the strength that the device reports now."""


@pytest.fixture
def strength(dut, server):
    """Radio Signal Strength in dBm, as reported now."""
    reported = int(server.client(dut).read(SIGNAL_STRENGTH))
    assert -157 <= reported <= -30, "dBm"
    return reported


@pytest.mark.requirement("OMA-4-2-signal")
def test_no_push_below_the_threshold(dut, server, images, strength, clock):
    """While the signal is too weak not one block is sent."""
    gate = SignalGate(min_strength=strength + MARGIN)
    update = server.update(dut, images.update, Delivery.PUSH, gate=gate)

    assert update.delivered == 0
    assert update.ended(Result.INITIAL)
    assert server.version_of(dut) == images.baseline.version


@pytest.mark.requirement("OMA-4-2-signal")
def test_push_above_the_threshold(dut, server, images, strength):
    """With enough signal the update runs at once."""
    gate = SignalGate(min_strength=strength - MARGIN)
    update = server.update(dut, images.update, Delivery.PUSH, gate=gate)

    assert update.violations == []
    assert update.ended(Result.SUCCESS)
