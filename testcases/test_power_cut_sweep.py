"""The supply fails at every single flash operation of one update, on a virtual board.

Before each operation, and at three moments within it, when it is left half done; and once more while
the board recovers from that. Whatever was cut: the old or the new version boots, complete, and takes
an update. One cut alone: `--cut N`, with the number that a failing run tells.
"""


def test_power_cut_at_every_flash_operation(dut, delivery, cut_everywhere):
    """No cut bricks the board, mixes old and new, or makes it deaf to further updates."""
    sweep = cut_everywhere(dut, delivery)

    assert sweep.problems == []
    assert {"old", "new"} >= sweep.booted
    assert sweep.phases >= {"download", "swap", "confirm"} or sweep.is_single
