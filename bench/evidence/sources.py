"""What ran: every module that a process has imported, and what it is held against.

A module is of the interpreter, of an installed distribution (whose RECORD names its SHA-256), or of a
checkout (whose revision names its blob). What is none of these, or not as it says, is named. Bytecode that
was loaded instead of a source must be what that source compiles to.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import importlib.metadata
import importlib.util
import io
import marshal
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from bench.evidence.checkout import Checkout, blob_id, checkout_at, root_of
from bench.evidence.distributions import name_and_version

BENCH = Path(os.path.realpath(__file__)).parents[2]
"""Where the bench itself lies."""
PYC_HEADER = 16
"""Bytes before the code of a .pyc (PEP 552); of these the second four are flags."""
HASHED = 0b01
"""Of its flags: it is known by the hash of its source, not by time and size (PEP 552)."""
UNCHECKED = 0b01
"""Flags of a .pyc that is loaded whatever its source holds (PEP 552, "unchecked hash-based")."""


Bytecode = tuple[Path, Callable[[], CodeType]]
"""Where bytecode is kept, and what makes it anew."""
Keeps = Callable[[ModuleType, Path, bytes], Iterator[Bytecode]]
"""Of a module, its file, and what that holds."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A module's file as it was when it was first looked at; `data` is kept of what no distribution has."""

    file: Path
    blob: str
    data: bytes = b""
    why: str = ""
    """What is wrong with it, whatever the revision holds."""
    bytecode: str = ""
    """Of a distribution's: the file that was loaded instead of it, "" for none."""
    hashed: str = ""
    """The hash of that, as RECORD writes it."""


@dataclass
class Installed:
    """The files of all installed distributions, by their real paths, as their RECORD has them."""

    rows: dict[str, tuple[str, str]] = field(default_factory=dict)
    """File -> distribution, and its hash as RECORD writes it ("" where it has none)."""
    records: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Distribution -> version, SHA-256 of its RECORD."""

    @classmethod
    def read(cls) -> Installed:
        found = cls()
        for one in importlib.metadata.distributions():
            text = one.read_text("RECORD")
            if text is None:
                continue
            name, version = name_and_version(one)
            base = os.path.realpath(str(one.locate_file("")))
            found.records[name] = (version, hashlib.sha256(text.encode()).hexdigest())
            for row in csv.reader(io.StringIO(text)):
                if len(row) >= 2 and (row[1] or not row[0].endswith(".pyc")):  # which pip lists without one
                    found.rows[os.path.normpath(os.path.join(base, row[0]))] = (name, row[1])
        return found


def record_hash(data: bytes) -> str:
    """As RECORD writes it (the specification "Recording installed projects")."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")


class Sources:
    """The modules of this process. `look` as soon as they are loaded, and again at the end."""

    def __init__(self, kept_by: Keeps | None = None) -> None:
        """`kept_by` knows what is kept of a module that something else than Python has compiled."""
        self._kept_by = kept_by or compiled_by_python
        self._seen: dict[str, Seen] = {}
        self._checkouts: dict[Path, Checkout | None] = {}

    def look(self) -> None:
        """Take note of each module that is new since the last time: its file as it is now."""
        for name, module in list(sys.modules.items()):
            file = _file_of(module)
            if name in self._seen or file is None or _of_the_interpreter(file):
                continue
            self._seen[name] = seen = _seen(self._kept_by, module, file)
            if not _is_packaged(file):
                self._checkout(seen.file)  # the revision of now is the one that counts

    @cached_property
    def _installed(self) -> Installed:
        return Installed.read()

    def _checkout(self, file: Path) -> Checkout | None:
        root = root_of(file)
        if root is None:
            return None
        if root not in self._checkouts:
            self._checkouts[root] = checkout_at(root)
        return self._checkouts[root]

    def told(self, given: Mapping[str, Path]) -> dict[str, Any]:
        """JSON-able: `files` of checkouts with their blobs, `distributions` with RECORD, and what `differs`.

        `unlisted` counts the modules of distributions that ran from bytecode of which RECORD has no hash.

        `given` are further files that were read, by what they are: bench file, board files. One that a
        checkout keeps must be what its revision holds; one that none keeps is known by its SHA-256.
        """
        self.look()
        files: dict[str, str] = {}
        used: set[str] = set()
        differs: list[str] = []
        unlisted = 0
        for seen in self._seen.values():
            row = self._installed.rows.get(str(seen.file))
            if row is not None:
                used.add(row[0])
            else:
                files[self._name(seen.file)] = seen.blob
            why = seen.why or (self._of_checkout(seen) if row is None else _of_distribution(seen, row[1]))
            if why:
                differs.append(f"{self._name(seen.file)} {why}")
            listed = self._installed.rows.get(seen.bytecode)
            unlisted += bool(seen.bytecode) and listed is None
            if listed is not None and listed[1] != seen.hashed:
                kept = Path(seen.bytecode).name
                differs.append(
                    f"{self._name(seen.file)} is loaded from {kept}, which is not what RECORD says"
                )
        read = {what: self._read(file, what, differs) for what, file in given.items()}
        return {
            "checkouts": {
                root.name: {"revision": one.revision, "tree": one.tree_id}
                for root, one in self._checkouts.items()
                if one is not None
            },
            "files": dict(sorted(files.items())),
            "distributions": {
                name: {"version": version, "record": digest}
                for name, (version, digest) in sorted(self._installed.records.items())
                if name in used
            },
            "read": read,
            "unlisted": unlisted,
            "differs": list(dict.fromkeys(differs)),
        }

    def _name(self, file: Path) -> str:
        found = self._checkout(file)
        return file.as_posix() if found is None else f"{found.root.name}/{found.name_of(file)}"

    def _of_checkout(self, seen: Seen) -> str:
        found = self._checkout(seen.file)
        if found is None:  # of the bench's own that is told with its revision, which there is none of
            own = seen.file.is_relative_to(BENCH)
            return "" if own else "is of no revision and of no installed distribution"
        entry = found.tree.get(found.name_of(seen.file))
        if entry is None:
            return f"is not in revision {found.revision[:12]}"
        if found.holds(entry, seen.data, seen.file.suffix):
            return ""
        return f"is not what revision {found.revision[:12]} holds"

    def _read(self, file: Path, what: str, differs: list[str]) -> str | None:
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            return None
        found = self._checkout(Path(os.path.realpath(file)))
        if found is not None:
            name = found.name_of(Path(os.path.realpath(file)))
            why = found.why_different(name)
            if why is not None and name in found.tree:
                differs.append(f"{what} {name} {why}: it is not as in revision {found.revision[:12]}")
        return digest


def _file_of(module: ModuleType) -> Path | None:
    """The real path of what a module was loaded from; None for what is of no file."""
    spec = getattr(module, "__spec__", None)
    file = getattr(module, "__file__", None) or (getattr(spec, "origin", None) if spec else None)
    if not isinstance(file, str) or file in ("built-in", "frozen"):
        return None
    return Path(os.path.realpath(file))


def _interpreter_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({os.path.realpath(paths[name]) + os.sep for name in ("stdlib", "platstdlib")})


INTERPRETER = _interpreter_folders()
PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def _of_the_interpreter(file: Path) -> bool:
    return str(file).startswith(INTERPRETER) and not _is_packaged(file)


def _is_packaged(file: Path) -> bool:
    return any(part in str(file) for part in PACKAGES)


def _seen(kept_by: Keeps, module: ModuleType, file: Path) -> Seen:
    try:
        data = file.read_bytes()
    except OSError:
        return Seen(file, "", why="is not there: it was imported from elsewhere, or is gone")
    why = ""
    if file.suffix == ".pyc":
        why = "is bytecode without a source"
    elif file.suffix == ".py":
        why = "; ".join(_about_bytecode(kept_by, module, file, data))
    if not _is_packaged(file):
        return Seen(file, blob_id(data), data, why)
    kept, content = _taken(kept_by, module, file, data) if file.suffix == ".py" else ("", b"")
    return Seen(file, blob_id(data), b"", why, kept, record_hash(content) if kept else "")


def _taken(kept_by: Keeps, module: ModuleType, file: Path, source: bytes) -> tuple[str, bytes]:
    """The bytecode that Python loads instead of a source, and what it holds; "" for none."""
    for kept, _ in kept_by(module, file, source):
        with contextlib.suppress(OSError):
            content = kept.read_bytes()
            if content[:4] == importlib.util.MAGIC_NUMBER and _is_taken(content, file, source):
                return os.path.realpath(kept), content
    return "", b""


def _of_distribution(seen: Seen, hashed: str) -> str:
    if not hashed:
        return "has no hash in the RECORD of its distribution"
    try:
        same = record_hash(seen.file.read_bytes()) == hashed or not hashed.startswith("sha256=")
    except OSError:
        return "is missing"
    return "" if same else "is not what the RECORD of its distribution says"


def _about_bytecode(kept_by: Keeps, module: ModuleType, file: Path, source: bytes) -> Iterator[str]:
    """What the cached bytecode of a source makes of it, where Python would take that instead.

    That of installed distributions is held against its header alone: thousands of files.
    """
    for kept, compiled in kept_by(module, file, source):
        try:
            content = kept.read_bytes()
        except OSError:
            continue
        if content[:4] == importlib.util.MAGIC_NUMBER:
            if int.from_bytes(content[4:8], "little") == UNCHECKED:
                yield f"is loaded from {kept.name} unchecked, whatever its source holds"
            elif not _is_packaged(file) and _is_taken(content, file, source) and not _same(content, compiled):
                yield f"is not what {kept.name} was compiled from"


def _is_taken(content: bytes, file: Path, source: bytes) -> bool:
    """Whether its header is that of the source, so that it is loaded; one out of date is compiled anew."""
    if int.from_bytes(content[4:8], "little") & HASHED:
        return content[8:16] == importlib.util.source_hash(source)
    try:
        state = file.stat()
    except OSError:
        return True
    low = 0xFFFFFFFF  # of both only 32 bits are kept
    return content[8:16] == b"".join(
        (int(n) & low).to_bytes(4, "little") for n in (state.st_mtime, state.st_size)
    )


def _same(content: bytes, compiled: Callable[[], CodeType]) -> bool:
    try:
        return bool(marshal.loads(content[PYC_HEADER:]) == compiled())
    except (EOFError, ValueError, TypeError, SyntaxError):
        return False


def compiled_by_python(module: ModuleType, file: Path, source: bytes) -> Iterator[Bytecode]:
    """Where Python keeps what it compiles of a source, and that anew."""
    try:
        kept = Path(importlib.util.cache_from_source(str(file)))
    except NotImplementedError:
        return

    def compiled() -> CodeType:
        return compile(source, str(file), "exec", dont_inherit=True, optimize=-1)

    yield kept, compiled
