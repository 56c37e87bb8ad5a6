"""Blocks of a PUSH that come twice, or not at all (RFC 7959): what runs in the end is the package."""

import pytest

from bench.firmware_update.states import Delivery, Result, State

INCOMPLETE = "4.08"


def assert_updated(dut, server, images, update):
    assert update.record.violations == []
    assert update.record.outcome == (State.IDLE, Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.parametrize("share", [0.001, 0.4], ids=["first", "half-way"])
def test_repeated_block(dut, server, images, share):
    """The answer to a block was lost, and it comes as a new message: the transfer goes on where it was."""
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver(share)
        assert update.send_apart(-1) in ("2.31", INCOMPLETE)
        update.finish()
    assert update.record.push.restarts == 0, "a repeated block cost the whole transfer"
    assert_updated(dut, server, images, update)


def test_repeated_last_block(dut, server, images):
    """Once more after the package is complete: it stays Downloaded, and is installed."""
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver()
        update.send_apart(-1)
        assert update.await_downloaded(), "the repeated block undid the download"
        update.finish()
    assert_updated(dut, server, images, update)


def test_block_left_out(dut, server, images):
    """A block that does not follow the one before is refused with 4.08, never put in its place."""
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver(0.4)
        assert update.send_apart(1) == INCOMPLETE
        update.finish()
    assert_updated(dut, server, images, update)
