"""Many updates in a row: each succeeds, and the flash is not worn out by them. `--soak N` says how many."""

import pytest

from bench.firmware_update.states import Delivery

LIFETIME = 1000
"""Updates that a product should live to see; one a week for almost twenty years."""


@pytest.mark.requirement("OMA-5-3-success", "OMA-5-5-1")
def test_updates_in_a_row(dut, server, images, soak, say):
    """By PUSH and PULL in turn, where it takes both, without a restart of the board in between."""
    ways = dut.type.profile.delivery
    for number in range(soak):
        delivery = Delivery(ways[number % len(ways)])
        record = server.update(dut, images.update, delivery)
        assert record.failure == "", f"update {number + 1} of {soak}, by {delivery}"
        assert server.version_of(dut) == images.update.version

    say(f"{soak} updates in a row")
    dut.assert_running(images.update)


@pytest.mark.requirement("FOTA-WEAR")
def test_wear(dut, server, images, delivery, soak, wear_of, say):
    """No page is erased so often that the flash ends before the product does, whichever way packages come."""
    before = wear_of(dut)
    for number in range(soak):
        assert server.update(dut, images.update, delivery).failure == "", f"update {number + 1}"
    wear = wear_of(dut).since(before)

    say(f"{soak} updates: {wear}")
    assert wear.most * LIFETIME <= wear.endurance * soak, f"{wear}; it stands {wear.endurance} erases"
