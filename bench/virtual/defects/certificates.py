"""What the device believes of a server's certificate."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.virtual.defects.defect import ESP32, Area
from bench.virtual.firmware import server_certificate

CERTIFICATES = Area("certificates of the server")
BENCH = "virtual-certificates.toml"
ANY_CA = frozenset({18, 19, 20, 21})
"""X509_V_ERR: self-signed leaf, self-signed in the chain, no issuer found, first one not verified."""
OUT_OF_DATE = frozenset({10})
BAD_SIGNATURE = frozenset({7})
NO_CA = frozenset({24, 26, 32, 37, 79, 92, 94})
"""X509_V_ERR: what is wrong with an issuer that is no CA (x509_vfy.h)."""

BELIEVES = partial(CERTIFICATES, server_certificate, "believes", source="own", boards=ESP32, bench=BENCH)


def _tolerating(errors: frozenset[int]) -> Any:
    return lambda sound, error: sound or error in errors


@CERTIFICATES(
    server_certificate,
    "is_named",
    source="own",
    boards=ESP32,
    hints=("test_impostor[esp32-wrong name]",),
    bench=BENCH,
)
def server_name_not_compared(healthy: Any) -> Any:
    """Any certificate of its CA passes for the server's, whomever it names."""
    return lambda certificate, host, port: True


@BELIEVES(hints=("test_impostor[esp32-foreign ca]",))
def server_of_any_ca_believed(healthy: Any) -> Any:
    """The chain of the server's certificate may end at a CA that the device was never told."""
    return _tolerating(ANY_CA)


@BELIEVES(hints=("test_impostor[esp32-forged]",))
def server_signature_not_verified(healthy: Any) -> Any:
    """It is enough that a certificate names the CA as its issuer: the signature is not verified."""
    return _tolerating(BAD_SIGNATURE)


@BELIEVES(hints=("test_impostor[esp32-issued by a server]",))
def anybody_may_issue_certificates(healthy: Any) -> Any:
    """Whoever has a certificate of the CA can issue others: basic constraints are not looked at."""
    return _tolerating(NO_CA)


@BELIEVES(hints=("test_expired_server_certificate",))
def expired_server_believed(healthy: Any) -> Any:
    """The dates of the server's certificate are not looked at, although the device knows the time."""
    return _tolerating(OUT_OF_DATE)
