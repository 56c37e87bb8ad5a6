"""Reasons for people who were not there: short on the first page, without the shorthand of a testcase."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.power_cuts.bound import CONFIDENCE, upper_bound

SHORT = 230
"""Characters of a reason on the first page; all of it stands further on."""
PHASES = {"setup: ": "before the test: ", "call: ": "", "teardown: ": "after the test: "}
FURTHER_ON = " (listed under Reasons)"
COMPARED = {
    "==": "found {0}, not {1}",
    "!=": "found {0}, which it must not be",
    "in": "{0} is not in {1}",
    "not in": "{0} is in {1}",
    "is": "found {0}, not {1}",
    "is not": "found {0}, which it must not be",
    "<=": "{0} is more than {1}",
    "<": "{0} is not less than {1}",
    ">=": "{0} is less than {1}",
    ">": "{0} is not more than {1}",
}
_COMPARISON = re.compile(r"assert (.+?) (==|!=|not in|in|is not|is|<=|<|>=|>) (.+)")


def readable(reason: str) -> str:
    """The first line of a reason; what a testcase compared in words.

    >>> readable("call: assert '1.0.0' == '1.1.0'")
    "found '1.0.0', not '1.1.0'"
    """
    first = reason.partition("\n")[0].strip()
    said = ""
    for shorthand, words in PHASES.items():
        if first.startswith(shorthand):
            first, said = first.removeprefix(shorthand), words
    found = _COMPARISON.fullmatch(first)
    if found is not None:
        return said + COMPARED[found[2]].format(found[1], found[3])
    if first.startswith("assert "):
        return f"{said}this did not hold: {first.removeprefix('assert ')}"
    return said + first


def spoken(text: str) -> str:
    """A line such as `FAILED: test_x.py::test_y: call: assert 0`, its reason readable."""
    head, sep, rest = text.partition(": ")
    node, _, reason = rest.partition(": ")
    if sep and reason and head.replace("_", "").isupper() and "::" in node:
        return f"{head}: {node}: {readable(reason)}"
    return text


def brief(text: str) -> str:
    """For the first page: a list that is too long for it is counted there, and stands whole further on."""
    flat = " ".join(spoken(text).split())
    if len(flat) <= SHORT:
        return flat
    head = flat[:SHORT].rpartition(": ")[0]
    if not head or "," not in flat[len(head) :]:
        head = flat[:SHORT].rpartition(" ")[0] or flat[:SHORT]
    return head + FURTHER_ON


def tried(options: Mapping[str, Any]) -> list[str]:
    """How much was tried, by the options of a run: what four cuts prove is not what 149 do."""
    told = []
    cuts = options.get("power_cuts")
    if isinstance(cuts, int) and cuts > 0:
        rate = 100 * upper_bound(0, cuts)
        told.append(
            f"{cuts} power cuts in each testcase that cuts by the supply (without a brick: a rate below "
            f"{rate:.3g} % with {100 * CONFIDENCE:g} % confidence)"
        )
    if isinstance(options.get("soak"), int):
        told.append(f"{options['soak']} updates in a row")
    told += [
        f"only {name.replace('_', ' ')} {options[name]}"
        for name in ("cut", "sweep_part")
        if options.get(name) is not None
    ]
    if options.get("bench_retries") is not None:
        told.append(f"at most {options['bench_retries']} repetitions after a fault of the bench")
    return told
