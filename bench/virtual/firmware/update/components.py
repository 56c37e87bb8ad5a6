"""Object 33629 on the device: which components are updated together, which not, and the installation.

Source: OMA object 33629 (Advanced Firmware Update), version 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.data_model import Instance, Link, Path, Resource
from bench.virtual.firmware.downloads.source import Means
from bench.virtual.firmware.settings import Settings
from bench.virtual.firmware.update.component import OBJECT, Component, ComponentType
from bench.virtual.firmware.update.component_package import ComponentPackage, version_key
from bench.virtual.firmware.update.component_store import Drawer
from bench.virtual.firmware.update.machine import (
    CONFLICT,
    DEPENDENCY,
    DOWNLOADED,
    DOWNLOADING,
    IDLE,
    INITIAL,
    UNSUPPORTED,
    UPDATING,
    Stack,
)
from bench.virtual.firmware.update.object5 import RESTART_DELAY
from bench.virtual.firmware.update.store import Heap
from bench.virtual.machine import Machine
from bench.virtual.process import Steps

REGION = "storage"
CHECK_TIME = 0.3
"""Seconds to look through the packages before an update, an estimate."""
INSTALL_TIME = 2.0
"""Seconds to install one component at boot, an estimate."""

_ARGUMENT = re.compile(r"([0-9])(?:='([^']*)')?(?:,|$)")
_LINK = re.compile(rf"</{OBJECT}/([0-9]+)>(?:,|$)")


def together(arguments: bytes) -> frozenset[int] | None:
    """The instances that argument 0 of Update names; None without it: the device decides.

    Raises `ValueError` for anything that is no list of arguments (LwM2M core, Execute).
    """
    named = {number: value or "" for number, value in _all(_ARGUMENT, arguments.decode("ascii"))}
    if "0" not in named:
        return None
    return frozenset(int(number) for (number,) in _all(_LINK, named["0"]))


def _all(pattern: re.Pattern[str], text: str) -> list[tuple[str, ...]]:
    found, position = [], 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            raise ValueError(f"{text!r} cannot be read from character {position}")
        found.append(match.groups())
        position = match.end()
    if text.endswith(","):
        raise ValueError(f"{text!r} ends with a comma")
    return found


class ComponentObject:
    """`changed(path)` is told of every resource that has a new value."""

    def __init__(
        self,
        machine: Machine,
        settings: Settings,
        kinds: Iterable[ComponentType],
        stack: Stack,
        heap: Heap,
        changed: Callable[[Path], None],
    ) -> None:
        self._machine = machine
        self._changed = changed
        self._drawer = Drawer(settings)
        self._components = [
            Component(
                machine,
                machine.regions[REGION],
                row,
                kind,
                self._drawer,
                heap,
                self._resource_changed,
                resumes=stack.resumes,
                judge=self._judge,
            )
            for row, kind in enumerate(kinds)
        ]
        self._named = {c.kind.name: c for c in self._components}

    # ---- as an object

    def instances(self) -> dict[int, Instance]:
        return {c.instance: Instance(self._resources(c)) for c in self._components}

    def _resources(self, component: Component) -> dict[int, Resource]:
        return component.resources() | {
            2: Resource("none", execute=lambda arguments: self._execute(component, arguments)),
            16: Resource("link", read=lambda: _links(self._linked(component))),
            17: Resource("link", read=lambda: _links(self._conflicting(component))),
        }

    def package_writers(self) -> dict[Path, Callable[[Request], None]]:
        """What takes the requests that write a Package."""
        return {(OBJECT, c.instance, 0): c.reception.write_package for c in self._components}

    def connect(self, means: Means) -> None:
        """What packages are fetched with, once the network is there."""
        for component in self._components:
            component.reception.connect(means)

    def resume(self) -> None:
        """The network is there: go on with what a restart interrupted."""
        for component in self._components:
            component.reception.resume()

    def _resource_changed(self, path: Path) -> None:
        self._changed(path)
        if path[2] == 3:  # who goes with whom follows from the states
            for component in self._components:
                self._changed((OBJECT, component.instance, 16))
                self._changed((OBJECT, component.instance, 17))

    # ---- who goes with whom

    def _downloaded(self, instances: Iterable[int]) -> list[Component]:
        return [c for c in self._components if c.instance in instances and c.downloaded]

    def _linked(self, component: Component) -> list[int]:
        """The instances updated along with this one when nobody says which."""
        if component.fota.state not in (DOWNLOADED, UPDATING):
            return []
        return [c.instance for c in self._downloaded(component.kind.linked)]

    def _conflicting(self, component: Component) -> list[int]:
        """After a refusal those that caused it, else those that would now."""
        if component.fota.result in (CONFLICT, DEPENDENCY):
            return list(self._drawer.values.get("blockers", {}).get(component.instance, []))
        if not component.downloaded:
            return []
        return [c.instance for c in self._downloaded(component.kind.conflicting)]

    def _blocked_by(self, component: Component, blockers: Iterable[int]) -> dict[str, object]:
        """The record of what refused this component."""
        held = self._drawer.values.get("blockers", {})
        return {"blockers": {**held, component.instance: sorted(set(blockers))}}

    # ---- a package has come in

    def _judge(self, component: Component) -> Steps:
        """Which result refuses the bytes that came in for a component; unpacks a bundle."""
        failure = yield from component.verdict()
        if failure != INITIAL:
            return failure
        packages = component.banks.packages()
        contents = {package.component: package for package in packages}
        own = contents.pop(component.kind.name, None)
        needed = {name for package in packages for name in package.requires}
        if own is None or not self._named.keys() >= contents.keys() | needed:
            return UNSUPPORTED
        others = [(self._named[name], package) for name, package in contents.items()]
        return (yield from self._unpack(component, own, others)) if others else INITIAL

    def _unpack(
        self, component: Component, own: ComponentPackage, others: list[tuple[Component, ComponentPackage]]
    ) -> Steps:
        """Give each component of a bundle its package, unless one of them has something else going on."""
        attempt = component.reception.attempt
        if self._busy(others):
            return (yield from self._refuse_bundle(component, others))
        for target, package in (*others, (component, own)):
            yield from target.take(package)
        if attempt != component.reception.attempt:
            return INITIAL  # given up meanwhile
        if self._busy(others):
            return (yield from self._refuse_bundle(component, others))
        for other, package in others:
            other.fota.length = len(package.data)
            other.fota.event("came along")
        yield from self._keep([other for other, _ in others])
        return INITIAL

    def _busy(self, others: list[tuple[Component, ComponentPackage]]) -> list[int]:
        return [other.instance for other, _ in others if other.fota.state != IDLE]

    def _refuse_bundle(self, component: Component, others: list[tuple[Component, ComponentPackage]]) -> Steps:
        yield from self._drawer.put_all(self._blocked_by(component, self._busy(others)))
        return CONFLICT

    # ---- Update

    def _execute(self, component: Component, arguments: bytes) -> int:
        if component.fota.state != DOWNLOADED:
            return coap.NOT_ALLOWED
        try:
            wanted = together(arguments)
        except ValueError:
            return coap.BAD_REQUEST
        along = set(self._linked(component) if wanted is None else wanted) - {component.instance}
        result, blockers = self._refusal(component, along)
        batch = [component, *self._downloaded(along)]
        component.fota.event("update")
        if result != INITIAL:
            self._machine.print(f"{component.fota.name}: refused because of {blockers}")
            self._machine.cpu.spawn(self._refuse(component, result, blockers))
        else:
            for other in batch[1:]:
                other.fota.event("update")
            self._machine.cpu.spawn(self._restart(batch))
        return coap.CHANGED

    def _refuse(self, component: Component, result: int, blockers: Iterable[int]) -> Steps:
        """Kept before it is told, so that a restart cannot take it back."""
        record = {**component.fota.record(), "state": DOWNLOADED, "result": result}
        yield from self._drawer.put_all(
            {component.fota.name: record, **self._blocked_by(component, blockers)}
        )
        yield CHECK_TIME
        component.fota.event("refused", result)

    def _keep(self, components: list[Component], more: Mapping[str, object] | None = None) -> Steps:
        """Make it survive a restart, all of it or nothing."""
        records = {c.fota.name: c.fota.record() for c in components}
        yield from self._drawer.put_all({**records, **(more or {})})

    def _restart(self, batch: list[Component]) -> Steps:
        yield from self._keep(batch)
        yield RESTART_DELAY
        self._machine.reset("soft")
        yield 0.0

    def _refusal(self, component: Component, along: set[int]) -> tuple[int, list[int]]:
        """The result that refuses an update of these, and the instances that are the reason."""
        there = {c.instance for c in self._downloaded(along)}
        if along - there:
            return DEPENDENCY, sorted(along - there)
        batch = [component, *self._downloaded(along)]
        downloaded = [c for c in self._components if c.downloaded or c is component]
        conflicts = {
            other.instance for c in batch for other in downloaded if other.instance in c.kind.conflicting
        }
        if conflicts:
            return CONFLICT, sorted(conflicts)
        unmet = self._unmet(batch)
        return (DEPENDENCY, sorted(unmet)) if unmet else (INITIAL, [])

    def _unmet(self, batch: list[Component]) -> set[int]:
        """Components too old for what would run if these were updated, as instances."""
        after = {c: c.package() if c in batch else c.running for c in self._components}
        versions = {c: package.version if package else c.version for c, package in after.items()}
        return {
            self._named[name].instance
            for package in after.values()
            if package is not None
            for name, least in package.requires.items()
            if version_key(versions[self._named[name]]) < version_key(least)
        }

    # ---- after a restart

    def settle(self) -> Steps:
        """At boot, before the network is there: install what is to be, forget what was interrupted."""
        updating = [c for c in self._components if c.fota.state == UPDATING]
        if updating:
            yield from self._install(updating)
        for component in self._components:
            if component.fota.state == DOWNLOADING:
                yield from component.reception.settle()

    def _install(self, batch: list[Component]) -> Steps:
        """All of them or none. Until the one record is written, the supply may fail: it begins anew."""
        self._machine.activity("flash")
        sound = True
        for component in batch:
            self._machine.print(f"{component.fota.name}: installing")
            yield INSTALL_TIME
            sound = sound and component.package() is not None
        self._machine.activity("idle")
        banks = dict(self._drawer.values.get("banks", {}))
        for component in batch:
            if sound:
                banks[component.instance] = component.banks.next
            component.fota.length = 0
            component.fota.event("succeeded" if sound else "failed")
        yield from self._keep(batch, {"banks": banks})
        for component in batch:
            component.start_new()


def _links(instances: Iterable[int]) -> dict[int, Link]:
    return {number: Link(OBJECT, instance) for number, instance in enumerate(instances)}
