"""The tables of commands of the attenuators, against what goes over each of their wires."""

import re
import tomllib
from pathlib import Path

import pytest
from instrument_rig import AttenuatorBench
from test_attenuators import KINDS

import bench.instruments
from bench.virtual.instruments.j7211 import J7211

TABLES = Path(bench.instruments.__file__).parent / "commands"
DRIVERS = sorted({driver for driver, _ in KINDS.values()})


def table(driver):
    return tomllib.loads((TABLES / f"{driver}.toml").read_text("utf-8"))


def fits(form, line):
    parts = re.split(r"<[\w-]+>", form)
    return re.fullmatch(r"[^,;\s]+".join(map(re.escape, parts)), line) is not None


def said(kind):
    """Every command of a driver's whole use over one wire."""
    rig = AttenuatorBench(*KINDS[kind])
    if isinstance(getattr(rig.server.instrument, "instrument", rig.server.instrument), J7211):
        rig.server.instrument.execute("ATT:REL:STAT 1")
    attenuator = rig.open()
    for name in attenuator.paths:
        attenuator.path(name).attenuation = 12
    attenuator.close()
    rig.close()
    return [entry.text[2:] for entry in rig.timeline if entry.text.startswith("> ")]


@pytest.mark.parametrize("driver", DRIVERS)
def test_table_is_what_is_said(driver):
    forms = table(driver)["commands"]
    lines = [line for kind, (used, _) in KINDS.items() if used == driver for line in said(kind)]
    assert lines
    assert {line for line in lines if not any(fits(form, line) for form in forms)} == set()
    assert {form for form in forms if not any(fits(form, line) for line in lines)} == set()


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_source_is_named_and_used(driver):
    told = table(driver)
    cited = {name for row in told["commands"].values() for name in row.get("source", "").split("; ") if name}
    assert cited == set(told["sources"])
