"""One bench, one user: what a run is about to touch is locked for it, on this PC, before anything is touched.

A lock is the operating system's, on a file that all users of the PC share: it ends with the process that
holds it, however that ends. Beside it lies who holds it. What another process has left there without a
lock is stale: it is told and taken over.
"""

from __future__ import annotations

import contextlib
import datetime
import getpass
import hashlib
import json
import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import BenchError, InUseError

FOLDER = "BENCH_LOCKS"
"""Environment variable: where the locks are, if not in this PC's folder for temporary files."""
GUARD_LIMIT = 30.0
"""Wall seconds to wait for the guard of a run that has ended, which may still switch its outputs off."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that only one run at a time may use: "probe" 960012345, which `wanted` by the bench file."""

    kind: str
    name: str
    wanted: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def file(self) -> Path:
        """The lock's file: legible, and different for different names."""
        text = re.sub(r"[^\w.-]+", "_", f"{self.kind}-{self.name}")[:80]
        return folder() / f"{text}-{hashlib.sha256(str(self).encode()).hexdigest()[:12]}.lock"

    @property
    def guard(self) -> Resource:
        """The same for the process that switches an output off when its run is gone."""
        return Resource(f"{self.kind} guard", self.name, self.wanted)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lock; `since` is UTC."""

    pid: int
    user: str
    host: str
    since: str
    what: str

    @classmethod
    def this_process(cls) -> Owner:
        return cls(
            os.getpid(),
            _user(),
            socket.gethostname(),
            datetime.datetime.now(datetime.UTC).isoformat(sep=" ", timespec="seconds"),
            Path(sys.argv[0]).name or "python",
        )

    def __str__(self) -> str:
        return f"{self.what}, process {self.pid} of {self.user} on {self.host}, since {self.since}"


def folder() -> Path:
    """Where the locks are; every user of this PC may write there. Raises `BenchError` where nobody can."""
    named = os.environ.get(FOLDER)
    found = Path(named) if named else Path(tempfile.gettempdir()) / "lwm2m-bench-locks"
    try:
        found.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another user's, who has done so already
            found.chmod(0o777)
    except OSError as fault:
        raise BenchError(
            f"the folder of locks {found} cannot be made: {fault.strerror or fault}",
            help=f"set {FOLDER} to a folder that all users of this PC may write",
        ) from fault
    return found


@contextlib.contextmanager
def locked(resources: Iterable[Resource]) -> Iterator[list[str]]:
    """Hold all of `resources`; what had been left behind by a process that is gone is yielded, a line each.

    Raises `InUseError`, naming the owner, when another process (or this one, elsewhere) holds one of them.
    """
    stale: list[str] = []
    with contextlib.ExitStack() as held:
        for resource in sorted(set(resources), key=str):  # the same order everywhere
            left = held.enter_context(_one(resource))
            if left is not None:
                stale.append(f"{resource} was left behind by {left}")
        yield stale


def await_guards(resources: Iterable[Resource]) -> None:
    """Until no guard of an earlier run holds one of these outputs any more. Raises `InUseError`."""
    for resource in sorted(set(resources), key=str):
        guard = resource.guard
        try:
            with _lock(guard).acquire(timeout=GUARD_LIMIT):
                pass
        except Timeout:
            raise InUseError(
                f"{resource} ({resource.wanted}): the guard of a run that has ended cannot switch it off: "
                f"{_owner(guard) or 'a process that does not say who it is'}",
                help="see what it says on its terminal; switch the output off by hand, then end that process",
            ) from None


@contextlib.contextmanager
def _one(resource: Resource) -> Iterator[Owner | None]:
    lock, about = _lock(resource), resource.file.with_suffix(".json")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InUseError(
            f"{resource} ({resource.wanted}) is in use: "
            f"{_owner(resource) or 'by a process that does not say who it is'}",
            help="wait for that run, or end it; its locks end with its process",
        ) from None
    except OSError as fault:
        raise BenchError(
            f"{resource} cannot be locked: {lock.lock_file}: {fault.strerror or fault}",
            help=f"give every user of the bench the right to write there, or set {FOLDER} to another folder",
        ) from fault
    try:
        left = _owner(resource)
        _write(about, Owner.this_process())
        yield left
    finally:
        with contextlib.suppress(OSError):
            about.unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def guarding(resources: Iterable[Resource]) -> Iterator[None]:
    """In the guard's process, for as long as it may still have to switch these outputs off."""
    with locked(resource.guard for resource in resources):
        yield


def _lock(resource: Resource) -> FileLock:
    return FileLock(resource.file, mode=0o666, thread_local=False)


def _owner(resource: Resource) -> Owner | None:
    try:
        told: Any = json.loads(resource.file.with_suffix(".json").read_text("utf-8"))
        return Owner(**told)
    except (OSError, ValueError, TypeError):
        return None


def _write(file: Path, owner: Owner) -> None:
    with contextlib.suppress(OSError):  # the lock holds without it
        whole = file.with_suffix(f".{os.getpid()}")
        whole.write_text(json.dumps(asdict(owner)), "utf-8")
        whole.replace(file)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no entry for this user, as in a container
        return "an unknown user"
