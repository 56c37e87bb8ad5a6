"""The driver of one update cycle: delivers, watches /5/0/3 and /5/0/5, follows the device through its reboot.

What the device does is recorded, never judged here: a refusal, a failure or a stall is part of the
`UpdateRecord` that testcases assert on. Faults of the bench are `BenchError`s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.clock import Clock
from bench.errors import ServerError, WaitTimeout
from bench.firmware_update.states import Delivery, Result, State
from bench.lwm2m.client import Client, CoapError, NotReachable, Observation
from bench.lwm2m.packages import Package
from bench.lwm2m.push import BlockPush, PushResult
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

PACKAGE, PACKAGE_URI, UPDATE, STATE, RESULT = "/5/0/0", "/5/0/1", "/5/0/2", "/5/0/3", "/5/0/5"
POLL = 5.0
"""Seconds between polite reads of a device that sends no notifications."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What was seen of the object: bench seconds, the pair, and how it was learned."""

    time: float
    state: State
    result: Result
    origin: str


@dataclass
class UpdateRecord:
    """One update as it was observed.

    `states` are the states entered, in order, without repetition; `result` the last Update Result;
    `stuck` says what did not happen in time ("" when nothing did); `delivered` counts bytes.
    """

    delivery: Delivery
    size: int
    transitions: list[Transition] = field(default_factory=list)
    delivered: int = 0
    push: PushResult | None = None
    refused: str = ""
    stuck: str = ""
    started: float = 0.0
    finished: float = 0.0

    @property
    def states(self) -> list[State]:
        entered: list[State] = []
        for transition in self.transitions[1:]:
            if transition.state is not (entered[-1] if entered else self.transitions[0].state):
                entered.append(transition.state)
        return entered

    @property
    def state(self) -> State:
        return self.transitions[-1].state

    @property
    def result(self) -> Result:
        return self.transitions[-1].result

    @property
    def observed(self) -> list[tuple[State, Result]]:
        return [(t.state, t.result) for t in self.transitions]

    @property
    def duration(self) -> float:
        return self.finished - self.started


class Update:
    """One running update. The methods are called in order, from the test thread."""

    def __init__(
        self,
        server: LwM2mServer,
        endpoint: str,
        data: bytes,
        delivery: Delivery,
        *,
        clock: Clock,
        timeline: Timeline,
        server_uri: str,
        download_timeout: float,
        update_timeout: float,
    ) -> None:
        self.record = UpdateRecord(delivery, len(data))
        self._server, self._endpoint, self._data = server, endpoint, data
        self._clock, self._timeline, self._uri = clock, timeline, server_uri
        self._download_timeout, self._update_timeout = download_timeout, update_timeout
        self._observations: list[Observation] = []
        self._state: State | None = None
        self._result: Result | None = None
        self._push: BlockPush | None = None
        self._package: Package | None = None
        self._polled = False
        self._rebooted: float | None = None
        self._learned = asyncio.Event()
        self._stop_listening = server.listen_reports(self._reported)

    # ---- what is learned

    def _learn(self, state: int | None, result: int | None, origin: str) -> None:
        try:
            self._state = self._state if state is None else State(state)
            self._result = self._result if result is None else Result(result)
        except ValueError as error:
            self._timeline.record(self._endpoint, "warning", f"object 5 reports {error}")
            return
        if self._state is None or self._result is None:
            return
        last = self.record.transitions[-1] if self.record.transitions else None
        if last is not None and (last.state, last.result) == (self._state, self._result):
            return
        self.record.transitions.append(Transition(self._clock.now(), self._state, self._result, origin))
        self._timeline.record(
            self._endpoint,
            "state",
            f"{self._state.name} result {self._result.value}",
            state=int(self._state),
            result=int(self._result),
            origin=origin,
        )
        self._learned.set()
        self._clock.changed()

    def _reported(self, endpoint: str, values: dict[str, Any]) -> None:
        """LwM2M Send: state and result may come together, without being asked for."""
        if endpoint == self._endpoint and not values.keys().isdisjoint((STATE, RESULT)):
            self._learn(values.get(STATE), values.get(RESULT), "send")

    async def _read_pair(self, client: Client) -> None:
        # the result first: read after the state it could belong to a later one
        result = await client.read_async(RESULT)
        state = await client.read_async(STATE)
        self._learn(state, result, "read")

    async def _observe(self, client: Client) -> None:
        for path, heard in (
            (RESULT, lambda value: self._learn(None, value, "notification")),
            (STATE, lambda value: self._learn(value, None, "notification")),
        ):
            try:
                self._observations.append(await client.observe(path, heard))
            except CoapError as refusal:
                self._timeline.record(self._endpoint, "warning", str(refusal))

    def _forget_observations(self) -> None:
        for observation in self._observations:
            observation.drop()
        self._observations.clear()

    # ---- the cycle

    def prepare(self) -> None:
        """Observe state and result, and learn where the device stands."""
        client = self._client()
        self.record.started = self._clock.now()

        async def begin() -> None:
            await self._read_pair(client)
            await self._observe(client)

        self._clock.run(begin(), timeout=600, reason=f"{self._endpoint}: observe object 5")

    def deliver(self, until: int | None = None) -> None:
        """Hand the package over; for PULL, name its URI. `until` stops after that many bytes."""
        with self._timeline.step(self._endpoint, f"deliver by {self.record.delivery}"):
            if self.record.delivery is Delivery.PUSH:
                self._deliver_push(until)
            else:
                self._deliver_pull(until)

    def _deliver_push(self, until: int | None) -> None:
        client = self._client()
        if self._push is None:
            self._push = client.push(PACKAGE, self._data, on_progress=self._pushed)
        push = self._push
        try:
            self.record.push = self._clock.run(
                push.run(until), timeout=self._download_timeout, reason=f"{self._endpoint}: push"
            )
        except WaitTimeout as timeout:
            self.record.stuck = timeout.message
            return
        self.record.delivered = push.result.sent
        if push.result.reason:
            self.record.refused = push.result.reason
            self._timeline.record(self._endpoint, "warning", f"push ended: {push.result.reason}")

    async def _pushed(self, sent: int) -> None:
        self._progress(sent)
        if not self._polled:  # devices that never notify Downloading can still be asked, once
            self._polled = True
            if self._state is State.IDLE:
                try:
                    await self._read_pair(self._client())
                except (CoapError, NotReachable):
                    pass  # busy with the transfer: the notification will have to do

    def _deliver_pull(self, until: int | None) -> None:
        if self._package is None:
            name = f"{self._endpoint.replace(':', '-')}.bin"
            self._package = self._server.publish(name, self._data)
            uri = f"{self._uri}/fw/{name}"
            try:
                self._client().write(PACKAGE_URI, uri)
            except CoapError as refusal:
                self.record.refused = str(refusal)
                return
        package = self._package
        goal = len(self._data) if until is None else until
        shown = -1

        def fetched() -> bool:
            nonlocal shown
            if package.served != shown:
                shown = package.served
                self._progress(shown)
            failed = self._state is State.IDLE and len(self.record.transitions) > 1
            return package.served >= goal or failed

        try:
            self._clock.wait_for(
                fetched, timeout=self._download_timeout, reason=f"{self._endpoint}: download"
            )
        except WaitTimeout as timeout:
            self.record.stuck = timeout.message
        self.record.delivered = package.served

    def _progress(self, done: int) -> None:
        elapsed = self._clock.now() - self.record.started
        self._timeline.record(
            self._endpoint,
            "progress",
            f"{100 * done // max(1, len(self._data))} %",
            done=done,
            total=len(self._data),
            rate=round(done / elapsed, 1) if elapsed > 0 else 0.0,
            state=int(self._state) if self._state is not None else 0,
        )

    def await_downloaded(self) -> bool:
        """Wait until the device says Downloaded, or falls back to Idle. Returns whether it is Downloaded."""
        with self._timeline.step(self._endpoint, "verify the package"):
            settled = self._settle(
                lambda: (
                    self._state is State.DOWNLOADED
                    or (self._state is State.IDLE and len(self.record.transitions) > 1)
                ),
                self._download_timeout,
                "the device to reach Downloaded or give up",
            )
        if settled:
            self._confirm_pair()
        return settled and self._state is State.DOWNLOADED

    def _confirm_pair(self) -> None:
        """State and result arrive as two notifications, in either order: read both before judging."""
        try:
            self._clock.run(
                self._read_pair(self._client()), timeout=600, reason=f"{self._endpoint}: read the outcome"
            )
        except (CoapError, NotReachable, WaitTimeout) as lost:
            self._timeline.record(self._endpoint, "warning", f"the outcome could not be read: {lost}")

    def execute(self) -> bool:
        """Execute /5/0/2. Returns whether the device took it."""
        with self._timeline.step(self._endpoint, "execute the update"):
            self._rebooted = self._clock.now()
            try:
                self._client().execute(UPDATE)
            except CoapError as refusal:
                self.record.refused = str(refusal)
                return False
            except NotReachable:
                pass  # it may have restarted before its answer arrived: its state will tell
        return True

    def await_finish(self) -> None:
        """Follow the device through swap, reboot and registration to its final state and result."""
        assert self._rebooted is not None
        with self._timeline.step(self._endpoint, "swap, reboot, register"):
            try:
                client = self._server.wait_registered(
                    self._endpoint, timeout=self._update_timeout, after=self._rebooted
                )
            except WaitTimeout as timeout:
                self.record.stuck = timeout.message
                return
        with self._timeline.step(self._endpoint, "read the outcome"):
            self._forget_observations()  # none survives a restart

            async def again() -> None:
                await self._observe(client)
                await self._read_pair(client)

            try:
                self._clock.run(again(), timeout=600, reason=f"{self._endpoint}: observe object 5")
            except (NotReachable, WaitTimeout) as lost:
                self.record.stuck = lost.message
                return
            self._settle(
                lambda: self._state in (State.IDLE, State.DOWNLOADED),
                self._update_timeout,
                "the update to end",
            )
            self._confirm_pair()

    def _settle(self, done: Callable[[], bool], timeout: float, what: str) -> bool:
        """Wait for `done`, by notification or, every few seconds, by reading."""

        async def watch() -> None:
            while not done():
                try:
                    await asyncio.wait_for(self._learned.wait(), POLL)
                    self._learned.clear()
                except TimeoutError:
                    try:
                        await self._read_pair(self._client())
                    except (CoapError, ServerError):
                        pass  # away or busy; it is asked again

        try:
            self._clock.run(watch(), timeout=timeout, reason=f"{self._endpoint}: waiting for {what}")
        except WaitTimeout as timeout_error:
            self.record.stuck = timeout_error.message
            return False
        return True

    def run(self) -> UpdateRecord:
        """The whole cycle, as far as the device goes along."""
        self.prepare()
        self.deliver()
        if not self.record.stuck and self.await_downloaded() and self.execute():
            self.await_finish()
        self.close()
        return self.record

    def close(self) -> None:
        """Stop watching, and take the package off the shelf."""
        self.record.finished = self._clock.now()
        self._forget_observations()
        self._stop_listening()
        if self._package is not None:
            self._server.withdraw(self._package.name)

    def _client(self) -> Client:
        return self._server.client(self._endpoint)
