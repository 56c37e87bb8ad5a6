"""libcoap's command line client, an independent peer: downloads over coap and coaps, right and wrong keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.clock import Clock, WallClock
from bench.lwm2m.dtls.credentials import Certificates, Credentials
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

SECURE_CLIENTS = ("coap-client-openssl", "coap-client-gnutls")
BODY = bytes((7 * n + n // 251) % 256 for n in range(10_007))
REQUIRED = os.environ.get("BENCH_REQUIRE_LIBCOAP") == "1"

if not REQUIRED:
    pytestmark = pytest.mark.skipif(
        shutil.which("coap-client-notls") is None,
        reason="libcoap's client is not installed (Debian: apt-get install libcoap3-bin)",
    )


@pytest.fixture
def clock() -> Iterator[Clock]:
    made = WallClock()
    yield made
    made.close()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """A CA, and from it a certificate for the server and one for a client, as PEM files."""
    authority, authority_key = certificate(tmp_path, "authority", None, None)
    certificate(tmp_path, "server", authority, authority_key)
    certificate(tmp_path, "client", authority, authority_key)
    return Certificates(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "authority.pem")


def certificate(
    folder: Path, name: str, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
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


@pytest.fixture
def timeline(clock: Clock) -> Timeline:
    return Timeline(clock)


@pytest.fixture
def server(clock: Clock, timeline: Timeline, certificates: Certificates) -> Iterator[LwM2mServer]:
    credentials = Credentials(certificates=certificates)
    credentials.add_psk("dev1", b"sesame")
    made = LwM2mServer(clock, timeline, credentials=credentials)
    made.start()
    made.publish("p.bin", BODY)
    yield made
    made.close()


def fetch(program: str, out: Path, uri: str, *options: str) -> bytes:
    """What the client has written to its file; b"" when it got nothing."""
    command = [program, "-B", "4", "-o", str(out), *options, uri]
    subprocess.run(command, capture_output=True, timeout=60, check=False)
    return out.read_bytes() if out.exists() else b""


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256, 512, 1024])
def test_download_over_coap(server: LwM2mServer, tmp_path: Path, size: int) -> None:
    out = tmp_path / "out.bin"
    assert fetch("coap-client-notls", out, f"{server.uri}/fw/p.bin", "-b", str(size)) == BODY


@pytest.mark.parametrize("program", SECURE_CLIENTS)
@pytest.mark.parametrize("size", [16, 64, 256, 1024])
def test_download_over_coaps(server: LwM2mServer, tmp_path: Path, program: str, size: int) -> None:
    key = ("-u", "dev1", "-k", "sesame")
    got = fetch(program, tmp_path / "out.bin", f"{server.secure_uri}/fw/p.bin", "-b", str(size), *key)
    assert got == BODY


@pytest.mark.parametrize("program", SECURE_CLIENTS)
@pytest.mark.parametrize(
    ("identity", "key", "named"),
    [("dev1", "wrong", "wrong key?"), ("nobody", "sesame", "handshake of 'nobody': it is not listed")],
)
def test_wrong_credentials_are_refused_and_others_served(
    server: LwM2mServer, timeline: Timeline, tmp_path: Path, program: str, identity: str, key: str, named: str
) -> None:
    uri = f"{server.secure_uri}/fw/p.bin"
    assert fetch(program, tmp_path / "bad.bin", uri, "-u", identity, "-k", key) == b""
    assert fetch(program, tmp_path / "good.bin", uri, "-u", "dev1", "-k", "sesame") == BODY
    said = [entry.text for entry in timeline.since(kind="dtls")]
    if program == "coap-client-openssl":
        assert sum(named in text for text in said) == 1
    assert not any("sesame" in str(entry) for entry in timeline)


def test_download_with_certificates(server: LwM2mServer, tmp_path: Path) -> None:
    """Both sides show a certificate of the same CA."""
    files = ("-c", str(tmp_path / "client.pem"), "-j", str(tmp_path / "client.key"))
    uri = f"{server.secure_uri}/fw/p.bin".replace("127.0.0.1", "localhost")
    got = fetch(
        "coap-client-openssl", tmp_path / "out.bin", uri, *files, "-C", str(tmp_path / "authority.pem")
    )
    assert got == BODY


def test_a_client_certificate_of_another_ca_is_refused(
    server: LwM2mServer, timeline: Timeline, tmp_path: Path
) -> None:
    failed = threading.Event()
    timeline.listen(lambda entry: failed.set() if entry.kind == "dtls" and "failed" in entry.text else None)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    authority, key = certificate(stranger, "authority", None, None)
    certificate(stranger, "client", authority, key)
    files = ("-c", str(stranger / "client.pem"), "-j", str(stranger / "client.key"))
    uri = f"{server.secure_uri}/fw/p.bin".replace("127.0.0.1", "localhost")
    got = fetch(
        "coap-client-openssl", tmp_path / "out.bin", uri, *files, "-C", str(tmp_path / "authority.pem")
    )
    assert got == b""
    assert failed.wait(30)  # the client may be gone before the server has read what it sent last
