"""What the judge makes of object 33629: the rows it adds, and no more than those."""

from __future__ import annotations

import pytest

from bench.config import UpdateProfile
from bench.firmware_update.judge import Transition, component_rules, judge, rules_for
from bench.firmware_update.states import Result, State

RULES = component_rules(UpdateProfile(object="1.0", failed_update_to="idle"))
DELIVERED = ((0, 0), (1, 0), (2, 0))


def seen(*pairs: tuple[int, int]) -> list[Transition]:
    return [Transition(float(t), State(s), Result(r), "notification", True) for t, (s, r) in enumerate(pairs)]


@pytest.mark.parametrize(
    "pairs",
    [
        (*DELIVERED, (3, 0), (0, 1)),
        (*DELIVERED, (3, 0), (2, 12)),
        (*DELIVERED, (3, 0), (2, 13), (3, 0), (0, 1)),
        (*DELIVERED, (3, 0), (0, 13)),
        (*DELIVERED, (2, 13)),
        (*DELIVERED, (0, 10)),
        ((0, 0), (1, 0), (0, 12)),
        ((0, 1), (0, 12)),
        ((0, 0), (2, 0), (3, 0), (0, 1)),
        (*DELIVERED, (3, 0), (0, 8)),
    ],
)
def test_what_a_component_may_do(pairs: tuple[tuple[int, int], ...]) -> None:
    assert judge(seen(*pairs), RULES).violations == ()


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ((*DELIVERED, (3, 0), (2, 0)), "UPDATING with result 0"),
        (((0, 0), (1, 0), (0, 13)), "DEPENDENCY_ERROR"),
        (((0, 0), (1, 0), (2, 12)), "CONFLICTING_STATE"),
        ((*DELIVERED, (0, 13)), "DEPENDENCY_ERROR"),
        ((*DELIVERED, (3, 0), (2, 8)), "UPDATE_FAILED"),
    ],
)
def test_what_it_may_not(pairs: tuple[tuple[int, int], ...], named: str) -> None:
    (violation,) = judge(seen(*pairs), RULES).violations
    assert named in violation
    assert violation.endswith("is no step of object /33629")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("result", [12, 13])
def test_object_5_has_none_of_it(version: str, result: int) -> None:
    rules = rules_for(UpdateProfile.model_validate({"object": version}))
    assert judge(seen(*DELIVERED, (3, 0), (2, result)), rules).violations != ()
    assert judge(seen((0, 0), (1, 0), (0, result)), rules).violations != ()
