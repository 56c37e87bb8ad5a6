"""Virtual boards with changed board files, and what real testcases make of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FLASHERS = {
    "nrf9160": '{{ kind = "swd", uid = "PROFILE-{name}" }}',
    "esp32": '{{ kind = "rom-serial", mac = "24:0A:C4:00:00:{number:02X}" }}',
}


@dataclass(frozen=True)
class Board:
    """A virtual board of a kind, with `keys` of its board file changed: "profile.object" -> value, or None
    to take the key out; and the testcases that are run on it: words that are all in a testcase's id."""

    name: str
    kind: str
    keys: Mapping[str, Any]
    testcases: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """How a testcase ended: "passed", "product", "not applicable", ...; with what message."""

    cause: str
    message: str
    seconds: float


def run(folder: Path, boards: Sequence[Board], defect: str | None = None) -> dict[str, dict[str, Ended]]:
    """Board -> testcase -> how it ended; in one pytest. Bench seconds are those of the whole testcase."""
    bench = _write(folder, boards)
    chosen = {board.name: board.testcases for board in boards}
    command = [sys.executable, "-m", "pytest", *_files(chosen), "-q", "--no-header", "--tb=no"]
    command += ["-p", "no:cacheprovider", f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml")]
    command += ["--bench", str(bench), "--results", str(folder / "results"), "--pictures=none"]
    command += ["-p", "profile_selection"]
    command += [] if defect is None else ["--defect", defect]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).parent))),
            "PROFILE_SELECTION": json.dumps(chosen),
        },
    )
    ledgers = [*(folder / "results").glob("runs/*/ledger.jsonl")]
    assert len(ledgers) == 1, ended.stdout[-3000:] + ended.stderr[-2000:]
    return _read(ledgers[0], boards)


def _files(chosen: Mapping[str, Sequence[str]]) -> list[str]:
    """Those of testcases/ that define what is chosen: to collect all others takes longer than most runs."""
    names = {test.split()[0] for testcases in chosen.values() for test in testcases}
    files = {file: file.read_text("utf-8") for file in sorted((ROOT / "testcases").glob("test_*.py"))}
    for name in names:
        assert any(f"def {name}" in text for text in files.values()), f"testcases/ has no {name}"
    return [str(file) for file, text in files.items() if any(f"def {name}" in text for name in names)]


def is_about(test: str, board: str) -> bool:
    """Whether the board is one of the parameters in a testcase's id."""
    return re.search(rf"[\[-]{re.escape(board)}[-\]]", test) is not None


def _read(ledger: Path, boards: Sequence[Board]) -> dict[str, dict[str, Ended]]:
    found: dict[str, dict[str, Ended]] = {board.name: {} for board in boards}
    for line in map(json.loads, ledger.read_text("utf-8").splitlines()):
        if line.get("kind", line.get("type")) != "phase":
            continue
        test = line["node"].partition("::")[2]
        name = next(board.name for board in boards if is_about(test, board.name))
        held = found[name].get(test)
        if line["cause"] != "none" and (held is None or held.cause == "passed"):
            found[name][test] = Ended(line["cause"], line.get("message", ""), line["seconds"])
        elif held is None:
            found[name][test] = Ended("passed", "", line["seconds"])
    return found


def _write(folder: Path, boards: Sequence[Board]) -> Path:
    """The bench file, each board with an analyzer of its own, and the board files."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        '[bench]\nname = "profiles"\nplant = "bench.virtual.plant:VirtualBench"',
        '[server]\nport = 0\nsecure_port = 0\nadvertise = "coap://192.0.2.1:5683"',
        '[packages]\nhttp = { advertise = "http://192.0.2.1:80" }',
        'https = { advertise = "https://192.0.2.1:443" }',
        '"coap+tcp" = { advertise = "coap+tcp://192.0.2.1:5683" }',
    ]
    for number, board in enumerate(boards):
        source = tomllib.loads((ROOT / "boards" / f"virtual-{board.kind}.toml").read_text("utf-8"))
        (folder / f"{board.name}.toml").write_text(_toml(_changed(source, board.keys)), "utf-8")
        flasher = FLASHERS[board.kind].format(name=board.name, number=number)
        lines.append(
            f"""
[instruments.supply_{board.name}]
driver = "keysight_n6705c"
address = "TCPIP::127.0.0.1::0::SOCKET"

[boards.{board.name}]
type = "{board.name}"
serial = "24:0A:C4:00:00:{number:02X}"
endpoint = "urn:imei:35265610{number:07}"
console = "vboard://{board.name}"
flasher = {flasher}
supply = "supply_{board.name}:1"
meter = "supply_{board.name}:1"
images = {{ provider = "bench.virtual.images:build_set" }}
"""
        )
    bench = folder / "bench.toml"
    bench.write_text("\n".join(lines), "utf-8")
    return bench


def _changed(source: dict[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    for path, value in keys.items():
        *tables, last = path.split(".")
        table = source
        for name in tables:
            table = table.setdefault(name, {})
        if value is None:
            table.pop(last, None)
        else:
            table[last] = value
    return source


def _toml(tables: Mapping[str, Any]) -> str:
    """Each table's values inline: all that board files need."""
    own = {name: value for name, value in tables.items() if not isinstance(value, dict)}
    lines = [f"{json.dumps(name)} = {_value(value)}" for name, value in own.items()]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines.append(f"[{name}]")
            lines += [f"{json.dumps(key)} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)
