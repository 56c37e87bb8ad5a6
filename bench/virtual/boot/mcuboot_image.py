"""What MCUboot believes of an image: hash, signature, board and age, by the key in the bootloader.

Source: MCUboot design document, "Image format" and "Integrity check".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.virtual.boot.mcuboot_policy import counter_allows
from bench.virtual.boot.mcuboot_slot import Header, Slot
from bench.virtual.boot.traits import BOARD_TLV, BOOTLOADER_MAGIC, DESCRIPTOR_OFFSET, unpacked
from bench.virtual.machine import Machine

HASH_RATE = 1.5e6  # bytes of flash hashed in a second; SHA-256 in software at 64 MHz, an estimate
_VERIFY_TIME = 0.25  # seconds for one ECDSA-P256 check in software, an estimate


@dataclass(frozen=True, slots=True)
class Keys:
    public_key: ec.EllipticCurvePublicKey
    board: str
    refuses_older: bool

    @property
    def fingerprint(self) -> bytes:
        """What the key-hash entry of an image holds: SHA-256 of the public key in DER."""
        der = self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).digest()


def keys_of(machine: Machine) -> Keys | None:
    region = machine.regions["mcuboot"]
    block = unpacked(BOOTLOADER_MAGIC, machine.flash.read(region.offset + DESCRIPTOR_OFFSET, 0x200))
    if block is None:
        return None
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), block["public_key"])
    return Keys(key, str(block["board"]), bool(block["refuses_older"]))


def _entries(slot: Slot, start: int, magic: int) -> list[tuple[int, bytes]] | None:
    found, total = struct.unpack("<HH", slot.read(start, 4))
    if found != magic or start + total > slot.region.size:
        return None
    entries, position, end = [], start + 4, start + total
    while position + 4 <= end:
        kind, length = struct.unpack("<HH", slot.read(position, 4))
        if position + 4 + length > end:
            return None
        entries.append((kind, slot.read(position + 4, length)))
        position += 4 + length
    return entries


def tlvs_of(slot: Slot, header: Header) -> tuple[dict[int, bytes], dict[int, bytes]] | None:
    """Protected and plain entries; None when the areas are damaged."""
    protected: list[tuple[int, bytes]] | None = []
    if header.protected_size:
        protected = _entries(slot, header.header_size + header.body_size, 0x6908)
    plain = _entries(slot, header.covered, 0x6907)
    if protected is None or plain is None:
        return None
    return dict(protected), dict(plain)


def hash_fits(slot: Slot, header: Header, plain: dict[int, bytes]) -> bool:
    return plain.get(0x10) == hashlib.sha256(slot.read(0, header.covered)).digest()


def is_bootable(slot: Slot, keys: Keys) -> bool:
    header = slot.header()
    tlvs = header and tlvs_of(slot, header)
    if header is None or not tlvs:
        return False
    protected, plain = tlvs
    if not hash_fits(slot, header, plain) or 0x22 not in plain:
        return False
    if plain.get(0x01) != keys.fingerprint or not _is_for(protected, keys):
        return False
    return counter_allows(slot.machine, protected) and _is_signed(slot, header, plain, keys)


def _is_signed(slot: Slot, header: Header, plain: dict[int, bytes], keys: Keys) -> bool:
    try:
        keys.public_key.verify(plain[0x22], slot.read(0, header.covered), ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _is_for(protected: dict[int, bytes], keys: Keys) -> bool:
    """Whether the image was built for this board."""
    return protected.get(BOARD_TLV) == keys.board.encode()


def protected_tlvs(slot: Slot) -> dict[int, bytes]:
    """The protected entries of an image; empty when there is none."""
    header = slot.header()
    tlvs = header and tlvs_of(slot, header)
    return tlvs[0] if tlvs else {}


def verification_time(slot: Slot) -> float:
    return slot.total_size() / HASH_RATE + _VERIFY_TIME
