"""Switches supply outputs off when the process that may have switched them on is gone, SIGKILL included.

`OutputGuard` is the bench's side: a process of its own (`guarding`) that holds a description of every
supply, and a pipe each way. It opens no connection while the bench lives, because some supplies accept
only one. Each side hears the other's heartbeat: a bench that is killed, stopped (SIGSTOP) or silent loses
its outputs, and a bench whose guard is gone ends its run.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from bench.errors import BenchError, InstrumentError, OutputLeftOnError
from bench.locks import Resource
from bench.side_process import side_process

DISMISSED = "dismissed"
READY = "ready"
ALIVE = "alive"
"""Words on the pipes; what else the guard says is why it has switched the outputs off."""
BEAT = 0.5
"""Wall seconds between two heartbeats."""
SILENCE = 15.0
"""Wall seconds without any, after which the other side is taken for hung: long, for a PC under full load
must not end its runs. One that is killed or stopped is seen at once, by the system."""
START_LIMIT = 30.0
"""Wall seconds within which the guard must stand: it imports the drivers first."""
END_LIMIT = 30.0
"""Wall seconds to wait for it when the bench itself could not switch off. It goes on trying after them."""


@dataclass(frozen=True, slots=True)
class GuardedSupply:
    """What is needed to reach a supply, as in the bench file, and the outputs of it that are guarded."""

    name: str
    driver: str
    address: str
    identity: str | None
    outputs: tuple[int, ...] = ()


class OutputGuard:
    """Use as a context manager round everything that opens and uses the supplies.

    Left in order, it ends the guard. Left by an exception, which at the end of a bench means that outputs
    could not be switched off, it lets the guard try over connections of its own, and go on trying.
    `resources` are locked by the guard as long as it lives. `on_lost` is called once, from another thread,
    when the guard has ended, is silent, or has switched the outputs off; nobody then guards them any more.
    """

    def __init__(self, supplies: Iterable[GuardedSupply], resources: Collection[Resource] = ()) -> None:
        self._supplies = tuple(supplies)
        self._resources = tuple(resources)
        self._process: subprocess.Popen[str]
        self._heard = time.monotonic()
        self._left = threading.Event()
        self._telling = threading.Lock()
        self.on_lost: Callable[[InstrumentError], None] = lambda fault: None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            **side_process("bench.instruments.guarding"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._tell(
            {
                "owner": os.getpid(),
                "supplies": [asdict(s) for s in self._supplies],
                "resources": [asdict(r) for r in self._resources],
            }
        )
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    def await_ready(self) -> None:
        """Wait until it stands. Nothing may be powered before. Raises `InstrumentError`."""
        too_late = threading.Timer(START_LIMIT, self._process.kill)
        too_late.start()
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        too_late.cancel()
        if answer != READY:
            raise InstrumentError(
                f"the guard that switches supplies off when the bench is killed does not start: {answer!r}",
                help="see its traceback on the standard error output; nothing has been powered",
            )
        self._heard = time.monotonic()
        for work in (self._listen, self._beat):
            threading.Thread(target=work, name="output-guard", daemon=True).start()

    def _listen(self) -> None:
        """The guard's words, until it has ended."""
        said = ""
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._heard = time.monotonic()
                if line.strip() != ALIVE:
                    said = line.strip()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        if said:
            self._lost(f"the guard of the supplies has switched them off: {said}")
        else:
            self._lost(f"the guard of the supplies has ended with {self._process.poll()}")

    def _beat(self) -> None:
        while not self._left.wait(BEAT):
            self._tell(ALIVE)
            silent = time.monotonic() - self._heard
            if silent > SILENCE:
                self._lost(f"the guard of the supplies has been silent for {silent:.0f} s")

    def _lost(self, why: str) -> None:
        if self._left.is_set():
            return
        self._left.set()
        self.on_lost(
            InstrumentError(
                why,
                help="nobody would switch the boards off if this run were killed, so it ends here; "
                f"see who has ended or stopped process {self.pid} or this one",
            )
        )

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left.set()
        if exc_type is None:
            self._tell(DISMISSED)
        assert self._process.stdin is not None
        with self._telling, contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            ended = self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            ended = None
        if exc_type is None and ended is None:  # hung, with nothing left to do
            self._process.kill()
            self._process.wait()
        if isinstance(exc, BenchError):
            self._tell_outcome(exc, ended)

    def _tell_outcome(self, fault: BenchError, ended: int | None) -> None:
        """What the bench could not switch off is off by now, or not."""
        if ended == 0:
            raise InstrumentError(
                f"{fault.message}; its guard has switched it off over a connection of its own",
                help=fault.help,
            ) from fault
        goes_on = "" if ended is not None else f"; its guard, process {self.pid}, goes on trying"
        raise OutputLeftOnError(
            f"{fault.message}; an output may still be on{goes_on}",
            help=f"look at {', '.join(s.name for s in self._supplies)} and switch off by hand; {fault.help}",
        ) from fault

    def _tell(self, what: Any) -> None:
        assert self._process.stdin is not None
        with self._telling, contextlib.suppress(OSError, ValueError):  # it has ended; others tell
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
