"""The simulated E36312A by itself: grammar, queue, several peers; PyVISA without our driver."""

import pytest
import pyvisa


@pytest.fixture
def visa(bench):
    resource = pyvisa.ResourceManager("@py").open_resource(
        bench.server.address, read_termination="\n", write_termination="\n", timeout=2000
    )
    yield resource
    resource.close()


@pytest.mark.parametrize(
    "command",
    [
        "VOLT 1.5",
        "volt 1.5,(@1)",
        "SOUR:VOLT 1.5",
        ":SOURce:VOLTage:LEVel:IMMediate:AMPLitude 1500 mV,(@1)",
        "VOLT 1.5E0",
    ],
)
def test_every_form_of_a_header_is_understood(visa, command):
    visa.write(command)
    assert float(visa.query("VOLTage:LEV? (@1)")) == 1.5
    assert visa.query("SYST:ERR?") == '+0,"No error"'


def test_chains_and_channel_lists(visa):
    visa.write("VOLT 2,(@1:3);:CURR 0.5,(@1,3);CURR:PROT:DEL 0.1,(@2);STAT ON,(@2)")
    assert visa.query("SYST:ERR?") == '+0,"No error"'
    assert [float(v) for v in visa.query("VOLT? (@1:3)").split(",")] == [2, 2, 2]
    assert [float(v) for v in visa.query("CURR? (@1,2,3)").split(",")] == [0.5, 1.03, 0.5]
    assert visa.query("CURR:PROT:STAT? (@2);STAT? (@1)") == "1;0"
    visa.write("INST:NSEL 2")
    assert visa.query("CURR:PROT:STAT?;*OPC?") == "1;1"
    visa.write("*RST")
    assert visa.query("INST:NSEL?;:VOLT? (@1)") == "1;+0.00000000E+00"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("VOLT 6.2,(@1)", -222),
        ("VOLT -1,(@1)", -222),
        ("VOLT 1,(@4)", -222),
        ("VOLT NAN", -104),
        ("VOLT 1 K", -104),
        ("VOLT", -109),
        ("VOLT 1,2", -108),
        ("OUTP MAYBE", -224),
        ("VOLT 1,(@1", -102),
        ("FOO:BAR 1", -113),
        ("MEAS:VOLT", -113),
        ("MEASU:VOLT?", -113),
    ],
)
def test_bad_commands_queue_their_error_and_change_nothing(visa, command, code):
    visa.write(command)
    assert visa.query("SYST:ERR?").startswith(f"{code},")
    assert visa.query("SYST:ERR?") == '+0,"No error"'
    assert float(visa.query("VOLT? (@1)")) == 0


def test_error_queue_keeps_order_and_overflows(visa):
    for _ in range(30):
        visa.write("VOLT 99")
    errors = [visa.query("SYST:ERR?") for _ in range(21)]
    assert [e.partition(",")[0] for e in errors] == ["-222"] * 19 + ["-350", "+0"]
    visa.write("BAD")
    visa.write("*CLS")
    assert visa.query("SYST:ERR?") == '+0,"No error"'


def test_clearing_a_trip_brings_the_output_back(bench, visa):
    visa.write("VOLT 3.7;:VOLT:PROT 4;:OUTP ON")
    visa.write("VOLT 5")
    assert visa.query("VOLT:PROT:TRIP?") == "1"
    assert int(visa.query("STAT:QUES:INST:ISUM1:COND?")) & 3 == 0
    assert not bench.board.powered
    visa.write("VOLT 3.7")
    visa.write("OUTP:PROT:CLE (@1)")
    assert visa.query("VOLT:PROT:TRIP?") == "0"
    assert bench.board.powered


def test_peers_at_the_same_time_see_one_instrument(bench, visa):
    manager = pyvisa.ResourceManager("@py")
    others = [
        manager.open_resource(bench.server.address, read_termination="\n", write_termination="\n")
        for _ in range(3)
    ]
    for number, other in enumerate(others):
        assert other.query(f"CURR 0.{number + 1};*OPC?") == "1"  # done before the other peer looks
        assert float(visa.query("CURR?")) == pytest.approx(0.1 * (number + 1))
    others[0].close()
    assert float(others[1].query("CURR?")) == pytest.approx(0.3)
    for other in others[1:]:
        other.close()


def test_status_byte_and_event_register_tell_of_errors(visa):
    """What clients ask that do not poll the queue (IEEE 488.2)."""
    assert (visa.query("*STB?"), visa.query("*ESR?")) == ("0", "0")
    visa.write("VOLT 7")
    assert visa.query("*STB?") == "4"
    visa.write("*ESE 16;*OPC")
    assert visa.query("*STB?;*ESE?") == "36;16"
    assert visa.query("*ESR?;*ESR?") == "17;0"
    visa.write("FOO")
    assert visa.query("*ESR?") == "32"
    visa.write("*CLS")
    assert visa.query("*STB?;SYST:ERR?") == '0;+0,"No error"'
