"""Leshan's server, a process of its own (`ServerPeer.java`), asked from the thread that drives a clock."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from java_peers import JAVA, classpath
from paced_plant import PACE

from bench.clock import Clock

START, ANSWER = 60.0, 150.0
"""Wall seconds for the virtual machine to start, and for an answer."""


@dataclass(frozen=True)
class Answer:
    """A CoAP code and the values that came with it, by path."""

    code: str
    values: dict[str, Any] = field(default_factory=dict)


class LeshanServer:
    """Ports are in `ports`: coap, coaps, bootstrap, packages. Use as a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [*JAVA, "-cp", classpath(), "ServerPeer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._ready = threading.Event()
        self._clock: Clock | None = None
        self.ports: dict[str, int] = {}
        self.events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(START), "Leshan's server has not started"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # it ends by itself
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def use(self, clock: Clock | None) -> None:
        """From now on answers and events are awaited on this clock."""
        self._clock = clock

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if told.get("event") == "ready":
                self.ports = {name: port for name, port in told.items() if name != "event"}
                self._ready.set()
            elif "event" in told:
                self.events.append(told)
            else:
                self._answers[told["id"]] = told
            clock = self._clock
            if clock is not None:
                clock.loop.call_soon_threadsafe(clock.changed)

    def ask(self, command: str, endpoint: str = "", path: str = "", **arguments: Any) -> Answer:
        """Raises `AssertionError` with what Leshan said where it did not come to an answer of the device."""
        assert self._process.stdin is not None
        assert self._clock is not None
        number = next(self._numbers)
        message = {"id": number, "do": command, "endpoint": endpoint, "path": path, **arguments}
        self._process.stdin.write(json.dumps(message, default=str) + "\n")
        self._process.stdin.flush()
        told = self._clock.wait_for(
            lambda: self._answers.get(number), timeout=ANSWER * PACE, reason=f"Leshan: {command} {path}"
        )
        assert "error" not in told, told["error"]
        return Answer(told.get("code", ""), told.get("values", {}))

    def await_event(
        self, name: str, endpoint: str, since: int = 0, timeout: float = 600.0, **wanted: Any
    ) -> dict[str, Any]:
        """The first such event from number `since` on. `timeout` is in seconds of the clock."""
        assert self._clock is not None

        def found() -> dict[str, Any] | None:
            return next(
                (
                    event
                    for event in self.events[since:]
                    if (event["event"], event["endpoint"]) == (name, endpoint)
                    and wanted.items() <= event.items()
                ),
                None,
            )

        seen = self._clock.wait_for(found, timeout=timeout, reason=f"Leshan: {name} of {endpoint}")
        assert seen is not None
        return seen
