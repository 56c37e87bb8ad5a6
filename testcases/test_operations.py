"""Read, Write and Execute in every format that a device says it speaks: what is told is the same in all."""

import pytest
from aiocoap import POST, PUT
from aiocoap.numbers.contentformat import ContentFormat

from bench.errors import NotApplicable
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.management.operations import payload_of
from bench.lwm2m.model.content import LWM2M_CBOR, SENML_CBOR, SENML_JSON, TLV

BORDERS = (127, 128, 200, 255, 256, 32767, 32768, 40000, 65536)
"""Where an integer needs another byte, or one for its sign (two's complement)."""
FORMATS = {"tlv": TLV, "senml-cbor": SENML_CBOR, "senml-json": SENML_JSON, "lwm2m-cbor": LWM2M_CBOR}
EIGHT_BYTES = 8


@pytest.fixture
def account(dut, server):
    """The instance of the Server object by which the board is registered here."""
    return f"/1/{server.account_of(dut)}"


@pytest.fixture(params=FORMATS.values(), ids=FORMATS.keys())
def form(request, dut, server):
    """A content format that the board lists when it registers."""
    registration = server.client(dut).registration
    formats = registration.formats or ({TLV} if registration.version == "1.0" else set())
    if request.param not in formats:
        raise NotApplicable(f"the device does not say, when it registers, that it speaks {request.param}")
    return request.param


@pytest.fixture
def by_hand(dut, server, object5):
    """Messages by hand, to a device that was just heard."""
    assert object5.state is not None
    return server.lwm2m.by_hand(dut.endpoint)


def read_in(by_hand, path, form):
    """{path: value} of what is there, as the device tells it in this format."""
    base = tuple(int(part) for part in path.strip("/").split("/"))
    request = by_hand.message(1, path)
    request.opt.accept = ContentFormat(form)
    answers = by_hand.ask(request)
    assert answers, f"no answer to a Read of {path}"
    answer = answers[-1]
    if answer.code.dotted in ("4.06", "4.15"):
        return None  # it need not have each of its formats for everything
    assert answer.code.dotted == "2.05", f"a Read of {path} in {form} was answered {answer.code.dotted}"
    try:
        return dict(payload_of(answer, base))
    except CodecError as reason:
        pytest.fail(f"a Read of {path} in format {form} cannot be understood: {reason}")


def written(by_hand, path, payload, form):
    """The device's answer to a Write, such as "2.04"."""
    request = by_hand.message(PUT, path, payload)
    request.opt.content_format = ContentFormat(form)
    answers = by_hand.ask(request)
    assert answers, f"no answer to a Write of {path}"
    return answers[-1].code.dotted


def tlv_integer(number, value, width):
    """One resource in TLV whose value takes `width` bytes (LwM2M 1.0, 6.4.3)."""
    body = value.to_bytes(width, "big", signed=True)
    head = bytes([0xC0 | width, number]) if width < 8 else bytes([0xC8, number, width])
    return head + body


@pytest.mark.requirement("LwM2M-1.0-5.4.1", "LwM2M-1.0-C-integer", "OMA-1-1-lifetime")
def test_integers_near_their_borders(server, dut, by_hand, account, form):
    """A Lifetime that was written reads the same, in this format too."""
    client, path = server.client(dut), f"{account}/1"
    before = client.read(path)
    for value in BORDERS:
        client.write(path, value)
        told = read_in(by_hand, path, form)
        if told is None:
            break
        found = next(iter(told.values()))
        assert found == value, f"{path}: {value} was written, and reads {found} in format {form}"
    client.write(path, before)


@pytest.mark.requirement("LwM2M-1.0-5.4.1", "LwM2M-1.0-6.1-mandatory")
def test_instance_in_each_format(by_hand, object5, account, form):
    """What an instance has does not depend on how it is told: every mandatory resource is there."""
    for path, resources in ((object5.instance, (3, 5, 9)), (account, (0, 1, 6, 7))):
        told = read_in(by_hand, path, form)
        if told is None:
            continue
        found = {at[2] for at in told if len(at) > 2}
        missing = sorted(set(resources) - found)
        assert not missing, f"a Read of {path} in format {form} leaves out {missing}"


@pytest.mark.requirement("LwM2M-T-6.7-write", "LwM2M-1.0-C-integer")
def test_integer_in_tlv(server, dut, by_hand, account):
    """Eight bytes are an integer like any other; -1 is no Lifetime, and is not taken for another number."""
    client, path = server.client(dut), f"{account}/1"
    registration = client.registration
    if TLV not in registration.formats and registration.version != "1.0":
        raise NotApplicable("the device does not say, when it registers, that it speaks TLV")
    before = client.read(path)
    answer = written(by_hand, path, tlv_integer(1, before + 1, EIGHT_BYTES), TLV)
    assert answer == "2.04", f"a Write of {before + 1} to {path}, in eight bytes, was answered {answer}"
    assert client.read(path) == before + 1
    answer = written(by_hand, path, tlv_integer(1, -1, 1), TLV)
    found = client.read(path)
    assert found in (before + 1, -1), f"a Write of -1 to {path} was answered {answer}, and reads {found}"
    client.write(path, before)


@pytest.mark.requirement("LwM2M-T-6.7-write")
def test_tlv_of_another_resource(server, dut, by_hand, account):
    """The identifier in the TLV is that of the path: what is meant for another resource changes nothing."""
    client, path = server.client(dut), f"{account}/1"
    if TLV not in client.registration.formats and client.registration.version != "1.0":
        raise NotApplicable("the device does not say, when it registers, that it speaks TLV")
    before = client.read(path)
    answer = written(by_hand, path, tlv_integer(2, before + 1, 4), TLV)
    found = client.read(path)
    assert found == before, f"the TLV of resource 2, written to {path}, was answered {answer}, and is {found}"


@pytest.mark.requirement("LwM2M-1.0-5.4.5", "LwM2M-T-6.7-execute")
def test_execute_of_what_cannot_be(server, dut, by_hand, object5):
    """Neither an instance nor a resource that is there to be read: an error, and nothing happens."""
    before = object5.pair
    for path in (object5.instance, object5.state_path):
        answers = by_hand.ask(by_hand.message(POST, path))
        assert answers, f"no answer to an Execute of {path}"
        code = answers[-1].code.dotted
        assert code.startswith("4."), f"an Execute of {path} was answered {code}"
    assert object5.pair == before


@pytest.mark.requirement("OMA-5-3-values", "LwM2M-1.0-5.4.1")
def test_instance_and_resources_say_the_same(dut, server, images, object5):
    """State and Update Result, read each by itself and in their instance, while they differ."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        held, alone = object5.read(), object5.pair
        assert (held[3], held[5]) == alone, f"State and Update Result in {object5.instance}, and alone"
    server.make_idle(dut)
