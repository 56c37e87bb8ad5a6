"""The verdict of one test, from what the ledger holds about it. Pure functions.

Default deny: PASSED needs a proof (setup, call and teardown passed and the test was seen to end); what is
not known for sure is never PASSED.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bench.errors import (
    BenchError,
    ConsoleError,
    DeviceAnswer,
    DeviceError,
    FlashError,
    Inconclusive,
    InstrumentError,
    LockedError,
    MeasurementError,
    NoReadingError,
    NotApplicable,
    ProbeError,
    RadioError,
    SupplyTripError,
    WaitTimeout,
    WrongChipError,
)


class Verdict(StrEnum):
    PASSED = "PASSED"
    FAILED = "FAILED"
    BENCH_ERROR = "BENCH_ERROR"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    INTERRUPTED = "INTERRUPTED"
    NOT_RUN = "NOT_RUN"
    FLAKY_PASS = "FLAKY_PASS"
    XPASS = "XPASS"
    PASSED_TEARDOWN_BAD = "PASSED_TEARDOWN_BAD"

    @property
    def counts(self) -> bool:
        """Whether a run with nothing else may be GO."""
        return self in (Verdict.PASSED, Verdict.NOT_APPLICABLE)

    @property
    def speaks_against_product(self) -> bool:
        return self in (Verdict.FAILED, Verdict.FLAKY_PASS)


class Cause(StrEnum):
    """What ended a phase of a test.

    DEVICE is a fault of the bench by its type, though the device may be to blame: it did not answer, or
    something that was waited for did not happen.
    """

    NONE = "none"
    PRODUCT = "product"
    BENCH = "bench"
    DEVICE = "device"
    OTHER = "other"
    NOT_APPLICABLE = "not applicable"
    SKIPPED = "skipped"
    XPASS = "xpass"
    CRASH = "crash"


@dataclass(frozen=True, slots=True)
class Blame:
    """What an exception of this type says: `who` can have caused it, and so its `cause`.

    `lasting` is what a device can have been left in: its protection, its flash. That is the product's also
    where a test only meets it in its setup, before the baseline is installed, so no repetition wipes it out.
    """

    type: type[BaseException]
    who: str
    cause: Cause
    lasting: bool = False


BLAME = (
    Blame(DeviceAnswer, "the device: it has answered, and not as it must", Cause.PRODUCT),
    Blame(NotApplicable, "nobody: the board, by its files, cannot do it", Cause.NOT_APPLICABLE),
    Blame(Inconclusive, "nobody knows; a repetition would conclude no more", Cause.OTHER),
    Blame(LockedError, "a device that has locked itself", Cause.DEVICE, lasting=True),
    Blame(FlashError, "a device whose flash does not keep what is written to it", Cause.DEVICE, lasting=True),
    Blame(WrongChipError, "a device whose layout of the flash has changed", Cause.DEVICE, lasting=True),
    Blame(ProbeError, "a device that the probe loses", Cause.DEVICE),
    Blame(ConsoleError, "a device whose own USB port goes away", Cause.DEVICE),
    Blame(RadioError, "a device whose modem tells no signal, or does not answer", Cause.DEVICE),
    Blame(DeviceError, "a device that does not answer", Cause.DEVICE),
    Blame(WaitTimeout, "a device that does not do what is waited for, or hangs", Cause.DEVICE),
    Blame(MeasurementError, "a device whose current gives no number", Cause.DEVICE),
    Blame(SupplyTripError, "a device that draws too much", Cause.DEVICE),
    Blame(NoReadingError, "a device that draws what no range takes", Cause.DEVICE),
    Blame(BenchError, "the bench: its files, instruments, server, disk", Cause.BENCH),
    Blame(MemoryError, "the bench's PC", Cause.BENCH),
)
"""Exception -> who can have caused it. The first row that fits counts; whatever fits none is OTHER."""
EXHAUSTED = frozenset(
    getattr(errno, name)
    for name in ("EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "EFBIG", "ENOMEM", "ENOBUFS")
    if hasattr(errno, name)
)
"""What the bench's PC has run out of: file descriptors, disk, memory. No device can have caused it."""


def blame_of(raised: BaseException) -> Blame | None:
    """The row of the table for an exception; None where nothing is known of it."""
    return next((row for row in BLAME if isinstance(raised, row.type)), None)


def before(raised: BaseException) -> Iterator[BaseException]:
    """What was being handled when it was raised, and what before that; `from None` hides nothing here."""
    seen = {id(raised)}
    one = raised.__cause__ or raised.__context__
    while one is not None and id(one) not in seen:
        yield one
        seen.add(id(one))
        one = one.__cause__ or one.__context__


def hidden_assertion(raised: BaseException) -> AssertionError | None:
    """The assertion that something else covers, as a fault of a clean-up does that follows it."""
    if not isinstance(raised, BenchError | NotApplicable):
        return None
    return next((one for one in before(raised) if isinstance(one, AssertionError)), None)


def is_exhausted(raised: BaseException) -> bool:
    """Whether the bench's PC has run out of something, by this exception alone."""
    return isinstance(raised, MemoryError) or (isinstance(raised, OSError) and raised.errno in EXHAUSTED)


def cause_of(raised: BaseException | None) -> Cause:
    """By the type of the exception alone. Of a group, the worst for the product."""
    if raised is None:
        return Cause.NONE
    if isinstance(raised, BaseExceptionGroup):
        found = {cause_of(one) for one in raised.exceptions}
        ranked = (Cause.PRODUCT, Cause.OTHER, Cause.DEVICE, Cause.BENCH)
        return next((cause for cause in ranked if cause in found), Cause.OTHER)
    if is_exhausted(raised):
        return Cause.BENCH
    if isinstance(raised, AssertionError):  # of a bench that had run out of something it judges nothing
        return Cause.OTHER if any(is_exhausted(one) for one in before(raised)) else Cause.PRODUCT
    if hidden_assertion(raised) is not None:
        # what a board does without its supply says nothing about it, and a repetition does not unsay it
        return Cause.DEVICE if isinstance(raised, InstrumentError) else Cause.PRODUCT
    row = blame_of(raised)
    return Cause.OTHER if row is None else row.cause


def is_lasting(raised: BaseException | None) -> bool:
    """Whether a device can have been left in what was met, see `Blame`."""
    if isinstance(raised, BaseExceptionGroup):
        return any(is_lasting(one) for one in raised.exceptions)
    row = None if raised is None else blame_of(raised)
    return row is not None and row.lasting


OF_THE_BENCH = frozenset({Cause.BENCH, Cause.DEVICE})
DOUBT = "\n(it passed when repeated, which does not show that the device was not to blame)"


@dataclass(frozen=True, slots=True)
class Phase:
    """`when` is "setup", "call" or "teardown"; anything else is the death of the process that ran it."""

    when: str
    cause: Cause
    message: str = ""
    lasting: bool = False


@dataclass(slots=True)
class Attempt:
    """One run through a test. `ended` when its end was seen."""

    phases: list[Phase] = field(default_factory=list)
    ended: bool = False

    def cause(self, when: str) -> Cause | None:
        found = [phase.cause for phase in self.phases if phase.when == when]
        return found[0] if len(found) == 1 else None

    @property
    def faults(self) -> list[Phase]:
        return [phase for phase in self.phases if phase.cause is not Cause.NONE]

    @property
    def only_the_bench(self) -> bool:
        """Whether it may be repeated: it ended, and all that went wrong was the bench's, by its type."""
        return self.ended and bool(self.faults) and all(p.cause in OF_THE_BENCH for p in self.faults)

    @property
    def forgettable(self) -> bool:
        """Whether a repetition may wipe it out: no fault in it can have been the product's.

        In setup the freshly installed baseline runs; what is silent there is not what is tested. What a
        device can have been left in is met there too, and is not forgotten.
        """
        return self.only_the_bench and all(
            p.cause is Cause.BENCH or (p.when == "setup" and not p.lasting) for p in self.faults
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """`reason` says why it is not PASSED, or what is to be known of a pass."""

    verdict: Verdict
    reason: str = ""
    attempts: int = 0


def judge_attempt(attempt: Attempt) -> Judgement:
    """What one attempt showed."""
    faults = attempt.faults
    said = "; ".join(f"{p.when}: {p.message}" for p in faults if p.message)
    causes = {phase.cause for phase in faults}
    if Cause.PRODUCT in causes:
        return Judgement(Verdict.FAILED, said)
    if Cause.CRASH in causes or not attempt.ended:
        return Judgement(Verdict.INTERRUPTED, said or "it began and was not seen to end")
    if [phase.when for phase in attempt.phases] == ["setup", "call", "teardown"]:
        if not causes:
            return Judgement(Verdict.PASSED)
        if attempt.cause("setup") is attempt.cause("call") is Cause.NONE:
            return Judgement(Verdict.PASSED_TEARDOWN_BAD, said)
    elif not causes:
        return Judgement(Verdict.INCONCLUSIVE, "its phases are not complete")
    return _not_passed(causes, faults, said)


def _not_passed(causes: set[Cause], faults: list[Phase], said: str) -> Judgement:
    """An attempt that ended and did not pass, whose faults are not the product's."""
    alone = next(iter(causes)) if len(causes) == 1 else None
    match alone:
        case Cause.BENCH | Cause.DEVICE:
            return Judgement(Verdict.BENCH_ERROR, said)
        case Cause.NOT_APPLICABLE if faults[0].message and len(faults) == 1:
            return Judgement(Verdict.NOT_APPLICABLE, faults[0].message)
        case Cause.SKIPPED:
            return Judgement(Verdict.NOT_RUN, faults[0].message or "skipped")
        case Cause.XPASS:
            return Judgement(Verdict.XPASS, said or "it was expected to fail")
    if causes & OF_THE_BENCH and Cause.OTHER not in causes:
        return Judgement(Verdict.BENCH_ERROR, said)
    return Judgement(Verdict.INCONCLUSIVE, said)


def judge_test(attempts: Sequence[Attempt], why_not_run: str = "it never began") -> Judgement:
    """The verdict of a test over all attempts: a repetition wipes out only what was surely the bench's."""
    if not attempts:
        return Judgement(Verdict.NOT_RUN, why_not_run)
    judged = [judge_attempt(attempt) for attempt in attempts]
    last, count = judged[-1], len(attempts)
    failed = [one for one in judged if one.verdict is Verdict.FAILED]
    if failed:
        flaky = last.verdict in (Verdict.PASSED, Verdict.XPASS)
        return Judgement(Verdict.FLAKY_PASS if flaky else Verdict.FAILED, failed[0].reason, count)
    lasting = [
        one for one, attempt in zip(judged[:-1], attempts[:-1], strict=True) if not attempt.forgettable
    ]
    if last.verdict.counts and lasting:
        worst = _worst(lasting)
        reason = worst.reason or "it had already been judged"
        if worst.verdict is Verdict.BENCH_ERROR:
            reason += DOUBT
        return Judgement(worst.verdict, reason, count)
    if last.verdict is Verdict.PASSED and count > 1:
        return Judgement(last.verdict, f"after a fault of the bench: {judged[-2].reason}", count)
    return Judgement(last.verdict, last.reason, count)


def _worst(judged: Iterable[Judgement]) -> Judgement:
    """Of attempts that no repetition wipes out, one that does not count, if there is any.

    A test that was repeated although nothing was wrong with it is not understood, and so INCONCLUSIVE.
    """
    for one in judged:
        if not one.verdict.counts:
            return one
    return Judgement(Verdict.INCONCLUSIVE, "it was repeated although nothing was wrong")
