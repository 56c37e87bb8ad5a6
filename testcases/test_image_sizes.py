"""Images of every length that a slot takes: to its last page; a last block that is full, or of one byte."""

import pytest

from bench.firmware.corrupt import replaced
from bench.firmware_update.service import delivery_of
from bench.firmware_update.states import Delivery, Result

EXCHANGE_LIFETIME = 247
"""Seconds in which no message ID is used again (RFC 7252 sections 4.4 and 4.8.2)."""
REFUSALS = (Result.INTEGRITY_FAILED, Result.UNSUPPORTED_PACKAGE, Result.NOT_ENOUGH_FLASH)


def assert_installed(dut, server, record, image):
    assert record.failure == "", f"an image of {image.size} bytes"
    assert server.version_of(dut) == image.version
    dut.assert_running(image)


@pytest.mark.requirement("RFC7959-2.5-atomic", "FOTA-WHOLE")
@pytest.mark.delivery("push")
@pytest.mark.parametrize(
    "build", [pytest.param(b, marks=pytest.mark.image(b)) for b in ("whole-blocks", "one-byte-more")]
)
def test_last_block(dut, server, images, delivery, build):
    """Full, or of a single byte: it is the last one, and is written like any other."""
    image = images.variant(build)
    assert_installed(dut, server, server.update(dut, image, delivery), image)


@pytest.mark.requirement("OMA-5-5-2", "FOTA-WHOLE", "FOTA-RECOVERY", "RFC7252-4.4-reuse")
@pytest.mark.image("largest")
def test_full_slot(dut, server, images, clock):
    """An image that fills a slot is installed, also over another package that filled it, and was refused.

    The one comes by PUSH, the other by PULL, where the device takes both.
    """
    largest, second = images.variant("largest"), delivery_of(dut, Delivery.PULL)
    refused = server.update(dut, replaced(largest))
    assert refused.violations == []
    assert refused.ended(*REFUSALS), "a file of the largest size that is no firmware"
    server.make_idle(dut)
    registration, since = server.client(dut).registration, clock.now()
    record = server.update(dut, largest, second)
    last = {}
    for time, message in server.lwm2m.asked_by(registration, since):
        before = last.get(message.mid, time - 2 * EXCHANGE_LIFETIME)
        assert time - before > EXCHANGE_LIFETIME, (
            f"message ID {message.mid} again after {time - before:.0f} s"
        )
        last[message.mid] = time
    assert_installed(dut, server, record, largest)
