"""The device's Firmware Update Object (/5, version 1.0 or 1.1): its resources, PULL, trial and outcome."""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.boot import slots as checks
from bench.virtual.boot.slots import UpdateSlots
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.data_model import Instance, Path, Resource
from bench.virtual.firmware.downloads.schemes import (
    SCHEMES,
    NoUri,
    UnsupportedScheme,
    open_download,
    understand,
)
from bench.virtual.firmware.downloads.source import NO_SUCH_PACKAGE, TOO_LARGE, Means, Source
from bench.virtual.firmware.settings import Settings
from bench.virtual.firmware.update.machine import (
    CONNECTION_LOST,
    DOWNLOADED,
    DOWNLOADING,
    IDLE,
    INITIAL,
    INTEGRITY,
    INVALID_URI,
    NO_FLASH,
    NO_RAM,
    UNSUPPORTED,
    UNSUPPORTED_PROTOCOL,
    UPDATING,
    Progress,
    Stack,
    UpdateMachine,
)
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.store import SECTOR, Heap, PackageStore
from bench.virtual.firmware.update.user import User
from bench.virtual.machine import Machine, RunningImage
from bench.virtual.process import Steps

RESTART_DELAY = 1.0
"""Seconds between the answer to Update and the restart, so that answer and notification get out."""
KEPT_EVERY = 4 * SECTOR
"""Bytes of a PULL after which its progress is kept for the time after a restart."""
MAX_URI = 255
"""Bytes of Package URI, by the object's definition."""
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
        self._changed = changed
        self.heap = Heap()
        self.user = User(machine)
        self.fota = UpdateMachine(machine, settings, changed)
        self.fota.load()
        self._store = PackageStore(machine, slots, self.heap)
        self._receiver = PushReceiver(machine, self.fota, self._store, self)
        self._means: Means | None = None
        self.attempt = 0
        self.uri = ""
        self.on_trial = False
        self._severity = DEFAULT_SEVERITY
        self._max_defer: int | None = None

    def connect(self, means: Means) -> None:
        """What packages are fetched with, once the network is there."""
        self._means = means

    @property
    def state(self) -> int:
        return self.fota.state

    def instance(self) -> Instance:
        resources = {
            0: Resource("bytes", write=lambda value: coap.NOT_ALLOWED),
            1: Resource("str", read=lambda: self.uri, write=self._write_uri),
            2: Resource("none", execute=self._execute_update),
            3: Resource("int", read=lambda: self.fota.state),
            5: Resource("int", read=lambda: self.fota.result),
            6: Resource("str", read=lambda: self._package()[0]),
            7: Resource("str", read=lambda: self._package()[1]),
            8: Resource("int", read=lambda: {n: s.protocol for n, s in enumerate(SCHEMES.values())}),
            9: Resource("int", read=lambda: 2),  # both PULL and PUSH
        }
        if self._stack.object5 != "1.0":
            resources |= {
                10: Resource("none", execute=self._execute_cancel),
                11: Resource("int", read=lambda: self._severity, write=self._write_severity),
                12: Resource("int", read=lambda: self.fota.last_change),
                13: Resource("int", read=lambda: self._max_defer or 0, write=self._write_max_defer),
            }
        return Instance(resources)

    def _package(self) -> tuple[str, str]:
        """Name and version of the package in the slot; empty while there is none."""
        if self.fota.state not in (DOWNLOADED, UPDATING):
            return "", ""
        return self._slots.package()

    def write_package(self, request: Request) -> None:
        """PUT /5/0/0, one block or all of it."""
        self._receiver.write_package(request)

    # ---- what the receivers ask for

    def begin_attempt(self) -> int:
        """A new package begins; whatever still runs for the old one stops."""
        self.attempt += 1
        self._receiver.forget()
        self._store.received = 0
        return self.attempt

    def drop(self, event: str, result: int | None = None) -> Steps:
        """Back to Idle: what was downloaded must never boot."""
        self.attempt += 1
        self._receiver.forget()
        self.user.withdraw()
        if event == "reset":
            self.uri = ""
        fota = self.fota
        fota.event(event, result)
        length, fota.length, fota.progress = fota.length, 0, Progress()
        yield from fota.keep()
        yield from self._store.discard(length)

    def verify(self) -> Steps:
        """The package is complete: judge it, and keep or drop it."""
        attempt = self.attempt
        verdict = yield from self._store.verdict()
        if attempt != self.attempt:
            return
        if verdict in (checks.OK, checks.WRONG_BOARD):  # the board is the bootloader's to judge
            self.fota.length, self.fota.progress = self._store.received, Progress()
            self.fota.event("complete")
            yield from self.fota.keep()
        else:
            failure = UNSUPPORTED if verdict == checks.UNSUPPORTED else INTEGRITY
            yield from self.drop("download failed", failure)

    # ---- after a restart

    def settle(self) -> Steps:
        """At boot, before the network is there: what became of what was going on."""
        fota = self.fota
        if fota.state == DOWNLOADING:
            if not (self._stack.resumes and fota.progress.offset):
                fota.progress = Progress()
                fota.become(IDLE, INITIAL)
                yield from fota.keep()
        elif fota.state == UPDATING:
            if self._running.arrival == "test" and not self._slots.confirmed:
                self.on_trial = fota.tried = True
            elif self._slots.confirmed and fota.tried and self._running.arrival != "revert":
                fota.event("succeeded")  # the confirmation was written, its record was not
            else:
                fota.event("failed")
            yield from fota.keep()

    def resume(self) -> None:
        """The network is there: go on with the PULL that a restart interrupted."""
        progress = self.fota.progress
        if self.fota.state != DOWNLOADING or not progress.uri or self._receiver.source is not None:
            return
        source, _ = self._source(progress.uri)
        if source is not None:
            self.uri = progress.uri
            self.attempt += 1
            self._machine.print(f"fota: resume at {progress.offset}")
            self._machine.cpu.spawn(self._pull(source, self.attempt))

    def end_trial(self) -> Steps:
        """The new firmware has registered: it stays."""
        self.on_trial = False
        yield from self._slots.confirm()
        self.fota.event("succeeded")
        yield from self.fota.keep()

    # ---- PULL

    def _write_uri(self, uri: str) -> int:
        if not uri:
            if self.fota.state == UPDATING:
                return coap.NOT_ALLOWED
            self._machine.cpu.spawn(self.drop("reset"))
            return coap.CHANGED
        if len(uri.encode()) > MAX_URI:
            return coap.BAD_REQUEST
        if self.fota.state != IDLE:
            return coap.NOT_ALLOWED
        source, failure = self._source(uri)
        self.begin_attempt()
        self.uri = uri
        # the answer to the Write goes out first
        if source is None:
            self._machine.cpu.after(0.0, lambda: self._refuse(failure))
            return coap.CHANGED
        if not self._store.has_memory:
            self._machine.cpu.after(0.0, lambda: self._refuse(NO_RAM))
            return coap.CHANGED
        self.fota.progress = Progress(uri)
        self.fota.event("started")
        self._machine.cpu.spawn(self._pull(source, self.attempt))
        return coap.CHANGED

    def _source(self, uri: str) -> tuple[Source | None, int]:
        """Where to fetch from, or None and the result that says why not."""
        try:
            return understand(uri, self._means is not None and self._means.link.has_credentials), 0
        except UnsupportedScheme:
            return None, UNSUPPORTED_PROTOCOL
        except NoUri:
            return None, INVALID_URI

    def _refuse(self, failure: int) -> None:
        if self.fota.state == IDLE:
            self.fota.event("started")
            self._machine.cpu.spawn(self.drop("download failed", failure))

    def _pull(self, source: Source, attempt: int) -> Steps:
        assert self._means is not None
        progress = self.fota.progress
        yield from self.fota.keep()
        yield from self._store.begin(progress.offset)
        download = open_download(self._means, source, self._store.capacity)
        download.resume(progress.offset, progress.etag)
        while attempt == self.attempt:
            block = yield from download.next_block()
            if attempt != self.attempt:
                return
            if download.failure is not None:
                result = {NO_SUCH_PACKAGE: INVALID_URI, TOO_LARGE: NO_FLASH}.get(
                    download.failure, CONNECTION_LOST
                )
                yield from self.drop("download failed", result)
                return
            if download.restarted:
                yield from self._store.begin()
            yield from self._store.append(block)
            if download.complete:
                break
            yield from self._keep_progress(download.etag)
        if attempt == self.attempt:
            yield from self.verify()

    def _keep_progress(self, etag: bytes) -> Steps:
        if self._stack.resumes and self._store.received % KEPT_EVERY == 0:
            self.fota.progress = Progress(self.uri, etag, self._store.received)
            yield from self.fota.keep()

    # ---- Update, Cancel, deferral

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
        self.fota.tried = False
        yield from self.fota.keep()
        yield from self._slots.request_upgrade()
        yield RESTART_DELAY
        self._machine.reset("soft")
        yield 0.0

    def _execute_cancel(self, arguments: bytes) -> int:
        if self.fota.state not in (DOWNLOADING, DOWNLOADED):
            return coap.NOT_ALLOWED
        self._machine.cpu.spawn(self.drop("cancelled"))
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
