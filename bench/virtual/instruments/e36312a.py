"""A simulated Keysight E36312A on up to three rails.

What it keeps of the real one (E36300 Series Programming Guide and data sheet): ranges, the
selected channel as default where no channel list is given, the error queue, over-voltage trip as
soon as the setting is above the level, over-current trip after the current limit was reached for
the protection delay, the trip's latch, and that clearing it brings the output back to what it was.
Outputs 2 and 3 can be paired, any of them can be coupled, and each can follow a list, sense at other leads,
and switch late.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.instruments.output_stage import OutputStage
from bench.virtual.instruments.scpi import Call, Handler, ScpiError
from bench.virtual.instruments.scpi_supply import (
    FIXED,
    SENSES,
    ScpiSupply,
    bit,
    every,
    put_amps,
    put_fall_delay,
    put_ocp,
    put_ocp_delay,
    put_on,
    put_rise_delay,
    put_sense,
    put_volts,
    scientific,
    sense,
    spans,
)
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Scheduler

VOLTS = {1: 6.18, 2: 25.75, 3: 25.75}
AMPS = {1: 5.15, 2: 1.03, 3: 1.03}
OVP = {1: 6.6, 2: 27.5, 3: 27.5}
MIN_AMPS = 0.001
MIN_OVP = 1.0
OCP_DELAY = 0.05
"""Seconds in constant current before OCP trips, after *RST."""
LONGEST_DELAY = 3600.0
"""Seconds before an output switches, at most."""

VOLT_STEP = {1: 1e-4, 2: 4e-4, 3: 4e-4}
AMP_STEP = {1: 1e-5, 2: 1e-5, 3: 1e-5}
"""Read-back resolution in volts and amperes."""

PAIRS = {"OFF": "OFF", "PAR": "PAR", "PARALLEL": "PAR", "SER": "SER", "SERIES": "SER"}
MASTER, SLAVE = 2, 3
"""The outputs that can be paired; the second does as the first."""


class E36312A(ScpiSupply):
    """`rails`: channel number -> what hangs on that output; the others drive nothing."""

    identity = "KEYSIGHT TECHNOLOGIES,E36312A,MY59001234,1.0.4-1.0.3-1.00"
    channel_numbers = (1, 2, 3)

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self.pair = "OFF"
        self.coupled: frozenset[int] = frozenset()
        self.volt_modes = dict.fromkeys(self.channel_numbers, "FIX")
        self.curr_modes = dict.fromkeys(self.channel_numbers, "FIX")
        self._levels = dict(OVP)
        super().__init__(scheduler, rails)

    def commands(self) -> Mapping[str, Handler]:
        source = "[SOURce:]"
        level = "[:LEVel][:IMMediate][:AMPLitude]"
        delays = spans(0, every(0.255, self.channel_numbers))
        waits = spans(0, every(LONGEST_DELAY, self.channel_numbers))
        return {
            f"{source}VOLTage{level}": self._paired(
                self.value(lambda o: o.volts, put_volts, spans(0, VOLTS), default=0)
            ),
            f"{source}CURRent{level}": self._paired(
                self.value(lambda o: o.amps, put_amps, spans(MIN_AMPS, AMPS))
            ),
            f"{source}VOLTage:MODE": self._mode(self.volt_modes),
            f"{source}CURRent:MODE": self._mode(self.curr_modes),
            f"{source}VOLTage:SENSe[:SOURce]": self.words(sense, put_sense, SENSES),
            f"{source}VOLTage:PROTection[:LEVel]": self._ovp_level,
            f"{source}VOLTage:PROTection:STATe": self.flag(lambda o: o.ovp is not None, self._put_ovp),
            f"{source}VOLTage:PROTection:TRIPped": self.asked(lambda o: bit(o.ov_tripped)),
            f"{source}VOLTage:PROTection:CLEar": self.clears(ov=True),
            f"{source}CURRent:PROTection:STATe": self.flag(lambda o: o.ocp, put_ocp),
            f"{source}CURRent:PROTection:DELay[:TIME]": self.value(
                lambda o: o.ocp_delay, put_ocp_delay, delays, default=OCP_DELAY
            ),
            f"{source}CURRent:PROTection:TRIPped": self.asked(lambda o: bit(o.oc_tripped)),
            f"{source}CURRent:PROTection:CLEar": self.clears(oc=True),
            "OUTPut[:STATe]": self._together(self.flag(lambda o: o.on, put_on)),
            "OUTPut[:STATe]:COUPle[:CHANnel]": self._couple,
            "OUTPut[:STATe]:PAIR": self._pair,
            "OUTPut[:STATe]:DELay:RISE": self.value(lambda o: o.rise_delay, put_rise_delay, waits, default=0),
            "OUTPut[:STATe]:DELay:FALL": self.value(lambda o: o.fall_delay, put_fall_delay, waits, default=0),
            "OUTPut:PROTection:CLEar": self.clears(ov=True, oc=True),
            "MEASure[:SCALar]:VOLTage[:DC]": self.measured(0, VOLT_STEP),
            "MEASure[:SCALar]:CURRent[:DC]": self.measured(1, AMP_STEP),
            "STATus:QUEStionable:INSTrument:ISUMmary<n>:CONDition": self.condition,
            "INSTrument:NSELect": self.select,
            "ABORt": self._abort,
        }

    def reset(self) -> None:
        self.selected = 1
        self.pair, self.coupled = "OFF", frozenset()
        for number, output in self.outputs.items():
            self.volt_modes[number] = self.curr_modes[number] = "FIX"
            self._levels[number] = OVP[number]
            output.volts, output.amps, output.ovp = 0.0, AMPS[number], OVP[number]
            output.on = output.ocp = output.ov_tripped = output.oc_tripped = output.sense_open = False
            output.follows, output.rise_delay, output.fall_delay = None, 0.0, 0.0
            output.ocp_delay = OCP_DELAY
            output.apply()

    # ---- protection

    def _number_of(self, output: OutputStage) -> int:
        return next(n for n, o in self.outputs.items() if o is output)

    def _put_ovp(self, output: OutputStage, on: bool) -> None:
        output.ovp = self._levels[self._number_of(output)] if on else None

    def _ovp_level(self, call: Call) -> str | None:
        if call.query:
            return ",".join(scientific(self._levels[n]) for n in call.channels)
        for number in call.channels:
            self._levels[number] = call.number(low=MIN_OVP, high=OVP[number], default=OVP[number])
            self._put_ovp(self.outputs[number], self.outputs[number].ovp is not None)
            self.outputs[number].apply()
        return None

    # ---- what an earlier user may leave

    def _mode(self, modes: dict[int, str]) -> Handler:
        """While a list runs (`OutputStage.follows`), it cannot be changed."""

        def handle(call: Call) -> str | None:
            if call.query:
                call.nothing()
                return ",".join(modes[n] for n in call.channels)
            if (wanted := FIXED.get(call.word())) is None:
                raise ScpiError(-224)
            for number in call.channels:
                if self.outputs[number].follows is not None:
                    raise ScpiError(-221)
                modes[number] = wanted
            return None

        return handle

    def _abort(self, call: Call) -> None:
        call.nothing()
        for number in call.channels:
            self.outputs[number].follows = None
            self.outputs[number].apply()

    def _paired(self, handler: Handler) -> Handler:
        """A setting of the first of a pair is the second's too."""

        def handle(call: Call) -> str | None:
            if call.query or self.pair == "OFF":
                return _text(handler(call))
            numbers = {*call.channels} - {SLAVE}
            if MASTER in numbers:
                numbers.add(SLAVE)
            elif SLAVE in call.channels:
                raise ScpiError(-221)
            return _text(handler(Call(False, call.parameters, sorted(numbers), call.suffixes)))

        return handle

    def _together(self, handler: Handler) -> Handler:
        """The output's switch, with what is paired or coupled to it."""
        paired = self._paired(handler)

        def handle(call: Call) -> str | None:
            if call.query or self.coupled.isdisjoint(call.channels):
                return _text(paired(call))
            numbers = sorted(self.coupled | {*call.channels})
            return _text(paired(Call(False, call.parameters, numbers, call.suffixes)))

        return handle

    def _pair(self, call: Call) -> str | None:
        if call.query:
            return self.pair
        if (wanted := PAIRS.get(call.word())) is None:
            raise ScpiError(-224)
        self.pair = wanted
        return None

    def _couple(self, call: Call) -> str | None:
        """`CH1,CH2`, `ALL` or `NONE`."""
        if call.query:
            return ",".join(f"CH{n}" for n in sorted(self.coupled)) or "NONE"
        words = [p.upper() for p in call.parameters]
        if words == ["NONE"]:
            self.coupled = frozenset()
        elif words == ["ALL"]:
            self.coupled = frozenset(self.channel_numbers)
        elif words and set(words) <= {f"CH{n}" for n in self.channel_numbers}:
            self.coupled = frozenset(int(w[2:]) for w in words)
        else:
            raise ScpiError(-224)
        return None


def _text(reply: str | bytes | None) -> str | None:
    assert not isinstance(reply, bytes)
    return reply
