"""What MCUboot believes of an image: hash, signature and counter, entry by entry in their order.

Source: MCUboot design document, "Integrity check"; recorded by `tests/truth` (mcuboot_acceptance).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256 as SHA_256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bench.virtual.boot.mcuboot.area import Area, Unreachable
from bench.virtual.boot.mcuboot.image import (
    KEY_HASH,
    SECURITY_COUNTER,
    SHA256,
    Entry,
    Header,
    Malformed,
    Tlvs,
    entries,
    tlvs_of,
)
from bench.virtual.boot.mcuboot.options import Options, Signature

SIGNATURE_KINDS = {
    Signature.RSA_2048: 0x20,
    Signature.ECDSA_P256: 0x22,
    Signature.RSA_3072: 0x23,
    Signature.ED25519: 0x24,
}
_RSA_LENGTHS = {Signature.RSA_2048: 256, Signature.RSA_3072: 384}
_ED25519_LENGTH = 64
_ECDSA_LONGEST = 128
ALLOWED_PLAIN = frozenset((0x01, 0x02, 0x10, 0x11, 0x20, 0x21, 0x22, 0x23, 0x24, 0x30, 0x31, 0x32, 0x33))
"""Kinds that may be unprotected; main takes 0x12 (SHA-512), too."""
_SHA512 = 0x12


class Log(Protocol):
    """Prints one line; `level` is I, W or E."""

    def __call__(self, level: str, text: str) -> None: ...


class Keys(NamedTuple):
    """The one key in the bootloader: SubjectPublicKeyInfo in DER."""

    der: bytes

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(self.der).digest()


class Validator(NamedTuple):
    """`counter` is the platform's, None where nobody asks for it; `largest` an image's most bytes."""

    options: Options
    keys: Keys
    counter: int | None
    largest: int
    log: Log

    def believes(self, area: Area, header: Header, start: int) -> bool:
        """Whether the image that begins at `start` of the area may be swapped in, or started."""
        try:
            digest = hashlib.sha256(area.read(start, header.covered)).digest()
            tlvs = tlvs_of(area, header, start, is_main=self.options.is_main)
            return tlvs.end - start <= self.largest and self._walk(tlvs, digest)
        except (Malformed, Unreachable):
            return False

    def _walk(self, tlvs: Tlvs, digest: bytes) -> bool:
        hash_seen = key_named = False
        signed = self.options.signature is Signature.NONE
        counted = self.counter is None
        signature_kind = SIGNATURE_KINDS.get(self.options.signature)
        for entry in entries(tlvs):
            if not self._is_allowed(entry):
                return False
            if entry.kind == SHA256:
                if entry.length != len(digest) or not hash_fits(tlvs.area.read(entry.offset, 32), digest):
                    return False
                hash_seen = True
            elif entry.kind == KEY_HASH and signature_kind is not None:
                if entry.length > len(self.keys.fingerprint):
                    return False
                named = tlvs.area.read(entry.offset, entry.length)
                key_named = self.keys.fingerprint.startswith(named)
            elif entry.kind == signature_kind:
                if not key_named:
                    continue
                key_named = False  # each signature needs its key named anew
                if not _may_be_signature(self.options.signature, entry.length):
                    return False
                signature = tlvs.area.read(entry.offset, entry.length)
                signed = is_signed(self.options.signature, self.keys, digest, signature)
            elif entry.kind == SECURITY_COUNTER and self.counter is not None:
                if entry.length != 4:
                    return False
                value = int.from_bytes(tlvs.area.read(entry.offset, 4), "little")
                if not counter_allows(value, self.counter):
                    if self.options.is_main:
                        self.log(
                            "E",
                            f"Image security counter value {value} lower than monotonic value {self.counter}",
                        )
                    return False
                counted = True
        return hash_seen and signed and counted

    def _is_allowed(self, entry: Entry) -> bool:
        if entry.is_protected or (self.options.is_main and not self.options.allow_list):
            return True
        return entry.kind in ALLOWED_PLAIN or (self.options.is_main and entry.kind == _SHA512)


def hash_fits(named: bytes, digest: bytes) -> bool:
    """Whether the hash that an image names is that of its bytes."""
    return named == digest


def counter_allows(value: int, least: int) -> bool:
    """Whether an image of this security counter is not older than the board allows."""
    return value >= least


def is_signed(kind: Signature, keys: Keys, digest: bytes, signature: bytes) -> bool:
    """Whether the key made this signature of the hash."""
    key = load_der_public_key(keys.der)
    try:
        if kind is Signature.ECDSA_P256:
            assert isinstance(key, ec.EllipticCurvePublicKey)
            key.verify(_two_numbers(signature), digest, ec.ECDSA(Prehashed(SHA_256())))
        elif kind is Signature.ED25519:
            assert isinstance(key, ed25519.Ed25519PublicKey)
            key.verify(signature, digest)
        else:
            assert isinstance(key, rsa.RSAPublicKey)
            pss = padding.PSS(padding.MGF1(SHA_256()), SHA_256.digest_size)
            key.verify(signature, digest, pss, Prehashed(SHA_256()))
    except InvalidSignature:
        return False
    return True


def _may_be_signature(kind: Signature, length: int) -> bool:
    if kind is Signature.ECDSA_P256:
        return length <= _ECDSA_LONGEST
    return length == _RSA_LENGTHS.get(kind, _ED25519_LENGTH)


def _two_numbers(signature: bytes) -> bytes:
    """The same r and s in strict DER: MCUboot reads them out of bytes that may go on behind them.

    Raises `InvalidSignature` for bytes that do not begin with a sequence of two integers.
    """
    _, content, _ = _element(signature, 0x30)
    position, numbers = content, []
    for _ in range(2):
        position, start, length = _element(signature, 0x02, position)
        numbers.append(int.from_bytes(signature[start : start + length][-32:], "big"))
    if 0 in numbers:
        raise InvalidSignature
    return encode_dss_signature(*numbers)


def _element(data: bytes, tag: int, position: int = 0) -> tuple[int, int, int]:
    """The end, the content's start and its length. Raises `InvalidSignature`."""
    if position + 2 > len(data) or data[position] != tag:
        raise InvalidSignature
    length, start = data[position + 1], position + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or start + count > len(data):
            raise InvalidSignature
        length, start = int.from_bytes(data[start : start + count], "big"), start + count
    if start + length > len(data):
        raise InvalidSignature
    return start + length, start, length
