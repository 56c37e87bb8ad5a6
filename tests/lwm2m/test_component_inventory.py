"""Object 33629 as the server reaches it, on a raw peer: inventory, who is who, arguments on the wire."""

from __future__ import annotations

from collections.abc import Callable

import cbor2
import pytest
from coap_peer import CONTENT_FORMAT, Answer, Device, Packet, uint

from bench.errors import ServerError
from bench.firmware_update.components import ALONE, Components
from bench.firmware_update.states import Result, State
from bench.lwm2m.client import CoapError
from bench.lwm2m.codecs.tlv import Kind, Record, encode
from bench.lwm2m.server import LwM2mServer

LINKS = b"</33629/4>,</33629/1>,</5/0>"


def link(object_id: int, instance: int) -> bytes:
    return object_id.to_bytes(2, "big") + instance.to_bytes(2, "big")


def many(number: int, *links: bytes) -> Record:
    children = tuple(Record(Kind.RESOURCE_INSTANCE, n, value) for n, value in enumerate(links))
    return Record(Kind.MULTIPLE_RESOURCE, number, children=children)


def one(number: int, value: bytes) -> Record:
    return Record(Kind.RESOURCE, number, value)


def tlv(*records: Record) -> Callable[[Packet], Answer]:
    return lambda request: Answer("2.05", encode(records), [(CONTENT_FORMAT, uint(11542))])


def senml(base: str, *records: dict[object, object]) -> Callable[[Packet], Answer]:
    pack = cbor2.dumps([{-2: base, **records[0]}, *records[1:]])
    return lambda request: Answer("2.05", pack, [(CONTENT_FORMAT, uint(112))])


MODEM = tlv(
    one(3, b"\2"),
    one(5, b"\x0c"),
    one(7, b"7.0"),
    one(14, b"modem"),
    one(15, b"6.9"),
    many(16, link(33629, 4)),
    many(17, link(33629, 4), link(33629, 9), link(9, 0)),
)
BOOT = tlv(one(3, b"\0"), one(5, b"\1"), one(14, b"boot"), one(15, b"1"), many(16))


@pytest.fixture
def device(connect: Callable[..., Device]) -> Device:
    made = connect(register=False)
    made.on["/33629/1"], made.on["/33629/4"] = BOOT, MODEM
    made.register(links=LINKS)
    return made


@pytest.fixture
def components(server: LwM2mServer, device: Device) -> Components:
    return Components(server, device.endpoint)


def test_inventory_names_who_is_meant(device: Device, components: Components) -> None:
    device.on["/33629/4"], device.on["/33629/1"] = BOOT, MODEM
    found = components.inventory()
    assert list(found) == ["modem", "boot"]
    modem, boot = found.values()
    assert (modem.instance, modem.version, modem.package_version) == (1, "6.9", "7.0")
    assert modem.pair == (State.DOWNLOADED, Result.CONFLICTING_STATE)
    assert modem.linked == ("boot",)
    assert modem.conflicting == ("boot", "33629:9", "9:0")
    assert (boot.instance, boot.pair, boot.package_version) == (4, (State.IDLE, Result.SUCCESS), "")
    assert boot.linked == boot.conflicting == ()


def test_senml_says_the_same(device: Device, components: Components) -> None:
    device.on["/33629/1"] = senml(
        "/33629/1/",
        {0: "3", 2: 2},
        {0: "5", 2: 13},
        {0: "15", 3: "1.5"},
        {0: "17/0", "vlo": "33629:4"},
    )
    unnamed = components["1"]
    assert (unnamed.name, unnamed.version) == ("1", "1.5")
    assert unnamed.pair == (State.DOWNLOADED, Result.DEPENDENCY_ERROR)
    assert unnamed.conflicting == ("modem",)


def test_operations_go_to_the_component_and_answers_are_values(
    device: Device, components: Components
) -> None:
    heard: list[tuple[str, bytes]] = []

    def update(request: Packet) -> Answer:
        heard.append((request.path, request.payload))
        return Answer("2.04" if len(heard) == 1 else "4.05")

    device.on["/33629/4/2"] = device.on["/33629/4/10"] = update
    modem = components.object("modem")
    assert modem.execute(components.together_with("boot", "modem")) == "2.04"
    assert modem.execute(ALONE) == "4.05"
    assert modem.cancel() == "4.05"
    assert heard == [
        ("/33629/4/2", b"0='</33629/1>,</33629/4>'"),
        ("/33629/4/2", b"0"),
        ("/33629/4/10", b""),
    ]


def test_an_unknown_component_is_named_with_those_there_are(components: Components) -> None:
    with pytest.raises(ServerError, match=r"no component 'radio'; it has boot, modem") as caught:
        components["radio"]
    assert "[components]" in caught.value.help


def test_a_device_without_the_object_has_none(server: LwM2mServer, connect: Callable[..., Device]) -> None:
    connect("other")
    assert Components(server, "other").inventory() == {}


def test_a_link_of_a_wrong_length_is_unreadable(device: Device, components: Components) -> None:
    device.on["/33629/1"] = tlv(one(3, b"\0"), one(5, b"\0"), many(16, b"\x83\x5d\0"))
    with pytest.raises(ServerError, match="object link of 3 bytes"):
        components.inventory()


def test_a_refused_read_is_the_devices_answer(device: Device, components: Components) -> None:
    device.on["/33629/1"] = lambda request: Answer("4.01")
    with pytest.raises(CoapError) as caught:
        components.inventory()
    assert caught.value.dotted == "4.01"
