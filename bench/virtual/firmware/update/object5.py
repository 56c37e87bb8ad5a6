"""The device's Firmware Update Object (/5, version 1.0, 1.1 or 1.2): its resources, trial and outcome."""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.boot import slots as checks
from bench.virtual.boot.slots import UpdateSlots
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.data_model import Instance, Path, Resource
from bench.virtual.firmware.settings import Settings
from bench.virtual.firmware.update.machine import (
    DOWNLOADED,
    DOWNLOADING,
    INITIAL,
    INTEGRITY,
    UNSUPPORTED,
    UPDATING,
    Stack,
    UpdateMachine,
)
from bench.virtual.firmware.update.reception import Reception
from bench.virtual.firmware.update.store import Heap, PackageStore
from bench.virtual.firmware.update.user import User
from bench.virtual.machine import Machine, RunningImage
from bench.virtual.process import Steps

RESTART_DELAY = 1.0
"""Seconds between the answer to Update and the restart, so that answer and notification get out."""
DEFAULT_SEVERITY = 1


class UpdateObject:
    """`changed(path)` is told of every resource that has a new value."""

    def __init__(
        self,
        machine: Machine,
        running: RunningImage,
        slots: UpdateSlots,
        settings: Settings,
        stack: Stack,
        changed: Callable[[Path], None],
    ) -> None:
        self._machine = machine
        self._running = running
        self._slots = slots
        self._stack = stack
        self.heap = Heap()
        self.user = User(machine)
        self.fota = UpdateMachine(machine, settings, changed)
        self.fota.load()
        self._store = PackageStore(machine, slots, self.heap)
        self.reception = Reception(
            machine,
            self.fota,
            self._store,
            resumes=stack.resumes,
            judge=self._judge,
            dropped=self.user.withdraw,
            completed=self._completed,
        )
        self.on_trial = False
        self._severity = DEFAULT_SEVERITY
        self._max_defer: int | None = None
        self._automatic = False

    @property
    def state(self) -> int:
        return self.fota.state

    def instance(self) -> Instance:
        resources = self.reception.resources() | {
            2: Resource("none", execute=self._execute_update),
            6: Resource("str", read=lambda: self._package()[0]),
            7: Resource("str", read=lambda: self._package()[1]),
        }
        if self._stack.object5 != "1.0":
            resources |= {
                10: Resource("none", execute=self.reception.cancel),
                11: Resource("int", read=lambda: self._severity, write=self._write_severity),
                12: Resource("int", read=lambda: self.fota.last_change),
                13: Resource("int", read=lambda: self._max_defer or 0, write=self._write_max_defer),
            }
        if self._stack.object5 not in ("1.0", "1.1"):
            resources[14] = Resource("bool", read=lambda: self._automatic, write=self._write_automatic)
        return Instance(resources)

    def _package(self) -> tuple[str, str]:
        """Name and version of the package in the slot; empty while there is none."""
        if self.fota.state not in (DOWNLOADED, UPDATING):
            return "", ""
        return self._slots.package()

    def _judge(self) -> Steps:
        """Which result refuses the package in the slot."""
        verdict = yield from self._store.verdict()
        if verdict in (checks.OK, checks.WRONG_BOARD):  # the board is the bootloader's to judge
            return INITIAL
        return UNSUPPORTED if verdict == checks.UNSUPPORTED else INTEGRITY

    # ---- after a restart

    def settle(self) -> Steps:
        """At boot, before the network is there: what became of what was going on."""
        fota = self.fota
        if fota.state == DOWNLOADING:
            yield from self.reception.settle()
        elif fota.state == UPDATING:
            if not self._slots.confirmed:
                self.on_trial = fota.tried = True
            elif fota.tried and self._running.arrival != "revert" and self._is_asked_for():
                fota.event("succeeded")  # the confirmation was written, its record was not
            else:
                yield from self._fail()
            yield from fota.keep()

    def _is_asked_for(self) -> bool:
        """Whether what runs is the package's version: a bootloader may take a way back for a way on."""
        return self._running.version == self.fota.wanted

    def _fail(self) -> Steps:
        """The installation came to nothing: the package goes too, so that nobody tries it again."""
        self.fota.event("failed")
        length, self.fota.length = self.fota.length, 0
        yield from self.fota.keep()
        yield from self._store.discard(length)

    def end_trial(self) -> Steps:
        """The new firmware has registered: it stays."""
        self.on_trial = False
        yield from self._slots.confirm()
        self.fota.event("succeeded")
        yield from self.fota.keep()

    # ---- Update, deferral

    def _execute_update(self, arguments: bytes) -> int:
        if self.fota.state != DOWNLOADED:
            return coap.NOT_ALLOWED
        may_defer = self._stack.object5 != "1.0" and self._max_defer != 0
        if self.user.defers and may_defer:
            self.fota.event("deferred")
            self.user.put_off(self._update_now, self._max_defer)
            self._machine.cpu.spawn(self.fota.keep())
        else:
            self._update_now()
        return coap.CHANGED

    def _update_now(self) -> None:
        if self.fota.state == DOWNLOADED:
            self.user.withdraw()
            self.fota.event("update")
            self._machine.cpu.spawn(self._install())

    def _install(self) -> Steps:
        self.fota.tried, self.fota.wanted = False, self._slots.package()[1]
        yield from self.fota.keep()
        objection = yield from self._slots.request_upgrade()
        if objection is not None:
            self._machine.print(f"fota: {objection}")
            yield RESTART_DELAY
            yield from self._fail()
            return
        yield RESTART_DELAY
        self._machine.reset("soft")
        yield 0.0

    def _completed(self) -> None:
        """The package is there: with Automatic Upgrade nobody has to ask for the update."""
        if self._automatic:
            self._execute_update(b"")

    def _write_automatic(self, value: bool) -> int:
        self._automatic = value
        return coap.CHANGED

    def _write_severity(self, value: int) -> int:
        if value not in (0, 1, 2):
            return coap.BAD_REQUEST
        self._severity = value
        return coap.CHANGED

    def _write_max_defer(self, value: int) -> int:
        if value < 0:
            return coap.BAD_REQUEST
        self._max_defer = value
        return coap.CHANGED
