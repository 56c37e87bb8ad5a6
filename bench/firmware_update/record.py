"""What one update was observed to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from bench.firmware_update.judge import Judgement, Rules, Transition, judge, settled
from bench.firmware_update.met import Met
from bench.firmware_update.states import Delivery, Result, State, Transport, in_words
from bench.lwm2m.management.push import PushResult
from bench.packages.shelf import RangeAsked


@dataclass(frozen=True, slots=True)
class Step:
    """From one state to another (or the same), and the result that stood after it."""

    source: State
    target: State
    result: Result


@dataclass(repr=False)
class UpdateRecord:
    """One update as it was observed; nothing in here is a judgement but `judgement`.

    `delivered` counts the bytes of the package that went over, `sent` (PULL) those with
    repetitions; `push` is how a PUSH ended; `refused` is the device's refusal of the delivery or of
    Update; `stuck` says what did not happen in time ("" when nothing did); `missed` are requests for
    packages that the bench does not offer (PULL), such as "http: /fw/other.bin", and `ranges` what those over
    HTTP said of parts; `lost` counts the datagrams
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
    missed: list[str] = field(default_factory=list)
    ranges: list[RangeAsked] = field(default_factory=list)
    lost: int = 0
    started: float = 0.0
    finished: float = 0.0

    def __repr__(self) -> str:
        """Short: it stands in the message of every assertion."""
        return f"<update by {self.delivery}>"

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

    def went(self, *states: State) -> Met:
        """Whether it entered these states, in this order, and no others.

        A state may be missing where the board, by a documented deviation of its profile, may hide it; where
        the next one was learned by asking, as it may have passed in between; or where the bench has itself
        lost datagrams of the device: a notification is repeated only while its state lasts, and none
        outlives a restart (RFC 7641 section 4.5). Who must hear of each state asks `told`.
        """
        seen = self.states
        missing = [state for state in states if state not in seen]
        in_order = seen == [state for state in states if state in seen]
        excused = bool(self.lost) or all(s in self.rules.hidden or self._passed_unseen(s) for s in missing)
        wanted = " -> ".join(state.name for state in states)
        stands = f", and shows {in_words(*self.outcome)}" if self.transitions else ""
        told = f"{self.rules.name}, State: wanted {wanted}; it entered {self._entered}{stands}{self._why}"
        return Met(in_order and excused, told)

    def _passed_unseen(self, state: State) -> bool:
        """Whether it lies between two states of which the later one was learned by asking."""
        steps = pairwise(settled(self.transitions, self.rules.known))
        return any(
            a.state < state and (state < b.state or b.state is State.IDLE) and b.origin == "read"
            for a, b in steps
        )

    def told(self, *states: State) -> Met:
        """Whether each of these states was heard of without asking.

        But for those that the board may hide, by its documented deviations, and those that nobody heard of
        because the bench itself has lost datagrams of the device.
        """
        seen = self.states
        wanted = [s for s in states if s not in self.rules.hidden and (s in seen or not self.lost)]
        heard = {t.state for t in self.transitions if t.origin == "notification"}
        silent = ", ".join(state.name for state in wanted if state not in heard)
        return Met(not silent, f"{self.rules.name}, State: not told to who observes it: {silent}{self._why}")

    def ended(self, *results: Result) -> Met:
        """Whether it ended in one of these results, in the state that belongs to it.

        `SUCCESS`, `INITIAL` and `CANCELLED` belong to Idle; the ends of a failure are those of `Rules.ends`:
        by the object's version, and by the board's profile and documented deviations.
        """
        ends = self.rules.ends(*results)
        stands = f"it shows {in_words(*self.outcome)}, and entered {self._entered}"
        told = f"{self.rules.name}: wanted {_either(ends)}; {stands}{self._why}"
        return Met(self.outcome in ends, told)

    def shows(self, state: State, *results: Result) -> Met:
        """Whether what was seen last is `state`, with one of `results` (none: with any)."""
        fits = self.state is state and (not results or self.result in results)
        wanted = _either(frozenset((state, result) for result in results)) if results else state.name
        told = f"{self.rules.name}: wanted {wanted}; it shows {in_words(*self.outcome)}{self._why}"
        return Met(fits, told)

    @property
    def _entered(self) -> str:
        return " -> ".join(state.name for state in self.states) or "no other state"

    @property
    def _why(self) -> str:
        """What else the record knows of why it ended as it did."""
        first = self.transitions[0] if self.transitions else None
        outside = first is not None and first.state is not State.IDLE
        known = [f"it began in {in_words(*first.pair)}"] if first is not None and outside else []
        known += [f"{self.delivered} of {self.size} bytes went over"] if self.delivered else []
        known += [f"refused: {self.refused}"] if self.refused else []
        known += [text for text in (self.stuck, self.asked_amiss) if text]
        if self.push is not None and self.push.reason:
            known.append(f"PUSH: {self.push.reason}")
        return "".join(f"; {text}" for text in known)

    @property
    def asked_amiss(self) -> str:
        """What the package server was asked for that nobody has named to the device; "" for nothing."""
        if not self.missed:
            return ""
        return f"the package server was asked for what it does not offer: {self.missed[-1]}"

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
    def given_up(self) -> bool:
        """Whether the device has ended a PUSH that nobody went on with: Idle, result 4."""
        return self.delivery is Delivery.PUSH and self.outcome == (State.IDLE, Result.CONNECTION_LOST)

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
            problems.append(f"ended {in_words(*self.outcome)}, wanted {in_words(State.IDLE, Result.SUCCESS)}")
        problems += [text for text in (self.refused, self.stuck) if text]
        problems += [self.asked_amiss] if problems and self.missed else []
        first = self.transitions[0] if self.transitions else None
        if problems and first is not None and first.state is not State.IDLE:
            problems.append(f"it began in {in_words(*first.pair)}")
        return "; ".join(problems)

    @property
    def duration(self) -> float:
        return self.finished - self.started


def _either(ends: frozenset[tuple[State, Result]]) -> str:
    """Such as "IDLE with result 4 or 5, or DOWNLOADED with result 8"."""
    states = sorted({state for state, _ in ends})
    texts = []
    for state in states:
        numbers = [str(result.value) for held, result in sorted(ends) if held is state]
        texts.append(f"{state.name} with result {' or '.join(numbers)}")
    return ", or ".join(texts)
