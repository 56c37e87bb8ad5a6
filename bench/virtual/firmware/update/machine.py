"""State and result of /5 (or an instance of /33629), the events that move them, what survives a restart.

Source: OMA LwM2M object 5, versions 1.0 and 1.1, and object 33629.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.virtual.firmware.data_model import Path
from bench.virtual.machine import Machine
from bench.virtual.process import Steps

IDLE, DOWNLOADING, DOWNLOADED, UPDATING = range(4)
(
    INITIAL,
    SUCCESS,
    NO_FLASH,
    NO_RAM,
    CONNECTION_LOST,
    INTEGRITY,
    UNSUPPORTED,
    INVALID_URI,
    FAILED,
    UNSUPPORTED_PROTOCOL,
    CANCELLED,
    DEFERRED,
    CONFLICT,
    DEPENDENCY,
) = range(14)

EVENTS: dict[str, tuple[set[int], int, int | None]] = {
    # event: states it may happen in, state after it, result after it (None: given with the event)
    "started": ({IDLE, DOWNLOADING}, DOWNLOADING, INITIAL),
    "complete": ({DOWNLOADING}, DOWNLOADED, INITIAL),
    "download failed": ({IDLE, DOWNLOADING}, IDLE, None),
    "reset": ({IDLE, DOWNLOADING, DOWNLOADED}, IDLE, INITIAL),
    "cancelled": ({DOWNLOADING, DOWNLOADED}, IDLE, CANCELLED),
    "deferred": ({DOWNLOADED}, DOWNLOADED, DEFERRED),
    "update": ({DOWNLOADED}, UPDATING, INITIAL),
    "succeeded": ({UPDATING}, IDLE, SUCCESS),
    "failed": ({UPDATING}, IDLE, FAILED),
    "refused": ({UPDATING}, DOWNLOADED, None),  # object 33629
    "came along": ({IDLE}, DOWNLOADED, INITIAL),
}


@dataclass(frozen=True, slots=True)
class Stack:
    """Which standards a board's firmware follows, and what it makes of their freedoms.

    `lwm2m` and `object5` are versions; `resumes` says that an interrupted PULL goes on after a restart.
    """

    lwm2m: str = "1.1"
    object5: str = "1.0"
    resumes: bool = False


@dataclass
class Progress:
    """A PULL under way, as kept for the time after a restart: where from, and how far it is safe."""

    uri: str = ""
    etag: bytes = b""
    offset: int = 0


class Keeper(Protocol):
    """Where records survive a restart, by name."""

    @property
    def values(self) -> Mapping[str, Any]: ...

    def put(self, key: str, value: Any) -> Steps: ...


@dataclass
class UpdateMachine:
    """`changed(path)` is told of every resource that has a new value.

    `path` is the object instance's, `name` what its record and its lines on the console are called.
    """

    machine: Machine
    keeper: Keeper
    changed: Callable[[Path], None]
    path: Path = (5, 0)
    name: str = "fota"
    state: int = IDLE
    result: int = INITIAL
    last_change: int = 0
    tried: bool = False
    """The new image has run, on trial."""
    wanted: str = ""
    """The version of the package that is being installed."""
    length: int = 0
    """Bytes of a complete package."""
    progress: Progress = field(default_factory=Progress)

    def load(self) -> None:
        """Take in what was kept."""
        held = self.keeper.values.get(self.name, {})
        self.state = int(held.get("state", IDLE))
        self.result = int(held.get("result", INITIAL))
        self.tried = bool(held.get("tried", False))
        self.wanted = str(held.get("wanted", ""))
        self.length = int(held.get("length", 0))
        self.progress = Progress(*held.get("progress", ("", b"", 0)))

    def keep(self) -> Steps:
        """Make it survive a restart."""
        yield from self.keeper.put(self.name, self.record())

    def record(self) -> dict[str, Any]:
        """What `load` needs after a restart."""
        progress = self.progress
        return {
            "state": self.state,
            "result": self.result,
            "tried": self.tried,
            "wanted": self.wanted,
            "length": self.length,
            "progress": [progress.uri, progress.etag, progress.offset],
        }

    def event(self, name: str, result: int | None = None) -> None:
        sources, state, fixed = EVENTS[name]
        if self.state not in sources:
            raise RuntimeError(f"event {name!r} in state {self.state}")
        self.become(state, fixed if fixed is not None else int(result or INITIAL))

    def become(self, state: int, result: int) -> None:
        before = (self.state, self.result)
        if before == (state, result):
            return
        if before[0] != state:
            self.last_change = int(self.machine.now())  # known before the state is (resource 12)
        self.state, self.result = state, result
        self.machine.print(f"{self.name}: state {state} result {result}")
        if before[1] != result:
            self.changed((*self.path, 5))
        if before[0] != state:
            self.changed((*self.path, 3))
