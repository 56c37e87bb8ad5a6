"""What is peculiar to one model; and the models beside it: which are taken, which refused."""

import pytest
from instrument_rig import SupplyBench, power

from bench.errors import InstrumentError
from bench.instruments.power_supply import Regulation, Trip

only = {
    name: pytest.mark.parametrize("bench", [name], indirect=True)
    for name in ("keysight_e36312a", "keysight_n6705c", "siglent_spd3303x", "korad_ka3005p", "nordic_ppk2")
}


def answering(bench, query, replies):
    """Answer `query` with `replies` in turn, the last of them ever after."""
    model, left = bench.server.instrument, list(replies)
    execute = model.execute

    def instead(line):
        reply = execute(line)
        return (left.pop(0) if len(left) > 1 else left[0]) if line == query else reply

    model.execute = instead


# ---- which models


@pytest.mark.parametrize(
    ("driver", "identity", "outputs", "volts", "amps"),
    [
        ("keysight_e36312a", "Keysight Technologies,E36313A,MY60000001,1.0.4", (1, 2, 3), 6.18, 10.3),
        ("keysight_n6705c", "Agilent Technologies,N6705B,MY50000001,D.02.01", (1, 2, 3, 4), 20.4, 3.06),
        ("rs_ngm202", "Rohde&Schwarz,NGM201,3638.4472k02/100001,03.068", (1,), 20.05, 6.01),
        ("rs_ngm202", "Rohde&Schwarz,NGU201,3639.3763k02/100001,02.078", (1,), 20.05, 8.01),
        ("rigol_dp832", "RIGOL TECHNOLOGIES,DP832A,DP8B200000001,00.01.14", (1, 2, 3), 32, 3.2),
        ("siglent_spd3303x", "Siglent Technologies,SPD3303X-E,SPD3EGG0000001,1.01.01.02.07", (1, 2), 32, 3.2),
    ],
)  # fmt: skip
def test_models_beside_it_have_their_own_ranges(driver, identity, outputs, volts, amps):
    bench = SupplyBench(driver)
    bench.server.instrument.identity = identity
    opened = bench.open()
    ratings = opened.channel(1).ratings
    assert (opened.channels, ratings.voltage.high, ratings.current_limit.high) == (outputs, volts, amps)
    if "E36313A" in identity:
        assert opened.channel(3).ratings.current_limit.high == 2.06
    opened.close()
    bench.close()


@pytest.mark.parametrize(
    ("driver", "identity"),
    [
        ("keysight_e36312a", "Keysight Technologies,E36311A,MY59000001,1.0.4"),
        ("keysight_e36312a", "Keysight Technologies,EDU36311A,CN61000001,1.0.2"),
        ("keysight_e36312a", "KEYSIGHT,E36233A,MY61000001,1.0.3"),
        ("keysight_n6705c", "Keysight Technologies,N6700C,MY54000001,E.02.10"),
        ("rs_ngm202", "Rohde&Schwarz,NGL202,3638.3376k03/100001,03.068"),
        ("rs_ngm202", "Rohde&Schwarz,NGU401,3639.3763k03/100001,02.078"),
        ("rs_ngm202", "Rohde&Schwarz,NGP804,5601.4007k05/100001,02.026"),
        ("rigol_dp832", "RIGOL TECHNOLOGIES,DP831A,DP8F190000001,00.01.14"),
        ("rigol_dp832", "RIGOL TECHNOLOGIES,DP821A,DP8E190000001,00.01.14"),
        ("rigol_dp832", "RIGOL TECHNOLOGIES,DP811A,DP8D190000001,00.01.14"),
        ("siglent_spd3303x", "Siglent Technologies,SPD3303C,SPD30000000001,1.01.01.01.02,V1.3"),
        ("siglent_spd3303x", "Siglent Technologies,SPD1168X,SPD13000000001,2.1.1.9,V1.0"),
        ("korad_ka3005p", b"KORADKD3005PV2.0"),
        ("korad_ka3005p", b"KORAD KA3305P V2.0 SN:00000001"),
        ("korad_ka3005p", b"KORAD KWR103 V1.4 SN:00000001"),
        ("korad_ka3005p", b"TENMA 72-13320 V1.0"),
        ("korad_ka3005p", b"TENMA 72-13330 V1.0"),
    ],
)
def test_likes_of_it_that_it_is_not_for_are_refused_untouched(driver, identity):
    bench = SupplyBench(driver)
    bench.server.instrument.identity = identity
    mark = bench.timeline.mark()
    with pytest.raises(InstrumentError, match="which its driver is not for"):
        bench.open()
    assert [e.text for e in bench.timeline.since(mark) if e.text.startswith("> ")] == ["> *IDN?"]
    bench.close()


# ---- Keysight N6705 with N678x


@only["keysight_n6705c"]
def test_modules_refuse_what_is_not_theirs(bench):
    bench.server.instrument.modules[2] = "N6731B"
    opened = bench.open()
    wire = opened.transport

    def error_of(command):
        wire.write(command)
        return wire.query("SYST:ERR?").partition(",")[0]

    assert error_of("VOLT:PROT 5,(@1)") == "-113"
    assert error_of("VOLT:PROT:REM 5,(@1)") == "+0"
    assert error_of("VOLT:PROT 5,(@2)") == "+0"
    for command in (
        "VOLT:PROT:REM 5",
        "CURR:LIM 1",
        "EMUL PS2Q",
        "FUNC VOLT",
        "OUTP:TMOD LOWZ",
        "RES:STAT 0",
    ):
        assert error_of(f"{command},(@2)") == "+310", command
    with pytest.raises(InstrumentError, match=r"VOLT:PROT\? \(@1\): no reply"):
        wire.query("VOLT:PROT? (@1)")
    opened.close()


@only["keysight_n6705c"]
def test_ovp_of_a_module_is_from_nothing_to_22_volts(bench, supply):
    channel = supply.channel(1)
    for volts in (0.5, 22):
        channel.ovp = volts
        assert channel.ovp == volts
    with pytest.raises(InstrumentError, match=r"OVP 22\.1 V is outside 0 to 22 V"):
        channel.ovp = 22.1
    supply.transport.write("VOLT:PROT:REM 22.1,(@1)")
    assert supply.transport.query("SYST:ERR?").startswith("-222,")


@only["keysight_n6705c"]
@pytest.mark.parametrize(
    ("condition", "trip"),
    [
        (0, None),
        (1 << 7, None),
        (1 << 10, None),
        (1 << 0 | 1 << 11, Trip.OVER_VOLTAGE),
        (1 << 6 | 1 << 11, Trip.OVER_VOLTAGE),
        (1 << 1 | 1 << 11, Trip.OVER_CURRENT),
        (1 << 2 | 1 << 11, Trip.MAINS),
        (1 << 4 | 1 << 11, Trip.OVER_TEMPERATURE),
        (1 << 9 | 1 << 11, Trip.INHIBITED),
        (1 << 12 | 1 << 11, Trip.OSCILLATION),
        (1 << 11, Trip.ELSEWHERE),
    ],
)
def test_every_bit_that_switches_off_is_a_trip(bench, supply, condition, trip):
    channel = power(supply)
    answering(bench, "STAT:QUES:COND? (@1)", [b"+%d" % condition])
    assert channel.tripped is trip
    if trip is not None:
        assert channel.regulation is Regulation.OFF


@only["keysight_n6705c"]
def test_limit_in_voltage_priority_is_told_by_lim_plus(bench, supply):
    channel = power(supply)
    for condition, regulation in (
        (1 << 7, Regulation.CC),
        (1 << 8, Regulation.CC),
        (1 << 10, Regulation.UNREGULATED),
    ):
        answering(bench, "STAT:QUES:COND? (@1)", [b"+%d" % condition])
        assert channel.regulation is regulation


@only["keysight_n6705c"]
def test_power_cut_reaches_a_sleeping_board_only_if_the_output_is_pulled_down(bench, supply):
    bench.board.amps = 20e-6
    channel = power(supply)
    assert channel.discharges_when_off is True
    channel.output = False
    assert not bench.board.powered
    supply.transport.write("OUTP:TMOD HIGHZ,(@1)")
    assert channel.discharges_when_off is False
    channel.output = True
    channel.output = False
    bench.clock.sleep(5, "a power cut")
    assert bench.board.powered, "220 uF keep it for some 10 s"
    bench.clock.sleep(6, "a longer one")
    assert not bench.board.powered


@only["keysight_n6705c"]
def test_module_without_output_resistance_is_not_asked_for_it(bench):
    bench.server.instrument.modules.update({1: "N6782A", 2: "N6785A"})
    opened = bench.open()
    asked = sorted({e.text for e in bench.timeline if "RES:STAT?" in e.text})
    assert asked == ["> RES:STAT? (@2)", "> RES:STAT? (@3)", "> RES:STAT? (@4)"]
    opened.close()


# ---- Siglent SPD3303X


@only["siglent_spd3303x"]
def test_no_command_is_lost_by_coming_too_soon(bench, supply):
    channel = power(supply)
    for millivolts in range(3300, 3350):
        channel.voltage = millivolts / 1000
        assert channel.measure_voltage() == pytest.approx(millivolts / 1000, abs=0.02)
    assert bench.server.instrument.lost == 0


@only["siglent_spd3303x"]
def test_two_programs_one_after_the_other_lose_nothing(bench):
    for _ in range(3):
        opened = bench.open()
        opened.close()
    assert bench.server.instrument.lost == 0


@only["siglent_spd3303x"]
@pytest.mark.parametrize(
    "replies",
    [[b"0  No Error"], [b"0 No Error"], [b"+0, No error"], [b'0,"No Error"'], [b"", b"0  No Error"]],
)
def test_every_way_of_saying_no_error_is_understood(bench, replies):
    answering(bench, "SYST:ERR?", replies)
    opened = bench.open()
    opened.channel(1).voltage = 3.3
    opened.close()


@only["siglent_spd3303x"]
@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ([b"0 No Error", b"-113  Undefined header", b"0 No Error"], "refused: -113  Undefined header"),
        ([b"0 No Error", b"", b"+2, Setting conflict", b"0 No Error"], r"refused: \+2, Setting conflict"),
        ([b"0 No Error", b""], "answered '', which is no error entry"),
        ([b"0 No Error", b"No Error"], "answered 'No Error', which is no error entry"),
    ],
)
def test_errors_are_never_taken_for_none(bench, replies, said):
    opened = bench.open()
    answering(bench, "SYST:ERR?", replies[1:])
    with pytest.raises(InstrumentError, match=said):
        opened.channel(1).voltage = 3.3
    opened.close()


@only["siglent_spd3303x"]
@pytest.mark.parametrize(
    ("status", "on", "regulation"),
    [
        (b"0x4", False, Regulation.OFF),
        (b"0x0004", False, Regulation.OFF),
        (b"0x14", True, Regulation.CV),
        (b"0x0315", True, Regulation.CC),  # both displays show curves
        (b"14", True, Regulation.CV),
        (b"0x2", False, Regulation.OFF),
        (b"0x26", False, Regulation.OFF),  # only CH2
    ],
)
def test_status_bits(bench, supply, status, on, regulation):
    answering(bench, "SYST:STAT?", [status])
    assert (supply.channel(1).output, supply.channel(1).regulation) == (on, regulation)


@only["siglent_spd3303x"]
def test_status_that_is_no_number_is_a_fault(bench, supply):
    answering(bench, "SYST:STAT?", [b"CV"])
    with pytest.raises(InstrumentError, match=r"SYST:STAT\?: answered 'CV', no hexadecimal number"):
        supply.channel(1).output  # noqa: B018


# ---- Korad and its likes

KORADS = [
    (b"KORADKA3005PV2.0", 5, False, 31, 5.1),
    (b"KORADKA3005PV2.0\x01", 5, False, 31, 5.1),
    (b"KORADKA3005PV2.0\xbc", 5, False, 31, 5.1),
    (b"KORAD KA3005P V5.8 SN:03379314", 4, True, 31, 5.1),
    (b"KORADKA6003PV2.0", 5, False, 60, 3),
    (b"VELLEMANPS3005DV2.0", 5, False, 31, 5.1),
    (b"VELLEMANLABPS3005DV2.0", 5, False, 31, 5.1),
    (b"RND 320-KA3005P V2.0", 5, False, 31, 5.1),
    (b"RND 320-KD3005P V4.2 SN:59834414", 7, False, 31, 5.1),
    (b"S-LS-31 V2.0", 5, False, 31, 5.1),
    (b"TENMA 72-2540 V2.1\0\0", 7, False, 31, 5.1),
    (b"TENMA72-2540V2.0", 7, False, 31, 5.1),
    (b"TENMA 72-2535 V2.1", 7, False, 30, 3),
    (b"TENMA 72-2545 V2.1", 7, False, 60, 2),
    (b"TENMA 72-2550 V2.0", 7, False, 60, 3),
    (b"TENMA 72-2705 V2.0", 7, False, 31, 3.1),
    (b"TENMA 72-2710 V6.6 SN:03060108", 7, False, 30, 5),
]


@only["korad_ka3005p"]
@pytest.mark.parametrize(("identity", "bit", "inverted", "volts", "amps"), KORADS)
def test_other_names_of_the_korad(bench, identity, bit, inverted, volts, amps):
    model = bench.server.instrument
    model.identity, model.ocp_bit, model.ocp_inverted = identity, bit, inverted
    opened = bench.open()
    channel = opened.channel(1)
    assert (channel.ratings.voltage.high, channel.ratings.current_limit.high) == (volts, amps)
    assert opened.idn.isprintable()
    channel.ocp = True
    assert channel.ocp is model.output.ocp is True
    channel.ocp = False
    assert channel.ocp is model.output.ocp is False
    channel.ocp = True
    power(opened, amps=0.3)
    assert channel.tripped is None
    assert channel.regulation is Regulation.CV
    bench.board.take(0.8)
    assert channel.tripped is Trip.OVER_CURRENT
    assert not bench.board.powered
    channel.output = False
    assert channel.tripped is None, "it is off because it was switched off"
    opened.close()


@only["korad_ka3005p"]
def test_korad_on_which_somebody_else_changes_ocp_is_noticed(bench, supply):
    channel = supply.channel(1)
    channel.ocp = True
    bench.server.instrument.output.ocp = False
    assert channel.ocp is False


@only["korad_ka3005p"]
def test_korad_without_a_bit_for_ocp_is_not_believed_to_guard(bench, supply):
    bench.server.instrument.ocp_bit = None
    channel = supply.channel(1)
    with pytest.raises(InstrumentError, match="whether OCP is on cannot be told before it has been set once"):
        channel.ocp  # noqa: B018
    channel.ocp = False
    assert channel.ocp is False
    with pytest.raises(InstrumentError, match=r"OCP was switched on, but no bit of STATUS\? tells so"):
        channel.ocp = True


@only["korad_ka3005p"]
def test_finding_the_bit_of_ocp_trips_nothing_that_runs(bench, supply):
    """The board takes more than the limit: OCP would switch it off, be it on for a moment only."""
    channel = power(supply, amps=0.5)
    bench.board.take(0.8)
    mark = bench.timeline.mark()
    channel.ocp = False
    assert [e.text for e in bench.timeline.since(mark) if "OCP1" in e.text] == []
    assert channel.tripped is None


# ---- Nordic PPK2


@only["nordic_ppk2"]
def test_source_that_was_left_on_lets_go_of_the_board(bench):
    model = bench.server.instrument
    for number in range(2):
        with bench.scheduler.lock:
            model.leave_as_source(5000)
        assert bench.rails[1].board_voltage == pytest.approx(5, abs=0.01)
        opened = bench.open()
        assert bench.rails[1].board_voltage == 0, "5 V for a board of 3.3 V"
        opened.use_ampere_meter(3.7)
        assert bench.rails[1].board_voltage == 0
        opened.close()
        told = [e.text for e in bench.timeline if e.kind == "mode"]
        assert told == ["it was left as a source: the board is disconnected from it"] * (number + 1)
