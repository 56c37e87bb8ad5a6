"""A simulated Mini-Circuits programmable attenuator on radio paths, for HTTP, Telnet and RS-232.

Kept of the real one, as google/mobly, osmo-gsm-tester, pyHegel, QCoDeS and Mini-Circuits' own examples drive
it: `MN=`, `SN=`, replies 1, 0 and 2, values beyond the range clipped to it, values between steps rounded,
commands it does not know answered with -99, several channels in one command, two blanks between the channels
of `:ATT?`, an empty line at the start of a Telnet connection, start-up modes L, F and N, and sequences (hop
and sweep) that it runs on its own until they are switched off. That any other command ends them too is
recalled from the maker's manual, unchecked, and not modelled.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence

from bench.virtual.radio.path import RfPath
from bench.virtual.scheduler import Handle, Scheduler

STEP = 0.25
GREETING = b"\r\n"
UNITS = {"U": 1e-6, "M": 1e-3, "S": 1.0}


class Rcdat:
    """`paths`: path name -> what it attenuates; `step` in dB. Powers up at its largest attenuation."""

    def __init__(
        self,
        scheduler: Scheduler,
        paths: Mapping[str, RfPath],
        *,
        model: str = "RCDAT-6000-110",
        step: float = STEP,
        password: str | None = None,
    ) -> None:
        self.model = model
        self.serial = "11810150042"
        self.step = step
        self.password = password
        """What its web interface wants in front of a command."""
        found = re.match(r"R[CU](\d?)DAT-\w+-(\d+)", model)
        assert found is not None
        names = [str(n + 1) for n in range(int(found[1] or 1))]
        self.high = float(found[2])
        self.limit: float | None = None
        """dB above which the attenuator clips without the model name saying so."""
        self.paths = {name: paths[name] if name in paths else RfPath() for name in names}
        self._scheduler = scheduler
        self._next: Handle | None = None
        self._startup, self._startup_value, self._last = "N", self.high, self.high
        self._sweep = {"START": 0.0, "STOP": self.high, "STEPSIZE": step, "DWELL": 1.0}
        self._dwell_unit = 1.0
        self._hops: dict[int, list[float]] = {1: [0.0, 1.0]}
        self._hop = 1
        self.power_up()

    def power_up(self) -> None:
        """Come on as its start-up mode says: N largest attenuation, F fixed value, L last one stored."""
        self._end_sequence()
        for path in self.paths.values():
            path.attenuation = {"N": self.high, "F": self._startup_value, "L": self._last}[self._startup]

    # ---- its wires

    def get(self, path: str) -> str | None:
        """HTTP: `/COMMAND`, or `/PWD=password;COMMAND`."""
        found = re.fullmatch(r"/(?:PWD=([^;:]*);?)?(.*)", path)
        if found is None:
            return None
        if self.password is not None and urllib.parse.unquote(found[1] or "") != self.password:
            return "-99"  # what a real one answers is not known
        return self._answer(found[2])

    def execute(self, line: str) -> bytes | None:
        return self._answer(line).encode()

    def overlong(self) -> None:
        pass

    # ---- commands

    def _answer(self, command: str) -> str:
        text = command.strip().lstrip(":").upper()
        match text:
            case "MN?":
                return f"MN={self.model}"
            case "SN?":
                return f"SN={self.serial}"
            case "FIRMWARE?":
                return "FIRMWARE=B3"
            case "ATT?":
                return "  ".join(f"{p.attenuation:.2f}" for p in self.paths.values())
        if found := re.fullmatch(r"CHAN:(\d):ATT\?", text):
            path = self.paths.get(found[1])
            return "0" if path is None else f"{path.attenuation:.2f}"
        if found := re.fullmatch(r"(?:CHAN:(\d(?::\d)*):)?SETATT[=:](.+)", text):
            return self._set((found[1] or "1").split(":"), found[2])
        if found := re.fullmatch(r"SETATTPERCHAN:(\d:[\d.]+(?:_\d:[\d.]+)*)", text):
            pairs = [pair.split(":") for pair in found[1].split("_")]
            return min(self._set([name], value) for name, value in pairs)
        if found := re.fullmatch(r"STARTUPATT:(INDICATOR|VALUE)(\?|:.+)|LASTATT:STORE:INITIATE", text):
            return self._start_up(found[1], found[2])
        if found := re.fullmatch(r"(HOP|SWEEP):(\w+)(\?|:(.+))", text):
            return self._sequence(found[1], found[2], found[4])
        return f"-99 Unrecognized Command. MN:{self.model}"

    def _set(self, names: Sequence[str], text: str) -> str:
        try:
            wanted = float(text)
        except ValueError:
            return "0"
        if not set(names) <= set(self.paths) or not wanted >= 0:
            return "0"
        high = self.high if self.limit is None else self.limit
        for name in names:
            self.paths[name].attenuation = min(round(wanted / self.step) * self.step, high)
        return "2" if wanted > high else "1"

    def _start_up(self, which: str | None, rest: str | None) -> str:
        if which is None:
            self._last = self.paths["1"].attenuation
        elif rest == "?":
            return self._startup if which == "INDICATOR" else f"{self._startup_value:.2f}"
        elif which == "VALUE":
            self._startup_value = float((rest or "")[1:])
        elif rest in (":L", ":F", ":N"):
            self._startup = rest[1]
        else:
            return "0"
        return "1"

    # ---- sequences

    def _sequence(self, kind: str, key: str, value: str | None) -> str:
        if key == "MODE" and value in ("ON", "OFF"):
            self._end_sequence()
            if value == "ON":
                self._begin(kind)
            return "1"
        held = self._hops.setdefault(self._hop, [0.0, 1.0])
        match kind, key:
            case "HOP", "POINTS":
                return self._number(value, str(len(self._hops)))
            case "HOP", "POINT":
                self._hop = int(value or self._hop)
                return self._number(value, str(self._hop))
            case "HOP", "ATT" | "DWELL":
                index = ("ATT", "DWELL").index(key)
                if value is not None:
                    held[index] = float(value) * (self._dwell_unit if index else 1)
                return self._number(value, f"{held[index]:.2f}")
            case _, "DWELL_UNIT" if value in UNITS:
                self._dwell_unit = UNITS[value]
                return "1"
            case "SWEEP", _ if key in self._sweep:
                if value is not None:
                    self._sweep[key] = float(value) * (self._dwell_unit if key == "DWELL" else 1)
                return self._number(value, f"{self._sweep[key]:.2f}")
        return "0"

    @staticmethod
    def _number(value: str | None, answer: str) -> str:
        return answer if value is None else "1"

    def _begin(self, kind: str) -> None:
        if kind == "HOP":
            points = [(db, dwell) for _, (db, dwell) in sorted(self._hops.items())]
        else:
            low, high, size = self._sweep["START"], self._sweep["STOP"], self._sweep["STEPSIZE"]
            points = [(low + n * size, self._sweep["DWELL"]) for n in range(int((high - low) / size) + 1)]
        self._step_through(points, 0)

    def _step_through(self, points: Sequence[tuple[float, float]], index: int) -> None:
        db, dwell = points[index % len(points)]
        for path in self.paths.values():
            path.attenuation = db
        self._next = self._scheduler.after(dwell, lambda: self._step_through(points, index + 1))

    def _end_sequence(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
