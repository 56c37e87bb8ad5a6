"""Time-outs that would fail a device that does everything right."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config.draft import AnyBoardType, Draft
from bench.config.finding import Finding, shown
from bench.config.rules.limits import LONGEST


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
    times, lifetime, wait = found.timeouts, found.lifetime, found.profile.transmission.wait
    given_up = f"a device gives up an unanswered request after {wait:g} s (RFC 7252, 4.8.2)"
    if times.download <= wait:
        # where the server falls silent half-way, result 4 comes no earlier
        yield "download", f"{given_up}, and ends its download then", wait
    if lifetime + times.registration <= wait:
        # an Update that was sent while the server was away must have failed before it registers anew
        reason = f"with a lifetime of {lifetime} s it is too short: {given_up}, and registers anew then"
        yield "registration", reason, wait - lifetime
    if times.update < times.boot <= LONGEST:  # a value that is none is told for itself
        yield "update", f"an update has a restart in it, and boot is {times.boot:g} s", times.boot
    if times.rollback < times.update + times.registration <= 2 * LONGEST:
        least = times.update + times.registration
        yield "rollback", "a roll-back is an update that fails, and registers after it", least
