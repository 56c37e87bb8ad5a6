"""What pytest rewrites in every process that loads the plug-in, this one among them."""

from __future__ import annotations

from _pytest.assertion.rewrite import AssertionRewritingHook

import bench.clock
import bench.firmware_update.update
from fixtures.rewriting import leave_the_bench_alone


def test_assertions_of_the_bench_are_not_rewritten() -> None:
    """`python -m pytest` finds the metadata of the checkout, `pytest` those installed: the same by both."""
    for module in (bench, bench.clock, bench.firmware_update.update):
        assert not isinstance(module.__loader__, AssertionRewritingHook), module


def test_where_nothing_is_rewritten_nothing_is_to_be_done() -> None:
    leave_the_bench_alone(None)
