"""How a package comes in, by PUSH or PULL: what object 5 and each instance of object 33629 share."""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.data_model import Resource
from bench.virtual.firmware.downloads.schemes import (
    SCHEMES,
    NoUri,
    UnsupportedScheme,
    open_download,
    understand,
)
from bench.virtual.firmware.downloads.source import NO_SUCH_PACKAGE, TOO_LARGE, Means, Source
from bench.virtual.firmware.update.machine import (
    CONNECTION_LOST,
    DOWNLOADED,
    DOWNLOADING,
    IDLE,
    INITIAL,
    INVALID_URI,
    NO_FLASH,
    NO_RAM,
    UNSUPPORTED_PROTOCOL,
    UPDATING,
    Progress,
    UpdateMachine,
)
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.store import SECTOR, PackageStore
from bench.virtual.machine import Machine
from bench.virtual.process import Steps

KEPT_EVERY = 4 * SECTOR
"""Bytes of a PULL after which its progress is kept for the time after a restart."""
MAX_URI = 255
"""Bytes of Package URI, by the object's definition."""


class Reception:
    """`judge` is a process that looks at the complete package; its value is the result that refuses
    it, or `INITIAL`. `dropped` is called when the device goes back to Idle, `completed` once it is
    Downloaded. `resumes` says that an
    interrupted PULL goes on after a restart.
    """

    def __init__(
        self,
        machine: Machine,
        fota: UpdateMachine,
        store: PackageStore,
        *,
        resumes: bool,
        judge: Callable[[], Steps],
        dropped: Callable[[], None] = lambda: None,
        completed: Callable[[], None] = lambda: None,
    ) -> None:
        self._machine, self._fota, self._store = machine, fota, store
        self._resumes, self._judge = resumes, judge
        self._dropped, self._completed = dropped, completed
        self._receiver = PushReceiver(machine, fota, store, self)
        self._means: Means | None = None
        self.attempt = 0
        self.uri = ""

    def connect(self, means: Means) -> None:
        """What packages are fetched with, once the network is there."""
        self._means = means

    def resources(self) -> dict[int, Resource]:
        """The resources of object 5 that are about the package on its way."""
        return {
            0: Resource("bytes", write=lambda value: coap.NOT_ALLOWED),  # see write_package
            1: Resource("str", read=lambda: self.uri, write=self._write_uri),
            3: Resource("int", read=lambda: self._fota.state),
            5: Resource("int", read=lambda: self._fota.result),
            8: Resource("int", read=lambda: {n: s.protocol for n, s in enumerate(SCHEMES.values())}),
            9: Resource("int", read=lambda: 2),  # both PULL and PUSH
        }

    def write_package(self, request: Request) -> None:
        """PUT of resource 0, one block or all of it."""
        self._receiver.write_package(request)

    # ---- a package comes, is judged, or goes

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
        self._dropped()
        if event == "reset":
            self.uri = ""
        fota = self._fota
        fota.event(event, result)
        length, fota.length, fota.progress = fota.length, 0, Progress()
        yield from fota.keep()
        yield from self._store.discard(length)

    def verify(self) -> Steps:
        """The package is complete: judge it, and keep or drop it."""
        attempt = self.attempt
        failure = yield from self._judge()
        if attempt != self.attempt:
            return
        if failure == INITIAL:
            self._fota.length, self._fota.progress = self._store.received, Progress()
            self._fota.event("complete")
            yield from self._fota.keep()
            self._completed()
        else:
            yield from self.drop("download failed", failure)

    def cancel(self, arguments: bytes) -> int:
        """Cancel (resource 10)."""
        if self._fota.state not in (DOWNLOADING, DOWNLOADED):
            return coap.NOT_ALLOWED
        self._machine.cpu.spawn(self.drop("cancelled"))
        return coap.CHANGED

    # ---- after a restart

    def settle(self) -> Steps:
        """At boot: a download was interrupted; it goes on later, or never was."""
        if not (self._resumes and self._fota.progress.offset):
            self._fota.progress = Progress()
            self._fota.become(IDLE, INITIAL)
            yield from self._fota.keep()

    def resume(self) -> None:
        """The network is there: go on with the PULL that a restart interrupted."""
        progress = self._fota.progress
        if self._fota.state != DOWNLOADING or not progress.uri or self._receiver.source is not None:
            return
        source, _ = self._source(progress.uri)
        if source is not None:
            self.uri = progress.uri
            self.attempt += 1
            self._machine.print(f"{self._fota.name}: resume at {progress.offset}")
            self._machine.cpu.spawn(self._pull(source, self.attempt))

    # ---- PULL

    def _write_uri(self, uri: str) -> int:
        if not uri:
            if self._fota.state == UPDATING:
                return coap.NOT_ALLOWED
            self._machine.cpu.spawn(self.drop("reset"))
            return coap.CHANGED
        if len(uri.encode()) > MAX_URI:
            return coap.BAD_REQUEST
        if self._fota.state != IDLE:
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
        self._fota.progress = Progress(uri)
        self._fota.event("started")
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
        if self._fota.state == IDLE:
            self._fota.event("started")
            self._machine.cpu.spawn(self.drop("download failed", failure))

    def _pull(self, source: Source, attempt: int) -> Steps:
        assert self._means is not None
        progress = self._fota.progress
        yield from self._fota.keep()
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
        if self._resumes and self._store.received % KEPT_EVERY == 0:
            self._fota.progress = Progress(self.uri, etag, self._store.received)
            yield from self._fota.keep()
