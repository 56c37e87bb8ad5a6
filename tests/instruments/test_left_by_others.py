"""What an earlier user has left a supply in does harm, and no more once the bench has taken it over."""

import contextlib

import pytest
from instrument_rig import SupplyBench

from bench.errors import InstrumentError
from bench.instruments.models import connect_instrument

E36312A, N6705C, NGM202 = "keysight_e36312a", "keysight_n6705c", "rs_ngm202"
DP832, SPD3303X, KA3005P = "rigol_dp832", "siglent_spd3303x", "korad_ka3005p"
SLEEPING = 20e-6
"""Amperes of a board that sleeps."""


def runs_a_list(model):
    """The output follows a list, which no command here can start."""
    modes = model.volt_modes if hasattr(model, "volt_modes") else None
    if modes is None:
        model.modes[1].volts = "LIST"
    else:
        modes[1] = "LIST"
    model.outputs[1].follows = 5.0


HARMFUL = [
    pytest.param(E36312A, ["OUTP:PAIR SER"], 2, id="E36312A-series"),
    pytest.param(E36312A, ["OUTP:PAIR PAR"], 2, id="E36312A-parallel"),
    pytest.param(E36312A, ["OUTP:PAIR SER"], 3, id="E36312A-series-second"),
    pytest.param(E36312A, ["OUTP:COUP:CHAN CH1,CH2"], 1, id="E36312A-coupled"),
    pytest.param(E36312A, ["OUTP:COUP:CHAN ALL"], 1, id="E36312A-all-coupled"),
    pytest.param(E36312A, [runs_a_list], 1, id="E36312A-list"),
    pytest.param(E36312A, ["VOLT:SENS:SOUR EXT,(@1)"], 1, id="E36312A-sense"),
    pytest.param(E36312A, ["OUTP:DEL:RISE 5,(@1)"], 1, id="E36312A-late-on"),
    pytest.param(E36312A, ["OUTP:DEL:FALL 5,(@1)"], 1, id="E36312A-late-off"),
    pytest.param(N6705C, ["OUTP:COUP:CHAN 1,2"], 1, id="N6705C-coupled"),
    pytest.param(N6705C, ["EMUL CCL,(@1)"], 1, id="N6705C-load"),
    pytest.param(N6705C, ["FUNC CURR,(@1)", "CURR 0.02,(@1)"], 1, id="N6705C-current-priority"),
    pytest.param(N6705C, [runs_a_list], 1, id="N6705C-list"),
    pytest.param(N6705C, ["VOLT:SENS:SOUR EXT,(@1)"], 1, id="N6705C-sense"),
    pytest.param(N6705C, ["VOLT:SLEW:MAX 0,(@1)"], 1, id="N6705C-slow"),
    pytest.param(N6705C, ["OUTP:DEL:RISE 5,(@1)"], 1, id="N6705C-late-on"),
    pytest.param(N6705C, ["OUTP:DEL:FALL 5,(@1)"], 1, id="N6705C-late-off"),
    pytest.param(N6705C, ["OUTP:TMOD HIGHZ,(@1)"], 1, id="N6705C-lets-go"),
    pytest.param(NGM202, ["TRAC:ENAB:CH1 1", "TRAC:ENAB:CH2 1", "TRAC:ENAB:GEN 1"], 1, id="NGM202-tracking"),
    pytest.param(NGM202, ["INST OUT1;:ARB:STAT 1"], 1, id="NGM202-waveform"),
    pytest.param(NGM202, ["INST OUT1;:VOLT:RAMP:STAT 1"], 1, id="NGM202-ramp"),
    pytest.param(NGM202, ["INST OUT1;:OUTP:DEL:STAT 1"], 1, id="NGM202-late-on"),
    pytest.param(NGM202, ["INST OUT1;:OUTP:MODE SINK"], 1, id="NGM202-sink"),
    pytest.param(NGM202, ["INST OUT1;:VOLT:SENS:SOUR EXT"], 1, id="NGM202-sense"),
    pytest.param(DP832, [":OUTP:TRAC CH1,ON"], 1, id="DP832-tracks"),
    pytest.param(DP832, [":OUTP:TRAC CH2,ON"], 2, id="DP832-is-tracked"),
    pytest.param(DP832, [":INST:NSEL 1", ":TIME ON"], 1, id="DP832-timer"),
    pytest.param(SPD3303X, ["OUTP:TRACK 1"], 1, id="SPD3303X-series"),
    pytest.param(SPD3303X, ["OUTP:TRACK 2"], 1, id="SPD3303X-parallel"),
    pytest.param(SPD3303X, ["TIME CH1,ON"], 1, id="SPD3303X-timer"),
]

STATE_ONLY = [
    pytest.param(N6705C, ["RES:STAT 1,(@1)"], "RES:STAT? (@1)", "0", id="N6705C-resistance"),
    pytest.param(
        NGM202, ["INST OUT2;:OUTP:IMP:STAT 1"], "INST OUT2;:OUTP:IMP:STAT?", "0", id="NGM202-resistance"
    ),
    pytest.param(
        NGM202, ["INST OUT2;:OUTP:TRIG:STAT 1"], "INST OUT2;:OUTP:TRIG:STAT?", "0", id="NGM202-trigger"
    ),
    pytest.param(
        NGM202, ["INST OUT1;:BATT:SIM:ENAB 1"], "INST OUT1;:BATT:SIM:ENAB?", "0", id="NGM202-battery"
    ),
    pytest.param(DP832, [":INST:NSEL 3", ":DELAY ON"], ":DELAY?", "OFF", id="DP832-delayer"),
    pytest.param(E36312A, ["VOLT:PROT:STAT 0,(@2)"], "VOLT:PROT:STAT? (@2)", "1", id="E36312A-no-OVP"),
]


def connected(bench):
    return connect_instrument("psu", bench.driver, bench.server.address, bench.clock, bench.timeline)


def leave(bench, things):
    """An earlier user does `things`: commands, or what is done to the model at its front panel."""
    earlier = connected(bench)
    for thing in things:
        if isinstance(thing, str):
            earlier.transport.write(thing)
        else:
            with bench.scheduler.lock:
                thing(bench.server.instrument)
    earlier.transport.query("*IDN?")  # answered once all before it is done
    earlier.close()


def wrongs(bench, opened, number):
    """What happens though it was not told, while output `number` is used, and then another beside it."""
    other = next((n for n in opened.channels if n != number), None)
    rails, found = bench.rails, []
    expected = dict.fromkeys(opened.channels, 0.0)
    bench.board.amps = SLEEPING

    def compare(when):
        for n, volts in expected.items():
            if abs(rails[n].board_voltage - volts) > 0.05:
                found.append(f"{when}: output {n} gives {rails[n].board_voltage:.2f} V, not {volts} V")

    def switch(n, volts):
        channel = opened.channel(n)
        try:
            if volts:
                channel.voltage = volts
                channel.current_limit = 0.5
            channel.output = bool(volts)
        except InstrumentError as fault:
            found.append(str(fault))
        expected[n] = volts
        bench.clock.sleep(0.2, "it settles")
        compare(f"output {n} at {volts} V")

    switch(number, 3.7)
    if other is not None:
        switch(other, 3.0)
        switch(number, 3.3)
        switch(other, 0.0)
    switch(number, 0.0)
    return found


@pytest.mark.parametrize(("driver", "left", "number"), HARMFUL)
def test_what_was_left_does_harm_until_the_bench_takes_over(driver, left, number):
    for take_over in (False, True):
        bench = SupplyBench(driver)
        leave(bench, left)
        opened = connected(bench)
        if take_over:
            opened.take_over()
        found = wrongs(bench, opened, number)
        opened.close()
        bench.close()
        assert bool(found) is not take_over, found


@pytest.mark.parametrize(("driver", "left", "query", "plain"), STATE_ONLY)
def test_what_the_model_only_keeps_is_set_back(driver, left, query, plain):
    bench = SupplyBench(driver)
    leave(bench, left)
    opened = connected(bench)
    assert opened.transport.query(query) != plain
    opened.take_over()
    assert opened.transport.query(query) == plain
    opened.close()
    bench.close()


@pytest.mark.parametrize("driver", [E36312A, N6705C, NGM202, DP832, SPD3303X, KA3005P])
def test_nothing_but_queries_is_sent_where_nothing_was_left(driver):
    bench = SupplyBench(driver)
    before = connected(bench)
    before.channel(1).voltage = 3.7
    before.channel(1).current_limit = 0.5
    before.channel(1).output = True
    mark = bench.timeline.mark()
    before.take_over()
    sent = [e.text for e in bench.timeline.since(mark) if e.text.startswith("> ")]
    assert [line for line in sent if "?" not in line and ":INST:NSEL" not in line] == []
    assert bench.board.powered, "a supply that is as it should be is not switched"
    assert [e for e in bench.timeline.since(mark) if e.kind == "mode"] == []
    assert wrongs(bench, before, 1) == []
    before.close()
    bench.close()


@pytest.mark.parametrize("bench", [E36312A], indirect=True)
def test_what_was_found_is_on_the_timeline_and_the_outputs_went_off_first(bench):
    leave(bench, ["OUTP:PAIR PAR", "VOLT 5,(@2)", "OUTP 1,(@2)"])
    assert bench.rails[3].board_voltage == pytest.approx(5)
    opened = bench.open()
    assert [bench.rails[n].board_voltage for n in (1, 2, 3)] == [0, 0, 0]
    told = [e.text for e in bench.timeline if e.kind == "mode"]
    assert told == ["outputs 2 and 3 in series, parallel or tracking: PAR was left, set to OFF"]
    sent = [e.text for e in bench.timeline]
    assert sent.index("> OUTP 0,(@2)") < sent.index("> OUTP:PAIR OFF")
    opened.close()


@pytest.mark.parametrize("bench", [E36312A], indirect=True)
def test_output_that_refuses_to_go_off_while_it_is_tied_is_off_after(bench):
    leave(bench, ["OUTP:PAIR PAR", "VOLT 5,(@2)", "OUTP 1,(@2)"])
    model = bench.server.instrument
    execute = model.execute

    def only_the_first(line):
        pair = model.pair
        model.pair = "OFF" if line == "OUTP 0,(@2)" else pair
        reply = execute(line)
        model.pair = pair if line == "OUTP 0,(@2)" else model.pair
        return reply

    model.execute = only_the_first
    opened = bench.open()
    assert [bench.rails[n].board_voltage for n in (1, 2, 3)] == [0, 0, 0]
    opened.close()


@pytest.mark.parametrize("bench", [N6705C], indirect=True)
def test_output_goes_off_before_its_mode_changes_and_the_others_stay_on(bench):
    on = ["VOLT 3.3,(@1,2)", "OUTP 1,(@1,2)"]
    leave(bench, ["VOLT:SENS:SOUR EXT,(@1)", "OUTP:DEL:RISE 1,(@2)", *on])
    bench.clock.sleep(2, "both are on")
    opened = bench.open()
    assert bench.rails[1].board_voltage == 0
    assert bench.rails[2].board_voltage == pytest.approx(3.3), "a delay at the switch concerns only the next"
    sent = [e.text for e in bench.timeline]
    assert sent.index("> OUTP 0,(@1)") < sent.index("> VOLT:SENS:SOUR INT,(@1)")
    opened.close()


@pytest.mark.parametrize(
    ("driver", "left", "deaf", "said"),
    [
        (E36312A, "OUTP:PAIR SER", "OUTP:PAIR OFF", r"outputs 2 and 3 .* was 'SER' and stays 'SER' after"),
        (N6705C, "EMUL CCL,(@2)", "EMUL PS2Q,(@2)", r"emulation .* of output 2 was 'CCL' and stays 'CCL'"),
        (NGM202, "INST OUT1;:ARB:STAT 1", "INST OUT1;:ARB:STAT 0", r"waveform of output 1 was '1' and stays"),
        (DP832, ":OUTP:TRAC CH2,ON", ":OUTP:TRAC CH2,OFF", r"follows .* of output 2 was 'ON' and stays"),
        (SPD3303X, "OUTP:TRACK 2", "OUTP:TRACK 0", "OUTP:TRACK 0: its outputs stay in series or in parallel"),
        (SPD3303X, "TIME CH2,ON", "TIME CH2,OFF", "TIME CH2,OFF: its timer stays on"),
    ],
)
def test_mode_that_stays_is_an_error_that_names_it(driver, left, deaf, said):
    bench = SupplyBench(driver)
    leave(bench, [left])
    execute = bench.server.instrument.execute
    bench.server.instrument.execute = lambda line: None if line == deaf else execute(line)
    with pytest.raises(InstrumentError, match=said):
        bench.open()
    bench.close()


@pytest.mark.parametrize(
    ("driver", "header", "what"),
    [
        (E36312A, "VOLT:PROT:STAT?", "OVP that is switched off"),
        (E36312A, "OUTP:DEL:FALL?", "delay before it goes off"),
        (DP832, ":DELAY?", "delayer that switches it on and off"),
        (NGM202, "OUTP:TRIG:STAT?", "switching by a trigger"),
    ],
)
def test_query_that_no_source_confirms_may_go_unanswered(driver, header, what):
    """It is asked once, noted, and the rest goes on."""
    bench = SupplyBench(driver)
    execute = bench.server.instrument.execute
    bench.server.instrument.execute = lambda line: execute(line.replace(header, "NO:SUCH?"))
    opened = bench.open(timeout=0.3)
    asked = [e.text for e in bench.timeline if e.text.startswith("> ") and header in e.text]
    assert len(asked) == 1
    told = [e.text for e in bench.timeline if e.kind == "mode"]
    assert told == [f"{what}: cannot be asked for; left as it is"]
    assert wrongs(bench, opened, 1) == []
    opened.close()
    bench.close()


@pytest.mark.parametrize("bench", [N6705C], indirect=True)
def test_query_that_a_source_confirms_must_be_answered(bench):
    execute = bench.server.instrument.execute
    bench.server.instrument.execute = lambda line: None if line.startswith("EMUL?") else execute(line)
    with pytest.raises(InstrumentError, match=r"EMUL\? \(@1\): no reply"):
        bench.open(timeout=0.3)


@pytest.mark.parametrize("bench", [N6705C], indirect=True)
def test_protection_of_another_output_is_not_ours(bench):
    leave(bench, ["OUTP:PROT:COUP 1"])
    for survives in (False, True):
        opened = connected(bench)
        if survives:
            opened.take_over()
        one, two = opened.channel(1), opened.channel(2)
        for channel in (one, two):
            channel.clear_protection()
            channel.voltage, channel.current_limit, channel.ovp = 3.7, 0.5, 22
            channel.output = True
        assert bench.board.powered
        two.ovp = 3.0
        assert two.tripped is not None
        assert bench.board.powered is survives
        assert (one.tripped is None) is survives
        opened.close()


@pytest.mark.parametrize("bench", [E36312A], indirect=True)
def test_ovp_that_was_switched_off_trips_again(bench):
    leave(bench, ["VOLT:PROT:STAT 0,(@1)"])
    for trips in (False, True):
        opened = bench.open() if trips else connected(bench)
        channel = opened.channel(1)
        channel.ovp, channel.voltage, channel.current_limit = 4.0, 4.5, 0.5
        channel.output = True
        assert (channel.tripped is not None) is trips
        channel.output = False
        opened.close()


@pytest.mark.parametrize(
    ("driver", "left"),
    [(E36312A, "OUTP:PAIR PAR"), (DP832, ":OUTP:TRAC CH1,ON"), (SPD3303X, "OUTP:TRACK 2")],
)
def test_guard_changes_no_mode_and_switches_off(driver, left):
    bench = SupplyBench(driver)
    opened = bench.open()
    opened.channel(1).voltage, opened.channel(1).current_limit = 3.7, 0.5
    opened.channel(1).output = True
    leave(bench, [left])
    mark = bench.timeline.mark()
    guard = connected(bench)
    with contextlib.suppress(InstrumentError):  # the second of a pair has no switch of its own
        guard.switch_off()
    assert [rail.board_voltage for rail in bench.rails.values()] == [0, 0, 0, 0]
    assert [e for e in bench.timeline.since(mark) if e.kind == "mode"] == []
    guard.close()
    opened.close()
    bench.close()
