"""Object 33629 (Advanced Firmware Update) of one device: its components, and who is updated with whom.

Each instance is one component and has the resources of object 5; an update of it is driven by
`bench.firmware_update.update` like one of /5. Source: OMA object 33629, version 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.errors import DeviceError
from bench.firmware_update.met import Met
from bench.firmware_update.object5 import Object5
from bench.firmware_update.states import Result, State, in_words
from bench.lwm2m.server import LwM2mServer

OBJECT = 33629
ALONE = "0"
"""Arguments of Update: this instance and no other."""


@dataclass(frozen=True, slots=True)
class Component:
    """What the device tells of a component.

    `version` is what runs, `package_version` what is downloaded ("" while nothing is, or where the
    device does not tell); `linked` and `conflicting` are the names of other components, or an object
    link as it stands where it leads to none of them.
    """

    instance: int
    name: str
    version: str
    package_version: str
    state: State
    result: Result
    linked: tuple[str, ...]
    conflicting: tuple[str, ...]

    @property
    def pair(self) -> tuple[State, Result]:
        return self.state, self.result

    def shows(self, state: State, result: Result) -> Met:
        """Whether it was in `state` with `result` when it was read."""
        told = f"component {self.name}: wanted {in_words(state, result)}; it shows {in_words(*self.pair)}"
        return Met(self.pair == (state, result), told)


class Components:
    """`application` is the instance of the application itself, where it is one of this object.

    Every method may raise `NotReachable` when the device does not answer, and `CoapError`.
    """

    def __init__(self, server: LwM2mServer, endpoint: str, application: str = "") -> None:
        self._server = server
        self._endpoint = endpoint
        self._application = application

    @property
    def instances(self) -> list[int]:
        """As the device registered them, without the application's."""
        registered = self._server.client(self._endpoint).registration.objects.get(OBJECT, ())
        return sorted(n for n in registered if f"/{OBJECT}/{n}" != self._application)

    def inventory(self) -> dict[str, Component]:
        """Every component by its name, in the order of the instances; read now."""
        client = self._server.client(self._endpoint)
        values = {number: client.read(f"/{OBJECT}/{number}") for number in self.instances}
        names = {f"{OBJECT}:{number}": _name(number, read) for number, read in values.items()}
        found = (_component(number, read, names) for number, read in values.items())
        return {component.name: component for component in found}

    def __getitem__(self, name: str) -> Component:
        """One component, read now. Raises `DeviceError` when the device has none of that name."""
        found = self.inventory()
        if name not in found:
            raise DeviceError(
                f"{self._endpoint} has no component {name!r}; it has {', '.join(found) or 'none'}",
                help="correct [components] in the board file",
            )
        return found[name]

    def path(self, name: str) -> str:
        """The object instance of a component."""
        return f"/{OBJECT}/{self[name].instance}"

    def object(self, name: str) -> Object5:
        """The component's instance, operation by operation."""
        return Object5(self._server, self._endpoint, self.path(name))

    def together_with(self, *names: str) -> str:
        """Arguments of Update: the instance it is executed on, these, and no other."""
        links = ",".join(f"<{self.path(name)}>" for name in names)
        return f"0='{links}'"


def _name(number: int, values: Any) -> str:
    return str(values.get(14) or number)


def _component(number: int, values: Any, names: dict[str, str]) -> Component:
    def components(resource: int) -> tuple[str, ...]:
        links = values.get(resource) or {}
        return tuple(names.get(str(link), str(link)) for link in links.values())

    return Component(
        instance=number,
        name=_name(number, values),
        version=str(values.get(15, "")),
        package_version=str(values.get(7) or ""),
        state=State(int(values[3])),
        result=Result(int(values[5])),
        linked=components(16),
        conflicting=components(17),
    )
