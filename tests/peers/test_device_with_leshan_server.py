"""The virtual devices' firmware against Leshan's server, which nobody here has written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from leshan_server import Answer, LeshanServer
from paced_plant import OldBench, PacedBench, load

from bench.dut.dut import Dut
from bench.station import Station

IDLE, DOWNLOADING, DOWNLOADED, UPDATING = range(4)
SUCCESS = 1


@dataclass
class Registered:
    """A device at Leshan's server."""

    dut: Dut
    station: Station
    leshan: LeshanServer

    def ask(self, command: str, path: str = "", **arguments: Any) -> Answer:
        return self.leshan.ask(command, self.dut.endpoint, path, **arguments)

    def value(self, path: str) -> Any:
        return self.ask("read", path).values[path]

    def await_event(self, name: str, since: int = 0, **wanted: Any) -> dict[str, Any]:
        return self.leshan.await_event(name, self.dut.endpoint, since, **wanted)

    def install(self) -> dict[str, Any]:
        """A fresh baseline that has registered, over DTLS where it has credentials; returns the event."""
        mark = len(self.leshan.events)
        self.dut.install(self.dut.images.baseline)
        scheme = "coaps" if self.dut.is_secured else "coap"
        self.dut.commission(f"{scheme}://127.0.0.1:{self.leshan.ports[scheme]}")
        return self.await_event("registered", mark)


@pytest.fixture(scope="module")
def leshan() -> Iterator[LeshanServer]:
    with LeshanServer() as made:
        yield made


@pytest.fixture(scope="module")
def attach(leshan: LeshanServer) -> Iterator[Callable[..., Registered]]:
    """Opens a bench with one board; the one before is closed."""
    opened: list[Station] = []

    def close() -> None:
        leshan.use(None)
        while opened:
            opened.pop().close()

    def make(board: str, plant: type[PacedBench] = PacedBench) -> Registered:
        close()
        bench = load(board, plant)
        station = Station(bench)
        station.__enter__()
        opened.append(station)
        leshan.use(station.clock)
        dut = station.duts[board]
        security = bench.settings.boards[board].security
        if security is not None:
            leshan.ask("key", dut.endpoint, identity=security.identity, key=security.key)
        return Registered(dut, station, leshan)

    yield make
    close()


@pytest.fixture(scope="module", params=["nrf9160", "esp32"])
def attached(request: pytest.FixtureRequest, attach: Callable[..., Registered]) -> Registered:
    return attach(request.param)


@pytest.fixture(scope="module")
def device(attached: Registered) -> Registered:
    """The nRF9160 over coap, the ESP32 over coaps."""
    attached.install()
    return attached


def test_registration_tells_version_objects_and_formats(device: Registered) -> None:
    told = device.await_event("registered")
    version, object5 = {"virtual-nrf9160": ("1.1", "1.0"), "virtual-esp32": ("1.2", "1.2")}[
        device.dut.type.name
    ]
    assert (told["lwm2m"], told["lifetime"], told["queue"]) == (version, 300, False)
    assert told["objects"]["5"] == object5
    assert {"1", "3", "4", "5"} <= told["objects"].keys()
    assert {"TLV", "SENML_CBOR"} <= set(told["formats"])


@pytest.mark.parametrize(
    "path", ["/1/0", "/3/0", "/4/0", "/5/0", "/5", "/3/0/3", "/5/0/3", "/5/0/8", "/3/0/11"]
)
def test_each_format_tells_the_same(device: Registered, path: str) -> None:
    """What Leshan decodes from SenML CBOR is what it decodes from TLV, and from the device's own choice."""
    told = {f: device.ask("read", path, format=f) for f in ("TLV", "SENML_CBOR")}
    assert {answer.code for answer in told.values()} == {"2.05"}
    moving = ("/3/0/13", "/4/0/2", "/4/0/3", "/5/0/12")  # time, and the radio's reports
    fixed = [{p: v for p, v in a.values.items() if p not in moving} for a in told.values()]
    assert fixed[0] == fixed[1]
    assert told["TLV"].values.keys() == told["SENML_CBOR"].values.keys()
    assert device.ask("read", path).values.keys() == told["TLV"].values.keys()
    assert all(p == path or p.startswith(path + "/") for p in told["TLV"].values)


def test_values_are_the_devices(device: Registered) -> None:
    values = device.ask("read", "/3/0").values
    assert values["/3/0/2"] == device.dut.serial
    assert values["/3/0/3"] == device.dut.images.baseline.version
    assert device.ask("read", "/5/0/8").values == {f"/5/0/8/{n}": n for n in range(5)}
    assert device.ask("read", "/5/0/3", format="TEXT") == Answer("2.05", {"/5/0/3": IDLE})


@pytest.mark.parametrize("format_", ["SENML_JSON", "CBOR"])
def test_formats_that_were_not_told_are_refused(device: Registered, format_: str) -> None:
    assert device.ask("read", "/5/0/3", format=format_).code == "4.06"
    assert device.ask("write", "/1/0/1", value=300, format=format_).code == "4.15"


@pytest.mark.parametrize("format_", ["TEXT", "TLV", "SENML_CBOR"])
def test_a_write_in_each_format(device: Registered, format_: str) -> None:
    """The lifetime; the device tells the server by an Update."""
    wanted = {"TEXT": 290, "TLV": 70_000, "SENML_CBOR": 310}[format_]
    mark = len(device.leshan.events)
    assert device.ask("write", "/1/0/1", value=wanted, format=format_).code == "2.04"
    device.await_event("updated", mark, lifetime=wanted)
    assert device.value("/1/0/1") == wanted
    assert device.ask("write", "/1/0/6", value=True, format=format_).code == "2.04"
    assert device.value("/1/0/6") is True


def test_what_may_not_be_done_is_refused(device: Registered) -> None:
    assert device.ask("read", "/5/0/0").code == "4.05"
    assert device.ask("read", "/5/0/99").code == "4.04"
    assert device.ask("read", "/99").code == "4.04"
    assert device.ask("read", "/0/0").code == "4.01"
    assert device.ask("execute", "/5/0/2").code == "4.05"
    assert device.ask("write", "/3/0/3", value="x").code == "4.05"


def test_discover(device: Registered) -> None:
    found = device.ask("discover", "/5").values
    assert {f"/5/0/{n}" for n in (0, 1, 2, 3, 5, 9)} <= found.keys()


def test_observation_by_pmin_and_pmax(device: Registered) -> None:
    """pmax has it told although nothing changes; the attributes are shown; what is cancelled is silent."""
    assert device.ask("attributes", "/5/0/3", pmin=2, pmax=10).code == "2.04"
    assert device.ask("observe", "/5/0/3") == Answer("2.05", {"/5/0/3": IDLE})
    mark = len(device.leshan.events)
    numbers = []
    for _ in range(3):
        told = device.await_event("notified", mark, values={"/5/0/3": IDLE}, code="2.05")
        numbers.append(told["number"])
        mark = device.leshan.events.index(told) + 1
    assert numbers == sorted(set(numbers)), "RFC 7641, 4.4: they increase"
    assert "pmax=10" in device.ask("discover", "/5/0/3").values["/5/0/3"]
    assert device.ask("cancel", "/5/0/3").code == "2.05"
    mark = len(device.leshan.events)
    device.station.clock.sleep(30, "a cancelled observation is silent")
    assert [e for e in device.leshan.events[mark:] if e["event"] == "notified"] == []


def test_send(device: Registered) -> None:
    """LwM2M 1.1: an update tells its state by Send; Leshan takes it."""
    with device.dut.using("send"):
        mark = len(device.leshan.events)
        assert device.ask("write", "/5/0/1", value="gopher://192.0.2.1/x").code == "2.04"
        device.await_event("sent", mark, values={"/5/0/3": IDLE, "/5/0/5": 9})
    assert device.ask("write", "/5/0/1", value="").code == "2.04"


def test_reboot(device: Registered) -> None:
    """It leaves by De-register, and comes back."""
    mark = len(device.leshan.events)
    assert device.ask("execute", "/3/0/4").code == "2.04"
    device.await_event("gone", mark, expired=False)
    device.await_event("registered", mark)


@pytest.mark.parametrize("delivery", ["push", "pull"])
def test_whole_update(attached: Registered, tmp_path: Path, delivery: str) -> None:
    """Leshan writes the package in blocks, or the device fetches it from Californium; it notifies."""
    device = attached
    device.install()
    mark = len(device.leshan.events)
    assert device.ask("observe", "/5/0/3").values == {"/5/0/3": IDLE}
    file = tmp_path / f"{device.dut.name}.bin"
    file.write_bytes(device.dut.images.update.data)
    if delivery == "push":
        assert device.ask("push", "/5/0/0", file=file, format="OPAQUE").code == "2.04"
    else:
        device.ask("serve", name=file.name, file=file)
        uri = f"coap://127.0.0.1:{device.leshan.ports['packages']}/{file.name}"
        assert device.ask("write", "/5/0/1", value=uri).code == "2.04"
    device.await_event("notified", mark, values={"/5/0/3": DOWNLOADING})
    device.await_event("notified", mark, values={"/5/0/3": DOWNLOADED})
    assert device.ask("read", "/5/0/5").values == {"/5/0/5": 0}
    assert device.ask("execute", "/5/0/2").code == "2.04"
    device.await_event("registered", mark)
    assert device.value("/3/0/3") == device.dut.images.update.version
    while device.value("/5/0/3") == UPDATING:  # registered is not yet confirmed: that writes flash
        device.station.clock.sleep(1, "the image confirms itself")
    ended = device.ask("read", "/5/0").values
    assert (ended["/5/0/3"], ended["/5/0/5"]) == (IDLE, SUCCESS)


@pytest.mark.parametrize("secured", [False, True], ids=["coap", "coaps"])
def test_bootstrap(attached: Registered, secured: bool) -> None:
    """Leshan's bootstrap server writes Security and Server; the device registers where they say.

    Over DTLS with one key to the bootstrap server, and to the server with the one that it was given.
    """
    device, leshan = attached, attached.leshan
    scheme = "coaps" if secured else "coap"
    endpoint = f"{device.dut.endpoint}-{scheme}"  # Leshan takes no plain registration of one that has a key
    given = {"identity": endpoint, "key": "00112233445566778899aabbccddeeff"} if secured else {}
    server = f"{scheme}://127.0.0.1:{leshan.ports[scheme]}"
    leshan.ask("account", endpoint, server=server, lifetime=123, **given)
    line = f"provision bootstrap={scheme}://127.0.0.1:"
    line += f"{leshan.ports['bootstraps' if secured else 'bootstrap']} endpoint={endpoint}"
    if secured:
        first = "0123456789abcdef"
        leshan.ask("key", endpoint, identity=f"{endpoint}-first", key=first)
        line += f" psk-identity={endpoint}-first psk-key={first}"
    mark = len(leshan.events)
    device.dut.install(device.dut.images.baseline)
    device.dut.power_on()
    device.dut.console.expect("lwm2m: not provisioned", timeout=60)
    device.dut.console.send(line + "\r\n")
    leshan.await_event("bootstrapped", endpoint, mark)
    if secured:
        leshan.ask("key", endpoint, **given)  # from now on Leshan knows it by this one alone
    leshan.await_event("registered", endpoint, mark, lifetime=123)
    assert [e for e in leshan.events[mark:] if e["event"] == "bootstrap refused"] == []
    assert leshan.ask("read", endpoint, "/1/0/1").values == {"/1/0/1": 123}
    device.dut.power_off()
    mark = len(leshan.events)
    device.dut.power_on()
    leshan.await_event("registered", endpoint, mark, lifetime=123)


def test_a_device_of_lwm2m_1_0(attach: Callable[..., Registered]) -> None:
    """It says so by its version, and by the versions of its objects."""
    device = attach("nrf9160", OldBench)
    told = device.install()
    assert told["lwm2m"] == "1.0"
    assert {told["objects"][n] for n in ("1", "3", "5")} == {"1.0"}
    assert device.ask("read", "/5/0", format="TLV").values["/5/0/9"] == 2
