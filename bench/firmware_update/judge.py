"""The judge: holds what was observed of /5 against the expected state machine and the board's profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.config import DeviationName, UpdateProfile
from bench.firmware_update.deviations import DEVIATIONS
from bench.firmware_update.expected import (
    COMPONENT_ROWS,
    COMPONENTS,
    FAILED_UPDATE,
    MACHINES,
    UPDATE_REFUSALS,
    Row,
)
from bench.firmware_update.states import Delivery, Result, State, in_words

HALF_STEP_LIMIT = 60.0
"""Seconds by which retransmissions may part the two notifications of one step."""


@dataclass(slots=True)
class Transition:
    """What was seen of the object: bench seconds, the pair, and how it was learned.

    `origin` is "read" (both in one answer), "notification" or "send" (one of the two may be older
    than the other). `stood` says that the pair was confirmed: by a read, or by lasting over a restart.
    """

    time: float
    state: State
    result: Result
    origin: str
    stood: bool = False

    @property
    def pair(self) -> tuple[State, Result]:
        return self.state, self.result


@dataclass(frozen=True, slots=True)
class Judgement:
    """`violations` speak against the device; `deviations` are documented ones that were needed;
    `gaps` are steps that nobody saw, although what was seen before and after fits together."""

    violations: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass
class _Findings:
    violations: list[str] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a device is held to: the object by `name` and `version`, its `rows`, and the `deviations`
    of the board's stack with where they are documented; `failure_targets` are the states that a failed
    installation may lead to."""

    name: str
    version: str
    rows: tuple[Row, ...]
    deviations: Mapping[DeviationName, str] = field(default_factory=dict)
    failure_targets: tuple[State, ...] = (State.IDLE, State.DOWNLOADED)

    @property
    def known(self) -> tuple[Row, ...]:
        """`rows`, and the steps that the documented deviations excuse."""
        return (*self.rows, *(row for name in self.deviations for row in DEVIATIONS[name].rows))

    @property
    def hidden(self) -> frozenset[State]:
        """The states that, by its documented deviations, this board never shows."""
        return frozenset(state for name in self.deviations for state in DEVIATIONS[name].hidden)

    def ends(self, *results: Result) -> frozenset[tuple[State, Result]]:
        """The pairs in which an update may end that fails for any of these reasons.

        The results of a failed download stand in Idle, 8 where a failed installation may lead. A documented
        deviation adds the ends that it excuses.
        """
        found = set[tuple[State, Result]]()
        for result in results:
            targets = self.failure_targets if result in UPDATE_REFUSALS else (State.IDLE,)
            found |= {(state, result) for state in targets}
            for name in self.deviations:
                found |= DEVIATIONS[name].ends_instead_of(result)
        return frozenset(found)


def rules_for(profile: UpdateProfile, delivery: Delivery | None = None) -> Rules:
    """Object 5 in the board's version, with the targets of a failed update as its profile says.

    With the deviations that show by this `delivery`; without one, all of them. Those of object 33629 where
    the board keeps the application there.
    """
    if profile.instance.startswith(f"/{COMPONENTS}/"):
        return component_rules(profile, delivery)
    rows = (*MACHINES[profile.object], *_failures(profile))
    return _rules(f"object /5 v{profile.object}", profile.object, rows, profile, delivery)


def component_rules(profile: UpdateProfile, delivery: Delivery | None = None) -> Rules:
    """An instance of object 33629 on the same board."""
    rows = (*MACHINES["1.1"], *COMPONENT_ROWS, *_failures(profile))
    return _rules(f"object /{COMPONENTS}", COMPONENTS, rows, profile, delivery)


def _failures(profile: UpdateProfile) -> tuple[Row, ...]:
    return tuple(FAILED_UPDATE[target] for target in profile.failure_targets)


def _rules(
    name: str, version: str, rows: tuple[Row, ...], profile: UpdateProfile, delivery: Delivery | None
) -> Rules:
    deviations = {
        deviation: said.documented
        for deviation, said in profile.deviations.items()
        if delivery is None or said.delivery in (None, delivery.value)
    }
    targets = tuple(State[target.upper()] for target in profile.failure_targets)
    return Rules(name, version, rows, deviations, targets)


def is_allowed(rows: Iterable[Row], before: tuple[State, Result], after: tuple[State, Result]) -> bool:
    return any(row.allows(before[0], after[0], after[1]) for row in rows)


def settled(transitions: Sequence[Transition], rows: Iterable[Row]) -> list[Transition]:
    """Without the pairs that were only seen between the two notifications of one step.

    State and result are two resources: a device may tell them in either order, so for a moment a
    new state stands beside an old result, or the reverse.
    """
    rows = tuple(rows)
    kept: list[Transition] = []
    for number, transition in enumerate(transitions):
        following = transitions[number + 1] if number + 1 < len(transitions) else None
        if kept and following is not None and _is_half(kept[-1], transition, following, rows):
            continue
        if not kept or kept[-1].pair != transition.pair:
            kept.append(transition)
    return kept


def _is_half(before: Transition, seen: Transition, after: Transition, rows: tuple[Row, ...]) -> bool:
    if seen.origin == "read" or seen.stood:
        return False
    if not is_allowed(rows, before.pair, seen.pair):
        return True
    mixed = seen.pair in ((after.state, before.result), (before.state, after.result))
    if not mixed or after.time - seen.time > HALF_STEP_LIMIT:
        return False
    if is_allowed(rows, before.pair, after.pair):
        return True
    # nobody asked for what was seen, and it leads nowhere: the step is named by its two ends, not by its half
    own = is_allowed((row for row in rows if not row.aside), before.pair, seen.pair)
    return not own and not is_allowed(rows, seen.pair, after.pair)


def judge(transitions: Sequence[Transition], rules: Rules, lost: int = 0) -> Judgement:
    """Hold each step against the rules.

    A step that a documented deviation of the rules excuses is reported as that deviation; a step
    over several rows is a gap when it was learned by reading, or when the bench has `lost` datagrams
    of the device, else a violation.
    """
    rows = rules.rows
    found = _Findings()
    for before, after in pairwise(settled(transitions, rules.known)):
        if before.pair == after.pair or is_allowed(rows, before.pair, after.pair):
            continue
        step = f"{in_words(*before.pair)} -> {in_words(*after.pair)}"
        excuse = _excuse(rules, before.pair, after.pair)
        if excuse is not None:
            text = f"{excuse}: {DEVIATIONS[excuse].text} ({rules.deviations[excuse]})"
            if text not in found.deviations:
                found.deviations.append(text)
        elif (after.origin == "read" or lost) and _reachable(rows, before.state, after.pair):
            found.gaps.append(step)
        else:
            found.violations.append(f"{step} is no step of {rules.name}")
    return Judgement(tuple(found.violations), tuple(found.deviations), tuple(found.gaps))


def _excuse(rules: Rules, before: tuple[State, Result], after: tuple[State, Result]) -> DeviationName | None:
    return next((n for n in rules.deviations if is_allowed(DEVIATIONS[n].rows, before, after)), None)


def _reachable(rows: tuple[Row, ...], start: State, goal: tuple[State, Result]) -> bool:
    """Whether several steps of one update, unseen, lead from a state to a pair."""
    seen, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        if here is State.IDLE and here is not start:
            continue  # there the update is over
        for row in rows:
            if row.source is not here or row.aside:
                continue
            if row.target is goal[0] and goal[1] in row.results:
                return True
            if row.target not in seen:
                seen.add(row.target)
                waiting.append(row.target)
    return False
