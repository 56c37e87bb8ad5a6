"""A cut at every flash operation of one update, on an open virtual bench.

One update is done with its flash operations on record. Each cut then begins with the board off and
its flash as the cut would have left it; the board is powered by its supply, must register, run the
old or the new version complete, and take an update. A second cut hits the recovery from the first,
by the supply, at a moment of its own, wherever the first one tore an operation.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from bench.clock import Clock
from bench.dut.hardware import HardwareDut
from bench.errors import BenchError, PlantError, WaitTimeout
from bench.firmware.image import FirmwareImage
from bench.firmware_update.service import UpdateService
from bench.firmware_update.states import Delivery, Result, State, Transport
from bench.power_cuts.beginnings import BEGINNINGS, BeginningName
from bench.power_cuts.known_issues import TAIL, known_issues, marked
from bench.power_cuts.phases import phase_at, windows
from bench.power_cuts.report import Cut, CutResult
from bench.power_cuts.stage import FlashOperation, FlashStage

MOMENTS = ((0.0, 0.0), (0.02, 0.35), (0.35, 0.7), (0.7, 0.98))
"""Shares of an operation's time to cut at, each drawn between two bounds; 0 is before it."""
QUIET = 30.0
"""Seconds after a registration in which the firmware finishes what it writes."""


class Sweep:
    """`run` may be called for any of the `cuts`, in any order; equal seeds give equal outcomes."""

    def __init__(
        self, dut: HardwareDut, server: UpdateService, stage: FlashStage, clock: Clock, seed: int
    ) -> None:
        self._dut, self._server, self._stage, self._clock = dut, server, stage, clock
        self._seed = seed
        self._proved: dict[str, int] = {}
        self._recoveries: dict[int, int] = {}  # operation -> how many the recovery from a cut before it has
        self._image = dut.images.update
        self._result = Result.SUCCESS
        self._transport = Transport.HTTP if "http" in dut.type.profile.transports else None
        self.operations: Sequence[FlashOperation] = ()
        self.cuts: list[Cut] = []

    @property
    def slots(self) -> tuple[str, ...]:
        """The regions that images lie in."""
        return tuple(self._dut.type.firmware.slots)

    # ---- the reference

    def prepare(
        self,
        delivery: Delivery,
        image: FirmwareImage,
        result: Result = Result.SUCCESS,
        beginning: BeginningName = "fresh",
    ) -> None:
        """Do the one update, which must have `result`, and lay out the cuts. The board ends switched off."""
        dut, clock = self._dut, self._clock
        self._image, self._result = image, result
        dut.install(dut.images.baseline)
        self._server.commission(dut)
        BEGINNINGS[beginning](dut, self._server, self._stage, clock)
        clock.sleep(QUIET, "the board comes to rest")
        self._stage.record()
        with self._server.begin(dut, image, delivery) as update:
            record = update.finish()
        clock.sleep(QUIET, "the board comes to rest")
        self.operations = self._stage.stop()
        if record.result is not result or record.violations:
            raise PlantError(
                f"{dut.name}: the update without any cut had result {record.result.name}, not {result.name}",
                help="run testcases/test_successful_update.py and test_failed_update.py first",
            )
        registration = self._server.lwm2m.registration(dut.endpoint)
        assert registration is not None
        found = windows(
            update,
            dut.console.lines(),
            dut.type.console.application,
            registered=registration.registered_at,
            end=clock.now(),
        )
        dut.power_off()
        self.cuts = list(self._laid_out([phase_at(o.time, found) for o in self.operations]))

    def _laid_out(self, phases: Sequence[str]) -> Iterator[Cut]:
        number = 0
        for operation, phase in zip(self.operations, phases, strict=True):
            rng = random.Random(f"{self._seed}/{operation.number}")
            for place, (low, high) in enumerate(MOMENTS):
                what = f"{operation.kind} {operation.length} at {operation.region}+{operation.offset:#x}"
                share = round(rng.uniform(low, high), 4)
                yield Cut(number, phase, operation.number, what, share, place > 0)
                number += 1

    # ---- one cut

    def run(self, cut: Cut) -> CutResult:
        """What comes of it. The board ends switched off."""
        dut, stage = self._dut, self._stage
        second = None
        marks: list[str] = []
        try:
            if cut.again:
                second, marks = self._cut_recovery(cut)
                booted, problem = self._judge()
            else:
                self._restore(cut)
                marks = self._marks()
                stage.count()
                booted, problem = self._judge()
                if booted != "nothing":
                    self._recoveries[cut.operation] = stage.counted
            proved_by = None
            if not problem:
                proved_by, problem = self._prove(cut)
            known = self._explained(marks) if problem else None
            return CutResult(cut, booted, second, proved_by, problem, known)
        except BenchError as fault:  # as much a part of the outcome as anything
            return CutResult(cut, "nothing", second, None, fault.message)
        finally:
            stage.count()
            dut.power_off()

    def _marks(self) -> list[str]:
        """Of known issues, on the flash as it is."""
        firmware = self._dut.type.firmware
        if firmware.mcuboot is None:
            return []
        ends = [self._stage.end(slot, TAIL) for slot in firmware.slots[:2]]
        return marked(firmware, *ends)

    def _explained(self, marks: Sequence[str]) -> str | None:
        """The known issue that has kept the new image where the old one was due, None when none has."""
        due = self._result is not Result.SUCCESS
        stays = self._stage.content(self._dut.type.firmware.slots[0], self._image.size) == self._image.data
        return next((name for name in known_issues() if name in marks), None) if due and stays else None

    def _restore(self, cut: Cut) -> None:
        self._stage.put(cut.operation, cut.share, f"{self._seed}/cut {cut.number}")

    def _cut_recovery(self, cut: Cut) -> tuple[tuple[int, float] | None, list[str]]:
        """Let the board recover from the cut, and cut it in the middle of that.

        None, with the board switched off as after the first cut, when the recovery writes nothing. With
        it the marks of known issues after either cut.
        """
        rng = random.Random(f"{self._seed}/second cut {cut.number}")
        count = self._recovery(cut)
        self._restore(cut)
        marks = self._marks()
        while count:
            operation, share = rng.randrange(count), round(rng.random(), 4)
            if self._is_cut(operation, share):
                return (operation, share), marks + self._marks()
            count = self._stage.counted  # from the torn operation it is less than from before it
            self._restore(cut)
        return None, marks

    def _is_cut(self, operation: int, share: float) -> bool:
        """Cut the board off in this operation of its recovery; whether it came to that. It ends off."""
        dut, stage, timeouts = self._dut, self._stage, self._dut.type.timeouts
        stage.expect(operation, share)
        dut.power_on()
        try:
            self._clock.wait_for(
                lambda: stage.reached,
                timeout=timeouts.boot + timeouts.update + timeouts.registration + QUIET,
                reason=f"{dut.name}: operation {operation} of the recovery",
            )
        except WaitTimeout:  # whether it recovered is judged afterwards
            return False
        finally:
            dut.power_off()
        return True

    def _recovery(self, cut: Cut) -> int:
        """How many flash operations the recovery from the cut before this operation has."""
        if cut.operation not in self._recoveries:  # that cut was not made yet
            before = next(one for one in self.cuts if one.operation == cut.operation and not one.again)
            self._restore(before)
            self._stage.count()
            try:
                self._boot()
            except WaitTimeout:
                pass  # the judgement of that cut tells
            self._clock.sleep(QUIET, "the board comes to rest")
            self._recoveries[cut.operation] = self._stage.counted
            self._dut.power_off()
        return self._recoveries[cut.operation]

    def _boot(self) -> None:
        before = self._clock.now()
        self._dut.power_on()
        self._server.await_registered(self._dut, after=before)

    def _judge(self) -> tuple[str, str]:
        """What boots ("old", "new", "nothing"), and what is wrong with it."""
        dut, images = self._dut, self._dut.images
        try:
            self._boot()
        except WaitTimeout:
            said = [line.text for line in dut.console.lines()[-3:]]
            return "nothing", f"it did not boot and register; its last lines: {said}"
        version = self._server.version_of(dut)
        known = {
            images.baseline.version: ("old", images.baseline),
            self._image.version: ("new", self._image),
        }
        if version not in known:
            return "nothing", f"it runs version {version}, neither the old one nor the new one"
        name, image = known[version]
        self._clock.sleep(QUIET, "the board comes to rest")
        return name, self._completeness(image)

    def _completeness(self, image: FirmwareImage) -> str:
        """What is wrong with the image that is said to run, "" when every byte is right."""
        slots = self._dut.type.firmware.slots
        looked_at = slots[:1] if self._dut.type.firmware.swap else slots
        found = [self._stage.content(slot, image.size) for slot in looked_at]
        if image.data in found:
            return ""
        wrong = min(
            next(i for i, (a, b) in enumerate(zip(data, image.data, strict=True)) if a != b) for data in found
        )
        return f"the slot differs from version {image.version}, which runs, from byte {wrong:#x} on"

    def _prove(self, cut: Cut) -> tuple[int | None, str]:
        """An update must succeed from here; a state of the memory that was proved needs no second proof."""
        dut = self._dut
        state = self._stage.digest()
        if state in self._proved:
            return self._proved[state], ""
        if self._server.state_of(dut)[0] is State.DOWNLOADED:  # it kept the package, and takes no other
            self._server.object5(dut).write_uri("")
        record = self._server.update(dut, dut.images.update, Delivery.PULL, self._transport)
        if record.failure:
            return None, f"an update after it failed: {record.failure}"
        if self._server.version_of(dut) != dut.images.update.version:
            return None, f"after another update it runs {self._server.version_of(dut)}"
        problem = self._completeness(dut.images.update)
        if problem:
            return None, f"after another update {problem}"
        self._proved[state] = cut.number
        return cut.number, ""
