"""The supply fails at every single flash operation of one update, on a virtual board.

Before each operation, and at three moments within it, when it is left half done; and after those once
more while the board recovers. Whatever was cut: the old or the new version boots, complete, and takes
an update. One cut alone: `--cut N`, with the number that a failing run tells. Fewer: `--sweep-part 3/8`.

What the bootloader of the board file (`firmware.mcuboot`) is known to get wrong is told as a finding, by name
and with its source, and fails nothing: `bench/power_cuts/known_issues.toml`.
"""

import pytest

THINNED = 64
"""Of so many flash operations in the image slots one: all of them are cut where a fresh board begins."""


@pytest.mark.requirement("FOTA-POWER", "FOTA-WHOLE", "BOOT-INTERRUPTED")
@pytest.mark.delivery("push")
def test_power_cut_at_every_flash_operation(dut, delivery, cut_everywhere):
    """Download, swap, first boot, confirmation: no cut bricks the board or mixes old and new."""
    sweep = cut_everywhere(dut, delivery)

    assert sweep.problems == []
    assert not sweep.is_whole or sweep.phases == {"download", "swap", "first boot", "confirm"}
    assert not sweep.is_whole or sweep.booted == {"old", "new"}


@pytest.mark.requirement("FOTA-POWER", "FOTA-WHOLE")
@pytest.mark.delivery("pull")
def test_power_cut_at_every_flash_operation_of_a_pull(dut, delivery, cut_everywhere):
    """A download by the device itself, which it may resume: as above, and the old version runs."""
    sweep = cut_everywhere(dut, delivery, phases=("download",))

    assert sweep.problems == []
    assert sweep.booted == {"old"}


@pytest.mark.requirement("FOTA-POWER", "FOTA-WHOLE", "BOOT-INTERRUPTED")
@pytest.mark.delivery("push")
@pytest.mark.image("self-test-fails")
def test_power_cut_at_every_flash_operation_of_a_revert(dut, images, delivery, cut_everywhere):
    """A version that finds itself broken, from Update until the old one runs again.

    It does, but after cuts that the bootloader is known not to take.
    """
    assert images.self_test_fails.version != images.baseline.version
    sweep = cut_everywhere(dut, delivery, image="self-test-fails", phases=("swap", "first boot", "confirm"))

    assert sweep.problems == []
    assert sweep.booted == {"old"}


@pytest.mark.requirement("FOTA-POWER", "FOTA-WHOLE", "BOOT-INTERRUPTED")
@pytest.mark.delivery("push")
def test_power_cut_of_a_used_board(dut, delivery, cut_everywhere):
    """It runs from its second slot, and its log of settings is full: what it keeps of itself survives too."""
    sweep = cut_everywhere(dut, delivery, beginning="used", in_slots=THINNED)

    assert sweep.problems == []
    assert not sweep.is_whole or sweep.booted == {"old", "new"}


@pytest.mark.requirement("FOTA-POWER", "FOTA-WHOLE")
@pytest.mark.delivery("pull")
def test_power_cut_of_a_used_board_that_pulls(dut, delivery, cut_everywhere):
    """As above; where the progress of the download is kept, the log turns in the middle of it."""
    sweep = cut_everywhere(dut, delivery, phases=("download",), beginning="used", in_slots=THINNED)

    assert sweep.problems == []
    assert sweep.booted == {"old"}


@pytest.mark.requirement("FOTA-POWER", "FOTA-ROLLBACK", "BOOT-INTERRUPTED")
@pytest.mark.delivery("push")
@pytest.mark.image("self-test-fails")
def test_power_cut_of_a_used_board_that_reverts(dut, images, delivery, cut_everywhere):
    """A broken version was put where the first one once was: no cut has it boot without a trial."""
    assert images.self_test_fails.version != images.baseline.version
    sweep = cut_everywhere(
        dut,
        delivery,
        image="self-test-fails",
        phases=("swap", "first boot", "confirm"),
        beginning="used",
        in_slots=THINNED,
    )

    assert sweep.problems == []
    assert sweep.booted == {"old"}
