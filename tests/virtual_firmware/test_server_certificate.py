"""Whom a certificate names (RFC 7252, section 9.1.3.3), and how the device is given its own."""

from __future__ import annotations

import base64
import ipaddress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.config import SecuritySettings
from bench.dut.certificates import certificates_of
from bench.errors import ConfigError
from bench.virtual.firmware.server_certificate import is_named
from bench.virtual.firmware.shell import MAX_LINE, parse_provision

FOLDER = Path(__file__).parents[2] / "boards" / "certificates"
KEY = ec.generate_private_key(ec.SECP256R1())
URI, DNS = x509.UniformResourceIdentifier, x509.DNSName


def certificate(common: str, *names: x509.GeneralName) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256())


@pytest.mark.parametrize(
    ("names", "named"),
    [
        ((), True),
        ((URI("coaps://192.0.2.1"),), True),
        ((URI("coaps://192.0.2.1:5684/path"),), True),
        ((URI("coaps://192.0.2.1:5685"),), False),
        ((URI("https://192.0.2.1:5684"),), False),
        ((URI("coaps://192.0.2.1:port"),), False),
        ((URI("coaps://192.0.2.2"),), False),
        ((x509.IPAddress(ipaddress.ip_address("192.0.2.1")),), True),
        ((x509.IPAddress(ipaddress.ip_address("192.0.2.2")),), False),
        ((DNS("192.0.2.1"),), False),
        ((DNS("bench.example"),), False),
    ],
)
def test_the_common_name_counts_only_without_an_alternative(
    names: tuple[x509.GeneralName, ...], named: bool
) -> None:
    assert is_named(certificate("192.0.2.1", *names), "192.0.2.1", 5684) is named


@pytest.mark.parametrize(
    ("common", "names", "named"),
    [
        ("Bench.Example", (), True),
        ("*.example", (), False),
        ("other.example", (), False),
        ("x", (DNS("BENCH.example"),), True),
        ("x", (DNS("*.example"),), False),
        ("x", (URI("coaps://bench.example"),), True),
        ("bench.example", (DNS("x.example"),), False),
    ],
)
def test_host_names(common: str, names: tuple[x509.GeneralName, ...], named: bool) -> None:
    """Without regard to case; wildcards are not allowed."""
    assert is_named(certificate(common, *names), "bench.example", 5684) is named


def security(**other: Path) -> SecuritySettings:
    files = {"certificate": "device.pem", "certificate_key": "device.key", "server_ca": "ca.pem"}
    placed = {name: FOLDER / file for name, file in files.items()} | other
    return SecuritySettings(certificate_name="esp32-240ac4123456", **placed)


def told(**values: str) -> list[str]:
    given = {"server": "coaps://192.0.2.3:5684", "endpoint": "x"} | values
    return [f"{name.replace('_', '-')}={value}" for name, value in given.items()]


def test_provisioned_with_certificates() -> None:
    given = certificates_of(security())
    line = told(
        certificate=given["certificate"], private_key=given["certificate_key"], server_ca=given["server_ca"]
    )
    assert len(" ".join(["provision", *line])) < MAX_LINE
    made = parse_provision(line)
    assert made.secure
    assert made.certificate == base64.b64decode(given["certificate"])
    common = x509.load_der_x509_certificate(made.certificate).subject
    assert common.rfc4514_string() == "CN=esp32-240ac4123456"
    assert made.private_key.hex() not in repr(made)
    assert repr(made.private_key) not in repr(made)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "needs psk-identity and psk-key, or certificates"),
        ({"certificate": "%"}, "certificate is not base64"),
        ({"certificate": "AAAA"}, "(?i)asn.?1"),
    ],
)
def test_what_cannot_be_used_is_refused(values: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_provision(told(**values))


@pytest.mark.parametrize("name", ["certificate", "certificate_key", "server_ca"])
@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
def test_a_file_that_cannot_be_used_is_named(name: str, content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"security\.{name} .*file\.pem"):
        certificates_of(security(**{name: file}))
