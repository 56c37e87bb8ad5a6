"""A client program as a board would behave: it starts with power on, dies at once with power off."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from bench.dut import guardian
from bench.dut.program_port import ProgramPort, open_pipes, open_terminal
from bench.errors import ConfigError

GUARDIAN = Path(guardian.__file__)
KILL_LIMIT = 5.0
"""Wall seconds within which the operating system must have removed a killed process."""
MAX_RESTARTS_A_MINUTE = 20
"""A program that ends faster than this is not restarted any more: it is broken."""


@dataclass(frozen=True)
class Start:
    """How the program is started; see `bench.config.process.ProcessType`."""

    command: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    pty: bool = False
    restart: Literal["exec", "exit"] = "exec"
    restart_delay: float = 0.5
    restart_status: tuple[int, ...] | None = None

    def is_restart(self, status: int) -> bool:
        """Whether a program that ended like this wants to be started anew."""
        wanted = not is_crash(status) if self.restart_status is None else status in self.restart_status
        return self.restart == "exit" and wanted


def is_crash(status: int) -> bool:
    """Whether the operating system ended the program: a signal, or an NTSTATUS error on Windows."""
    return status < 0 or status >= 0xC0000000


def how_it_ended(status: int) -> str:
    """ "status 3", "SIGSEGV", "0xC0000005"."""
    if status >= 0xC0000000:
        return f"{status:#X}".replace("X", "x")
    try:
        return signal.Signals(-status).name if status < 0 else f"status {status}"
    except ValueError:
        return f"signal {-status}"


class Program:
    """`on_event(text, status)` is told, on a thread of its own, when it starts, ends, or starts anew.

    `ended` says why it does not run although it should: it crashed, or ended without being due to start
    anew. None while it runs, or is switched off.
    """

    def __init__(self, name: str, port: ProgramPort, on_event: Callable[[str, int | None], None]) -> None:
        self._name = name
        self._port = port
        self._on_event = on_event
        self._off: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.ended: str | None = None

    def start(self, start: Start) -> None:
        """Start it, and start it anew as its policy says, until `kill`. Raises `ConfigError`."""
        self.kill()
        self.check(start)
        off, begun = threading.Event(), threading.Event()
        faults: list[Exception] = []
        self._off, self.ended = off, None
        self._thread = threading.Thread(
            target=self._keep, args=(start, off, begun, faults), name=f"{self._name}-program", daemon=True
        )
        self._thread.start()
        begun.wait()
        if faults:
            self._thread.join()
            self._thread = None
            raise ConfigError(
                f"{self._name}: {start.command[0]} cannot be started: {faults[0]}",
                help="correct `command` in the board file",
            ) from faults[0]

    def check(self, start: Start) -> None:
        """Raise `ConfigError` when the program is not there."""
        if shutil.which(start.command[0]) is None:
            raise ConfigError(
                f"{self._name}: there is no program {start.command[0]} that can be run",
                help="build or install it, or correct `command` in the board file",
            )

    def _keep(
        self, start: Start, off: threading.Event, begun: threading.Event, faults: list[Exception]
    ) -> None:
        recent: deque[float] = deque(maxlen=MAX_RESTARTS_A_MINUTE)
        while True:
            with self._lock:
                if off.is_set():
                    return
                try:
                    self._guardian, pump = self._spawn(start)
                except (OSError, ConfigError) as fault:
                    faults.append(fault)
                    begun.set()
                    return
                self._on_event("started", None)
            begun.set()
            status = self._guardian.wait()
            pump.join(KILL_LIMIT)  # what it printed last
            with self._lock:
                if off.is_set():
                    return
                how = how_it_ended(status)
                recent.append(time.monotonic())
                if not start.is_restart(status):
                    self.ended = f"the program {'crashed' if is_crash(status) else 'ended'}: {how}"
                elif len(recent) == recent.maxlen and recent[-1] - recent[0] < 60:
                    self.ended = f"the program ended {len(recent)} times within a minute: {how}"
                self._on_event(self.ended or f"ended, to be started anew: {how}", status)
            if self.ended or off.wait(start.restart_delay):
                return

    def _spawn(self, start: Start) -> tuple[subprocess.Popen[bytes], threading.Thread]:
        follow = ["--follow"] if start.restart == "exec" else []
        program = shutil.which(start.command[0]) or start.command[0]
        command = [sys.executable, "-I", str(GUARDIAN), *follow, str(os.getpid()), "--", program]
        how: dict[str, Any] = {
            "env": {**os.environ, **start.env},
            "cwd": start.cwd,
            "start_new_session": os.name == "posix",  # Ctrl-C is for the bench
        }
        opened = (open_terminal if start.pty else open_pipes)([*command, *start.command[1:]], **how)
        process, output, feed = opened
        return process, self._port.attach(output, feed)

    def kill(self) -> None:
        """End it and everything it has started, without a word of warning. Idempotent."""
        if self._off is None or self._thread is None:
            return
        with self._lock:
            self._off.set()
            if self._guardian is not None and self._guardian.poll() is None:
                with contextlib.suppress(psutil.Error):
                    guardian.Family(psutil.Process(self._guardian.pid)).kill()
                with contextlib.suppress(OSError):
                    self._guardian.kill()
        self._thread.join(KILL_LIMIT)
        self._thread = self._off = self._guardian = None
        self.ended = None
