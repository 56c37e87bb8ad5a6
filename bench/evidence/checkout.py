"""What a Git revision holds, whatever a user, the repository or the environment have set.

Git is asked for the revision and its tree alone. Whether a file is what the tree says is computed here, from
the file's own bytes: the index, its flags (assume-unchanged, skip-worktree), exclude files, attributes and
filters, `core.worktree`, a file system monitor and `GIT_*` variables have no say.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PATIENCE = 30.0
"""Wall seconds for git on a slow disk."""
LINK, SUBMODULE = "120000", "160000"
"""Modes of entries that are no files (`man gitrepository-layout`, git-ls-tree(1))."""
LFS = b"version https://git-lfs.github.com/spec/v1\n"
"""How a file begins that Git LFS keeps elsewhere (Git LFS specification, "The Pointer")."""
TEXT = frozenset({".py", ".toml", ".json", ".ini", ".cfg", ".txt", ".md", ".sh", ".html"})
"""Files that a checkout on Windows may hold with other line ends than the revision."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Of a tree: the mode in Git's octal digits, and the ID of the object."""

    mode: str
    id: str


class Checkout:
    """The working tree in `root`, as of the revision that it stands at now."""

    def __init__(self, root: Path, revision: str) -> None:
        self.root = root
        self.revision = revision

    @cached_property
    def tree(self) -> Mapping[str, Entry]:
        """Everything in the revision, by its path with slashes."""
        told = git(self.root, "ls-tree", "-r", "-z", "--full-tree", self.revision) or b""
        found = {}
        for row in told.split(b"\0"):
            about, _, name = row.partition(b"\t")
            if name:
                mode, _, identity = about.decode("ascii").split(" ")
                found[os.fsdecode(name)] = Entry(mode, identity)
        return found

    @cached_property
    def tree_id(self) -> str:
        """The ID of the whole tree: the same for the same content, whatever the commit says."""
        told = git(self.root, "rev-parse", f"{self.revision}^{{tree}}") or b""
        return told.decode("ascii", "replace").strip()

    def name_of(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()

    def keeps(self, folder: Path) -> bool:
        """Whether anything in a folder is of the revision."""
        return folder == self.root or any(n.startswith(f"{self.name_of(folder)}/") for n in self.tree)

    def why_different(self, name: str) -> str | None:
        """Why the file of that name is not what the revision holds; None where it is."""
        entry = self.tree.get(name)
        if entry is None:
            return "is not in it"
        file = self.root / name
        if entry.mode == SUBMODULE:
            inner = checkout_at(file)
            return None if inner is not None and inner.revision == entry.id else "is at another revision"
        try:
            if entry.mode == LINK:
                data = os.fsencode(os.readlink(file)) if file.is_symlink() else file.read_bytes()
            elif file.is_symlink():
                return "is a link"
            else:
                data = file.read_bytes()
        except FileNotFoundError:
            return "is missing"
        except OSError:
            return "cannot be read"
        return None if self.holds(entry, data, file.suffix) else "has other content"

    def holds(self, entry: Entry, data: bytes, suffix: str) -> bool:
        """Whether `data`, of a file with that suffix, is what the revision holds."""
        if blob_id(data, len(entry.id)) == entry.id:
            return True
        if suffix in TEXT and blob_id(data.replace(b"\r\n", b"\n"), len(entry.id)) == entry.id:
            return True
        kept = git(self.root, "cat-file", "blob", entry.id) or b""
        oid = f"oid sha256:{hashlib.sha256(data).hexdigest()}\n".encode("ascii")
        return kept.startswith(LFS) and oid in kept

    def differences(self) -> Iterator[str]:
        """Every file in which the working tree is not the revision, with why."""
        for name in self.tree:
            why = self.why_different(name)
            if why is not None:
                yield f"{name} {why}"
        yield from (f"{name} is not in it" for name in self._others())

    def _others(self) -> list[str]:
        """What is there and not in the revision, but for what a .gitignore of the tree names."""
        told = git(
            self.root,
            "ls-files",
            "-z",
            "--others",
            "--exclude-per-directory=.gitignore",
            index=str(Path(tempfile.gettempdir()) / f"no-index-{secrets.token_hex(8)}"),
        )
        if told is None:
            return ["(what is there beside it cannot be listed)"]
        names = [os.fsdecode(name) for name in told.split(b"\0") if name]
        return [name for name in names if name.rstrip("/") not in self.tree and not name.endswith(OWN)]


OWN = (".runs.sqlite", ".runs.sqlite-journal")
"""Ends of names that the bench itself writes beside a bench file."""


def blob_id(data: bytes, digits: int = 40) -> str:
    """The ID that Git gives to content: SHA-1, or SHA-256 where IDs have 64 digits (gitformat-pack(5))."""
    digest = hashlib.sha256() if digits == 64 else hashlib.sha1(usedforsecurity=False)
    digest.update(b"blob %d\0" % len(data))
    digest.update(data)
    return digest.hexdigest()


def root_of(place: Path) -> Path | None:
    """The working tree that a file or folder lies in: the first folder above that holds a `.git`."""
    for folder in (place, *place.parents):
        if (folder / ".git").exists():
            return folder
    return None


def checkout_at(root: Path) -> Checkout | None:
    """That of a folder which holds a `.git`; None without a revision."""
    told = git(root, "rev-parse", "--verify", "HEAD^{commit}")
    return None if not told else Checkout(root, told.decode("ascii", "replace").strip())


def checkout_of(place: Path) -> Checkout | None:
    """The checkout that a file or folder lies in; None where there is none."""
    root = root_of(Path(os.path.realpath(place)))
    return None if root is None else checkout_at(root)


def environment(index: str | None = None) -> dict[str, str]:
    """For git: nothing of the caller's that begins with GIT_, no settings of user or system."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("GIT_")}
    kept |= {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ATTR_NOSYSTEM": "1",
    }
    return kept if index is None else kept | {"GIT_INDEX_FILE": index}


def git(root: Path, *arguments: str, index: str | None = None) -> bytes | None:
    """What git answers about the repository in `root`; None where it cannot or there is none."""
    command: Sequence[str] = [
        "git",
        f"--git-dir={root / '.git'}",
        f"--work-tree={root}",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.quotePath=false",
        "-c",
        "core.untrackedCache=false",
        *arguments,
    ]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment(index),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
