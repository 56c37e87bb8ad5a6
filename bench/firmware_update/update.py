"""The driver of one update cycle: delivers, executes, follows the device through its reboot.

What the device does is recorded, never judged here: a refusal, a failure or a stall is part of the
`UpdateRecord` that testcases assert on. Faults of the bench are `BenchError`s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from bench.clock import Clock
from bench.errors import DeviceError, ServerError, WaitTimeout
from bench.firmware_update.expected import FAILURES_OF_DOWNLOAD, UPDATE_REFUSALS
from bench.firmware_update.gate import SignalGate
from bench.firmware_update.judge import Rules
from bench.firmware_update.met import Met, shown
from bench.firmware_update.object5 import Object5
from bench.firmware_update.record import UpdateRecord
from bench.firmware_update.states import Delivery, Result, State, Transport
from bench.firmware_update.watch import Watch
from bench.lwm2m.client import Client, CoapError, NotReachable
from bench.lwm2m.management import busy
from bench.lwm2m.management.push import USUAL, BlockPush, Form, Outcome
from bench.lwm2m.server import LwM2mServer
from bench.packages.misbehaviour import Slow
from bench.packages.shelf import Package
from bench.packages.uri import PackageUri, UriForm, plain
from bench.timeline import Timeline

POLL = 5.0
"""Seconds of silence after which a device that sends no notifications is politely asked."""
REBOOT_POLLS = 5
"""How often it is asked within the time-out of an update, while it most likely swaps and restarts."""
REBOOT_POLL = 60.0
"""Seconds between two of them at most."""
UNHURRIED = 120.0
"""Seconds of a whole download that goes slowly: the rest of it outlasts a request whose answer takes 10 s, as
in deep coverage, and a retransmission."""
READ_LIMIT = 600.0
"""Seconds for a few requests, retransmissions of a bad link included."""


@dataclass(frozen=True)
class Cycle:
    """What an update needs besides its package: `instance` is the object instance that takes it.

    `lost` counts the datagrams of the device that the bench's own path has not carried so far; `gone()` is
    why it is dead although it is powered, or None. Time-outs are bench seconds,
    `push_block` bytes.
    """

    server: LwM2mServer
    endpoint: str
    rules: Rules
    clock: Clock
    timeline: Timeline
    uri_of: Callable[[str, Transport], str]
    lost: Callable[[], int]
    download_timeout: float
    update_timeout: float
    registration_timeout: float
    boot_timeout: float
    instance: str
    push_block: int = 1024
    gone: Callable[[], str | None] = lambda: None

    @property
    def reboot_poll(self) -> float:
        """Seconds of silence after which a device that installs is asked: never longer than it may take."""
        return min(REBOOT_POLL, self.update_timeout / REBOOT_POLLS)


class Update:
    """One running update. The methods are called in order, from the test thread."""

    def __init__(
        self,
        cycle: Cycle,
        data: bytes,
        delivery: Delivery,
        transport: Transport,
        form: UriForm = plain,
        push: Form = USUAL,
    ) -> None:
        """`form` is how the Package URI is written (PULL), `push` how the package is (PUSH)."""
        self._cycle = cycle
        self._clock, self._timeline, self._endpoint = cycle.clock, cycle.timeline, cycle.endpoint
        self._data = data
        self._form = form
        self._watch = Watch(
            cycle.server, cycle.endpoint, cycle.instance, cycle.rules, cycle.clock, cycle.timeline
        )
        self._push: BlockPush | None = None
        self._push_form = push
        self._package: Package | None = None
        self.uri = ""
        """The Package URI, once the package is on the shelf."""
        self._named = False
        self._polled = False
        self._executed: float | None = None
        self._lost_before = cycle.lost()
        self.object5 = Object5(cycle.server, cycle.endpoint, cycle.instance)
        self.record = UpdateRecord(
            cycle.rules, delivery, transport, len(data), transitions=self._watch.transitions
        )
        self._failed_download = cycle.rules.ends(*FAILURES_OF_DOWNLOAD)  # asked with each block

    # ---- the cycle

    def prepare(self) -> None:
        """Learn where the device stands, and observe its state and result."""
        client = self._client()
        self.record.started = self._clock.now()

        async def begin() -> None:
            # a PUSH that was given up may keep it busy for minutes
            await busy.until_free(lambda: self._watch.read(client), self._clock)
            await self._watch.observe(client)

        self._run(begin(), busy.LIMIT + READ_LIMIT, f"observe {self.object5.instance}")

    def wait_until_open(self, gate: SignalGate) -> bool:
        """Wait for the signal; False, and `stuck` says so, when it never was good enough in time."""

        async def ask() -> None:
            while not await gate.is_open(self._client()):
                await asyncio.sleep(gate.interval)

        with self._timeline.step(self._endpoint, "wait for signal"):
            try:
                self._run(ask(), self._cycle.download_timeout, f"signal of {gate.min_strength} dBm")
            except WaitTimeout as timeout:
                self.record.stuck = timeout.message
                return False
        return True

    def deliver(self, share: float = 1.0) -> None:
        """Hand the package over; for PULL, name its URI. Stops after `share` (0 to 1) of its bytes."""
        if self.record.refused or self.record.stuck:
            return
        until = None if share >= 1 else int(len(self._data) * share)
        with self._timeline.step(self._endpoint, f"deliver by {self.record.delivery}"):
            if self.record.delivery is Delivery.PUSH:
                self._deliver_push(until)
            else:
                self._deliver_pull(until)

    def _deliver_push(self, until: int | None) -> None:
        if self._push is None:
            self._push = self._client().push(
                self.object5.package,
                self._data,
                self._push_form,
                exponent=self._cycle.push_block.bit_length() - 5,  # 16 << exponent bytes
                on_progress=self._pushed,
            )
        push = self._push
        try:
            self.record.push = self._run(push.run(until), self._cycle.download_timeout, "push")
        except WaitTimeout as timeout:
            self.record.stuck = timeout.message
            return
        self.record.delivered = push.result.sent
        if push.result.reason:
            if push.result.outcome is not Outcome.UNKNOWN:  # else the device's state will tell
                self.record.refused = push.result.reason
            self._timeline.record(self._endpoint, "warning", f"push ended: {push.result.reason}")

    def send_apart(self, blocks: int) -> str:
        """Send one block of a begun PUSH out of its order; returns the answer's code, such as "2.31".

        `blocks` counts from the one that is next: -1 is the one acknowledged last, 1 leaves one out.
        """
        push = self._push
        assert push is not None, "the PUSH has not begun"
        sent, size = push.result.sent, push.block_size
        start = max(0, (-(-sent // size) + blocks) * size)
        code = self._run(push.send_apart(start), READ_LIMIT, f"the block at {start}")
        self._timeline.record(self._endpoint, "push", f"{code.dotted} to the block at {start}, sent apart")
        return str(code.dotted)

    async def _pushed(self, sent: int) -> None:
        self._progress(sent)
        if not self._polled:  # devices that never notify Downloading can still be asked, once
            self._polled = True
            if self._watch.state is State.IDLE:
                try:
                    await self._watch.read(self._client())
                except (CoapError, NotReachable):
                    pass  # busy with the transfer: the notification will have to do

    def _deliver_pull(self, until: int | None) -> None:
        package = self.publish()
        if not self._named:
            self._named = True
            try:
                self._client().patient.write(self.object5.package_uri, self.uri)
            except CoapError as refusal:
                self.record.refused = str(refusal)
                return
        goal = len(self._data) if until is None else until
        shown = -1

        def fetched() -> bool:
            nonlocal shown
            if package.served != shown:
                shown = package.served
                self._progress(shown)
            return package.served >= goal or self._gave_up() or self._watch.state is State.DOWNLOADED

        self._settle(fetched, self._cycle.download_timeout, "the device to fetch the package")
        self.record.delivered = package.served
        self.record.sent = package.sent

    def publish(self) -> Package:
        """The package on the shelf (PULL), before or after the device has been told its URI."""
        if self._package is None:
            name = f"{self._endpoint}{self.object5.instance}.bin".replace(":", "-").replace("/", "-")
            uri = self._form(PackageUri.parse(self._cycle.uri_of(name, self.record.transport)))
            self.uri = str(uri)
            self._package = self._cycle.server.publish(name, self._data, uri.at)
            self.record.missed = self._cycle.server.shelf.missed
            self.record.ranges = self._package.ranges
        return self._package

    def deliver_and_linger(self, share: float) -> None:
        """Deliver `share` of the package, so that the download stays under way while something else is asked.

        A PUSH stands still by itself between two calls of `deliver`. A PULL goes on, and could be whole
        before the device has the next request: what comes after `share` is served slowly from the beginning.
        """
        if self.record.delivery is Delivery.PULL:
            # no slower than half of the time that the board file gives a download
            seconds = min(UNHURRIED, self._cycle.download_timeout / 2)
            rest = Slow(rate=len(self._data) / seconds, after=int(len(self._data) * share))
            self.publish().misbehave(rest)
        self.deliver(share)

    def replace_package(self, data: bytes) -> None:
        """From now on another package is served under the same URI (PULL)."""
        self._data = data
        self.publish().data = data

    def _progress(self, done: int) -> None:
        elapsed = self._clock.now() - self.record.started
        self._timeline.record(
            self._endpoint,
            "progress",
            f"{100 * done // max(1, len(self._data))} %",
            done=done,
            total=len(self._data),
            rate=round(done / elapsed, 1) if elapsed > 0 else 0.0,
            state=int(self._watch.state or State.IDLE),
        )

    def _gave_up(self) -> bool:
        """Whether the download is over without a package.

        In Idle after having begun, or with a result that says why it did not; or as a documented deviation
        says it.
        """
        if len(self.record.transitions) > 1 and self.record.outcome in self._failed_download:
            return True
        if self._watch.state is not State.IDLE:
            return False
        return any(t.state is not State.IDLE for t in self.record.transitions[1:])

    def await_download_over(self) -> Met:
        """Wait until a download that the device has begun, or refuses, is over without a package."""
        over = self._settle(self._gave_up, self._patience, "the download to be given up")
        self._confirm_pair()
        return self._met(over, "the download to be given up")

    def await_downloaded(self) -> Met:
        """Wait until the device says Downloaded, or falls back to Idle. Returns whether it is Downloaded."""
        with self._timeline.step(self._endpoint, "verify the package"):
            settled = self._settle(
                lambda: self._watch.state is State.DOWNLOADED or self._gave_up(),
                self._patience,
                "the device to reach Downloaded or give up",
            )
        if settled:
            self._confirm_pair()
        return self._met(settled and self._watch.state is State.DOWNLOADED, "DOWNLOADED")

    @property
    def _patience(self) -> float:
        """Seconds that a download may take; a device that has refused it has only to say what came of it."""
        return self._cycle.boot_timeout if self.record.refused else self._cycle.download_timeout

    def _met(self, yes: bool, wanted: str) -> Met:
        told = f"wanted {wanted}; it shows {shown(self._watch.state, self._watch.result)}"
        record = self.record
        known = [f"refused: {record.refused}" if record.refused else "", record.stuck, record.asked_amiss]
        return Met(yes, "; ".join(text for text in (told, *known) if text))

    def _confirm_pair(self) -> None:
        """State and result arrive as two notifications, in either order: read both before judging."""
        try:
            self._run(self._watch.read(self._client()), READ_LIMIT, "read the outcome")
        except (CoapError, ServerError, WaitTimeout) as lost:
            self._timeline.record(self._endpoint, "warning", f"the outcome could not be read: {lost}")

    def execute(self, arguments: str = "") -> Met:
        """Execute Update. Returns whether the device took it."""
        with self._timeline.step(self._endpoint, "execute the update"):
            self._executed = self._clock.now()
            try:
                self._client().execute(self.object5.update, arguments)
            except CoapError as refusal:
                self.record.refused = str(refusal)
                return self._met(False, f"Update to be taken, answered {refusal}")
            except NotReachable:
                pass  # it may have restarted before its answer arrived: its state will tell
        return self._met(True, "Update to be taken")

    @property
    def has_restarted(self) -> bool:
        """Whether the device has registered anew since Update was executed."""
        return self._has_restarted()

    @property
    def executed(self) -> float | None:
        """Bench seconds when Update was executed, or None."""
        return self._executed

    def go_along(self, leader: Update) -> None:
        """Update was executed on another instance, and takes this one along: follow it through."""
        self._executed = leader._executed
        self.await_finish()

    def finish_unasked(self) -> UpdateRecord:
        """The rest of the cycle of a device that goes on by itself: Update is never executed."""
        with self._timeline.step(self._endpoint, "the device updates by itself"):
            self._executed = self._clock.now()
        self.deliver()
        self.await_finish()
        return self.record

    def await_finish(self) -> None:
        """Follow the device through swap, reboot and registration to its final state and result.

        A device may also find the update impossible without restarting.
        """
        self._follow(self._has_ended)

    def _follow(self, over: Callable[[], bool]) -> None:
        with self._timeline.step(self._endpoint, "swap, reboot, register"):
            followed = self._settle(
                lambda: self._has_restarted() or over(),
                self._cycle.update_timeout,
                "the device to restart and register, or to give up",
                poll=self._cycle.reboot_poll,
            )
        if not followed or (self._has_restarted() and not self._look_again()):
            return
        with self._timeline.step(self._endpoint, "read the outcome"):
            self._settle(over, self._cycle.update_timeout, "the update to end")
            self._confirm_pair()

    def _has_restarted(self) -> bool:
        registration = self._cycle.server.registration(self._endpoint)
        assert self._executed is not None
        return registration is not None and registration.registered_at > self._executed

    def _has_ended(self) -> bool:
        """Whether the device shows a state that an update ends in: Idle, or Downloaded after a failure."""
        last = self.record.transitions[-1]
        assert self._executed is not None
        failed = last.state is State.DOWNLOADED and last.result in UPDATE_REFUSALS
        return (last.state is State.IDLE or failed) and last.time > self._executed

    @property
    def _registration_timeout(self) -> float:
        """Seconds until the device has noticed that it must register anew.

        It may do nothing else, not even send an Update, until it has given up a PUSH that stands still.
        """
        stands = self.record.delivery is Delivery.PUSH and self.record.delivered < self.record.size
        patience = self._cycle.registration_timeout
        return max(patience, busy.LIMIT) if stands else patience

    def await_restart(self, after: float) -> Met:
        """Wait for a registration later than `after` (bench seconds), and look at the object again."""
        try:
            self._cycle.server.wait_registered(
                self._endpoint, timeout=self._registration_timeout, after=after, gone=self._cycle.gone
            )
        except (WaitTimeout, DeviceError) as failure:
            self.record.stuck = failure.message
            return self._met(False, "a new registration")
        return self._met(self._look_again(), "to be observed after its new registration")

    def await_contact(self, after: float) -> Met:
        """Wait until the device can be asked again: it answers, or has registered later than `after`.

        A registration that lives need not be made anew (LwM2M core, Registration), so an answer is enough.
        """
        server, endpoint = self._cycle.server, self._endpoint

        async def ask() -> bool:
            while True:
                registration = server.registration(endpoint)
                if registration is not None and registration.registered_at > after:
                    return True
                try:
                    await self._watch.read(self._client())
                except (CoapError, ServerError):
                    await asyncio.sleep(POLL)
                else:
                    return False

        try:
            anew = self._run(ask(), self._registration_timeout, "an answer, or a new registration")
        except WaitTimeout as timeout:
            self.record.stuck = timeout.message
            return self._met(False, "an answer, or a new registration")
        return self._met(not anew or self._look_again(), "to be observed after its new registration")

    def go_on(self) -> UpdateRecord:
        """After an interruption: what the device goes on with by itself is followed to its end.

        A PULL that it resumes, or a package that it has kept; and a PUSH until it is given up. Does nothing
        when the device is in Idle.
        """
        self.look()
        if self.record.delivery is Delivery.PULL and self.record.state is not State.IDLE:
            return self.finish()
        if self.record.state is State.DOWNLOADING:
            self.await_download_over()
        return self.record

    def look(self) -> None:
        """Read state and result now: what a notification has not told yet is then in the record."""
        self._confirm_pair()

    def _look_again(self) -> bool:
        """The device has registered anew: no observation survives that."""
        client = self._client()
        self._watch.restarted()

        async def again() -> None:
            await self._watch.read(client)
            await self._watch.observe(client)

        try:
            self._run(again(), READ_LIMIT, f"observe {self.object5.instance}")
        except (NotReachable, WaitTimeout) as lost:
            self.record.stuck = lost.message
            return False
        return True

    def stop_observing(self) -> None:
        """Cancel every observation at the device; from here on it is only asked, or sends by itself."""
        self._run(self._watch.cancel_observations(), READ_LIMIT, "cancel observations")

    def await_pair(self, state: State, result: Result | None = None, *, timeout: float) -> Met:
        """Wait until the device shows `state` (and `result`); not met after `timeout` seconds."""
        reached = self._settle(
            lambda: self._watch.state is state and result in (None, self._watch.result),
            timeout,
            f"the device to reach {shown(state, result)}",
        )
        return self._met(reached, shown(state, result))

    def await_updating(self) -> Met:
        """Wait until the device shows Updating, unless by a documented deviation it never does.

        Not met when it is already beyond: back in Idle, or registered anew.
        """
        shows = self._watch.state is State.UPDATING
        if not shows and State.UPDATING not in self._cycle.rules.hidden:
            self.await_begun(self._cycle.boot_timeout)
            shows = self._watch.state is State.UPDATING and not self._has_restarted()
        return self._met(shows, State.UPDATING.name)

    def await_begun(self, timeout: float) -> Met:
        """Wait until the installation has begun: it shows Updating, or is beyond (Idle, registered anew)."""
        begun = self._settle(
            lambda: self._watch.state is State.UPDATING or self._has_restarted() or self._has_ended(),
            timeout,
            "the installation to begin",
        )
        return self._met(begun, "the installation to begin")

    def _settle(self, done: Callable[[], bool], timeout: float, what: str, *, poll: float = POLL) -> bool:
        """Wait for `done`; ask the device when nothing has been heard from it for `poll` seconds.

        It is asked some times within `timeout`, however short that is.
        """
        poll = min(poll, timeout / REBOOT_POLLS)

        gone = self._cycle.gone

        async def watch() -> None:
            while not (done() or gone()):
                try:
                    await asyncio.wait_for(self._clock.until(lambda: done() or gone()), poll)
                except TimeoutError:
                    await self._ask_unless(done)

        try:
            self._run(watch(), timeout, f"waiting for {what}")
        except WaitTimeout as timeout_error:
            self.record.stuck = timeout_error.message
            return False
        if not done():
            self.record.stuck = f"{self._endpoint}: waiting for {what}: {gone()}"
            return False
        return True

    async def _ask_unless(self, done: Callable[[], bool]) -> None:
        """Read state and result; a device that is away keeps nobody waiting for what has come otherwise."""

        async def ask() -> None:
            await self._watch.read(self._client())

        asked = asyncio.ensure_future(ask())
        heard = asyncio.ensure_future(self._clock.until(done))
        try:
            await asyncio.wait({asked, heard}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                asked.result()
        except (CoapError, ServerError):
            pass  # away or busy; it is asked again
        finally:
            for task in (asked, heard):
                task.cancel()
            await asyncio.gather(asked, heard, return_exceptions=True)

    def finish(self) -> UpdateRecord:
        """The rest of the cycle, as far as the device goes along."""
        self.deliver()
        if not self.record.stuck and self.await_downloaded() and self.execute():
            self._follow(lambda: self._has_ended() or self._is_deferred())
        return self.record

    def _is_deferred(self) -> bool:
        """A user has put it off (object version 1.1): nobody waits for the user here."""
        last = self.record.transitions[-1]
        assert self._executed is not None
        return last.pair == (State.DOWNLOADED, Result.DEFERRED) and last.time > self._executed

    def close(self) -> None:
        """Stop watching, and take the package off the shelf."""
        self.record.finished = self._clock.now()
        self.record.lost = self._cycle.lost() - self._lost_before
        self._run(self._watch.close(), 10, "stop watching")
        if self._package is not None:
            self._cycle.server.withdraw(self._package.name)
        for step in self.record.steps:
            self._timeline.record(
                self._endpoint,
                "transition",
                f"{step.source.name} -> {step.target.name}, result {step.result.value}",
                version=self._cycle.rules.version,
                before=int(step.source),
                after=int(step.target),
                result=int(step.result),
            )
        judgement = self.record.judgement
        for kind, findings in (
            ("violation", judgement.violations),
            ("deviation", judgement.deviations),
            ("gap", judgement.gaps),
        ):
            for text in findings:
                self._timeline.record(self._endpoint, kind, text)

    def _run(self, work: Coroutine[Any, Any, Any], timeout: float, reason: str) -> Any:
        """`timeout` is for a device that listens; one in queue mode has its sleep on top."""
        patience = self._cycle.server.patience(self._endpoint)
        return self._clock.run(work, timeout=timeout + patience, reason=f"{self._endpoint}: {reason}")

    def _client(self) -> Client:
        return self._cycle.server.client(self._endpoint)
