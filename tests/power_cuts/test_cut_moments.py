"""Where power cuts by the supply go, and what wear says."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

from bench.errors import Inconclusive
from bench.firmware_update.states import Delivery
from bench.power_cuts.by_supply import SupplyCuts, spread
from bench.power_cuts.phases import Window, phase_at
from bench.wear import Wear

PHASES = [Window("download", 10.0, 110.0), Window("swap", 110.0, 125.0), Window("first boot", 125.0, 132.0)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 149])
def test_every_phase_has_its_turn_and_is_shared_out_evenly(count: int) -> None:
    moments = spread(PHASES, count, seed=3)
    assert len(moments) == count
    per_phase = Counter(moment.window.phase for moment in moments)
    assert max(per_phase.values()) - min(per_phase.values() or [0]) <= 1
    for window in PHASES:
        shares = [moment.share for moment in moments if moment.window is window]
        assert shares == sorted(shares)
        for part, share in enumerate(shares):
            assert part / len(shares) <= share < (part + 1) / len(shares)
    for moment in moments:
        assert moment.window.start <= moment.time < moment.window.end
        assert phase_at(moment.time, PHASES) == moment.window.phase


def test_the_seed_decides() -> None:
    assert spread(PHASES, 9, seed=1) == spread(PHASES, 9, seed=1)
    assert spread(PHASES, 9, seed=1) != spread(PHASES, 9, seed=2)


def test_a_moment_between_two_phases_belongs_to_the_earlier() -> None:
    gap = [Window("download", 0.0, 5.0), Window("confirm", 9.0, 12.0)]
    assert phase_at(7.0, gap) == "download"
    assert phase_at(99.0, gap) == "confirm"


def test_a_moment_is_told_in_words() -> None:
    assert str(spread([Window("swap", 0.0, 1.0)], 1, seed=0)[0]).startswith("swap at ")


def test_wear_counts_what_came_since_and_names_the_regions() -> None:
    regions = {"slot": (0x1000, 0x2000), "settings": (0x8000, 0x1000)}
    before = Wear(10_000, {0x1000: 5, 0x8000: 1}, regions)
    after = Wear(10_000, {0x1000: 9, 0x2000: 2, 0x8000: 1}, regions)
    gained = after.since(before)
    assert gained.erases == {0x1000: 4, 0x2000: 2}
    assert gained.most == 4
    assert gained.of_region("slot") == [4, 2]
    assert str(gained) == "slot: 2 pages erased 2 to 4 times each; at 10000 erases a page"
    assert str(before.since(before)) == "no page was erased"


def test_a_board_that_was_not_cut_has_survived_nothing() -> None:
    board = SimpleNamespace(name="dk")
    cuts = SupplyCuts(board, None, Delivery.PUSH, None, None)  # type: ignore[arg-type]
    with pytest.raises(Inconclusive, match="dk: not one power cut was made"):
        cuts.survive([], cuts.clean_cut)
