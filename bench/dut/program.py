"""A client program as a board would behave: it starts with power on, dies at once with power off."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.dut.program_port import ProgramPort, open_pipes, open_terminal
from bench.errors import ConfigError

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
    restarts: bool = False
    restart_delay: float = 0.5
    restart_status: tuple[int, ...] | None = None


class Program:
    """`on_event(text, status)` is told, on a thread of its own, when it starts, ends, or starts anew."""

    def __init__(self, name: str, port: ProgramPort, on_event: Callable[[str, int | None], None]) -> None:
        self._name = name
        self._port = port
        self._on_event = on_event
        self._wanted: threading.Event | None = None  # set: power off
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self, start: Start) -> None:
        """Start it, and start it anew as its policy says, until `kill`. Raises `ConfigError`."""
        self.kill()
        self.check(start)
        stop, begun = threading.Event(), threading.Event()
        faults: list[Exception] = []
        self._wanted = stop
        # the thread that starts a program must outlive it: its end is the program's (parent_death)
        self._thread = threading.Thread(
            target=self._keep, args=(start, stop, begun, faults), name=f"{self._name}-program", daemon=True
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
                f"{self._name}: there is no program {start.command[0]}",
                help="build or install it, or correct `command` in the board file",
            )

    def _keep(
        self, start: Start, stop: threading.Event, begun: threading.Event, faults: list[Exception]
    ) -> None:
        recent: list[float] = []
        while True:
            with self._lock:
                if stop.is_set():
                    break
                try:
                    self._process, pump = self._spawn(start)
                except (OSError, ConfigError) as fault:
                    faults.append(fault)
                    begun.set()
                    return
            self._on_event("started", None)
            begun.set()
            status = self._process.wait()
            pump.join(KILL_LIMIT)  # what it printed last
            if stop.is_set():
                break
            self._end_children()
            again = start.restarts and (start.restart_status is None or status in start.restart_status)
            recent = [*recent[-MAX_RESTARTS_A_MINUTE:], time.monotonic()]
            too_often = len(recent) > MAX_RESTARTS_A_MINUTE and recent[-1] - recent[0] < 60
            self._on_event("ended" if not again else "ended, to be started anew", status)
            if not again or too_often or stop.wait(start.restart_delay):
                break

    def _spawn(self, start: Start) -> tuple[subprocess.Popen[bytes], threading.Thread]:
        command = [shutil.which(start.command[0]) or start.command[0], *start.command[1:]]
        if sys.platform == "linux":
            command = [sys.executable, "-m", "bench.dut.parent_death", *command]
        how = {
            "env": {**os.environ, **start.env},
            "cwd": start.cwd,
            "start_new_session": os.name == "posix",
        }
        process, output, feed = (open_terminal if start.pty else open_pipes)(command, **how)
        self._family = psutil.Process(process.pid)
        return process, self._port.attach(output, feed.write)

    def kill(self) -> None:
        """End it and everything it has started, without a word of warning. Idempotent."""
        if self._wanted is None or self._thread is None:
            return
        with self._lock:
            self._wanted.set()
            if self._process is not None:
                self._end_children()
                with contextlib.suppress(OSError):
                    self._process.kill()
        self._thread.join(KILL_LIMIT)
        self._thread = self._wanted = self._process = None

    def _end_children(self) -> None:
        """Kill the program's descendants, and its process group where there are such."""
        assert self._process is not None
        with contextlib.suppress(psutil.Error):
            for child in self._family.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, 9)  # its session leader's id, while anyone is in it
