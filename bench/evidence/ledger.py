"""The ledger of a run: one append-only file of JSON lines that is right even when the run is killed.

Every line is on the disk before the run goes on. It carries a sequence number, the time by two clocks
(`wall`: Unix seconds, which anybody may step; `mono`: seconds since the ledger was opened) and the
SHA-256 of its own text, in which the hash of the line before it stands: a line that is removed, moved or
edited is seen. Whoever can write the file can also write another one that holds together; against that a
run is signed.

What the lines mean is read in `run_verdict`; here they are only kept.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.errors import FileError, LedgerError
from bench.outside_files import read_bytes
from bench.safe_text import safe_data
from bench.terminal_text import plain

FILE = "ledger.jsonl"
RUNS = "runs"
BEGAN = "%Y%m%dT%H%M%S"
"""How the name of a run begins, so that names sort by time (UTC)."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Where Linux names this start of the PC (random(4)); no other system has it."""
LARGEST = 128 << 20
"""Bytes of a ledger that is read; a night of thousands of tests has a tenth of it."""
BEAT = 10.0
"""Wall seconds between heartbeats."""
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make a line read otherwise than it was written (Unicode UAX #9, table 1)."""
FIRST = "0" * 64
"""What stands for the hash before the first line."""
_SEAL = ',"sha":"'
_SEALED = len(_SEAL) + 64 + len('"}')

Line = Mapping[str, Any]


class Ledger:
    """The writing end. Safe from any thread."""

    def __init__(self, folder: Path) -> None:
        """Begin the ledger of a run in `folder`. Raises `LedgerError` when there is one already."""
        self.path = folder / FILE
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self._seq = 0
        self._last = FIRST
        self._broken: OSError | None = None
        self._stop = threading.Event()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._file = os.open(self.path, flags | getattr(os, "O_BINARY", 0), 0o644)
            _sync_folder(folder)
        except OSError as fault:
            raise self._fault(fault) from fault
        self._beating = threading.Thread(target=self._beat, name="ledger-heartbeat", daemon=True)

    def _fault(self, fault: OSError) -> LedgerError:
        return LedgerError(
            f"{self.path}: the ledger cannot be written: {fault.strerror or fault}",
            help="free the disk or name another folder with --results; without a ledger no run counts",
        )

    @property
    def broken(self) -> bool:
        """Whether a line was lost: from then on nothing more is written."""
        return self._broken is not None

    def start_heartbeat(self) -> None:
        """Show every `BEAT` seconds that the run lives."""
        self._beating.start()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with contextlib.suppress(LedgerError):  # the next line of the run tells it
                self.write("heartbeat")

    def write(self, kind: str, **data: Any) -> None:
        """Append a line and wait until it is on the disk. Raises `LedgerError` when it cannot be kept."""
        with self._lock:
            if self._broken is not None:
                raise self._fault(self._broken)
            row = {
                "seq": self._seq,
                "kind": kind,
                "wall": round(time.time(), 3),
                "mono": round(time.monotonic() - self._begun, 3),
                **safe_data(plain_data(data)),
                "prev": self._last,
            }
            text, digest = seal(row)
            left = memoryview(f"{text}\n".encode("ascii"))
            try:
                while left:
                    left = left[os.write(self._file, left) :]
                os.fsync(self._file)
            except OSError as fault:
                self._broken = fault
                raise self._fault(fault) from fault
            self._seq += 1
            self._last = digest

    def close(self) -> None:
        """Idempotent."""
        self._stop.set()
        with self._lock, contextlib.suppress(OSError):
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
                self._broken = self._broken or OSError("it was closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def seal(row: Line) -> tuple[str, str]:
    """A line's text with its own hash, and that hash; `prev` in it is the hash of the line before."""
    open_text = json.dumps(row, separators=(",", ":"), default=str)[:-1]
    digest = hashlib.sha256(open_text.encode("ascii")).hexdigest()
    return f'{open_text}{_SEAL}{digest}"}}', digest


def plain_data(value: Any) -> Any:
    """Text as it stands on paper: nothing in it that a terminal would obey, whoever it came from."""
    if isinstance(value, str):
        return value if value.isprintable() else "\n".join(_line(line) for line in value.split("\n"))
    if isinstance(value, Mapping):
        return {key: plain_data(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(one) for one in value]
    return value


def _line(text: str) -> str:
    return "".join(c for c in plain(text.replace("\t", " ")) if c not in BIDI)


def _sync_folder(folder: Path) -> None:
    """The name of a new file is on the disk only when its folder is; Windows has no such call."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Record:
    """A ledger as it was read: the lines that hold together, and what does not."""

    lines: tuple[Line, ...]
    faults: tuple[str, ...] = ()
    """What was found changed; empty for a ledger as it was written."""
    torn: bool = False
    """The last line is half a line: the run was cut off while it was written."""


def read(path: Path) -> Record:
    """Read a ledger and check every seal. Raises `LedgerError` when there is none."""
    try:
        content = read_bytes(path, "a ledger", limit=LARGEST)
    except FileError as fault:
        raise LedgerError(
            f"{path}: no ledger can be read: it {fault.reason}", help="name a run's folder, results/runs/RUN"
        ) from None
    return parse(content)


def parse(content: bytes) -> Record:
    """The lines of a ledger, up to the first that is not as it was written."""
    whole, _, rest = content.rpartition(b"\n")
    texts = whole.split(b"\n") if whole else []
    lines: list[Line] = []
    last = FIRST
    for number, text in enumerate(texts, 1):
        row = _unsealed(text)
        if row is None:
            return Record(tuple(lines), (f"line {number} is not as it was written",))
        if row.get("seq") != number - 1 or row.get("prev") != last:
            return Record(tuple(lines), (f"a line before line {number} is missing or was moved",))
        last = text[-66:-2].decode("ascii")
        lines.append(row)
    return Record(tuple(lines), torn=bool(rest))


def _unsealed(text: bytes) -> Line | None:
    body, seal = text[:-_SEALED], text[-_SEALED:]
    expected = f'{_SEAL}{hashlib.sha256(body).hexdigest()}"}}'.encode("ascii")
    if seal != expected:
        return None
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("kind"), str) else None


def new_run_id() -> str:
    """A name for a run that sorts by when it began (UTC)."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:{BEGAN}}.{now.microsecond // 1000:03}Z-{secrets.token_hex(3)}"


def uptime() -> dict[str, Any]:
    """Which start of this PC it is, and the seconds since then: nobody steps these."""
    boot = None
    with contextlib.suppress(OSError):
        boot = BOOT_ID.read_text("ascii").strip()
    return {"boot": boot, "uptime": round(time.monotonic(), 3)}


def latest_run(results: Path, since: datetime.datetime | None = None) -> Path:
    """The folder of the run that began last. Raises `LedgerError` when none has begun (since then, UTC).

    In the order of the record of their bench, where runs stand in one; by their names only where not. A run
    whose clock was ahead began no later for that.
    """
    found = [(file.parent, _begin_of(file)) for file in (results / RUNS).glob(f"*/{FILE}")]
    if not found:
        raise LedgerError(f"{results / RUNS}: there is no run", help="run `pytest testcases/` first")
    last: dict[str, tuple[int, str, Path, Line]] = {}
    for folder, begin in found:
        record = begin.get("record") or {}
        place = (int(record.get("seq", 0)), folder.name, folder, begin)
        identity = str(record.get("id", ""))
        if identity not in last or place[:2] > last[identity][:2]:
            last[identity] = place
    _, name, folder, begin = max(last.values(), key=lambda one: one[1])
    if since is not None and not _began_since(begin, name, since):
        raise LedgerError(
            f"{results / RUNS}: no run has begun since {since:{BEGAN}}, the latest is {name}",
            help="see what pytest printed: it ended before its ledger could begin",
        )
    return folder


def _begin_of(file: Path) -> Line:
    """The first line of a ledger; empty where it is none."""
    try:
        with file.open("rb") as opened:
            row = _unsealed(opened.readline().rstrip(b"\n"))
    except OSError:
        row = None
    return row if row is not None and row["kind"] == "begin" else {}


def _began_since(begin: Line, name: str, since: datetime.datetime) -> bool:
    """By how long ago it began, where this PC has not been started anew since; else by its name."""
    now, here = datetime.datetime.now(datetime.UTC), uptime()
    same = begin.get("boot") is not None and begin.get("boot") == here["boot"]
    if same and isinstance(begin.get("uptime"), int | float):
        moment = since.replace(tzinfo=datetime.UTC, microsecond=0)
        return now - datetime.timedelta(seconds=here["uptime"] - begin["uptime"]) >= moment
    return f"{since:{BEGAN}}" <= name[:15] <= f"{now:{BEGAN}}"
