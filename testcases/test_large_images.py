"""Images of odd lengths, and as large as a slot takes: every byte counts, up to the last page."""

import pytest

from bench.firmware.rebuilt import grown
from bench.firmware_update.states import Delivery, Transport

PAGE = 4096
"""Bytes; a multiple of every block size (RFC 7959 section 2.2)."""

pytestmark = [pytest.mark.image("rebuilt"), pytest.mark.capability("readback")]


def download(dut, server, image, delivery, transport=None):
    """Until it is Downloaded, and the slot holds it; then it is discarded."""
    patience = image.size / dut.images.update.size
    with server.begin(dut, image, delivery, transport, patience=patience) as update:
        update.deliver()
        assert update.await_downloaded(), f"{image.size} bytes by {delivery}"
        assert update.record.violations == []
        assert dut.holds_package(image), f"the slot holds other bytes than the {image.size} that came"
        server.restart(dut)  # a look into the flash may have stopped it
    server.make_idle(dut)


@pytest.mark.requirement(
    "FOTA-WHOLE", "OMA-5-1-fetches", "OMA-5-3-downloaded", "OMA-5-2-installs", "OMA-5-5-1"
)
@pytest.mark.image("oversized")
@pytest.mark.delivery("pull")
def test_last_byte_is_alone(dut, server, images):
    """In its block, and on the last page of the slot: an image that large is fetched and installed."""
    image = grown(images, images.update, images.limit - PAGE + 1)
    patience = image.size / images.update.size
    record = server.update(dut, image, Delivery.PULL, patience=patience)
    assert record.failure == "", f"an image of {image.size} bytes"
    server.restart(dut)
    assert server.version_of(dut) == image.version
    dut.assert_running(image)


@pytest.mark.requirement("FOTA-WHOLE", "OMA-5-3-downloaded")
@pytest.mark.requirement("RFC7959-2.4-size", transport="coap")
@pytest.mark.delivery("pull")
@pytest.mark.parametrize("transport", [Transport.COAP, Transport.HTTP], ids=str, indirect=True)
def test_last_block_is_full(dut, server, images, transport):
    """A package of whole blocks, and whole pages, ends where it ends."""
    image = grown(images, images.update, -(-images.update.size // PAGE) * PAGE + PAGE)
    download(dut, server, image, Delivery.PULL, transport)
