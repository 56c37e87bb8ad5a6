"""Time-outs that would fail a device that does everything right."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config.draft import AnyBoardType, Draft
from bench.config.finding import Finding, shown
from bench.config.rules.limits import LONGEST

MAX_TRANSMIT_WAIT = 93.0
"""Seconds after which a device may give up a request that nobody answers (RFC 7252 section 4.8.2)."""
GIVEN_UP = f"a device gives up an unanswered request after {MAX_TRANSMIT_WAIT:g} s (RFC 7252, 4.8.2)"


def time_outs_of_conforming_devices(draft: Draft) -> Iterator[Finding]:
    """Each phase has the time that the clauses give a device, and that its parts take by the same file."""
    for name, found in draft.types.items():
        file = draft.file.parent / f"{name}.toml"
        for key, wrong, least in _too_short(found):
            where = f"timeouts.{key}"
            value = shown(where, getattr(found.timeouts, key))
            yield Finding(file, where, value, wrong, f"give more than {least:g} seconds")


def _too_short(found: AnyBoardType) -> Iterator[tuple[str, str, float]]:
    """Key, what is wrong with it, and what it must be above."""
    times, lifetime = found.timeouts, found.lifetime
    if times.download <= MAX_TRANSMIT_WAIT:
        # where the server falls silent half-way, result 4 comes no earlier
        yield "download", f"{GIVEN_UP}, and ends its download then", MAX_TRANSMIT_WAIT
    if lifetime + times.registration <= MAX_TRANSMIT_WAIT:
        # an Update that was sent while the server was away must have failed before it registers anew
        reason = f"with a lifetime of {lifetime} s it is too short: {GIVEN_UP}, and registers anew then"
        yield "registration", reason, MAX_TRANSMIT_WAIT - lifetime
    if times.update < times.boot <= LONGEST:  # a value that is none is told for itself
        yield "update", f"an update has a restart in it, and boot is {times.boot:g} s", times.boot
    if times.rollback < times.update + times.registration <= 2 * LONGEST:
        least = times.update + times.registration
        yield "rollback", "a roll-back is an update that fails, and registers after it", least
