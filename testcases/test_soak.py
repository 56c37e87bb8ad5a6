"""Many updates in a row: each succeeds, and the flash is not worn out by them. `--soak N` says how many."""

import pytest

from bench.firmware_update.states import Delivery

LIFETIME = 1000
"""Updates that a product should live to see; one a week for almost twenty years."""


@pytest.mark.requirement("OMA-5-3-success", "OMA-5-5-1")
def test_updates_in_a_row(dut, server, images, soak, say):
    """By PUSH and PULL in turn, where it takes both, without a restart of the board in between.

    And to the update and another build of it in turn, where there is one: who skips what it has already runs
    the wrong one in the end.
    """
    ways, other = dut.type.profile.delivery, images.variants.get("other-build")
    builds = [images.update] if other is None else [images.update, other]
    for number in range(soak):
        delivery, image = Delivery(ways[number % len(ways)]), builds[number % len(builds)]
        record = server.update(dut, image, delivery)
        assert record.failure == "", f"update {number + 1} of {soak}, by {delivery}"
        assert server.version_of(dut) == image.version

    say(f"{soak} updates in a row")
    dut.assert_running(image)


@pytest.mark.requirement("FOTA-WEAR")
def test_wear(dut, server, images, delivery, soak, wear_of, say):
    """No page is erased so often that the flash ends before the product does, whichever way packages come."""
    before = wear_of(dut)
    for number in range(soak):
        assert server.update(dut, images.update, delivery).failure == "", f"update {number + 1}"
    wear = wear_of(dut).since(before)

    say(f"{soak} updates: {wear}")
    assert wear.most * LIFETIME <= wear.endurance * soak, f"{wear}; it stands {wear.endurance} erases"


MANY = 20
"""Downloads that come to nothing: a buffer of 3 kB lost with each is what a small device has."""
NO_FIRMWARE = b"no firmware" * 40


@pytest.mark.requirement("FOTA-RECOVERY", "OMA-5-5-3")
def test_many_downloads_that_come_to_nothing(dut, server, images):
    """Refused ones and ones that are given up: after them there is memory for a good one."""
    by_push = "push" in dut.type.profile.delivery
    object5 = server.object5(dut)
    for _ in range(MANY):
        with server.begin(dut, images.update) as update:
            if by_push:
                object5.write_package(NO_FIRMWARE)
            else:
                object5.write_uri(f"{server.uri_for(dut)}/fw/no-such-package.bin")
            update.await_download_over()
        server.make_idle(dut)
    for _ in range(MANY):
        with server.begin(dut, images.update) as update:
            update.deliver(0.05)
        server.make_idle(dut)
    record = server.update(dut, images.update)
    assert record.failure == "", f"after {2 * MANY} downloads that came to nothing"
