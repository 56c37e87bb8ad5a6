"""Versions: how they are read, told and compared."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import NRF9160, Area
from bench.virtual.firmware.application import Application
from bench.virtual.firmware.update import components
from bench.virtual.firmware.update.component_package import version_key
from bench.virtual.firmware.update.machine import DOWNLOADED, INITIAL, UNSUPPORTED
from bench.virtual.firmware.update.object5 import UpdateObject

VERSIONS = Area("versions")
ROOM = 5
"""Characters of "1.1.0", for which somebody made room."""


@VERSIONS(
    Application,
    "_device_instance",
    source="own",
    hints=("test_versions.py::test_minor_version_of_two_digits",),
)
def version_cut_to_five_characters(healthy: Any) -> Any:
    """Firmware Version is told from a buffer that "1.1.0" just fits in: 1.10.0 reads as "1.10."."""

    def instance(self: Application) -> Any:
        made = healthy(self)
        made.resources[3].read = lambda: self._running.version[:ROOM]
        return made

    return instance


@VERSIONS(UpdateObject, "_judge", source="own", hints=("test_versions.py::test_minor_version_of_two_digits",))
def later_version_refused_as_text(healthy: Any) -> Any:
    """A package is refused as older when its version is so as text: 1.10.0 before 1.9.0."""

    def judge(self: UpdateObject) -> Any:
        failure = yield from healthy(self)
        new, old = self._slots.package()[1].partition("+")[0], self._running.version.partition("+")[0]
        if failure == INITIAL and new < old and version_key(new) > version_key(old):
            return UNSUPPORTED
        return failure

    return judge


@VERSIONS(
    UpdateObject,
    "_update_now",
    source="own",
    hints=("test_versions.py::test_another_build_of_the_same_version",),
)
def equal_version_skipped(healthy: Any) -> Any:
    """A package of the version that runs is not installed, and result 1 is reported for it."""

    def update_now(self: UpdateObject) -> None:
        if self.state == DOWNLOADED and self._slots.package()[1] == self._running.version:
            self.fota.event("update")
            self.fota.event("succeeded")
            self._machine.cpu.spawn(self.fota.keep())
        else:
            healthy(self)

    return update_now


@VERSIONS(
    components,
    "version_key",
    source="own",
    boards=NRF9160,
    hints=("test_components.py::test_dependency",),
)
def component_versions_compared_as_text(healthy: Any) -> Any:
    """What a component requires is compared as text: 1.10.0 is not enough for 1.9.0."""
    return lambda version: version


@VERSIONS(Application, "_device_instance", source="own", hints=("test_resources.py::test_package_written",))
def version_of_the_package_told_when_downloaded(healthy: Any) -> Any:
    """Firmware Version is the package's as soon as that is downloaded, before it runs."""

    def instance(self: Application) -> Any:
        made = healthy(self)

        def version() -> str:
            update = self._update
            waiting = update is not None and update.state == DOWNLOADED
            return (self._slots.package()[1] if waiting else "") or self._running.version

        made.resources[3].read = version
        return made

    return instance
