"""Numbers that nobody can mean."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config.draft import Draft
from bench.config.finding import Finding, shown

SHORTEST, LONGEST = 0.1, 86_400.0
"""Seconds that a phase of a device may be given: less cannot be kept, more was meant in milliseconds."""
LONGEST_TEST = 7 * 86_400.0
LONGEST_DELAY = 100.0
"""Seconds a datagram may be on its way: MAX_LATENCY of RFC 7252, 4.8.2, on which CoAP's time-outs stand."""


def absurd_time_outs(draft: Draft) -> Iterator[Finding]:
    """Time-outs that cannot be kept, or that were meant in milliseconds."""
    limit = draft.table("bench").get("test_timeout")
    if limit is not None and not 1 <= limit <= LONGEST_TEST:
        yield draft.finding(
            ("bench", "test_timeout"),
            limit,
            "no testcase takes so many seconds",
            "give seconds, such as 3600",
        )
    for name, found in draft.types.items():
        file = draft.file.parent / f"{name}.toml"
        for key, seconds in found.timeouts:
            if not SHORTEST <= seconds <= LONGEST:
                where = f"timeouts.{key}"
                usual = type(found.timeouts).model_fields[key].default
                reason = f"is not between {SHORTEST:g} and {LONGEST:g} seconds"
                yield Finding(file, where, shown(where, seconds), reason, f"give seconds, such as {usual:g}")


def absurd_network(draft: Draft) -> Iterator[Finding]:
    """Delays that were meant in milliseconds."""
    for name in draft.boards:
        network = draft.table("boards", name, "network")
        for key in ("delay", "jitter"):
            if network.get(key, 0) > LONGEST_DELAY:
                yield draft.finding(
                    ("boards", name, "network", key),
                    network[key],
                    f"no datagram is on its way for more than {LONGEST_DELAY:g} s",
                    "give seconds, such as 0.2",
                )
