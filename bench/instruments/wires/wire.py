"""What every wire to an instrument does: identity, spacing, log on the timeline, faults with names.

The kinds of wire derive from `Wire`: `transport` (VISA: TCP sockets, HiSLIP, USB), `serial_wire`
(serial ports without a message layer), `http_wire` (one GET a command).
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypedDict, Unpack

from bench.clock import Clock
from bench.errors import BenchError, InstrumentError, NoReadingError
from bench.timeline import Timeline

OVERFLOW = 9.9e37
"""What SCPI instruments answer for "no number": 9.9E37 (overrange) and 9.91E37 (not a number), IEEE 488.2."""

LOGGED = 200
"""Characters of a reply that go onto the timeline."""

CORRECT_ADDRESS = "correct `address` in the bench file; nothing was sent"
UNREACHED = "check that the instrument is on, reachable, in remote mode and held by no other program"


def reason_of(fault: BaseException) -> str:
    """What a library's exception says, in one line that is never empty and names the kind where it helps."""
    text = " ".join(str(fault).split())
    if text and isinstance(fault, OSError | ValueError):
        return text
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__


class Spacing:
    """Bench seconds an instrument needs between the end of one exchange and the next command.

    They pass before the first command too: another program may just have sent one.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._free_at = clock.now() + seconds

    @property
    def remaining(self) -> float:
        """Seconds until the next command may go out; 0 when it may go now."""
        return max(0.0, self._free_at - self._clock.now())

    def wait(self, who: str) -> None:
        """Let them pass. From a coroutine on the bench's loop, await `remaining` before instead."""
        while (seconds := self.remaining) > 0:  # somebody else's exchange may begin it anew
            self._clock.sleep(seconds, f"{who}: time between commands")

    def begin(self) -> None:
        """An exchange has just ended."""
        self._free_at = self._clock.now() + self._seconds


class Checks(TypedDict, total=False):
    """`identity`: what the instrument's identification must be or begin with (case does not matter; None:
    anything). `timeout`: wall seconds, because it watches a wire; 3 when it is not given. `user` and
    `password`: for a web interface that wants them.
    """

    identity: str | None
    timeout: float
    user: str | None
    password: str | None


class Wire(ABC):
    """Text commands and replies. Every fault is an `InstrumentError` naming instrument, address, command.

    Exchanges from several threads follow one another.
    """

    kind: ClassVar[str]
    """The kind of this wire's timeline entries: "scpi", or "command" where it is something else."""

    def __init__(self, name: str, address: str, timeline: Timeline, **checks: Unpack[Checks]) -> None:
        self.name = name
        self.address = address
        self.idn = ""
        self.on_open: Callable[[], None] = lambda: None
        """Run after every opening, a reopening included: a driver clears the error queue here."""
        self.identify: Callable[[], str] = lambda: self.query("*IDN?")
        """How the instrument says who it is; a driver replaces it where there is no `*IDN?`."""
        self.models = ""
        """Pattern that the identification must contain for the driver to fit (case does not matter)."""
        self.spacing: Spacing | None = None
        self._timeline = timeline
        self._identity = checks.get("identity")
        self._timeout = checks.get("timeout", 3.0)
        self._wanted = False
        self._opening = False
        self._lock = threading.RLock()

    # ---- connection

    def open(self) -> None:
        """Connect and check who answers. Idempotent."""
        self._wanted = True
        if self._connected:
            return
        self._opening = True
        try:
            self._connect()
            self.idn = self.identify().strip()
            self._check_identity()
            self.on_open()
        except BaseException:
            self._disconnect()
            raise
        finally:
            self._opening = False

    def close(self) -> None:
        """Idempotent; never raises."""
        self._wanted = False
        self._disconnect()

    @property
    @abstractmethod
    def _connected(self) -> bool: ...

    @abstractmethod
    def _connect(self) -> None:
        """Raises `InstrumentError` when nothing is there."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Never raises."""

    def _check_identity(self) -> None:
        wanted = self._identity
        if wanted is not None and not self.idn.lower().startswith(wanted.lower()):
            raise InstrumentError(
                f"{self.name} at {self.address} is {self.idn!r}, but the bench file names {wanted!r}",
                help="correct the address or the identity in the bench file; nothing was changed on it",
            )
        if re.search(self.models, self.idn, re.IGNORECASE) is None:
            raise InstrumentError(
                f"{self.name} at {self.address} is {self.idn!r}, which its driver is not for",
                help="correct `driver` or `address` in the bench file; nothing was changed on it",
            )

    # ---- commands

    @abstractmethod
    def query(self, command: str) -> str:
        """Send a command and return its reply without the line end."""

    def query_number(self, command: str) -> float:
        """A finite number. NaN, infinity and 9.9E37 are faults."""
        return self.number(command, self.query(command))

    def number(self, command: str, reply: str) -> float:
        """The finite number that `reply` to `command` stands for; anything else is a fault."""
        try:
            value = float(reply.replace("_", "?"))  # Python would take 1_0 for ten
        except ValueError:
            self._disconnect()  # who knows which question this answers
            raise self.fault(command, f"answered {reply!r}, which is not a number") from None
        if not math.isfinite(value) or abs(value) >= OVERFLOW:
            fault = self.fault(command, f"answered {reply!r}, which stands for no valid reading")
            raise NoReadingError(fault.message, help=fault.help)
        return value

    # ---- for the kinds of wire, and for drivers

    def log(self, text: str) -> None:
        """One line of the wire's log."""
        self._timeline.record(self.name, self.kind, text if len(text) <= LOGGED else text[:LOGGED] + "...")

    def record(self, kind: str, text: str, **data: Any) -> None:
        """An entry of the instrument itself, such as an attenuation that was set."""
        self._timeline.record(self.name, kind, text, **data)

    def fault(self, command: str, reason: str, *, help: str = UNREACHED) -> InstrumentError:
        """An error that names this instrument, its address and the command."""
        return InstrumentError(f"{self.name} at {self.address}: {command}: {reason}", help=help)

    @contextlib.contextmanager
    def guarded(self, command: str) -> Iterator[None]:
        """Whatever a library raises inside becomes an `InstrumentError`, and the connection is closed.

        Closed, because nobody knows what is still on its way: a late reply must not answer the next command.
        """
        try:
            yield
        except BenchError:
            raise
        except Exception as fault:  # libraries raise OSError, RPCError, EOFError, bare Exception, ...
            self._disconnect()
            raise self.fault(command, self._reason(fault)) from fault
        except BaseException:  # interrupted half way through an exchange
            self._disconnect()
            raise

    def _reason(self, fault: Exception) -> str:
        return reason_of(fault)

    def _need(self, command: str) -> None:
        """Be connected, and let the instrument's pause pass."""
        if not self._wanted:
            raise self.fault(command, "the connection is not open")
        if not self._connected:
            self.log("reopening the connection")
            self.open()
        if self.spacing is not None:
            self.spacing.wait(self.name)

    def _ended(self) -> None:
        if self.spacing is not None:
            self.spacing.begin()
