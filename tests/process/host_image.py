"""Builds of the host client, and board and bench files for it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("host_client.py")
FILLING = b"# filling, so that a package takes some blocks\n"


def build(version: str, *, board: str = "host", self_test: str = "passes", size: int = 40_000) -> bytes:
    """A package of at least `size` bytes."""
    data = SOURCE.read_bytes().replace(b"\r\n", b"\n")
    data = data.replace(b'VERSION = "0.0.0"', f'VERSION = "{version}"'.encode(), 1)
    data = data.replace(b'BOARD = "host"', f'BOARD = "{board}"'.encode(), 1)
    data = data.replace(b'SELF_TEST = "passes"', f'SELF_TEST = "{self_test}"'.encode(), 1)
    data += FILLING * (max(0, size - len(data)) // len(FILLING) + 1)
    data = data.rstrip(b"\n")
    return data + b"\n# sha256 " + hashlib.sha256(data).hexdigest().encode() + b"\n"


def write_bench(folder: Path, *, restart: str = "exec", network: str = "") -> Path:
    """Packages, board file and bench file in `folder`; returns the bench file."""
    folder.mkdir(parents=True, exist_ok=True)
    builds = {
        "baseline": build("1.0.0"),
        "update": build("2.0.0"),
        "wrong-board": build("2.0.0", board="other"),
        "self-test-fails": build("2.0.0", self_test="fails"),
    }
    for name, data in builds.items():
        (folder / f"{name}.py").write_bytes(data)
    (folder / "host.toml").write_text(
        f"""
restart = {restart!r}
restart_status = [64]
restart_delay = 0.1
lifetime = 30
command = [
    {sys.executable!r}, "-I", "{{image}}", "--server", "{{server}}", "--endpoint", "{{endpoint}}",
    "--state", "{{state}}", "--image", "{{image}}", "--lifetime", "{{lifetime}}",
    "--restart", {restart!r}, "--restart-status", "64",
]

[board]
name = "host"
title = "client in one file"
kind = "process"

[images]
baseline = {{ file = "baseline.py", version = "1.0.0" }}
update = {{ file = "update.py", version = "2.0.0" }}
variants = {{ wrong-board = "wrong-board.py", self-test-fails = "self-test-fails.py" }}
limit = 1048576

[profile]
object = "1.0"
transports = ["coap"]
failed_update_to = "idle"

[capabilities]
signal = true

[timeouts]
boot = 10
registration = 100
download = 120
update = 20
""",
        encoding="utf-8",
    )
    bench = folder / "bench.toml"
    bench.write_text(
        f"""
[bench]
name = "host programs"

[server]
port = 0

[boards.host]
type = "host"
endpoint = "host-1"
{network}
""",
        encoding="utf-8",
    )
    return bench
