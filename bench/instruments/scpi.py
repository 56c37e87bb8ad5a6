"""Settings over SCPI: each is followed by a look at the error queue, which is emptied at opening."""

from __future__ import annotations

from bench.clock import Clock
from bench.instruments.instrument import Instrument
from bench.instruments.wires.transport import Transport

ERROR_QUEUE = 40
"""More errors than any queue here holds; reading more means that it never says "No error"."""


class ScpiInstrument(Instrument[Transport]):
    """For drivers to mix in with their kind of instrument."""

    error_query = "SYST:ERR?"

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        # errors left by an earlier user, or by a query that was cut off, are not ours to report
        transport.on_open = self._forget_errors

    def set(self, command: str) -> None:
        """Send a setting and raise what the error queue then holds."""
        self.transport.write(command)
        if errors := self.errors():
            raise self.transport.fault(command, f"refused: {'; '.join(errors)}")

    def number(self, query: str) -> float:
        """A finite number read from the instrument."""
        return self.transport.query_number(query)

    def switch(self, query: str) -> bool:
        """A Boolean: 0 and 1, ON and OFF, YES and NO; anything else is a fault."""
        reply = self.transport.query(query).strip().upper()
        if reply in ("1", "ON", "YES"):
            return True
        if reply in ("0", "OFF", "NO"):
            return False
        raise self.transport.fault(query, f"answered {reply!r}, neither on nor off")

    def errors(self) -> list[str]:
        """Take everything out of the error queue."""
        errors: list[str] = []
        while True:
            reply = self.next_error()
            code = reply.replace(",", " ").split(maxsplit=1)[:1]
            try:
                number = int(code[0]) if code else None
            except ValueError:
                number = None
            if number is None:
                raise self.transport.fault(self.error_query, f"answered {reply!r}, which is no error entry")
            if number == 0:
                return errors
            errors.append(reply)
            if len(errors) > ERROR_QUEUE:
                raise self.transport.fault(self.error_query, f"never empties; last: {reply}")

    def next_error(self) -> str:
        """The oldest entry of the error queue, as it reads."""
        return self.transport.query(self.error_query)

    def _forget_errors(self) -> None:
        self.errors()


def plain(value: float) -> str:
    """A setting as text: at most six decimals, no exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"
