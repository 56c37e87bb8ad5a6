"""A simulated R&S NGM202 on up to two rails, with FastLog.

Kept of the real one (NGM200 User Manual): the selected output, selection and main switch of the outputs,
the electronic fuse, OVP, and FastLog blocks of 250 ms that are kept for 20 ms. Outputs may have been left
tracking each other, and each with a waveform that runs, a ramp at its switch, a delay, sinking only, sensing
at other leads; an output resistance, a trigger and the battery simulation are kept and do nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy

from bench.virtual.instruments.output_stage import OutputStage
from bench.virtual.instruments.scpi import Call, Handler, Reply, ScpiError
from bench.virtual.instruments.scpi_supply import (
    ScpiSupply,
    bit,
    every,
    put_amps,
    put_ocp,
    put_sense,
    put_volts,
    spans,
)
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Handle, Scheduler

VOLTS = 20.05
AMPS = 6.01
OVP = 21.0
FUSE_DELAY = 0.010
BLOCK = 0.250
KEPT = 0.020
RATES = {"S100": 100, "S001K": 1000, "S010K": 10_000, "S050K": 50_000, "S250K": 250_000, "S500K": 500_000}
READY = 1 << 12
RAMP, LATE = 5.0, 10.0
"""Seconds until an output that ramps up, or is delayed, is there."""
SINK_OR_SOURCE = {"AUTO": "AUTO", "SINK": "SINK", "SOUR": "SOUR", "SOURCE": "SOUR"}


class Ngm202(ScpiSupply):
    """`rails`: channel number -> what hangs on that output."""

    identity = "Rohde&Schwarz,NGM202,3638.4472k03/100042,03.068"
    channel_numbers = (1, 2)

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self._taking_part = dict.fromkeys(self.channel_numbers, False)
        self._main = False
        self._levels = dict.fromkeys(self.channel_numbers, OVP)
        self.waveform = 12.0
        """Volts that a waveform gives, when it runs."""
        self.tracks = False
        """Whether the outputs in `tracking` track each other."""
        self.tracking: set[int] = set()
        self.kept: dict[tuple[int, str], bool] = {}
        self.output_modes = dict.fromkeys(self.channel_numbers, "AUTO")
        super().__init__(scheduler, rails)
        self.logs = {n: _FastLog(scheduler, output.rail) for n, output in self.outputs.items()}

    def commands(self) -> Mapping[str, Handler]:
        numbers = self.channel_numbers
        level = "[:LEVel][:IMMediate][:AMPLitude]"
        return {
            "INSTrument[:SELect]": self._select_named,
            "INSTrument:NSELect": self.select,
            f"[SOURce:]VOLTage{level}": self._tracked(
                self.value(lambda o: o.volts, put_volts, spans(0, every(VOLTS, numbers)), default=0)
            ),
            f"[SOURce:]CURRent{level}": self._tracked(
                self.value(lambda o: o.amps, put_amps, spans(0.001, every(AMPS, numbers)))
            ),
            "TRACking[:ENABle]:GENeral": self._track_all,
            "TRACking[:ENABle]:CH<n>": self._track_one,
            "[SOURce:]VOLTage:PROTection[:STATe]": self.flag(lambda o: o.ovp is not None, self._put_ovp),
            "[SOURce:]VOLTage:PROTection:LEVel": self._ovp_level,
            "[SOURce:]VOLTage:PROTection:TRIPped": self.asked(lambda o: bit(o.ov_tripped)),
            "[SOURce:]VOLTage:PROTection:CLEar": self.clears(ov=True),
            "FUSE[:STATe]": self.flag(lambda o: o.ocp, put_ocp),
            "FUSE:TRIPped": self.asked(lambda o: bit(o.oc_tripped)),
            "FUSE:TRIPped:CLEar": self.clears(oc=True),
            "OUTPut[:STATe]": self._output,
            "OUTPut:SELect": self._part,
            "OUTPut:GENeral[:STATe]": self._general,
            "MEASure[:SCALar]:VOLTage[:DC]": self.measured(0, every(5e-6, numbers)),
            "MEASure[:SCALar]:CURRent[:DC]": self.measured(1, every(1e-8, numbers)),
            "STATus:QUEStionable:INSTrument:ISUMmary<n>:CONDition": self.condition,
            "STATus:OPERation:INSTrument:ISUMmary<n>[:EVENt]": self._event,
            "STATus:OPERation:INSTrument:ISUMmary<n>:PTRansition": lambda call: self._filter("rising", call),
            "STATus:OPERation:INSTrument:ISUMmary<n>:NTRansition": lambda call: self._filter("falling", call),
            "ARBitrary[:STATe]": self.flag(lambda o: o.follows is not None, self._put_waveform),
            "[SOURce:]VOLTage:RAMP[:STATe]": self.flag(lambda o: o.slope > 0, _put_ramp),
            "[SOURce:]VOLTage:SENSe[:SOURce]": self.words(
                lambda o: "EXT" if o.sense_open else "AUTO", put_sense, {"AUTO": "AUTO", "EXT": "EXT"}
            ),
            "OUTPut:DELay[:STATe]": self.flag(lambda o: o.rise_delay > 0, _put_late),
            "OUTPut:MODE": self.words(self._mode_of, self._put_mode, SINK_OR_SOURCE),
            "OUTPut:IMPedance[:STATe]": self._kept("impedance"),
            "OUTPut:TRIGgered[:STATe]": self._kept("triggered"),
            "BATTery:SIMulator[:ENABle]": self._kept("battery"),
            "FLOG[:STATe]": self._log_state,
            "FLOG:SRATe": self._log_rate,
            "FLOG:TARGet": self._log_target,
            "FLOG:DATA": self._log_data,
        }

    def error_text(self, code: int, message: str) -> str:
        return f'{code},"{message}"'

    def reset(self) -> None:
        self.selected = 1
        self._main = False
        for number, output in self.outputs.items():
            self._taking_part[number] = False
            self._levels[number] = OVP
            output.volts, output.amps, output.ovp, output.ocp_delay = 0.0, AMPS, None, FUSE_DELAY
            output.on = output.ocp = output.ov_tripped = output.oc_tripped = output.sense_open = False
            output.follows, output.rise_delay, output.slope, output.sources = None, 0.0, 0.0, True
            self.output_modes[number] = "AUTO"
            output.apply()
        self.kept.clear()
        self.tracks = False
        self.tracking.clear()

    # ---- what an earlier user may leave

    def _tracked(self, handler: Handler) -> Handler:
        """A setting of one of the outputs that track each other is all of theirs."""

        def handle(call: Call) -> Reply:
            if call.query or not self.tracks or self.selected not in self.tracking:
                return handler(call)
            return handler(Call(False, call.parameters, sorted(self.tracking), call.suffixes))

        return handle

    def _track_all(self, call: Call) -> str | None:
        if call.query:
            return bit(self.tracks)
        self.tracks = call.switch()
        return None

    def _track_one(self, call: Call) -> str | None:
        number = call.suffixes[0] if call.suffixes else 1
        if number not in self.channel_numbers:
            raise ScpiError(-113)
        if call.query:
            return bit(number in self.tracking)
        (self.tracking.add if call.switch() else self.tracking.discard)(number)
        return None

    def _put_waveform(self, output: OutputStage, on: bool) -> None:
        output.follows = self.waveform if on else None

    def _mode_of(self, output: OutputStage) -> str:
        return self.output_modes[self._number_of(output)]

    def _put_mode(self, output: OutputStage, mode: str) -> None:
        self.output_modes[self._number_of(output)] = mode
        output.sources = mode != "SINK"

    def _kept(self, what: str) -> Handler:
        def handle(call: Call) -> str | None:
            if call.query:
                return bit(self.kept.get((self.selected, what), False))
            self.kept[self.selected, what] = call.switch()
            return None

        return handle

    def _number_of(self, output: OutputStage) -> int:
        return next(n for n, o in self.outputs.items() if o is output)

    def _select_named(self, call: Call) -> str | None:
        if call.query:
            return f"OUT{self.selected}"
        name = call.word()
        if name not in ("OUT1", "OUT2"):
            raise ScpiError(-224)
        self.selected = int(name[3:])
        return None

    def _put_ovp(self, output: OutputStage, on: bool) -> None:
        number = self._number_of(output)
        output.ovp = self._levels[number] if on else None

    def _ovp_level(self, call: Call) -> str | None:
        if call.query:
            return f"{self._levels[self.selected]:.3f}"
        self._levels[self.selected] = call.number(low=0, high=OVP)
        output = self.outputs[self.selected]
        self._put_ovp(output, output.ovp is not None)
        output.apply()
        return None

    def _output(self, call: Call) -> str | None:
        """The selected output and the main switch in one."""
        if call.query:
            return bit(self.outputs[self.selected].on)
        self._taking_part[self.selected] = on = call.switch()
        self._main = self._main or on
        self._switch()
        return None

    def _part(self, call: Call) -> str | None:
        if call.query:
            return bit(self._taking_part[self.selected])
        self._taking_part[self.selected] = call.switch()
        self._switch()
        return None

    def _general(self, call: Call) -> str | None:
        if call.query:
            return bit(self._main)
        self._main = call.switch()
        self._switch()
        return None

    def _switch(self) -> None:
        for number, output in self.outputs.items():
            on = self._main and self._taking_part[number]
            if on != output.on:
                output.on = on
                output.apply()

    # ---- FastLog

    def _event(self, call: Call) -> str:
        number = call.suffixes[0] if call.suffixes else 0
        if not call.query or number not in self.logs:
            raise ScpiError(-113)
        return str(READY * self.logs[number].event())

    def _filter(self, edge: str, call: Call) -> str | None:
        """Which edges of the condition an event register latches; *RST does not change it."""
        number = call.suffixes[0] if call.suffixes else 0
        if number not in self.logs:
            raise ScpiError(-113)
        if call.query:
            return str(self.logs[number].latched[edge])
        self.logs[number].latched[edge] = int(call.number(low=0, high=65535))
        return None

    def _log_state(self, call: Call) -> str | None:
        log = self.logs[self.selected]
        if call.query:
            return bit(log.running)
        if call.switch():
            log.start()
        else:
            log.stop()
        return None

    def _log_rate(self, call: Call) -> str | None:
        log = self.logs[self.selected]
        if call.query:
            return next(name for name, rate in RATES.items() if rate == log.rate)
        name = call.word()
        if name not in RATES:
            raise ScpiError(-224)
        log.rate = RATES[name]
        return None

    def _log_target(self, call: Call) -> str | None:
        if call.query:
            return "SCPI"
        if call.word() != "SCPI":
            raise ScpiError(-224)
        return None

    def _log_data(self, call: Call) -> bytes:
        if not call.query:
            raise ScpiError(-113)
        data = self.logs[self.selected].take()
        size = str(len(data)).encode()
        return b"#%d%s%s" % (len(size), size, data)


def _put_ramp(output: OutputStage, on: bool) -> None:
    output.slope = RAMP if on else 0.0


def _put_late(output: OutputStage, on: bool) -> None:
    output.rise_delay = LATE if on else 0.0


class _FastLog:
    def __init__(self, scheduler: Scheduler, rail: Rail) -> None:
        self.rate = 500_000
        self.running = False
        self.swapped = False
        """Bytes the wrong way round, as after a change of format by somebody else."""
        self.latched = {"rising": 0xFFFF, "falling": 0}
        self._scheduler = scheduler
        self._history = rail.history
        self._next: Handle | None = None
        self._block = b""
        self._ready = False
        self._gone_at = 0.0

    def start(self) -> None:
        self.stop()
        self.running = True
        self._arm()

    def stop(self) -> None:
        self.running = False
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def event(self) -> bool:
        """Whether a block came since the last look."""
        ready, self._ready = self._ready, False
        return ready

    def take(self) -> bytes:
        if self._scheduler.now > self._gone_at:
            return b""
        block, self._block = self._block, b""
        return block

    def _arm(self) -> None:
        self._next = self._scheduler.after(BLOCK, self._fill)

    def _fill(self) -> None:
        now = self._scheduler.now
        pairs = self._history.points(now - BLOCK, 1 / self.rate, round(BLOCK * self.rate))
        order = ">f4" if self.swapped else "<f4"
        self._block = numpy.ascontiguousarray(pairs, dtype=order).tobytes()
        self._ready = self._ready or bool(self.latched["rising"] & READY)
        self._gone_at = now + KEPT
        self._arm()
