"""A PUSH in every form that RFC 7959 and LwM2M leave to the server: what runs in the end is the package."""

import pytest

from bench.errors import NotApplicable
from bench.firmware_update.states import Delivery, Result
from bench.lwm2m.management.push import Form
from bench.lwm2m.model.content import TLV

pytestmark = pytest.mark.delivery("push")

PAUSE = 44
"""Seconds; a message whose first copies are lost comes as late as this (RFC 7252, 4.8.2: 45 s at most)."""
SMALLEST = 0
"""Size exponent of blocks of 16 bytes."""


@pytest.fixture
def push(dut, server, images):
    """Has the update pushed in such a form; it must be installed, whole."""

    def run(form):
        with server.begin(dut, images.update, Delivery.PUSH, push=form) as update:
            record = update.finish()
        assert_installed(dut, server, images, record)

    return run


def assert_installed(dut, server, images, record):
    assert record.violations == []
    assert record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("RFC7959-4-size", "FOTA-WHOLE")
@pytest.mark.parametrize(
    "announced",
    [pytest.param(lambda size: None, id="not-at-all"), pytest.param(lambda size: size // 2, id="too-small")],
)
def test_announced_size(push, announced):
    """Size1 is an estimate, and may be left out: the M bit tells the end."""
    push(Form(announced=announced))


@pytest.mark.requirement("RFC7959-2.3-preference", "RFC7959-2.3-acknowledges", "FOTA-WHOLE")
def test_blocks_become_smaller(images, push):
    """A server may go down with the block size at any time; at the end to blocks of 16 bytes."""
    size = images.update.size
    push(Form(smaller=((size // 4, 5), (size // 2, 4), (size - 1024, SMALLEST))))


@pytest.mark.requirement("RFC7252-4.2-envelope", "FOTA-LINK", "FOTA-PATIENCE")
def test_slow_push(dut, server, images, clock, recommended):
    """Between blocks as much time passes as a message may take: the package arrives all the same."""
    pauses = max(1, int(dut.type.timeouts.download / 2 // PAUSE))
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        for number in range(pauses):
            update.deliver((number + 1) / (pauses + 1))
            clock.sleep(PAUSE, "a block whose first copies are lost")
        record = update.finish()
    assert_installed(dut, server, images, record)
    with recommended("FOTA-PATIENCE"):
        assert record.push.restarts == 0, "it was given up on the way, and began anew"


@pytest.mark.requirement("LwM2M-1.0-6.4-tlv", "FOTA-WHOLE")
def test_package_in_tlv(dut, server, images, recommended):
    """Who speaks TLV should take a package in it; and if it does, the package alone is installed."""
    registration = server.client(dut).registration
    if TLV not in registration.formats and registration.version != "1.0":
        raise NotApplicable("the device does not say, when it registers, that it speaks TLV")
    with server.begin(dut, images.update, Delivery.PUSH, push=Form(content_format=TLV)) as update:
        update.deliver()
        with recommended("LwM2M-1.0-6.4-tlv"):
            assert update.record.push.complete, f"a package in TLV: {update.record.push.reason}"
        if not update.record.push.complete:
            return
        record = update.finish()
    assert_installed(dut, server, images, record)


@pytest.mark.requirement("OMA-5-5-2", "RFC7959-4-size", "FOTA-RECOVERY")
@pytest.mark.image("oversized")
def test_too_large_and_not_announced(dut, server, images):
    """The slot is full before the last block: result 2, as where the size is told."""
    with server.begin(dut, images.oversized, Delivery.PUSH, push=Form(announced=lambda size: None)) as update:
        record = update.finish()
    assert record.violations == []
    assert record.ended(Result.NOT_ENOUGH_FLASH)
    server.make_idle(dut)
    assert server.update(dut, images.update).failure == "", "a good package after it"
