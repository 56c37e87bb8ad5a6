"""What one update was observed to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from bench.firmware_update.judge import Judgement, Rules, Transition, judge, settled
from bench.firmware_update.states import Delivery, Result, State, Transport, in_words
from bench.lwm2m.management.push import PushResult


@dataclass(frozen=True, slots=True)
class Step:
    """From one state to another (or the same), and the result that stood after it."""

    source: State
    target: State
    result: Result


@dataclass
class UpdateRecord:
    """One update as it was observed; nothing in here is a judgement but `judgement`.

    `delivered` counts the bytes of the package that went over, `sent` (PULL) those with
    repetitions; `push` is how a PUSH ended; `refused` is the device's refusal of the delivery or of
    Update; `stuck` says what did not happen in time ("" when nothing did); `lost` counts the datagrams
    of the device that a path of the bench's own did not carry. Times are bench seconds.
    """

    rules: Rules
    delivery: Delivery
    transport: Transport
    size: int
    transitions: list[Transition] = field(default_factory=list)
    delivered: int = 0
    sent: int = 0
    push: PushResult | None = None
    refused: str = ""
    stuck: str = ""
    lost: int = 0
    started: float = 0.0
    finished: float = 0.0

    @property
    def states(self) -> list[State]:
        """The states entered since the update began, in order."""
        entered: list[State] = []
        steps = settled(self.transitions, self.rules.known)
        for transition in steps[1:]:
            if transition.state is not (entered[-1] if entered else steps[0].state):
                entered.append(transition.state)
        return entered

    @property
    def steps(self) -> list[Step]:
        """Every step of state or result that was seen."""
        seen = settled(self.transitions, self.rules.known)
        return [Step(a.state, b.state, b.result) for a, b in pairwise(seen)]

    def shown(self, *states: State) -> list[State]:
        """Of these states those that must have been seen.

        Not those that the board hides by the documented deviations of its profile; nor, where the bench
        has itself lost datagrams of the device, those that nobody heard of: a notification is repeated
        only while its state lasts, and none outlives a restart (RFC 7641 section 4.5).
        """
        seen = self.states
        return [s for s in states if s not in self.rules.hidden and (s in seen or not self.lost)]

    @property
    def state(self) -> State:
        return self.transitions[-1].state

    @property
    def result(self) -> Result:
        return self.transitions[-1].result

    @property
    def outcome(self) -> tuple[State, Result]:
        return self.transitions[-1].pair

    @property
    def judgement(self) -> Judgement:
        return judge(self.transitions, self.rules, self.lost)

    @property
    def violations(self) -> list[str]:
        """Steps that the object does not allow; empty for a conforming device."""
        return list(self.judgement.violations)

    @property
    def failure(self) -> str:
        """What kept this from being a success by the book; "" when it was one."""
        problems = self.violations
        if self.transitions and self.outcome != (State.IDLE, Result.SUCCESS):
            problems.append(f"ended {in_words(*self.outcome)}")
        problems += [text for text in (self.refused, self.stuck) if text]
        return "; ".join(problems)

    @property
    def duration(self) -> float:
        return self.finished - self.started
