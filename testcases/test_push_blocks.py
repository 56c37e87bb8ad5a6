"""Blocks of a PUSH that come twice, or not at all (RFC 7959): what runs in the end is the package."""

import pytest

from bench.firmware_update.states import Delivery, Result


def assert_updated(dut, server, images, update):
    assert update.record.violations == []
    assert update.record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


pytestmark = pytest.mark.delivery("push")


@pytest.mark.requirement("FOTA-WHOLE", "RFC7959-2.5-atomic", "FOTA-ONE-TRANSFER")
@pytest.mark.parametrize("share", [0.001, 0.4], ids=["first", "half-way"])
def test_repeated_block(dut, server, images, share, recommended):
    """The answer to a block was lost, and it comes as a new message: what runs in the end is the package.

    A server that holds the block already may answer 2.31 or 4.08, and 4.08 means to begin anew (RFC 7959
    section 2.9.2), which a product should not need.
    """
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver(share)
        update.send_apart(-1)
        update.finish()
    assert_updated(dut, server, images, update)
    with recommended("FOTA-ONE-TRANSFER"):
        assert update.record.push.restarts == 0, "the transfer began anew"


@pytest.mark.requirement("FOTA-WHOLE", "LwM2M-1.0-E.6.1")
def test_repeated_last_block(dut, server, images):
    """Once more after the package is complete: it stays Downloaded, and is installed."""
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver()
        update.send_apart(-1)
        assert update.await_downloaded(), "its last block came twice"
        update.finish()
    assert_updated(dut, server, images, update)


@pytest.mark.requirement("FOTA-WHOLE", "RFC7959-2.5-out-of-order")
def test_block_left_out(dut, server, images):
    """A block that does not follow the one before is never put in its place."""
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver(0.4)
        update.send_apart(1)
        update.finish()
    assert_updated(dut, server, images, update)
