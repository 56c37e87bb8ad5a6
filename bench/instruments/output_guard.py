"""Switches supply outputs off when the process that may have switched them on is gone, SIGKILL included.

`OutputGuard` is the bench's side: a process of its own (`guarding`) that holds a description of every
supply, and a pipe to the bench. It opens no connection while the bench lives, because some supplies
accept only one.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from bench.errors import InstrumentError
from bench.side_process import side_process

DISMISSED = "dismissed"
READY = "ready"
"""Words on the pipes."""
START_LIMIT = 30.0
"""Wall seconds within which the guard must stand: it imports the drivers first."""
END_LIMIT = 30.0
"""Wall seconds it may take over switching off, when the bench itself could not."""


@dataclass(frozen=True, slots=True)
class GuardedSupply:
    """What is needed to reach a supply: as in the bench file."""

    name: str
    driver: str
    address: str
    identity: str | None


class OutputGuard:
    """Use as a context manager round everything that opens and uses the supplies.

    Left in order, it ends the guard. Left by an exception, which at the end of a bench means that outputs
    could not be switched off, it lets the guard try once more over connections of its own.
    """

    def __init__(self, supplies: Iterable[GuardedSupply]) -> None:
        self._supplies = tuple(supplies)
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            **side_process("bench.instruments.guarding"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._tell({"owner": os.getpid(), "supplies": [asdict(s) for s in self._supplies]})
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

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self._tell(DISMISSED)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _tell(self, what: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended; `await_ready` tells
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
