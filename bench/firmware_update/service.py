"""What testcases ask of the server about a board: update it, restart it, which version it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench.clock import Clock
from bench.dut.dut import Dut
from bench.firmware.image import FirmwareImage
from bench.firmware_update.states import Delivery, Result, State
from bench.firmware_update.update import RESULT, STATE, Update, UpdateRecord
from bench.lwm2m.client import Client
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline


class RunningUpdate:
    """An update that a testcase takes step by step; `record` is what was observed so far."""

    def __init__(self, update: Update, size: int) -> None:
        self._update = update
        self._size = size
        self.record: UpdateRecord = update.record

    def deliver_until(self, share: float) -> None:
        """Deliver until `share` (0 to 1) of the package has gone over."""
        self._update.deliver(until=int(self._size * share))

    def finish(self) -> UpdateRecord:
        """The rest of the cycle."""
        self._update.deliver()
        if not self.record.stuck and self._update.await_downloaded() and self._update.execute():
            self._update.await_finish()
        return self.record


class UpdateService:
    """The server as testcases see it."""

    def __init__(self, server: LwM2mServer, server_uri: str, clock: Clock, timeline: Timeline) -> None:
        self.lwm2m = server
        self.uri = server_uri
        self._clock = clock
        self._timeline = timeline

    def client(self, dut: Dut) -> Client:
        return self.lwm2m.client(dut.endpoint)

    def commission(self, dut: Dut) -> Client:
        """Power the freshly installed board, tell it its server, wait until it has registered."""
        before = self._clock.now()
        dut.power_on()
        dut.provision(self.uri)
        return self.lwm2m.wait_registered(dut.endpoint, timeout=dut.type.timeouts.registration, after=before)

    def restart(self, dut: Dut) -> Client:
        """Power-cycle the board and wait until it has registered again."""
        with self._timeline.step(dut.endpoint, "power cycle"):
            dut.power_cycle()
            timeouts = dut.type.timeouts
            return self.lwm2m.wait_registered(
                dut.endpoint,
                timeout=timeouts.boot + timeouts.update + timeouts.registration,
                after=self._clock.now(),
            )

    def version_of(self, dut: Dut) -> str:
        """The firmware version that the running device reports (/3/0/3)."""
        return str(self.client(dut).read("/3/0/3"))

    def state_of(self, dut: Dut) -> tuple[State, Result]:
        """State and Update Result, read now."""
        client = self.client(dut)
        return State(int(str(client.read(STATE)))), Result(int(str(client.read(RESULT))))

    def update(self, dut: Dut, image: FirmwareImage, delivery: Delivery) -> UpdateRecord:
        """A whole update cycle. What the device did is in the record, good or bad."""
        return self._update(dut, image, delivery).run()

    @contextlib.contextmanager
    def begin(self, dut: Dut, image: FirmwareImage, delivery: Delivery) -> Iterator[RunningUpdate]:
        """An update to be taken step by step inside the block."""
        update = self._update(dut, image, delivery)
        update.prepare()
        try:
            yield RunningUpdate(update, image.size)
        finally:
            update.close()

    def _update(self, dut: Dut, image: FirmwareImage, delivery: Delivery) -> Update:
        timeouts = dut.type.timeouts
        return Update(
            self.lwm2m,
            dut.endpoint,
            image.data,
            delivery,
            clock=self._clock,
            timeline=self._timeline,
            server_uri=self.uri,
            download_timeout=timeouts.download,
            update_timeout=timeouts.update + timeouts.registration,
        )
