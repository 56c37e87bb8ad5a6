"""SCPI as instruments parse it: long and short forms, optional nodes, chains, channel lists, error queue.

Source: SCPI-1999 volume 1 (syntax and style, error numbers in volume 2 chapter 21), IEEE 488.2.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ERROR_QUEUE_LENGTH = 20
"""Entries; when one more comes, the last is replaced by -350 (E36300 Series Programming Guide)."""

MESSAGES = {
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -211: "Trigger ignored",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -221: "Settings conflict",
    -230: "Data corrupt or stale",
    308: "This setting cannot be changed while transient trigger is initiated",
    310: "The command is not supported by this model",
    -350: "Queue overflow",
}

ERRORS_WAIT, EVENT = 1 << 2, 1 << 5
"""Bits of the status byte (SCPI-1999, volume 1, 9; IEEE 488.2, 11)."""
EVENT_BITS = {1: 1 << 5, 2: 1 << 4, 3: 1 << 3, 4: 1 << 2}
"""Bit of the event status register by the hundreds of an error's number."""
COMPLETE = 1 << 0

_UNITS = {"": 1.0, "V": 1.0, "MV": 1e-3, "A": 1.0, "MA": 1e-3, "S": 1.0, "MS": 1e-3}


class ScpiError(Exception):
    """A command that the instrument refuses, by SCPI error number."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """One parsed program message unit."""

    query: bool
    parameters: Sequence[str]
    channels: Sequence[int]
    suffixes: Sequence[int]
    """Numbers in the header, such as 2 in ISUM2."""

    def number(self, *, low: float, high: float, default: float | None = None) -> float:
        """The only parameter as a number within range; MIN, MAX and DEF are understood."""
        text = self.word()
        if text in ("MIN", "MINIMUM"):
            return low
        if text in ("MAX", "MAXIMUM"):
            return high
        if text in ("DEF", "DEFAULT") and default is not None:
            return default
        match = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d+)?) ?([A-Z]*)", text)
        if match is None or match[2] not in _UNITS:
            raise ScpiError(-104)
        value = float(match[1]) * _UNITS[match[2]]
        if not low <= value <= high:
            raise ScpiError(-222)
        return value

    def switch(self) -> bool:
        """The only parameter as a Boolean."""
        match self.word():
            case "1" | "ON":
                return True
            case "0" | "OFF":
                return False
        raise ScpiError(-224)

    def word(self) -> str:
        if not self.parameters:
            raise ScpiError(-109)
        if len(self.parameters) > 1:
            raise ScpiError(-108)
        return self.parameters[0].upper()

    def nothing(self) -> None:
        """Check that there is no parameter."""
        if self.parameters:
            raise ScpiError(-108)


Reply = str | bytes | None
Handler = Callable[[Call], Reply]


class ScpiInstrument(ABC):
    """An instrument's command table and error queue. `execute` is called with the plant's lock held."""

    identity = ""
    channel_numbers: Sequence[int] = (1,)

    def __init__(self) -> None:
        self._errors: deque[int] = deque()
        self._events = 0
        self._enabled = {"*ESE": 0, "*SRE": 0}
        self.selected = self.channel_numbers[0]
        table: dict[str, Handler] = {
            "*IDN": self._identify,
            "*CLS": lambda call: self._clear_status(),
            "*ESE": lambda call: self._enable("*ESE", call),
            "*ESR": lambda call: self._take_events(),
            "*OPC": self._complete,
            "*OPT": lambda call: "0",
            "*RST": lambda call: self.reset(),
            "*SRE": lambda call: self._enable("*SRE", call),
            "*STB": lambda call: str(self._status_byte()),
            "*WAI": lambda call: None,
            "*TST": lambda call: "0" if call.query else None,
            "SYSTem:ERRor[:NEXT]": self._next_error,
            "SYSTem:VERSion": lambda call: "1999.0",
            "SYSTem:REMote": lambda call: None,
            "SYSTem:LOCal": lambda call: None,
            **self.commands(),
        }
        self._table = [(_header_pattern(header), handler) for header, handler in table.items()]

    @abstractmethod
    def commands(self) -> Mapping[str, Handler]:
        """Header in SCPI notation, such as `[SOURce:]VOLTage[:LEVel]`, -> what it does."""

    @abstractmethod
    def reset(self) -> None:
        """`*RST`."""

    def report(self, code: int) -> None:
        """Put an error into the queue."""
        self._events |= EVENT_BITS.get(abs(code) // 100, 0)
        if len(self._errors) >= ERROR_QUEUE_LENGTH:
            self._errors[-1] = -350
        else:
            self._errors.append(code)

    def overlong(self) -> None:
        self.report(-223)

    def execute(self, line: str) -> bytes | None:
        """Carry out one line; its reply, if any unit of it is a query. A bad unit ends the line."""
        replies: list[bytes] = []
        path = ""
        for unit in line.split(";"):
            text = unit.strip()
            if not text:
                continue
            header, _, rest = text.partition(" ")
            if header.startswith(":"):
                header, path = header[1:], ""
            if not header.startswith("*"):
                header = path + header
                path = header[: header.rfind(":") + 1]
            try:
                reply = self._call(header, rest.strip())
            except ScpiError as error:
                self.report(error.code)
                break
            if reply is not None:
                replies.append(reply.encode("latin-1") if isinstance(reply, str) else reply)
        return b";".join(replies) if replies else None

    def _call(self, header: str, rest: str) -> Reply:
        query = header.endswith("?")
        bare = header.removesuffix("?")
        for pattern, handler in self._table:
            if (match := pattern.fullmatch(bare)) is not None:
                parameters, channels = self._parameters(rest)
                suffixes = tuple(int(s) for s in match.groups() if s)
                return handler(Call(query, parameters, channels, suffixes))
        raise ScpiError(-113)

    def _parameters(self, rest: str) -> tuple[list[str], Sequence[int]]:
        channels: Sequence[int] = (self.selected,)
        if "(" in rest:
            match = re.fullmatch(r"(.*?),?\s*\(@([\d,: ]+)\)", rest)
            if match is None:
                raise ScpiError(-102)
            rest, channels = match[1], _channel_list(match[2])
            if not set(channels) <= set(self.channel_numbers):
                raise ScpiError(-222)
        return [p.strip() for p in rest.split(",")] if rest.strip() else [], channels

    def _identify(self, call: Call) -> str | None:
        if not call.query:
            raise ScpiError(-113)
        return self.identity

    # ---- status reporting

    def _clear_status(self) -> None:
        self._errors.clear()
        self._events = 0

    def _enable(self, register: str, call: Call) -> str | None:
        if call.query:
            return str(self._enabled[register])
        self._enabled[register] = int(call.number(low=0, high=255))
        return None

    def _take_events(self) -> str:
        events, self._events = self._events, 0
        return str(events)

    def _complete(self, call: Call) -> str | None:
        """Nothing here goes on after its command, except acquisitions."""
        if call.query:
            return "1"
        self._events |= COMPLETE
        return None

    def _status_byte(self) -> int:
        return ERRORS_WAIT * bool(self._errors) | EVENT * bool(self._events & self._enabled["*ESE"])

    def _next_error(self, call: Call) -> str:
        code = self._errors.popleft() if self._errors else 0
        return self.error_text(code, MESSAGES.get(code, "No error"))

    def error_text(self, code: int, message: str) -> str:
        """How an entry of the error queue reads."""
        return f'{code:+d},"{message}"'


def _channel_list(text: str) -> list[int]:
    """`1,3` and `1:3`."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        try:
            numbers.extend(range(int(first), int(last or first) + 1))
        except ValueError:
            raise ScpiError(-102) from None
    return numbers


def _header_pattern(header: str) -> re.Pattern[str]:
    """`[SOURce:]VOLTage[:LEVel]` -> a pattern of its long and short forms; `<n>` takes a number."""
    pattern = re.escape(header.replace("<n>", "#")).replace(r"\[", "(?:").replace(r"\]", ")?")
    pattern = pattern.replace(r"\#", r"(\d*)")

    def forms(match: re.Match[str]) -> str:
        word = match[0]
        short = re.match(r"[A-Z]*", word)
        assert short is not None
        return f"(?:{word}|{short[0]})" if short[0] != word else word

    pattern = re.sub(r"[A-Z]+[a-z]+", forms, pattern)
    return re.compile(pattern, re.IGNORECASE)
