"""The tables of commands: what a driver sends is in them, what is in them is sent, and each can be sent."""

import re
from pathlib import Path

import pytest
from instrument_rig import SupplyBench, power, recorded

from bench.errors import ConfigError, InstrumentError
from bench.instruments.command_table import commands_of, documented, tables
from bench.instruments.current_meter import CurrentMeter, InlineMeter
from bench.instruments.drivers import keysight_e36312a, keysight_n6705c, rigol_dp832, rs_ngm202
from bench.instruments.models import DRIVERS, connect_instrument
from bench.instruments.power_supply import PowerSupply, Regulation

DOCS = Path(__file__).parents[2] / "docs" / "instruments.md"
WITH_TABLE = sorted(n for n, kind in DRIVERS.items() if issubclass(kind, (PowerSupply, InlineMeter)))

EARLIER = {
    "keysight_e36312a": [
        "OUTP:PAIR PAR", "OUTP:COUP:CHAN ALL", "VOLT:MODE LIST,(@1)", "CURR:MODE LIST,(@1)",
        "VOLT:SENS:SOUR EXT,(@1)", "OUTP:DEL:RISE 1,(@1)", "OUTP:DEL:FALL 1,(@1)", "VOLT:PROT:STAT 0,(@1)",
    ],
    "keysight_n6705c": [
        "OUTP:COUP:CHAN 1,2", "OUTP:PROT:COUP 1", "EMUL CCL,(@1)", "FUNC CURR,(@2)", "VOLT:MODE LIST,(@1)",
        "CURR:MODE LIST,(@1)", "VOLT:SENS:SOUR EXT,(@1)", "VOLT:SLEW:MAX 0,(@1)", "OUTP:DEL:RISE 1,(@1)",
        "OUTP:DEL:FALL 1,(@1)", "OUTP:TMOD HIGHZ,(@1)", "RES:STAT 1,(@1)",
    ],
    "rs_ngm202": [
        "TRAC:ENAB:GEN 1", "INST OUT1;:ARB:STAT 1", "INST OUT1;:VOLT:RAMP:STAT 1",
        "INST OUT1;:OUTP:DEL:STAT 1", "INST OUT1;:OUTP:MODE SINK", "INST OUT1;:OUTP:IMP:STAT 1",
        "INST OUT1;:VOLT:SENS:SOUR EXT", "INST OUT1;:OUTP:TRIG:STAT 1", "INST OUT1;:BATT:SIM:ENAB 1",
    ],
    "rigol_dp832": [":OUTP:TRAC CH1,ON", ":INST:NSEL 1", ":TIME ON", ":DELAY ON"],
    "siglent_spd3303x": ["OUTP:TRACK 1", "TIME CH1,ON"],
    "korad_ka3005p": [],
    "nordic_ppk2": [],
}  # fmt: skip
"""What an earlier user leaves, so that everything is set back."""


def use_everything(bench, opened):
    """Every function of the driver."""
    if isinstance(opened, InlineMeter):
        opened.use_source(3.3)
        opened.pass_through(3.7)
        recorded(bench, configured(opened.meter(), 1000), 0.2)
        return
    channel = power(opened)
    assert (channel.voltage, channel.current_limit, channel.output) == (3.7, 0.5, True)
    assert (channel.regulation, channel.tripped) == (Regulation.CV, None)
    assert channel.measure_voltage() / channel.measure_current() == pytest.approx(37, rel=0.1)
    assert channel.discharges_when_off is (True if bench.driver == "keysight_n6705c" else None)
    if channel.ratings.ovp is not None:
        channel.ovp = 6
    if channel.ratings.ocp:
        channel.ocp = True
        channel.ocp = False
    channel.clear_protection()
    channel.output = True
    meter = opened.meter(1)
    recorded(bench, configured(meter, meter.ratings.fastest), 0.6)
    if bench.driver == "keysight_n6705c":
        recorded(bench, configured(meter, 1000, range=0.1), 0.2)
        opened.scope(1).capture(100)
        opened.scope(1).capture(100, range=0.1)
        bench.server.instrument.scopes[1]._finish = lambda: None
        with pytest.raises(InstrumentError, match="still measures"):
            opened.scope(1).capture(100)


def configured(meter: CurrentMeter, rate, **options):
    meter.configure(rate=rate, mode=meter.ratings.modes[0], **options)
    return meter


@pytest.mark.parametrize("driver", WITH_TABLE)
def test_all_that_is_in_a_table_is_sent(driver, sent):
    """And all that is sent is in it: the fixture `sent` looks."""
    bench = SupplyBench(driver)
    if driver == "nordic_ppk2":
        bench.feed()
    earlier = connect_instrument("psu", driver, bench.server.address, bench.clock, bench.timeline)
    for command in EARLIER[driver]:
        earlier.transport.write(command)
    if EARLIER[driver]:
        earlier.transport.query("*IDN?")  # answered once all before it is done
    earlier.close()
    opened = bench.open()
    use_everything(bench, opened)
    opened.close()
    bench.close()
    table = commands_of(driver)
    assert {name for name, _ in sent} == {driver}
    never = {c.form for c in table.commands} - {found.form for _, line in sent if (found := table.find(line))}
    assert never == set()


@pytest.mark.parametrize("driver", WITH_TABLE)
def test_each_example_can_be_sent_once_in_this_order_and_powers_nothing(driver):
    bench = SupplyBench(driver)
    opened = bench.open()
    wire = opened.transport
    for command in commands_of(driver).commands:
        if driver == "nordic_ppk2":
            wire.send_bytes(bytes.fromhex(command.example))
        elif "FLOG:DATA" in command.form or "FETC" in command.form:
            bench.clock.sleep(0.255, "samples come")
            wire.query_block(command.example)
        elif command.is_query:
            wire.query(command.example)
        else:
            wire.write(command.example)
        if hasattr(opened, "errors"):
            assert opened.errors() == [], command.form
        assert not bench.board.powered, command.form
    opened.close()
    bench.close()


def test_every_driver_has_a_table():
    assert sorted(tables()) == sorted(DRIVERS)
    with pytest.raises(ConfigError, match="'none' has no table of commands"):
        commands_of("none")


@pytest.mark.parametrize("table", tables().values(), ids=tables())
def test_every_source_is_one_that_is_named(table):
    short = {
        re.match(r"[\w-]+", part)[0]
        for command in table.commands
        if command.source is not None
        for part in command.source.split("; ")
    }
    assert short == set(table.sources)


@pytest.mark.parametrize("table", tables().values(), ids=tables())
def test_every_example_is_its_own_command_and_no_form_stands_for_another(table):
    for command in table.commands:
        assert table.find(command.example) is command
        assert command.fits(command.example)


def test_line_is_a_command_only_if_all_of_it_fits():
    table = commands_of("keysight_n6705c")
    assert table.find("VOLT:PROT:REM 6.5,(@3)").form == "VOLT:PROT:REM <ovp>,(@<n>)"
    for line in (
        "VOLT:PROT 6.5,(@3)",
        "VOLT:PROT:REM 6.5",
        "VOLT 3,(@1);:OUTP 1,(@1)",
        "VOLT 3, (@1)",
        "VOLT 3",
    ):
        assert table.find(line) is None, line


@pytest.mark.parametrize(
    ("driver", "modes"),
    [
        ("keysight_e36312a", (*keysight_e36312a.TIED, *keysight_e36312a.MODES)),
        ("keysight_n6705c", (*keysight_n6705c.TIED, *keysight_n6705c.MODES, keysight_n6705c.RESISTANCE)),
        ("rs_ngm202", (rs_ngm202.TRACKING, *rs_ngm202.MODES)),
        ("rigol_dp832", (rigol_dp832.TRACKING, rigol_dp832.TIMER, rigol_dp832.DELAYER)),
    ],
)
def test_query_that_must_be_answered_has_a_source(driver, modes):
    for mode in modes:
        if mode.certain:
            for command in mode.at(1).asks:
                assert commands_of(driver).find(command).source is not None, command


def test_what_nothing_confirms_is_known():
    """A new command without a source is seen here, and in the documentation."""
    assert {f"{t.driver} {c.form}" for t in tables().values() for c in t.commands if c.source is None} == {
        "keysight_e36312a VOLT:PROT:STAT? (@<n>)",
        "keysight_e36312a VOLT:PROT:STAT 1,(@<n>)",
        "keysight_e36312a STAT:QUES:INST:ISUM<n>:COND?",
        "rigol_dp832 :DELAY?",
        "rigol_dp832 :DELAY OFF",
    }


def test_documentation_shows_the_tables_as_they_are():
    text = DOCS.read_text("utf-8")
    assert documented(text) == text
    with pytest.raises(ConfigError, match="no place for the tables"):
        documented("# Instruments\n")
