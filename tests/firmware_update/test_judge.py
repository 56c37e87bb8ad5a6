"""The judge of object /5: what it lets pass, what it names, and what it must not be fooled by."""

from __future__ import annotations

from typing import get_args

import pytest

from bench.config import DeviationName, UpdateProfile
from bench.firmware_update.deviations import DEVIATIONS
from bench.firmware_update.expected import MACHINES
from bench.firmware_update.judge import Rules, Transition, judge, rules_for, settled
from bench.firmware_update.record import UpdateRecord
from bench.firmware_update.states import Delivery, Result, State, Transport

IDLE, DOWNLOADING, DOWNLOADED, UPDATING = State
V10 = rules_for(UpdateProfile(object="1.0", failed_update_to="downloaded"))
V11 = rules_for(UpdateProfile(object="1.1", failed_update_to="idle"))


def seen(*pairs: tuple[int, int], origin: str = "read") -> list[Transition]:
    return [Transition(float(t), State(s), Result(r), origin) for t, (s, r) in enumerate(pairs)]


GOOD = ((0, 0), (1, 0), (2, 0), (3, 0), (0, 1))


@pytest.mark.parametrize("rules", [V10, V11])
@pytest.mark.parametrize("result", [2, 3, 4, 5, 6, 7, 9])
def test_every_failure_of_a_download_is_allowed(rules: Rules, result: int) -> None:
    assert judge(seen((0, 1), (1, 0), (0, result)), rules).violations == ()


@pytest.mark.parametrize("rules", [V10, V11])
def test_a_good_cycle_has_no_finding(rules: Rules) -> None:
    judgement = judge(seen(*GOOD), rules)
    assert (judgement.violations, judgement.deviations, judgement.gaps) == ((), (), ())


@pytest.mark.parametrize(
    ("rules", "pairs", "named"),
    [
        (V10, ((0, 0), (1, 0), (2, 0), (3, 0), (0, 8)), "UPDATING with result 0"),
        (V11, ((0, 0), (1, 0), (2, 0), (3, 0), (2, 8)), "DOWNLOADED with result 8"),
        (V10, ((0, 0), (1, 0), (0, 10)), "CANCELLED"),
        (V10, ((0, 0), (1, 0), (2, 1)), "SUCCESS"),
        (V10, ((0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (0, 1)), "UPDATING with result 1"),
        (V10, ((0, 5), (1, 5), (2, 0)), "DOWNLOADING with result 5"),
        (V10, ((0, 0), (0, 1)), "IDLE with result 1"),
        (V10, ((0, 0), (1, 0), (0, 8)), "result 8"),
        (V11, ((0, 0), (1, 0), (2, 11)), "result 11"),
    ],
)
def test_a_wrong_step_is_named(rules: Rules, pairs: tuple[tuple[int, int], ...], named: str) -> None:
    """By notifications that stood: nothing was missed in between."""
    transitions = seen(*pairs, origin="notification")
    for transition in transitions:
        transition.stood = True
    violations = judge(transitions, rules).violations
    assert len(violations) >= 1
    assert any(named in v for v in violations)


def test_half_a_step_is_no_violation() -> None:
    """State told before result, and the reverse."""
    transitions = seen(*GOOD)
    state_first = Transition(3.5, IDLE, Result.INITIAL, "notification")
    result_first = Transition(3.5, UPDATING, Result.SUCCESS, "notification")
    for half in (state_first, result_first):
        with_half = [*transitions[:4], half, transitions[4]]
        assert judge(with_half, V10).violations == ()
        half.stood = True
        assert judge(with_half, V10).violations != ()


def test_half_a_step_that_would_be_a_step_of_its_own() -> None:
    """Cancelled: Idle is told before result 10. Alone, Idle with result 0 would be a reset."""
    half = Transition(1.1, IDLE, Result.INITIAL, "notification")
    transitions = [*seen((0, 0), (1, 0)), half, Transition(1.2, IDLE, Result.CANCELLED, "notification")]
    assert judge(transitions, V11).violations == ()
    half.stood = True
    assert judge(transitions, V11).violations != ()


def test_the_last_pair_is_never_taken_for_half_a_step() -> None:
    transitions = [*seen(*GOOD[:4]), Transition(4, UPDATING, Result.SUCCESS, "notification")]
    assert settled(transitions, MACHINES["1.0"])[-1].pair == (UPDATING, Result.SUCCESS)
    assert judge(transitions, V10).violations != ()


def test_a_step_over_several_rows_is_a_gap_only_when_it_was_read() -> None:
    pairs = ((0, 0), (2, 0), (0, 1))
    read = judge(seen(*pairs), V10)
    assert read.violations == ()
    assert len(read.gaps) == 2
    notified = seen(*pairs, origin="notification")
    for transition in notified:
        transition.stood = True
    assert len(judge(notified, V10).violations) == 2


@pytest.mark.parametrize(
    ("rules", "pairs"),
    [
        (V10, ((2, 0), (3, 0), (2, 0))),  # the update forgotten over the restart
        (V10, ((2, 0), (3, 0), (0, 0))),
        (V10, ((1, 0), (3, 0), (1, 0))),
        (V11, ((3, 0), (0, 10))),
        (V11, ((0, 0), (2, 11))),
    ],
)
def test_what_no_single_update_leads_to_is_no_gap(rules: Rules, pairs: tuple) -> None:
    assert judge(seen(*pairs), rules).violations != ()


def test_a_documented_deviation_is_reported_not_hidden() -> None:
    rules = rules_for(UpdateProfile(deviations={"downloading-not-shown": "vendor note 7"}))
    notified = seen((0, 0), (2, 0), (3, 0), (0, 1), origin="notification")
    judgement = judge(notified, rules)
    assert judgement.violations == ()
    assert judgement.deviations == (
        "downloading-not-shown: State goes from Idle to Downloaded (vendor note 7)",
    )
    record = UpdateRecord(rules, Delivery.PUSH, Transport.COAP, 1, transitions=notified)
    assert record.went(DOWNLOADING, DOWNLOADED, UPDATING, IDLE)


def test_a_state_is_missed_only_where_the_bench_lost_datagrams() -> None:
    """A notification that its path did not carry, before the device went on or restarted."""
    notified = seen((0, 0), (2, 0), (0, 1), origin="notification")
    notified[1].stood = True
    whole = (DOWNLOADING, DOWNLOADED, UPDATING, IDLE)
    record = UpdateRecord(V11, Delivery.PUSH, Transport.COAP, 1, transitions=notified)
    assert len(record.violations) == 2
    assert not record.went(*whole)
    record.lost = 1
    assert record.violations == []
    assert record.states == [DOWNLOADED, IDLE]
    assert record.went(*whole)
    assert len(record.judgement.gaps) == 2


def test_losses_excuse_no_step_that_no_update_takes() -> None:
    for pairs in (((2, 0), (3, 0), (2, 0)), ((0, 0), (2, 11))):
        record = UpdateRecord(V10, Delivery.PUSH, Transport.COAP, 1, transitions=seen(*pairs), lost=9)
        assert record.violations != []


def test_an_unneeded_deviation_is_not_reported() -> None:
    rules = rules_for(UpdateProfile(deviations={"downloading-not-shown": "vendor note 7"}))
    assert judge(seen(*GOOD), rules).deviations == ()


def test_every_deviation_of_board_files_is_known_to_the_judge() -> None:
    assert set(DEVIATIONS) == set(get_args(DeviationName))


def record_of(rules: Rules, *pairs: tuple[int, int], origin: str = "read") -> UpdateRecord:
    return UpdateRecord(rules, Delivery.PUSH, Transport.COAP, 1, transitions=seen(*pairs, origin=origin))


def rules_with(deviation: DeviationName, **more: str) -> Rules:
    return rules_for(
        UpdateProfile(object="1.1", deviations={deviation: {"documented": "note", **more}}), Delivery.PUSH
    )


def test_a_device_that_does_right_in_spite_of_its_deviation_is_right() -> None:
    """A declared deviation excuses; it demands nothing."""
    for deviation in get_args(DeviationName):
        record = record_of(rules_with(deviation), *GOOD)
        assert record.violations == []
        assert record.went(DOWNLOADING, DOWNLOADED, UPDATING, IDLE)
        assert record.ended(Result.SUCCESS)


def test_states_out_of_order_or_too_many_are_no_way() -> None:
    pairs = ((0, 0), (1, 0), (2, 0), (0, 1))
    record = record_of(rules_with("updating-not-shown"), *pairs, origin="notification")
    assert record.went(DOWNLOADING, DOWNLOADED, UPDATING, IDLE)
    assert not record.went(DOWNLOADED, DOWNLOADING, IDLE)
    assert not record.went(DOWNLOADING, DOWNLOADED)
    bare = record_of(V11, (0, 0), (1, 0), (2, 0), (0, 1), origin="notification")
    met = bare.went(DOWNLOADING, DOWNLOADED, UPDATING, IDLE)
    assert not met
    assert repr(met) == (
        "<object /5 v1.1, State: wanted DOWNLOADING -> DOWNLOADED -> UPDATING -> IDLE; "
        "it entered DOWNLOADING -> DOWNLOADED -> IDLE, and shows IDLE with result 1 (SUCCESS)>"
    )


def test_a_wrong_end_is_told_with_the_way_there_and_with_what_went_over() -> None:
    record = record_of(V11, (0, 0), (1, 0), (0, 5))
    record.size, record.delivered = 4096, 1024
    assert repr(record.ended(Result.SUCCESS)) == (
        "<object /5 v1.1: wanted IDLE with result 1; it shows IDLE with result 5 (INTEGRITY_FAILED), "
        "and entered DOWNLOADING -> IDLE; 1024 of 4096 bytes went over>"
    )


@pytest.mark.parametrize(("limited", "excused"), [("push", True), ("pull", False)])
def test_a_deviation_of_one_delivery_excuses_only_that(limited: str, excused: bool) -> None:
    pairs = ((0, 0), (2, 0), (3, 0), (0, 1))
    record = record_of(rules_with("downloading-not-shown", delivery=limited), *pairs, origin="notification")
    assert bool(record.went(DOWNLOADING, DOWNLOADED, UPDATING, IDLE)) is excused


@pytest.mark.parametrize(
    ("profile", "right", "wrong"),
    [
        (UpdateProfile(object="1.0"), [(2, 8)], [(0, 8)]),
        (UpdateProfile(object="1.0", failed_update_to="idle"), [(0, 8)], [(2, 8)]),
        (UpdateProfile(object="1.1"), [(0, 8), (2, 8)], [(3, 8), (1, 8)]),
        (UpdateProfile(object="1.1", failed_update_to="downloaded"), [(2, 8)], [(0, 8)]),
        (UpdateProfile(object="1.2", failed_update_to="either"), [(0, 8), (2, 8)], []),
    ],
)
def test_where_a_failed_update_may_lead(
    profile: UpdateProfile, right: list[tuple[int, int]], wrong: list[tuple[int, int]]
) -> None:
    rules = rules_for(profile)
    before = ((0, 0), (1, 0), (2, 0), (3, 0))
    for pair in right:
        record = record_of(rules, *before, pair)
        assert record.ended(Result.UPDATE_FAILED)
        assert record.violations == []
    for pair in wrong:
        record = record_of(rules, *before, pair)
        assert not record.ended(Result.UPDATE_FAILED)
        assert record.violations != []


@pytest.mark.parametrize(
    ("deviation", "end", "result"),
    [
        ("integrity-failure-is-update-failure", (0, 8), 5),
        ("integrity-failure-is-update-failure", (2, 8), 5),
        ("failed-download-keeps-state", (1, 5), 5),
        ("failed-download-keeps-state", (1, 6), 6),
    ],
)
def test_a_deviation_from_an_end(deviation: DeviationName, end: tuple[int, int], result: int) -> None:
    way = ((0, 0), (1, 0)) if end[0] == 1 else ((0, 0), (1, 0), (2, 0), (3, 0))
    for rules, right in ((rules_with(deviation), True), (V11, False)):
        record = record_of(rules, *way, end)
        assert bool(record.ended(Result(result))) is right
    assert record_of(rules_with(deviation), *way, end).violations == []
    other = 6 if result == 5 else 5
    assert not record_of(rules_with(deviation), *way, end).ended(Result(other))


def test_a_step_that_is_none_is_named_by_its_ends_not_by_its_half() -> None:
    """Updating was never seen; Idle is told a moment before result 1."""
    transitions = [
        *seen((0, 0), (1, 0), (2, 0), origin="notification"),
        Transition(3.0, IDLE, Result.INITIAL, "notification"),
        Transition(3.1, IDLE, Result.SUCCESS, "notification"),
    ]
    assert judge(transitions, V10).violations == (
        "DOWNLOADED with result 0 (INITIAL) -> IDLE with result 1 (SUCCESS) is no step of object /5 v1.0",
    )


def test_a_state_that_passed_between_two_reads_is_not_missed() -> None:
    whole = (DOWNLOADING, DOWNLOADED, UPDATING, IDLE)
    record = record_of(V11, (0, 0), (1, 0), (2, 0), (0, 1))
    assert record.went(*whole)
    assert not record.told(UPDATING)
    assert not record_of(V11, (0, 0), (1, 0), (2, 0), (0, 1), origin="notification").went(*whole)
    assert record_of(V11, *GOOD, origin="notification").told(DOWNLOADING, DOWNLOADED, UPDATING)
