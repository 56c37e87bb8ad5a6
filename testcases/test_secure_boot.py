"""Hostile and odd images: each is refused with the right result, and the old version runs, untouched.

`bench.firmware.hostile_kinds` has the table of what the images are.
"""

import pytest

from bench.firmware_update.service import delivery_of
from bench.firmware_update.states import Delivery, Result


def assert_untouched(dut, server, images):
    """The baseline runs and stays, bit for bit, and nothing waits for the bootloader."""
    assert server.version_of(dut) == images.baseline.version
    server.restart(dut)
    assert server.version_of(dut) == images.baseline.version, "the old version did not stay"
    dut.assert_running(images.baseline)
    dut.assert_settled()


@pytest.mark.requirement("FOTA-AUTHENTIC", "BOOT-VALID", "BOOT-ERASED")
@pytest.mark.requirement("BOOT-HASH", hostile=("flip-body", "wrong-hash", "bad-sha256", "truncated"))
@pytest.mark.requirement(
    "BOOT-SIGNATURE", hostile=("wrong-key", "unsigned", "flip-signature", "other-signature")
)
@pytest.mark.requirement("BOOT-FORMAT", hostile=("flip-header", "wrong-magic"))
@pytest.mark.requirement("BOOT-PROTECTED", hostile=("flip-protected-tlv", "counter-not-signed"))
@pytest.mark.requirement("BOOT-VERSION", hostile="lower-version")
@pytest.mark.requirement("BOOT-COUNTER", hostile=("lower-counter", "counter-not-signed"))
@pytest.mark.requirement("BOOT-DEPENDENCY", hostile="dependency-unmet")
@pytest.mark.capability("readback")
def test_hostile_image_is_refused(dut, server, images, hostile):
    """Before Downloaded with its result, or at boot with result 8; it never runs."""
    image, delivery = hostile.image(images), delivery_of(dut, Delivery.PULL)
    update = server.update(dut, image, delivery)

    assert update.violations == []
    # to write nothing to Package may as well reset it
    resets = [Result.INITIAL] if delivery is Delivery.PUSH and not image.data else []
    assert update.ended(*map(Result, hostile.results), *resets), f"{hostile}: {hostile.what}"
    assert_untouched(dut, server, images)


@pytest.mark.requirement("FOTA-RECOVERY", "BOOT-SIGNATURE")
@pytest.mark.hostile("wrong-key")
def test_good_update_after_a_hostile_image(dut, server, images, hostile, delivery):
    """After a refusal the device takes the good package as if nothing had been."""
    refused = server.update(dut, hostile.image(images), delivery)
    assert refused.ended(*map(Result, hostile.results)), f"{hostile}: {hostile.what}"
    server.make_idle(dut)
    assert server.update(dut, images.update, delivery).failure == ""
    assert server.version_of(dut) == images.update.version


@pytest.mark.requirement("FOTA-AUTHENTIC", "BOOT-EVERY-BOOT")
@pytest.mark.capability("readback", "verified-boot", "start-line")
@pytest.mark.hostile("wrong-key", "unsigned", "flip-body", "wrong-hash", "bad-sha256", "other-signature")
def test_hostile_image_in_the_primary_slot_does_not_run(dut, clock, images, hostile):
    """Written past the update, over SWD or serial: the bootloader starts nothing."""
    dut.power_off()
    dut.install(hostile.image(images))
    mark = dut.console.mark()
    dut.power_on()
    clock.sleep(dut.type.timeouts.boot, "nothing may start")
    assert dut.applications_started(mark) == []
