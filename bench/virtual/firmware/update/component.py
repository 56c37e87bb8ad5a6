"""One component beside the application, as an instance of object 33629: its banks, state, resources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.virtual.boot import slots as checks
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.data_model import Path, Resource
from bench.virtual.firmware.update.component_package import ComponentPackage
from bench.virtual.firmware.update.component_store import Banks, Drawer
from bench.virtual.firmware.update.machine import (
    DOWNLOADED,
    INITIAL,
    INTEGRITY,
    UNSUPPORTED,
    UPDATING,
    UpdateMachine,
)
from bench.virtual.firmware.update.reception import Reception
from bench.virtual.firmware.update.store import Heap, PackageStore
from bench.virtual.machine import Machine, Region
from bench.virtual.process import Steps

OBJECT = 33629
DEFAULT_SEVERITY = 1


@dataclass(frozen=True, slots=True)
class ComponentType:
    """What the device's maker decided: `version` is what it left the factory with, `linked` and
    `conflicting` are the instances updated together with it, and never beside it."""

    instance: int
    name: str
    version: str
    linked: tuple[int, ...] = ()
    conflicting: tuple[int, ...] = ()


NRF9160_COMPONENTS = (
    ComponentType(1, "sensors", "1.0.0", linked=(2,)),
    ComponentType(2, "display", "1.0.0", linked=(1,), conflicting=(3,)),
    ComponentType(3, "positioning", "1.0.0", conflicting=(2,)),
)
"""Instance 0 would be the application, which object 5 updates."""


class Component:
    """`judge(component)` is a process that looks at a complete package (see `Reception`)."""

    def __init__(
        self,
        machine: Machine,
        region: Region,
        row: int,
        kind: ComponentType,
        drawer: Drawer,
        heap: Heap,
        changed: Callable[[Path], None],
        *,
        resumes: bool,
        judge: Callable[[Component], Steps],
    ) -> None:
        self.kind = kind
        self.banks = Banks(machine, region, row, drawer, kind.instance)
        self.fota = UpdateMachine(machine, drawer, changed, (OBJECT, kind.instance), f"component {kind.name}")
        self.fota.load()
        self.running = self.banks.running()
        self.store = PackageStore(machine, self.banks, heap)
        self.reception = Reception(machine, self.fota, self.store, resumes=resumes, judge=lambda: judge(self))
        self._severity, self._max_defer = DEFAULT_SEVERITY, 0

    @property
    def instance(self) -> int:
        return self.kind.instance

    @property
    def version(self) -> str:
        """What is in use, as found in the flash; empty when it is damaged."""
        if self.banks.active is None:
            return self.kind.version
        return self.running.version if self.running is not None else ""

    def start_new(self) -> None:
        """Another bank is in use from now on."""
        self.running = self.banks.running()

    # ---- the package

    @property
    def downloaded(self) -> bool:
        return self.fota.state == DOWNLOADED

    def package(self) -> ComponentPackage | None:
        """The package to be installed, while there is one."""
        return self.banks.package() if self.fota.state in (DOWNLOADED, UPDATING) else None

    def verdict(self) -> Steps:
        """Which result refuses the bytes that came in, if they are no packages at all."""
        verdict = yield from self.store.verdict()
        return {checks.OK: INITIAL, checks.UNSUPPORTED: UNSUPPORTED}.get(verdict, INTEGRITY)

    def take(self, package: ComponentPackage) -> Steps:
        """Put a package that came in a bundle into the bank."""
        yield from self.store.begin()
        yield from self.store.append(package.data)

    # ---- resources

    def resources(self) -> dict[int, Resource]:
        """Those that concern this component alone."""
        return self.reception.resources() | {
            6: Resource("str", read=lambda: self._told("component")),
            7: Resource("str", read=lambda: self._told("version")),
            10: Resource("none", execute=self.reception.cancel),
            11: Resource("int", read=lambda: self._severity, write=self._write_severity),
            12: Resource("int", read=lambda: self.fota.last_change),
            13: Resource("int", read=lambda: self._max_defer, write=self._write_max_defer),
            14: Resource("str", read=lambda: self.kind.name),
            15: Resource("str", read=lambda: self.version),
        }

    def _told(self, what: str) -> str:
        package = self.package()
        return str(getattr(package, what)) if package is not None else ""

    def _write_severity(self, value: int) -> int:
        if value not in (0, 1, 2):
            return coap.BAD_REQUEST
        self._severity = value
        return coap.CHANGED

    def _write_max_defer(self, value: int) -> int:
        """Kept, and without effect: nobody is asked before a component is updated."""
        if value < 0:
            return coap.BAD_REQUEST
        self._max_defer = value
        return coap.CHANGED
