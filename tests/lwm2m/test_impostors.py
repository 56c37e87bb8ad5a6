"""Each impostor has one thing wrong with it, and no other: OpenSSL says what."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import crypto

from bench.errors import ConfigError, NotApplicable
from bench.lwm2m.dtls.context import ServerContext
from bench.lwm2m.dtls.credentials import Certificates, Credentials
from bench.lwm2m.dtls.impostors import Impostor, Shown, impostor
from bench.virtual.firmware.server_certificate import is_named

FOLDER = Path(__file__).parents[2] / "boards" / "certificates"
CA, CA_KEY = FOLDER / "ca.pem", FOLDER / "ca.key"
SERVER = Certificates(FOLDER / "server.pem", FOLDER / "server.key", CA)
FOUND = {
    Impostor.WRONG_NAME: "",
    Impostor.EXPIRED: "certificate has expired",
    Impostor.FOREIGN_CA: "self-signed certificate in certificate chain",
    Impostor.FORGED: "certificate signature failure",
    Impostor.ISSUED_BY_A_SERVER: "invalid CA certificate",
}


def complaint(chain: bytes) -> str:
    """What OpenSSL has against a chain, for one who trusts the CA; "" for nothing."""
    leaf, *others = map(crypto.X509.from_cryptography, x509.load_pem_x509_certificates(chain))
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(x509.load_pem_x509_certificate(CA.read_bytes())))
    try:
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        return str(error)
    return ""


def leaf_of(shown: Shown) -> x509.Certificate:
    return x509.load_pem_x509_certificates(shown.chain)[0]


def test_the_servers_own_is_good() -> None:
    assert complaint(SERVER.chain.read_bytes()) == ""
    own = x509.load_pem_x509_certificate(SERVER.chain.read_bytes())
    for host in ("192.0.2.1", "192.0.2.3", "2001:db8::1", "bench.example"):
        assert is_named(own, host, 5684)


@pytest.mark.parametrize(("kind", "found"), FOUND.items(), ids=lambda value: str(value))
def test_what_is_wrong(kind: Impostor, found: str) -> None:
    assert complaint(impostor(kind, SERVER, CA, CA_KEY).chain) == found


@pytest.mark.parametrize("kind", Impostor)
def test_only_the_wrong_name_is_wrong(kind: Impostor) -> None:
    made = leaf_of(impostor(kind, SERVER, CA, CA_KEY))
    own = x509.load_pem_x509_certificate(SERVER.chain.read_bytes())
    assert is_named(made, "192.0.2.3", 5684) is (kind is not Impostor.WRONG_NAME)
    kept = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert kept == own.extensions.get_extension_for_class(x509.BasicConstraints)


@pytest.mark.parametrize("kind", Impostor)
def test_the_server_can_show_it(kind: Impostor, tmp_path: Path) -> None:
    shown = impostor(kind, SERVER, CA, CA_KEY)
    ServerContext(Credentials(certificates=shown.written(tmp_path, CA)))
    assert load_pem_private_key(shown.key, None).public_key() == leaf_of(shown).public_key()


@pytest.mark.parametrize("kind", Impostor)
def test_which_need_the_key_of_the_ca(kind: Impostor) -> None:
    if kind in (Impostor.WRONG_NAME, Impostor.EXPIRED):
        with pytest.raises(NotApplicable, match="server_ca_key"):
            impostor(kind, SERVER, CA, None)
    else:
        assert complaint(impostor(kind, SERVER, CA, None).chain) == FOUND[kind]


@pytest.mark.parametrize("kind", Impostor)
def test_a_server_that_is_its_own_ca_has_none(kind: Impostor) -> None:
    """Who trusts that very certificate as an anchor need not ask whether it is a CA's (RFC 5280, 6.1)."""
    with pytest.raises(NotApplicable, match="its own issuer"):
        impostor(kind, Certificates(CA, CA_KEY), CA, CA_KEY)


def test_a_key_that_is_not_the_cas() -> None:
    """Else its certificates would be forged ones, and refused for another reason than the one meant."""
    with pytest.raises(ConfigError, match="is not the private key of"):
        impostor(Impostor.WRONG_NAME, SERVER, CA, FOLDER / "server.key")


def test_a_server_with_the_certificate_of_an_intermediate_ca(tmp_path: Path) -> None:
    """It may issue certificates: who believes them is right."""
    own = x509.load_pem_x509_certificate(SERVER.chain.read_bytes())
    key = load_pem_private_key(SERVER.key.read_bytes(), None)
    issuer = load_pem_private_key(CA_KEY.read_bytes(), None)
    assert isinstance(issuer, ec.EllipticCurvePrivateKey)
    made = (
        x509.CertificateBuilder(own.issuer, own.subject, key.public_key(), 7)  # type: ignore[arg-type]
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(issuer, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    with pytest.raises(NotApplicable, match="it may issue others"):
        impostor(Impostor.ISSUED_BY_A_SERVER, Certificates(file, SERVER.key), CA, CA_KEY)
