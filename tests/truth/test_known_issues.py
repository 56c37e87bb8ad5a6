"""Every recorded cut after which the real MCUboot does not go back is one that the bench knows."""

from __future__ import annotations

from collections import Counter

from mcuboot_machine import Machine, options_of
from recordings import records
from test_mcuboot_bootutil import cut, traces

from bench.config.board_type import FirmwareSettings
from bench.power_cuts.known_issues import MARKS, TAIL, known_issues, marked

TRIALS = {
    "test-swap": "test-swap",
    "revert": "test-swap",
    "second-update-test-swap": "second-update-test-swap",
    "second-update-revert": "second-update-test-swap",
}
"""Scenarios of an update on trial or of its way back, and the one in which the old image still runs."""
NOT_RECORDED = {"MCUBOOT-2282"}
"""The counters of the recorded images are equal; and its mark is that of every interrupted swap."""
WITH_SMALLER_IMAGE = {"MCUBOOT-OFFSET-LAST-SECTORS"}
"""The ends of the slots do not show how large the images are."""

FIRMWARE = {
    version: FirmwareSettings(
        container="mcuboot", slots=("slot0", "slot1"), swap=True, counter="counters", mcuboot=version
    )
    for version in ("2.1.0", "main")
}


def old_image(trace: str, scenario: str) -> str | None:
    before = traces()[f"{trace.rpartition('/')[0]}/{TRIALS[scenario]}"]
    machine = Machine(options_of(before["build"]))
    machine.load(before["start"])
    return machine.image


def ends_of(machine: Machine) -> list[bytes]:
    places = (machine.regions["slot0"], machine.regions["slot1"])
    return [machine.flash.read(place.offset + place.size - TAIL, TAIL) for place in places]


def test_every_way_back_that_is_lost_is_known() -> None:
    seen: Counter[str] = Counter()
    for record in records("mcuboot_cuts"):
        trace = traces()[record["trace"]]
        scenario = trace["scenario"]
        if scenario not in TRIALS:
            continue
        case = f"{record['trace']}, operation {record['op']}, tear {record['tear']}"
        after = record["unconfirmed" if scenario.endswith("test-swap") else "next"]
        lost = after.get("image") != old_image(record["trace"], scenario)
        machine = Machine(options_of(trace["build"]))
        cut(machine, trace, record["op"], record["tear"])
        found = set(marked(FIRMWARE[machine.options.version], *ends_of(machine))) - NOT_RECORDED
        assert bool(found) if lost else found <= WITH_SMALLER_IMAGE, f"{case}: {found}, lost: {lost}"
        if lost:
            seen.update(found)
    print(dict(seen))
    assert set(seen) == set(known_issues()) - NOT_RECORDED


def test_each_issue_has_a_mark_and_a_source() -> None:
    for name, issue in known_issues().items():
        assert issue.mark in MARKS, name
        assert issue.source, name
        assert set(issue.versions) <= {"2.1.0", "main"}, name
