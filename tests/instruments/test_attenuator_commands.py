"""The tables of commands of the attenuators: what each says over each of its wires, and nothing else."""

import pytest
from instrument_rig import AttenuatorBench
from test_attenuators import KINDS

from bench.instruments.command_table import commands_of
from bench.virtual.instruments.j7211 import J7211

DRIVERS = sorted({driver for driver, _ in KINDS.values()})


def use_everything(kind):
    """A driver's whole use over one wire, of an instrument that an earlier user left as it should not be."""
    rig = AttenuatorBench(*KINDS[kind])
    if isinstance(getattr(rig.server.instrument, "instrument", rig.server.instrument), J7211):
        rig.server.instrument.execute("ATT:REL:STAT 1")
    attenuator = rig.open()
    for name in attenuator.paths:
        attenuator.path(name).attenuation = 12
    attenuator.close()
    rig.close()


@pytest.mark.parametrize("driver", DRIVERS)
def test_all_that_is_in_a_table_is_sent(driver, sent):
    """And all that is sent is in it: the fixture `sent` looks."""
    for kind, (used, _) in KINDS.items():
        if used == driver:
            use_everything(kind)
    table = commands_of(driver)
    assert {name for name, _ in sent} == {driver}
    never = {c.form for c in table.commands} - {found.form for _, line in sent if (found := table.find(line))}
    assert never == set()
