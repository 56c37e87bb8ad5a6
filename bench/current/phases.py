"""What each phase of an update costs: duration, mean, peak, charge and energy.

Sums are of whole numbers, or of float64 where a voltage was measured; float32 would lose 7 % over
18 million samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy

from bench.current.trace import LOST, VOLTS_PER_COUNT, Block, Trace, held
from bench.errors import MeasurementError

STATES = {0: "idle", 1: "downloading", 2: "downloaded", 3: "updating"}
"""Names of the values of /5/0/3."""


@dataclass(frozen=True, slots=True)
class Phase:
    """From `start` to `end`, in seconds by the trace's clock."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """What a phase took, of the samples that were measured.

    `duration` in seconds, `mean` and `peak` in amperes, `charge` in coulombs, `energy` in joules
    (None where no voltage is known). `lost` counts samples that were lost and are in none of the
    sums, `missing` is their time in seconds; `range_switches` counts changes of the meter's range.
    """

    phase: Phase
    duration: float
    mean: float
    peak: float
    charge: float
    energy: float | None
    lost: int
    missing: float
    range_switches: int

    @property
    def charge_mc(self) -> float:
        """Millicoulombs."""
        return self.charge * 1e3

    @property
    def charge_uah(self) -> float:
        """Microampere hours."""
        return self.charge / 3.6e-3

    @property
    def energy_mj(self) -> float | None:
        """Millijoules."""
        return None if self.energy is None else self.energy * 1e3

    @property
    def complete(self) -> bool:
        """Whether every sample was there."""
        return self.lost == 0


def phases_of_states(transitions: Iterable[tuple[float, int]], end: float) -> list[Phase]:
    """Phases from the transitions of /5/0/3: (seconds, state) in order; the last one lasts until `end`.

    A state that is only told again does not begin a phase; one that lasts no time has none. Raises
    `MeasurementError` for transitions that are not in order, or that come after `end`.
    """
    phases: list[Phase] = []
    begun: tuple[float, int] | None = None
    for time, state in [*transitions, (end, -1)]:
        if not math.isfinite(time) or (begun is not None and time < begun[0]):
            raise MeasurementError(
                f"state {state} at {time!r} s follows {begun!r}",
                help="give the transitions in order of time, and an end after the last",
            )
        if begun is not None and state == begun[1]:
            continue
        if begun is not None and time > begun[0]:
            phases.append(Phase(STATES.get(begun[1], f"state {begun[1]}"), begun[0], time))
        begun = (time, state)
    return phases


def phases_within(trace: Trace, transitions: Iterable[tuple[float, int]]) -> list[Phase]:
    """Phases of (seconds, state) as far as the trace shows them, cut where it begins and ends.

    Both must be by the same clock. What is shorter than a sample is left out.
    """
    least = 1.0 / trace.info.rate
    before = [(time, state) for time, state in transitions if time < trace.end]
    cut = [
        Phase(phase.name, max(phase.start, trace.start), phase.end)
        for phase in phases_of_states(before, trace.end)
    ]
    return [phase for phase in cut if phase.end - phase.start >= least]


def phases_of_logic(trace: Trace, names: Mapping[int, str]) -> list[Phase]:
    """Phases from the meter's logic inputs: input number -> what the board does while it is high.

    Raises `MeasurementError` when the meter has none.
    """
    found: list[Phase] = []
    rising: dict[int, float] = {}
    before = 0
    for block in trace.blocks():
        if block.logic is None:
            raise MeasurementError(
                f"{trace.info.meter or 'the meter'} recorded no logic inputs",
                help="take a meter that has them, or phases from the states of object 5",
            )
        logic = held(block.logic, block.counts, before)
        changes = numpy.flatnonzero(numpy.diff(logic, prepend=numpy.uint8(before)))
        for index in changes:
            now = int(logic[index])
            time = trace.start + (block.first + int(index)) / trace.info.rate
            for bit, name in names.items():
                if (now ^ before) >> bit & 1:
                    if now >> bit & 1:
                        rising[bit] = time
                    else:
                        found.append(Phase(name, rising.pop(bit), time))
            before = now
    found += [Phase(names[bit], time, trace.end) for bit, time in rising.items()]
    return sorted(found, key=lambda phase: (phase.start, phase.name))


def measure(trace: Trace, phases: Sequence[Phase]) -> list[PhaseCost]:
    """What each phase costs, in one pass over the trace. A sample that two phases share is divided.

    Raises `MeasurementError` for phases that are empty, overlap, are not in order or not in the trace.
    """
    _check(trace, phases)
    tallies = [_Tally(trace, phase) for phase in phases]
    waiting = list(tallies)
    if not waiting:
        return []
    for block in trace.blocks(waiting[0].first, tallies[-1].last):
        for tally in waiting:
            if tally.first >= block.first + len(block):
                break
            tally.take(block)
        while waiting and waiting[0].last <= block.first + len(block):
            waiting.pop(0)
    return [tally.cost() for tally in tallies]


def _check(trace: Trace, phases: Sequence[Phase]) -> None:
    slack = 1.0 / trace.info.rate  # times are told no better than to a sample
    before: Phase | None = None
    for phase in phases:
        if not (math.isfinite(phase.start) and math.isfinite(phase.end) and phase.start < phase.end):
            raise MeasurementError(
                f"phase {phase.name!r} from {phase.start!r} to {phase.end!r} s takes no time",
                help="leave out empty phases",
            )
        if before is not None and phase.start < before.end:
            raise MeasurementError(
                f"phase {phase.name!r} begins at {phase.start:.6f} s, "
                f"before {before.name!r} ends at {before.end:.6f} s",
                help="give phases in order; measure overlapping ones in calls of their own",
            )
        if phase.start < trace.start - slack or phase.end > trace.end + slack:
            raise MeasurementError(
                f"phase {phase.name!r} ({phase.start:.3f} to {phase.end:.3f} s) is not within the trace "
                f"({trace.start:.3f} to {trace.end:.3f} s)",
                help="start the meter before the update and stop it after; align its clock",
            )
        before = phase


@dataclass(slots=True)
class _Tally:
    """The sums of one phase."""

    trace: Trace
    phase: Phase
    first: int = 0
    last: int = 0
    low: float = 0.0
    high: float = 0.0
    counts: int = 0
    edges: float = 0.0
    power: float | None = None
    peak: int = int(LOST)
    present: float = 0.0
    lost: int = 0
    missing: float = 0.0
    switches: int = 0
    range: int | None = None

    def __post_init__(self) -> None:
        length = len(self.trace)
        self.low = min(max(0.0, self.trace.position(self.phase.start)), length)
        self.high = min(max(0.0, self.trace.position(self.phase.end)), length)
        self.first, self.last = math.floor(self.low), math.ceil(self.high)

    def take(self, block: Block) -> None:
        """Add the samples of this phase; the first and the last of it by their share."""
        part = block.part(self.first, self.last)
        if not len(part):
            return
        counts = part.counts
        lost = int(numpy.count_nonzero(counts == LOST)) if int(counts.min()) == LOST else 0
        self.counts += int(counts.sum(dtype=numpy.int64)) - lost * int(LOST)
        self.peak = max(self.peak, int(counts.max()))
        self.present += len(part) - lost
        self.lost += lost
        self.missing += lost
        if part.volts is not None:
            self.power = (self.power or 0.0) + _product(counts, part.volts, lost)
        if part.range is not None:
            self._see_range(part.range[counts != LOST] if lost else part.range)
        if self.first >= part.first:
            self._take_off(part, 0, self.low - self.first)
        if self.last <= part.first + len(part):
            self._take_off(part, len(part) - 1, self.last - self.high)

    def _take_off(self, part: Block, index: int, share: float) -> None:
        """The share of an edge sample that is not in the phase."""
        count = int(part.counts[index])
        if count == LOST:
            self.missing -= share
            return
        self.present -= share
        self.edges += count * share
        if part.volts is not None and self.power is not None:
            self.power -= share * count * float(part.volts[index])

    def _see_range(self, ranges: numpy.ndarray) -> None:
        """Those of samples that arrived."""
        if not len(ranges):
            return
        self.switches += int(numpy.count_nonzero(ranges[1:] != ranges[:-1]))
        self.switches += self.range is not None and self.range != int(ranges[0])
        self.range = int(ranges[-1])

    def cost(self) -> PhaseCost:
        info, period = self.trace.info, 1.0 / self.trace.info.rate
        if self.present <= 0:
            raise MeasurementError(
                f"phase {self.phase.name!r}: not one of its {self.lost} samples arrived",
                help="look at the meter's connection, or choose a lower rate",
            )
        total = (self.counts - self.edges) * info.amps_per_count
        charge = total * period
        energy = None
        if self.power is not None:
            energy = self.power * info.amps_per_count * VOLTS_PER_COUNT * period
        elif info.volts is not None:
            energy = charge * info.volts
        return PhaseCost(
            self.phase,
            self.phase.end - self.phase.start,
            total / self.present,
            self.peak * info.amps_per_count,
            charge,
            energy,
            self.lost,
            self.missing * period,
            self.switches,
        )


def _product(counts: numpy.ndarray, volts: numpy.ndarray, lost: int) -> float:
    amps, levels = counts.astype(numpy.float64), volts.astype(numpy.float64)
    if lost:
        amps[counts == LOST] = 0.0
    return float(numpy.dot(amps, levels))
