"""Object 33629: components that are updated beside each other, and together."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import NRF9160, Area
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.data_model import Link
from bench.virtual.firmware.update import components
from bench.virtual.firmware.update.component import OBJECT, Component
from bench.virtual.firmware.update.components import ComponentObject
from bench.virtual.firmware.update.machine import DOWNLOADED, IDLE, INITIAL, UNSUPPORTED, UPDATING

COMPONENTS = Area("components")


def _changed(healthy: Any, change: Any) -> Any:
    """A component's resources after `change(object, component, resources)`."""

    def resources(self: ComponentObject, component: Component) -> Any:
        found = healthy(self, component)
        change(self, component, found)
        return found

    return resources


@COMPONENTS(
    ComponentObject, "_resources", source="own", boards=NRF9160, hints=("test_components.py::test_cancel",)
)
def cancel_takes_every_component(healthy: Any) -> Any:
    """Cancel of one component cancels the others too."""

    def change(self: ComponentObject, component: Component, found: Any) -> None:
        def cancel(arguments: bytes) -> int:
            code = component.reception.cancel(arguments)
            for other in self._components:
                if code == coap.CHANGED and other is not component:
                    other.reception.cancel(arguments)
            return code

        found[10].execute = cancel

    return _changed(healthy, change)


@COMPONENTS(
    components,
    "together",
    source="own",
    boards=NRF9160,
    hints=("test_components.py::test_linked_component_alone",),
)
def arguments_of_update_ignored(healthy: Any) -> Any:
    """Update takes along what is linked, whatever its argument says."""

    def together(arguments: bytes) -> None:
        healthy(arguments)

    return together


@COMPONENTS(
    Component, "version", source="own", boards=NRF9160, hints=("test_components.py::test_one_component",)
)
def component_version_of_the_factory(healthy: Any) -> Any:
    """Current Version of a component is that which it left the factory with."""
    return property(lambda self: self.kind.version)


@COMPONENTS(
    ComponentObject, "_resources", source="own", boards=NRF9160, hints=("test_components.py::test_inventory",)
)
def linked_instances_as_designed(healthy: Any) -> Any:
    """Linked Instances lists all that belong together, Downloaded or not."""

    def change(self: ComponentObject, component: Component, found: Any) -> None:
        found[16].read = lambda: {n: Link(OBJECT, i) for n, i in enumerate(component.kind.linked)}

    return _changed(healthy, change)


@COMPONENTS(
    ComponentObject,
    "_resources",
    source="own",
    boards=NRF9160,
    hints=("test_components.py::test_conflicting_components",),
)
def conflicting_instances_not_named(healthy: Any) -> Any:
    """Conflicting Instances is empty after result 12 and 13."""

    def change(self: ComponentObject, component: Component, found: Any) -> None:
        found[17].read = dict

    return _changed(healthy, change)


@COMPONENTS(
    Client, "_post", source="own", boards=NRF9160, hints=("test_components.py::test_instances_are_fixed",)
)
def create_answered_as_done(healthy: Any) -> Any:
    """Create of an instance of object 33629 is answered 2.01, with a location, and makes none."""

    def post(self: Client, request: Any, path: Any) -> None:
        if path == (OBJECT,):
            location = [(coap.LOCATION_PATH, b"33629"), (coap.LOCATION_PATH, b"7")]
            request.respond(coap.CREATED, options=location)
        else:
            healthy(self, request, path)

    return post


@COMPONENTS(
    Client, "_delete", source="own", boards=NRF9160, hints=("test_components.py::test_instances_are_fixed",)
)
def delete_takes_the_instance(healthy: Any) -> Any:
    """Delete of an instance of object 33629 is answered 2.02, and takes it out of the object."""

    def delete(self: Client, request: Any, path: Any) -> None:
        if path[0] == OBJECT and len(path) == 2 and self._exists(path):
            del self.tree[OBJECT][path[1]]
            request.respond(coap.DELETED)
        else:
            healthy(self, request, path)

    return delete


@COMPONENTS(
    ComponentObject,
    "_install",
    source="own",
    boards=NRF9160,
    hints=(),
    equivalent="only a package that goes bad between its check and its installation shows it",
)
def components_installed_one_by_one(healthy: Any) -> Any:
    """Components that are updated together are installed each for itself, sound or not the others."""

    def install(self: ComponentObject, batch: Any) -> Any:
        for component in batch:
            yield from healthy(self, [component])

    return install


@COMPONENTS(
    ComponentObject,
    "_unpack",
    source="own",
    boards=NRF9160,
    hints=("test_components.py::test_one_package_for_several_components",),
)
def bundle_unpacked_for_one_alone(healthy: Any) -> Any:
    """Of a package for several components only the one it was written to becomes Downloaded."""

    def unpack(self: ComponentObject, component: Component, own: Any, others: Any) -> Any:
        yield from component.take(own)
        return INITIAL

    return unpack


@COMPONENTS(
    ComponentObject,
    "_judge",
    source="own",
    boards=NRF9160,
    hints=("test_components.py::test_package_of_another_component",),
)
def package_of_another_component_taken(healthy: Any) -> Any:
    """A package is Downloaded whichever component it is for."""

    def judge(self: ComponentObject, component: Component) -> Any:
        failure = yield from healthy(self, component)
        packages = component.banks.packages()
        if failure == UNSUPPORTED and packages and all(p.component in self._named for p in packages):
            return INITIAL
        return failure

    return judge


@COMPONENTS(
    ComponentObject,
    "settle",
    source="own",
    boards=NRF9160,
    hints=("test_components.py::test_linked_component_alone",),
)
def update_of_one_drops_the_others(healthy: Any) -> Any:
    """After the update of one component the others that were Downloaded are Idle."""

    def settle(self: ComponentObject) -> Any:
        if any(c.fota.state == UPDATING for c in self._components):
            for component in self._components:
                if component.fota.state == DOWNLOADED:
                    component.fota.become(IDLE, INITIAL)
        yield from healthy(self)

    return settle


@COMPONENTS(
    ComponentObject,
    "_unmet",
    source="own",
    boards=NRF9160,
    hints=("test_components.py::test_components_of_the_servers_choice",),
)
def requirements_looked_up_in_what_was_installed(healthy: Any) -> Any:
    """What a package requires is looked for in what runs, not in what is updated along with it."""

    def unmet(self: ComponentObject, batch: Any) -> Any:
        return healthy(self, batch) | healthy(self, batch[:1])

    return unmet
