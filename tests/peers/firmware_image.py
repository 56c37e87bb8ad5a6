"""Packages for the Java object 5 (`FirmwareUpdate.java`), and board and bench files for it."""

from __future__ import annotations

import hashlib
import random
import socket
from pathlib import Path

from java_peers import JAVA, classpath

MAGIC = "leshan-board firmware"
BOARD = Path(__file__).with_name("leshan-client.toml")
IPV6 = "::1"
BENCH = """
[bench]
name = "Leshan's client"

[server]
port = 0
secure_port = 0
name = "localhost"

[boards.leshan]
type = "leshan-client"
endpoint = "leshan-1"
"""
SECURED = 'security = { psk_identity = "leshan-1", psk_key = "00112233445566778899aabbccddeeff" }\n'


def package(version: str, *, magic: str = MAGIC, trait: str = "", size: int = 20_000) -> bytes:
    """Magic, version, SHA-256 of version and body, body; the same for the same arguments."""
    body = f"\ntrait: {trait}\n".encode() + random.Random(version).randbytes(size)
    digest = hashlib.sha256(f"{version}\n".encode() + body).hexdigest()
    return f"{magic}\n{version}\n{digest}\n".encode() + body


def has_ipv6() -> bool:
    """Whether this PC has an address of that kind."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((IPV6, 0))
    except OSError:
        return False
    return True


def write_bench(folder: Path, *, object_version: str = "1.1", secured: bool = False) -> Path:
    """Packages, board file and bench file in `folder`; returns the bench file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "update.bin").write_bytes(package("2.0.0"))
    (folder / "wrong-board.bin").write_bytes(package("2.0.0", magic="other-board firmware"))
    (folder / "self-test-fails.bin").write_bytes(package("2.0.0", trait="self-test fails"))
    # java reads its options from a file: the class path is long, and no board file's affair
    options = [*JAVA[1:], "-cp", classpath()]
    (folder / "java.options").write_text("\n".join(f'"{o}"'.replace("\\", "\\\\") for o in options), "utf-8")
    text = BOARD.read_text("utf-8").replace('"1.1"  ', f'"{object_version}"  ')
    (folder / BOARD.name).write_text(text, "utf-8")
    bench = folder / "bench.toml"
    text = BENCH.replace("[boards", f'ipv6 = "{IPV6}"\n\n[boards', 1) if has_ipv6() else BENCH
    bench.write_text(text + (SECURED if secured else ""), "utf-8")
    return bench
