"""Secure Boot v2 signatures of the virtual ESP32's builds: espsecure's blocks, the same bytes each time.

espsecure salts its own signatures at random, so a build would differ from run to run; it is given
the finished signature instead, which it verifies before it takes it.

Source: RFC 8017, 9.1.1 (EMSA-PSS); ESP-IDF programming guide, "Secure Boot v2".
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import tempfile
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECTOR = 0x1000
_BITS = 3072
_EXPONENT = 65537
_SALT = 32
_HASH = 32


def _prime(label: str, distance: int) -> int:
    """A number that the label stands for, plus the distance to the first prime behind it."""
    start = int.from_bytes(hashlib.shake_256(label.encode()).digest(_BITS // 16), "big")
    return (start | 3 << (_BITS // 2 - 2) | 1) + distance


def _derived_key() -> rsa.RSAPrivateKey:
    p = _prime("virtual bench RSA-3072 signing key, first prime", 672)
    q = _prime("virtual bench RSA-3072 signing key, second prime", 1524)
    private = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p,
        q,
        private,
        private % (p - 1),
        private % (q - 1),
        pow(q, -1, p),
        rsa.RSAPublicNumbers(_EXPONENT, p * q),
        # checking it takes a tenth of a second at each start, and espsecure verifies every signature by it
    ).private_key(unsafe_skip_rsa_key_validation=True)


RSA_KEY = _derived_key()
"""Signs the virtual ESP32's builds. It protects nothing: it is derived from published texts."""


def key_digest() -> bytes:
    """SHA-256 of the public key as a signature block holds it: what a chip's eFuses would keep."""
    import espsecure  # a fifth of a second, for which other boards need not wait

    with tempfile.TemporaryDirectory(prefix="bench-build-") as work, contextlib.ExitStack() as open_files:
        key = open_files.enter_context(_file(Path(work) / "key.pem", _public_pem()))
        out = Path(work) / "digest"
        with contextlib.redirect_stdout(io.StringIO()):  # espsecure talks while it works
            espsecure.digest_sbv2_public_key(key, str(out))
        return out.read_bytes()


def signed(image: bytes) -> bytes:
    """The image, padded to a whole sector, and the sector with its signature block."""
    import espsecure  # as above

    padded = image.ljust(-(-len(image) // SECTOR) * SECTOR, b"\xff")
    with tempfile.TemporaryDirectory(prefix="bench-build-") as work, contextlib.ExitStack() as open_files:
        files = {"image": padded, "key.pem": _public_pem(), "signature": _signature(padded)}
        source, key, signature = (
            open_files.enter_context(_file(Path(work) / name, data)) for name, data in files.items()
        )
        out = Path(work) / "signed"
        with contextlib.redirect_stdout(io.StringIO()):
            espsecure.sign_secure_boot_v2(
                keyfile=[],
                output=str(out),
                append_signatures=False,
                hsm=False,
                hsm_config=None,
                pub_key=[key],
                signature=[signature],
                datafile=source,
            )
        return out.read_bytes()


def _public_pem() -> bytes:
    return RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _file(path: Path, data: bytes) -> BinaryIO:
    path.write_bytes(data)
    return path.open("rb")


def _signature(data: bytes) -> bytes:
    """RSASSA-PSS with SHA-256, its salt taken from the data."""
    return _signature_of(hashlib.sha256(data).digest())


@functools.cache
def _signature_of(digest: bytes) -> bytes:
    """A process that opens its bench more than once makes each build once more, to the byte."""
    salt = hashlib.sha256(b"salt" + digest).digest()[:_SALT]
    seal = hashlib.sha256(bytes(8) + digest + salt).digest()
    width = _BITS // 8 - _HASH - 1
    block = bytes(width - _SALT - 1) + b"\x01" + salt
    masked = int.from_bytes(block, "big") ^ int.from_bytes(_mask(seal, width), "big")
    masked &= (1 << (8 * width - 1)) - 1  # one bit less than the modulus
    encoded = int.from_bytes(masked.to_bytes(width, "big") + seal + b"\xbc", "big")
    return _decrypted(encoded).to_bytes(_BITS // 8, "big")


def _decrypted(number: int) -> int:
    """RSADP by the two primes (RFC 8017, 5.1.2, 2b), a third of the time of one power modulo n."""
    key = RSA_KEY.private_numbers()
    by_p, by_q = pow(number, key.dmp1, key.p), pow(number, key.dmq1, key.q)
    return by_q + key.q * ((by_p - by_q) * key.iqmp % key.p)


def _mask(seed: bytes, length: int) -> bytes:
    """MGF1 with SHA-256 (RFC 8017, B.2.1)."""
    blocks = (hashlib.sha256(seed + n.to_bytes(4, "big")).digest() for n in range(-(-length // _HASH)))
    return b"".join(blocks)[:length]
