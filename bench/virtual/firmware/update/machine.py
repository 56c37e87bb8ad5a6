"""State and result of /5, the events that move them, and what of it survives a restart.

Source: OMA LwM2M object 5, versions 1.0 and 1.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.virtual.firmware.data_model import Path
from bench.virtual.firmware.settings import Settings
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
) = range(12)

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


@dataclass
class UpdateMachine:
    """`changed(path)` is told of every resource that has a new value."""

    machine: Machine
    settings: Settings
    changed: Callable[[Path], None]
    state: int = IDLE
    result: int = INITIAL
    last_change: int = 0
    tried: bool = False
    """The new image has run, on trial."""
    length: int = 0
    """Bytes of a complete package."""
    progress: Progress = field(default_factory=Progress)

    def load(self) -> None:
        """Take in what the settings kept."""
        held = self.settings.values.get("fota", {})
        self.state = int(held.get("state", IDLE))
        self.result = int(held.get("result", INITIAL))
        self.tried = bool(held.get("tried", False))
        self.length = int(held.get("length", 0))
        self.progress = Progress(*held.get("progress", ("", b"", 0)))

    def keep(self) -> Steps:
        """Make it survive a restart."""
        progress = self.progress
        yield from self.settings.put(
            "fota",
            {
                "state": self.state,
                "result": self.result,
                "tried": self.tried,
                "length": self.length,
                "progress": [progress.uri, progress.etag, progress.offset],
            },
        )

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
        self.machine.print(f"fota: state {state} result {result}")
        if before[1] != result:
            self.changed((5, 0, 5))
        if before[0] != state:
            self.changed((5, 0, 3))
