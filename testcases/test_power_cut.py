"""The supply fails during an update, at moments spread over download, swap, first boot and confirmation.

After each cut the board is powered again and must register, run the old or the new version, and take
a whole update, whose image is then read back. `--power-cuts N` says how many cuts; the bound that
their outcome puts on the brick rate is printed.
"""

import pytest

from bench.power_cuts.bound import statement
from bench.power_cuts.by_supply import spread


@pytest.mark.requirement("FOTA-POWER", "FOTA-WHOLE", "BOOT-INTERRUPTED")
def test_power_cuts(supply_cuts, power_cuts, seed, say):
    """Switched off and on."""
    moments = spread(supply_cuts.reference(), power_cuts, seed)

    problems = supply_cuts.survive(moments, supply_cuts.clean_cut)

    say(statement(len(problems), len(moments)))
    assert problems == []


@pytest.mark.requirement("FOTA-POWER", "FOTA-WHOLE", "BOOT-INTERRUPTED")
@pytest.mark.delivery("push")
@pytest.mark.capability("brown-out")
def test_brown_outs(supply_cuts, power_cuts, seed, say):
    """The voltage sinks slowly to where the board is certainly dead, and slowly comes back."""
    moments = spread(supply_cuts.reference(), power_cuts, seed)

    problems = supply_cuts.survive(moments, supply_cuts.brown_out)

    say(statement(len(problems), len(moments)))
    assert problems == []
