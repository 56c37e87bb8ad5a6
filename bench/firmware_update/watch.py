"""Watches state and result of one object instance: by notification, by LwM2M Send, by reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bench.clock import Clock
from bench.errors import ServerError
from bench.firmware_update.judge import Rules, Transition, is_allowed
from bench.firmware_update.states import Result, State
from bench.lwm2m.client import Client, CoapError, Observation
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

HALF_STEP = 2.0
"""Seconds after which a pair that the object does not know is looked at by reading it."""
OVERTAKEN_LIMIT = 5
"""Reads in a row that notifications may overtake before the last one is believed."""


class Watch:
    """Collects `transitions`. Everything but `close` runs on the bench's loop."""

    def __init__(
        self,
        server: LwM2mServer,
        endpoint: str,
        instance: str,
        rules: Rules,
        clock: Clock,
        timeline: Timeline,
    ) -> None:
        self._instance, self._state, self._result = instance, f"{instance}/3", f"{instance}/5"
        self._server, self._endpoint = server, endpoint
        self._clock, self._timeline = clock, timeline
        self._rows = rules.known
        self._observations: list[Observation] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._whole_instance = True
        self._heard = 0  # notifications and reports
        self.state: State | None = None
        self.result: Result | None = None
        self.transitions: list[Transition] = []
        self.learned = asyncio.Event()
        self._stop_listening: Callable[[], None] | None = server.listen_reports(self._reported)

    # ---- what is learned

    def _learn(self, state: Any, result: Any, origin: str) -> None:
        self._heard += origin != "read"
        try:
            self.state = self.state if state is None else State(state)
            self.result = self.result if result is None else Result(result)
        except ValueError as error:
            self._timeline.record(self._endpoint, "warning", f"{self._instance} reports {error}")
            return
        if self.state is None or self.result is None:
            return
        last = self.transitions[-1] if self.transitions else None
        if last is not None and last.pair == (self.state, self.result):
            last.stood = last.stood or origin == "read"
            return
        self.transitions.append(Transition(self._clock.now(), self.state, self.result, origin))
        self._timeline.record(
            self._endpoint,
            "state",
            f"{self._instance} {self.state.name} result {self.result.value}",
            instance=self._instance,
            state=int(self.state),
            result=int(self.result),
            origin=origin,
        )
        if last is not None and not is_allowed(self._rows, last.pair, (self.state, self.result)):
            self._clock.loop.call_later(HALF_STEP, self._look_again, self.transitions[-1])
        self.learned.set()
        self._clock.changed()

    def _reported(self, endpoint: str, values: dict[str, Any]) -> None:
        """LwM2M Send: state and result may come together, without being asked for."""
        if endpoint == self._endpoint and not values.keys().isdisjoint((self._state, self._result)):
            self._learn(values.get(self._state), values.get(self._result), "send")

    def _look_again(self, transition: Transition) -> None:
        """A pair that makes no sense still stands: is it half of a step, or what the device says?"""
        if transition is self.transitions[-1] and not transition.stood and self._stop_listening is not None:
            self._spawn(self._read_quietly())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._clock.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_quietly(self) -> None:
        try:
            await self.read(self._server.client(self._endpoint))
        except (CoapError, ServerError):
            pass  # away or busy; the pair stays unconfirmed

    # ---- asking

    async def read(self, client: Client) -> None:
        """Learn what the device answers now.

        An answer that a notification has overtaken may be the older of the two: where the first copy of
        it was lost, a device repeats what it said then (RFC 7252 section 4.5). It is asked again.
        """
        for _ in range(OVERTAKEN_LIMIT):
            heard = self._heard
            state, result = await self._ask(client)
            if heard == self._heard:
                break
        self._learn(state, result, "read")

    async def _ask(self, client: Client) -> tuple[Any, Any]:
        """Both resources in one answer where the device gives it, else one after the other."""
        if self._whole_instance:
            try:
                values = await client.read_async(self._instance)
            except CoapError:
                values = {}
            if {3, 5} <= values.keys():
                return values[3], values[5]
            self._whole_instance = False
        # the result first: read after the state it could belong to a later one
        result = await client.read_async(self._result)
        return await client.read_async(self._state), result

    async def observe(self, client: Client) -> None:
        """Observe both resources; a device that refuses is polled instead."""
        for path, heard in (
            (self._result, lambda value: self._learn(None, value, "notification")),
            (self._state, lambda value: self._learn(value, None, "notification")),
        ):
            try:
                self._observations.append(await client.observe(path, heard))
            except CoapError as refusal:
                self._timeline.record(self._endpoint, "warning", str(refusal))

    def restarted(self) -> None:
        """The device registered anew: its observations are gone, and what it said last it meant."""
        if self.transitions:
            self.transitions[-1].stood = True
        self.drop_observations()

    async def cancel_observations(self) -> None:
        """Tell the device that nobody listens any more."""
        while self._observations:
            await self._observations.pop().cancel()

    def drop_observations(self) -> None:
        for observation in self._observations:
            observation.drop()
        self._observations.clear()

    async def close(self) -> None:
        """Stop watching. Idempotent."""
        self.drop_observations()
        stop, self._stop_listening = self._stop_listening, None
        if stop is not None:
            stop()
        for task in tuple(self._tasks):
            task.cancel()
