"""The LwM2M server against Leshan's client, beyond updates: formats, composite operations, Send, DTLS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from java_peers import JAVA, classpath

from bench.clock import Clock, WallClock
from bench.lwm2m.client import Client, CoapError
from bench.lwm2m.dtls.credentials import Certificates, Credentials
from bench.lwm2m.model import content
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
START = 60.0
"""Wall seconds for a Java virtual machine and a registration."""


def certificate(
    folder: Path, name: str, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """PEM files of a certificate for `name` and its key; it signs itself without an issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    made = builder.sign(issuer_key or key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made, key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA's certificates for server and client."""
    made = tmp_path_factory.mktemp("leshan")
    authority, key = certificate(made, "authority", None, None)
    certificate(made, "server", authority, key)
    certificate(made, "leshan-x509", authority, key)
    return made


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    made = WallClock()
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(clock: Clock, folder: Path) -> Iterator[LwM2mServer]:
    credentials = Credentials(
        certificates=Certificates(folder / "server.pem", folder / "server.key", folder / "authority.pem")
    )
    credentials.add_psk("leshan-psk", KEY, "leshan-psk")
    credentials.add_certificate("leshan-x509", "leshan-x509")
    made = LwM2mServer(clock, Timeline(clock), credentials=credentials)
    made.start()
    yield made
    made.close()


class Leshan:
    """Leshan's client in a process of its own, registered."""

    def __init__(self, server: LwM2mServer, uri: str, folder: Path, endpoint: str, *options: str) -> None:
        state = folder / endpoint
        state.mkdir()
        program = [*JAVA, "-cp", classpath(), "ClientPeer", "--server", uri, "--endpoint", endpoint]
        self.process = subprocess.Popen(
            [*program, "--lifetime", "300", "--state", str(state), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.client: Client = server.wait_registered(endpoint, timeout=START)

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()


@pytest.fixture(scope="module")
def leshan(server: LwM2mServer, folder: Path) -> Iterator[Leshan]:
    made = Leshan(server, server.uri, folder, "leshan")
    yield made
    made.close()


@pytest.fixture
def client(leshan: Leshan) -> Iterator[Client]:
    """Its formats, and what it has refused, are as registered before each test."""
    registration = leshan.client.registration
    listed = registration.formats
    yield leshan.client
    registration.formats = listed
    registration.refused_formats.clear()


STRUCTURED = {
    "tlv": content.TLV,
    "json": content.JSON,
    "senml-json": content.SENML_JSON,
    "senml-cbor": content.SENML_CBOR,
}


def only(client: Client, content_format: int) -> None:
    client.registration.formats = frozenset({content_format})


def test_registration(client: Client) -> None:
    told = client.registration
    assert (told.version, told.queue_mode, told.lifetime) == ("1.1", False, 300)
    assert told.formats == {content.CBOR, *STRUCTURED.values()}
    assert told.objects == {1: {0}, 3: {0}, 5: {0}}
    assert told.object_versions[5] == "1.1"


@pytest.mark.parametrize("content_format", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_an_instance_is_read_in_each_format(client: Client, content_format: int) -> None:
    """The same typed values: text, integers, times, a multiple resource."""
    only(client, content_format)
    device, firmware = client.read("/3/0"), client.read("/5/0")
    assert client.registration.refused_formats == set()
    assert device[0] == "Leshan"
    assert device[3] == "1.0.0"
    assert device[11] == {0: 0}
    assert abs(_seconds(device[13]) - datetime.now(UTC).timestamp()) < 60
    assert {n: firmware[n] for n in (1, 3, 5, 8, 9, 11)} == {1: "", 3: 0, 5: 0, 8: {0: 0}, 9: 2, 11: 1}


def _seconds(told: Any) -> float:
    return told.timestamp() if isinstance(told, datetime) else float(told)


@pytest.mark.parametrize("content_format", STRUCTURED.values(), ids=STRUCTURED.keys())
def test_a_resource_is_written_in_each_format(client: Client, content_format: int) -> None:
    only(client, content_format)
    zone = f"Test/{content_format}"
    client.write("/3/0/15", zone)
    client.update("/5/0", {11: 2, 13: content_format})
    assert client.registration.refused_formats == set()
    assert client.read("/3/0/15") == zone
    assert {n: client.read("/5/0")[n] for n in (11, 13)} == {11: 2, 13: content_format}
    client.update("/5/0", {11: 1, 13: 0})


def test_a_single_value_without_accept(client: Client) -> None:
    assert client.read("/5/0/3") == 0
    assert client.read("/3/0/3") == "1.0.0"
    assert client.read("/5/0/8") == {0: 0}


@pytest.mark.parametrize("content_format", [content.SENML_CBOR, content.SENML_JSON], ids=["cbor", "json"])
def test_composite_operations(client: Client, clock: Clock, content_format: int) -> None:
    """Read, write and observe several objects at once, in both kinds of SenML."""
    only(client, content_format)
    assert client.read_composite(["/3/0/0", "/5/0/3"]) == {"/3/0/0": "Leshan", "/5/0/3": 0}
    client.write_composite({"/3/0/15": "Asia/Tokyo", "/5/0/11": 0})
    assert client.read_composite(["/3/0/15", "/5/0/11"]) == {"/3/0/15": "Asia/Tokyo", "/5/0/11": 0}
    heard: list[dict[str, Any]] = []

    async def observe() -> Any:
        return await client.observe_composite(["/3/0/15", "/5/0/3"], heard.append)

    observation = clock.run(observe(), timeout=30, reason="observe composite")
    client.write("/3/0/15", "Europe/Paris")
    clock.wait_for(lambda: len(heard) > 1, timeout=30, reason="a composite notification")
    clock.run(observation.cancel(), timeout=30, reason="cancel")
    assert heard[0] == {"/3/0/15": "Asia/Tokyo", "/5/0/3": 0}
    assert heard[-1] == {"/3/0/15": "Europe/Paris", "/5/0/3": 0}
    client.write("/5/0/11", 1)


@pytest.mark.parametrize("content_format", ["SENML_CBOR", "SENML_JSON"])
def test_send(leshan: Leshan, server: LwM2mServer, clock: Clock, content_format: str) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []

    def listen(endpoint: str, values: dict[str, Any]) -> None:
        heard.append((endpoint, values))
        clock.changed()

    stop = server.listen_reports(listen)
    leshan.say(f"send {content_format} /3/0/3 /5/0/3 /5/0/5")
    clock.wait_for(lambda: heard, timeout=30, reason="a Send")
    stop()
    assert heard == [("leshan", {"/3/0/3": "1.0.0", "/5/0/3": 0, "/5/0/5": 0})]


def test_discover_and_attributes(client: Client) -> None:
    client.write_attributes("/5/0/3", pmin=1, pmax=60)
    found = {link.target: link.attributes for link in client.discover("/5/0")}
    assert {f"/5/0/{n}" for n in (0, 1, 2, 3, 5, 9)} <= found.keys()
    state = client.discover("/5/0/3")[0].attributes
    assert (state["pmin"], state["pmax"]) == ("1", "60")
    client.write_attributes("/5/0/3", pmin=None, pmax=None)
    assert "pmax" not in client.discover("/5/0/3")[0].attributes


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (lambda c: c.read("/5/0/0"), "4.05"),
        (lambda c: c.read("/3/0/99"), "4.04"),
        (lambda c: c.read("/99"), "4.04"),
        (lambda c: c.write("/3/0/0", "x"), "4.05"),
        (lambda c: c.write("/5/0/11", 7), "4.00"),
        (lambda c: c.execute("/5/0/2"), "4.05"),
        (lambda c: c.delete("/3/0"), "4.05"),
    ],
)
def test_refusals_are_codes(client: Client, operation: Any, code: str) -> None:
    with pytest.raises(CoapError) as refused:
        operation(client)
    assert refused.value.dotted == code


def test_queue_mode(server: LwM2mServer, folder: Path) -> None:
    """Told by Q in the registration; the device is asked while it listens."""
    made = Leshan(server, server.uri, folder, "leshan-queue", "--queue", "yes")
    try:
        assert made.client.registration.queue_mode
        assert made.client.read("/3/0/0") == "Leshan"
    finally:
        made.close()


def test_over_dtls_with_a_key(server: LwM2mServer, folder: Path) -> None:
    secret = ("--psk-identity", "leshan-psk", "--psk-key", KEY.hex())
    made = Leshan(server, server.secure_uri, folder, "leshan-psk", *secret)
    try:
        assert made.client.read("/5/0")[3] == 0
    finally:
        made.close()


def test_over_dtls_with_certificates(server: LwM2mServer, folder: Path) -> None:
    """Scandium's handshake with X.509; the endpoint is the certificate's common name."""
    uri = server.secure_uri.replace("127.0.0.1", "localhost")
    made = Leshan(server, uri, folder, "leshan-x509", "--certificates", str(folder))
    try:
        assert made.client.read("/5/0")[3] == 0
    finally:
        made.close()
