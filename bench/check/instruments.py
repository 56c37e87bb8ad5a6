"""Drivers, and what an instrument of that driver has."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config.address import address_kinds
from bench.config.draft import Draft
from bench.config.finding import Finding
from bench.config.nearest import nearest, suggestion
from bench.instruments.attenuator import Attenuator
from bench.instruments.current_meter import InlineMeter
from bench.instruments.models import DRIVERS, wanted_instead
from bench.instruments.power_supply import PowerSupply
from bench.instruments.voltmeter import Voltmeter

KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "supply": ((PowerSupply,), "power supply"),
    "attenuator": ((Attenuator,), "attenuator"),
    "meter": ((InlineMeter, PowerSupply), "meter or power supply"),
    "voltmeter": ((Voltmeter,), "voltmeter"),
}
"""What the instrument must be that a board names under each key."""


def drivers(draft: Draft) -> Iterator[Finding]:
    """Every driver exists."""
    for name, instrument in draft.instruments.items():
        driver = instrument.get("driver")
        if driver is not None and driver not in DRIVERS:
            cure = suggestion(driver, DRIVERS, "drivers")
            yield draft.finding(("instruments", name, "driver"), driver, "no such driver", cure)


def addresses(draft: Draft) -> Iterator[Finding]:
    """An instrument's driver can be reached at its address, once that is one."""
    for name, instrument in draft.instruments.items():
        driver, address = instrument.get("driver"), instrument.get("address")
        if driver not in DRIVERS or not isinstance(address, str):
            continue
        try:
            kinds = address_kinds(address)
        except ValueError:  # which is told with the file
            continue
        wanted = wanted_instead(driver, kinds)
        if wanted is not None:
            yield draft.finding(
                ("instruments", name, "address"),
                address,
                f"a {driver} has no such address",
                f"give {wanted}",
            )


def outputs(draft: Draft) -> Iterator[Finding]:
    """A board hangs on an instrument of the right kind, and on an output that it has."""
    for name, board in draft.boards.items():
        for key, (kinds, called) in KINDS.items():
            named, _, output = str(board.get(key, "")).partition(":")
            driver = _driver(draft, named)
            found = DRIVERS.get(driver)
            if found is None:  # there is none, which another rule says
                continue
            place, value = ("boards", name, key), board[key]
            if not issubclass(found, kinds):
                fit = [other for other in draft.instruments if _is(draft, other, kinds)]
                cure = f"name one whose driver is a {called}: {', '.join(sorted(fit)) or 'none is listed'}"
                yield draft.finding(place, value, f"{named!r} ({driver}) is no {called}", cure)
            elif found.outputs and output.lstrip("0") not in found.outputs:
                cure = f"its outputs: {', '.join(found.outputs)}"
                yield draft.finding(place, value, f"a {driver} has no output {output!r}", cure)


def meters(draft: Draft) -> Iterator[Finding]:
    """A supply measures only what it feeds."""
    for name, board in draft.boards.items():
        meter, supply = board.get("meter"), board.get("supply")
        if meter is None or supply is None or _alike(meter) == _alike(supply):
            continue
        if _is(draft, meter.partition(":")[0], (PowerSupply,)):
            yield draft.finding(
                ("boards", name, "meter"),
                meter,
                f"a supply measures only what it feeds, and this board is fed by {supply!r}",
                "name the same output, or a meter in the board's lead",
            )


def _driver(draft: Draft, name: str) -> str:
    """The driver of an instrument, or the one that was meant."""
    driver = str(draft.table("instruments", name).get("driver"))
    return driver if driver in DRIVERS else nearest(driver, DRIVERS) or ""


def _is(draft: Draft, name: str, kinds: tuple[type, ...]) -> bool:
    found = DRIVERS.get(_driver(draft, name))
    return found is not None and issubclass(found, kinds)


def _alike(named: str) -> tuple[str, str]:
    name, _, output = named.partition(":")
    return name, output.lstrip("0")
