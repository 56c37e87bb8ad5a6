"""Real firmware images for the virtual boards, made by imgtool and esptool.

The bodies are not machine code for a modem, but everything around them is what a real build has: a
vector table, MCUboot header, TLVs and ECDSA-P256 signature; ESP32 segments, checksum, appended
SHA-256 and application descriptor. A block of *traits* in the body tells the virtual application
how this build behaves. Equal inputs give equal bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from imgtool import version as imgtool_version
from imgtool.image import Image
from imgtool.keys import ECDSA256P1

from bench.virtual.boot.mcuboot.options import options_from
from bench.virtual.boot.traits import BOARD_TLV, BOOTLOADER_MAGIC, DESCRIPTOR_OFFSET, TRAITS_MAGIC, packed
from bench.virtual.component_images import build_packages
from bench.virtual.esp32_signing import RSA_KEY, key_digest, signed

HEADER_SIZE = 0x200
SLOT_SIZE = 0x70000
ROOM = {"": 0x6E000, "offset": 0x6E000, "scratch": 0x6D000, "v2.1.0": 0x6E000}
"""Bytes that an image may take, by kind of virtual nRF9160: its file's `slot0` without what is `reserved`."""
TRIES = 100
SURROUNDINGS = 256
"""Bytes, more than what an image has around its body."""
FILLER_TLV = 0xB1
"""Of the range for vendors: what it holds is nobody's."""
DEFAULT_SIZE = {"nrf9160": 150_000, "esp32": 200_000}
SMALLER_SIZE = 130_000
NRF_SLOT0 = 0x10000
RAM_TOP = 0x20040000

SIGNING_KEY = ec.derive_private_key(
    int.from_bytes(hashlib.sha256(b"virtual bench development signing key").digest()), ec.SECP256R1()
)
"""Signs the virtual boards' builds. It protects nothing: it is derived from a published text."""


def _signer(key: ec.EllipticCurvePrivateKey) -> ECDSA256P1:
    """imgtool's key with RFC 6979 nonces, so that a build is reproducible."""
    signer = ECDSA256P1(key)
    signer.raw_sign = lambda payload: key.sign(payload, ec.ECDSA(SHA256(), deterministic_signing=True))
    return signer


@dataclass(frozen=True, slots=True)
class Part:
    """A file and the chip address it goes to."""

    address: int
    path: Path


@dataclass(frozen=True, slots=True)
class Build:
    """Everything one board is tested with."""

    baseline: Path
    update: Path
    factory: tuple[Part, ...]
    variants: Mapping[str, Path]
    components: Mapping[str, Path]
    signing_key: Path


ODD_BUILDS: Mapping[str, Mapping[str, object]] = {
    "self-test-fails": {"selftest": "fail"},
    "crashes-at-boot": {"start": "crash"},
    "hangs": {"start": "hang"},
    "cannot-attach": {"attach": False},
    "never-confirms": {"confirm": False},
    "loses-settings": {"settings": "elsewhere"},
}
"""Builds of the update that are broken, by variant: their traits (see `bench.virtual.boot.traits`)."""

SECURITY_COUNTER = 1
"""Of every build unless told otherwise: MCUboot's security counter, or the ESP32's secure version."""


GOOD_VERSIONS = {"minor-nine": "1.9.0", "minor-ten": "1.10.0"}
"""Versions of good builds, by variant."""
WHOLE_BLOCKS = 150 * 1024
"""Bytes; a multiple of every block size of CoAP."""


def build_set(board: str, out: Path, mcuboot: Mapping[str, object] | None = None) -> Build:
    """Baseline 1.0.0, update 1.1.0, its variants and the factory parts of the named virtual board type.

    `mcuboot` are the options of a nRF9160's bootloader; without them they follow from the name (`MCUBOOTS`).
    """
    out.mkdir(parents=True, exist_ok=True)
    board, _, kind = board.removeprefix("virtual-").partition("-")
    return Build(
        baseline=build(board, "1.0.0", out=out / "baseline.bin"),
        update=build(board, "1.1.0", out=out / "update.bin"),
        factory=_nrf_factory(out, mcuboot or MCUBOOTS[kind]) if board == "nrf9160" else _esp32_factory(out),
        variants={
            "wrong-board": OTHER_BOARD[board](out / "wrong-board.bin"),
            **_odd_builds(board, out),
            **(_good_nrf_builds(out, ROOM[kind]) if board == "nrf9160" else _full_slot(out)),
        },
        components=build_packages(out) if board == "nrf9160" else {},
        signing_key=_key_file(board, out / "signing-key.pem"),
    )


def _odd_builds(board: str, out: Path) -> dict[str, Path]:
    built = {name: build(board, "1.1.0", t, out=out / f"{name}.bin") for name, t in ODD_BUILDS.items()}
    if board == "nrf9160":  # smaller and of a higher counter: the way back from it is the harder one
        name = "self-test-fails"
        counter = SECURITY_COUNTER + 1
        _build_mcuboot(
            board, "1.1.0", ODD_BUILDS[name], SMALLER_SIZE, SIGNING_KEY, built[name], counter=counter
        )
    return built


def build(
    board: str,
    version: str,
    traits: Mapping[str, object] | None = None,
    size: int | None = None,
    *,
    out: Path,
    key: ec.EllipticCurvePrivateKey = SIGNING_KEY,
) -> Path:
    """One application image. `size` is the length of its body in bytes."""
    body = size or DEFAULT_SIZE[board]
    if board == "nrf9160":
        return _build_mcuboot(board, version, traits or {}, body, key, out)
    return _build_esp32(board, version, traits or {}, body, out)


def _key_file(board: str, out: Path) -> Path:
    key = SIGNING_KEY if board == "nrf9160" else RSA_KEY
    out.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return out


def _filler(label: str, size: int) -> bytes:
    return random.Random(label).randbytes(size)


# ---- nRF9160 --------------------------------------------------------------------------------------


def _vector_table(base: int) -> bytes:
    """Initial stack pointer, reset handler and fourteen exception handlers of code linked at `base`."""
    reset = base + DESCRIPTOR_OFFSET + 0x401
    return struct.pack("<16I", RAM_TOP, reset, *[reset + 0x20] * 14)


def _cortex_m_body(base: int, magic: bytes, descriptor: Mapping[str, object], size: int, label: str) -> bytes:
    head = _vector_table(base).ljust(DESCRIPTOR_OFFSET, b"\0") + packed(magic, descriptor)
    return head + _filler(label, max(0, size - len(head)))


def _build_mcuboot(
    board: str,
    version: str,
    traits: Mapping[str, object],
    size: int,
    key: ec.EllipticCurvePrivateKey,
    out: Path,
    *,
    counter: int = SECURITY_COUNTER,
    filler: int = 0,
) -> Path:
    body = _cortex_m_body(
        NRF_SLOT0 + HEADER_SIZE, TRAITS_MAGIC, traits, size - HEADER_SIZE, f"{board}/{version}"
    )
    image = Image(
        version=imgtool_version.decode_version(version),
        header_size=HEADER_SIZE,
        pad_header=True,
        align=4,
        slot_size=SLOT_SIZE,
        security_counter=counter,
    )
    with tempfile.TemporaryDirectory(prefix="bench-build-") as work:
        source = Path(work) / "body.bin"
        source.write_bytes(body)
        image.load(str(source))
    with contextlib.redirect_stdout(io.StringIO()):  # imgtool talks while it signs
        tlvs = {BOARD_TLV: board.encode()} | ({FILLER_TLV: bytes(filler)} if filler else {})
        image.create(_signer(key), "hash", None, custom_tlvs=tlvs)
    image.save(str(out))
    return out


def _good_nrf_builds(out: Path, room: int) -> dict[str, Path]:
    """Of certain versions, of other content, and of certain lengths, to the byte; `room` is a slot's."""
    lengths = {
        "largest": room - 1,
        "whole-blocks": WHOLE_BLOCKS,
        "one-byte-more": WHOLE_BLOCKS + 1,
    }
    return {
        **{name: build("nrf9160", v, out=out / f"{name}.bin") for name, v in GOOD_VERSIONS.items()},
        "other-build": build("nrf9160", "1.1.0", {"build": 2}, out=out / "other-build.bin"),
        **{name: _of_length(length, out / f"{name}.bin") for name, length in lengths.items()},
    }


def _of_length(length: int, out: Path) -> Path:
    """An nRF9160 image of so many bytes. A signature has the length that it has, which takes a few tries."""
    size, filler = length - SURROUNDINGS, 1
    for number in range(TRIES):
        made = _build_mcuboot(
            "nrf9160", "1.1.0", {"try": number}, size, SIGNING_KEY, out, filler=filler
        ).stat()
        if made.st_size == length:
            return out
        filler = max(1, filler + length - made.st_size)
    raise ValueError(f"no image of {length} bytes in {TRIES} tries")


def _build_for_other_nrf(out: Path) -> Path:
    return _build_mcuboot("nrf5340", "1.1.0", {}, DEFAULT_SIZE["nrf9160"], SIGNING_KEY, out)


MCUBOOTS: Mapping[str, Mapping[str, object]] = {
    "": {"version": "main", "upgrade": "move", "by_counter": True},
    "offset": {"version": "main", "upgrade": "offset", "by_counter": True},
    "scratch": {"version": "main", "upgrade": "scratch", "by_counter": True},
    "v2.1.0": {"version": "2.1.0", "upgrade": "move", "by_version": True},
}
"""Options of the bootloaders of the board types `virtual-nrf9160` and `virtual-nrf9160-...`."""


def build_mcuboot_bootloader(
    board: str,
    out: Path,
    key: ec.EllipticCurvePrivateKey = SIGNING_KEY,
    options: Mapping[str, object] = MCUBOOTS[""],
) -> Path:
    """The bootloader for address 0: its descriptor holds the public key and the options it is built with.

    See `bench.virtual.boot.mcuboot.options`; raises `ConfigError` for options that do not go together.
    """
    options_from(options)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    descriptor = {"public_key": public, **options}
    out.write_bytes(_cortex_m_body(0, BOOTLOADER_MAGIC, descriptor, 0x8000, f"{board}/mcuboot"))
    return out


def _nrf_factory(out: Path, options: Mapping[str, object]) -> tuple[Part, ...]:
    out /= "mcuboot.bin"
    return (Part(0x0, build_mcuboot_bootloader("nrf9160", out, options=options)),)


# ---- ESP32 ----------------------------------------------------------------------------------------

DROM = 0x3F400020
IRAM = 0x40080000
IROM = 0x400D0020
DRAM = 0x3FFB0000
ESP32_FULL = 1_308_000
"""Bytes of body that fill a slot of 0x180000, signature and all."""


def _app_descriptor(version: str, project: str) -> bytes:
    """256 bytes: magic, security version, version, project, time, date, IDF version, SHA-256 of the ELF."""
    fixed = struct.pack(
        "<II8x32s32s16s16s32s32s",
        0xABCD5432,
        SECURITY_COUNTER,
        version.encode(),
        project.encode(),
        b"00:00:00",
        b"Jan  1 2026",
        b"v5.3.1",
        hashlib.sha256(f"{project} {version}".encode()).digest(),
    )
    return fixed.ljust(256, b"\0")


def _section(name: str, address: int, data: bytes) -> Any:
    # esptool takes a fifth of a second, which other boards need not wait for
    from esptool.bin_image import ELFSection

    return ELFSection(name.encode(), address, data, 0)


def _save_esp32(segments: list[Any], entry: int, out: Path) -> Path:
    from esptool.bin_image import ESP32FirmwareImage  # as above

    image = ESP32FirmwareImage()
    image.flash_mode = 2  # DIO
    image.flash_size_freq = 0x20  # 4 MB, 40 MHz
    image.entrypoint = entry
    image.segments = segments
    image.save(str(out))
    return out


def _build_esp32(board: str, version: str, traits: Mapping[str, object], size: int, out: Path) -> Path:
    out.write_bytes(signed(_unsigned_esp32(board, version, traits, size, out).read_bytes()))
    return out


def _unsigned_esp32(board: str, version: str, traits: Mapping[str, object], size: int, out: Path) -> Path:
    descriptor = _app_descriptor(version, board) + packed(TRAITS_MAGIC, traits)
    label = f"{board}/{version}"
    # esptool pads mapped segments to 64 KiB rows, so the body is shared out around one such row
    read_only = descriptor + _filler(label + "/drom", max(0x1000, size // 4 - len(descriptor)))
    code = _filler(label + "/irom", max(0x1000, size - 0x10000 - 0x4000))
    segments = [
        _section(".flash.appdesc", DROM, read_only),
        _section(".flash.text", IROM, code),
        _section(".dram0.data", DRAM, _filler(label + "/dram", 0x1000)),
        _section(".iram0.text", IRAM, _filler(label + "/iram", 0x2000)),
    ]
    return _save_esp32(segments, IRAM + 4, out)


def _build_for_other_esp(out: Path) -> Path:
    """The same build for an ESP32-S2: another chip ID in the extended header."""
    from esptool.bin_image import ESP32S2FirmwareImage  # as above

    built = _unsigned_esp32("esp32", "1.1.0", {}, DEFAULT_SIZE["esp32"], out)
    image = bytearray(built.read_bytes()[:-32])  # without its SHA-256, which covers the header
    struct.pack_into("<H", image, 12, ESP32S2FirmwareImage.ROM_LOADER.IMAGE_CHIP_ID)
    out.write_bytes(signed(bytes(image) + hashlib.sha256(image).digest()))
    return out


def _full_slot(out: Path) -> dict[str, Path]:
    """A signed image is of whole sectors: its last block is always full. Each build takes half a second."""
    return {"largest": build("esp32", "1.1.0", size=ESP32_FULL, out=out / "largest.bin")}


def build_esp32_bootloader(out: Path) -> Path:
    """The second-stage bootloader for 0x1000: rollback enabled, it takes only signed images, and is one."""
    descriptor = {"board": "esp32", "rollback": True, "trusted_key": key_digest()}
    body = packed(BOOTLOADER_MAGIC, descriptor) + _filler("esp32/bootloader", 0x3000)
    segments = [
        _section(".dram0", 0x3FFF0030, body),
        _section(".iram0", 0x40078000, _filler("esp32/bl-code", 0x2000)),
    ]
    out.write_bytes(signed(_save_esp32(segments, 0x40078004, out).read_bytes()))
    return out


PHY_MARK = b"PHYINIT\0"

ESP32_PARTITIONS = (
    ("nvs", 1, 0x02, 0x9000, 0x4000),
    ("otadata", 1, 0x00, 0xD000, 0x2000),
    ("phy_init", 1, 0x01, 0xF000, 0x1000),
    ("ota_0", 0, 0x10, 0x10000, 0x180000),
    ("ota_1", 0, 0x11, 0x190000, 0x180000),
    ("emul_efuse", 1, 0x05, 0x310000, 0x2000),
)
"""Label, type, subtype, offset, size."""


def build_partition_table(out: Path) -> Path:
    """The partition table for 0x8000, with its MD5 row."""
    rows = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in ESP32_PARTITIONS
    )
    rows += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()
    out.write_bytes(rows.ljust(0xC00, b"\xff"))
    return out


def _phy_init(out: Path) -> Path:
    """What the radio begins with, between the marks of ESP-IDF's phy_init_data.h; the data are nobody's."""
    out.write_bytes(PHY_MARK + _filler("esp32/phy", 128) + PHY_MARK)
    return out


def _esp32_factory(out: Path) -> tuple[Part, ...]:
    return (
        Part(0x1000, build_esp32_bootloader(out / "bootloader.bin")),
        Part(0x8000, build_partition_table(out / "partition-table.bin")),
        Part(0xF000, _phy_init(out / "phy-init.bin")),
    )


OTHER_BOARD = {"nrf9160": _build_for_other_nrf, "esp32": _build_for_other_esp}
