"""The list of all files of a sign-off with their SHA-256, in the form that `sha256sum -c` reads."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from bench.evidence.raw_results import sha256

MANIFEST = "manifest.sha256"
SIGNATURE = "manifest.sha256.sig"
ROW = re.compile(r"([0-9a-f]{64})  (\S.*)")


def write(folder: Path) -> Path:
    """List everything in `folder`. Raises `OSError`."""
    rows = [f"{sha256(folder / name)}  {name}\n" for name in names_in(folder)]
    file = folder / MANIFEST
    file.write_text("".join(rows), encoding="utf-8", newline="\n")
    return file


def names_in(folder: Path) -> list[str]:
    """All files but the manifest and its signature, as they stand in the manifest.

    A link is one of them, whatever it leads to: it has no place in a sign-off.
    """
    there = (file for file in folder.rglob("*") if file.is_symlink() or not file.is_dir())
    found = (file.relative_to(folder).as_posix() for file in there)
    return sorted(name for name in found if name not in (MANIFEST, SIGNATURE))


def _digest(file: Path) -> str:
    try:
        return sha256(file)
    except OSError:
        return "it cannot be read"


def differences(folder: Path) -> list[str]:
    """The files that differ from the manifest, one line each; a file that it does not list is one too."""
    try:
        text = (folder / MANIFEST).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        return [f"{MANIFEST} cannot be read: {fault}"]
    listed: dict[str, str] = {}
    found = []
    for number, row in enumerate(text.splitlines(), 1):
        match = ROW.fullmatch(row)
        name = match[2] if match else ""
        path = PurePosixPath(name)
        if match is None or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            found.append(f"{MANIFEST}: line {number} is no line of a manifest")
        elif name in listed:
            found.append(f"{MANIFEST}: {name} is listed twice")
        else:
            listed[name] = match[1]
    if not listed:
        found.append(f"{MANIFEST} lists nothing")
    for name, digest in listed.items():
        file = folder / name
        if file.is_symlink() or not file.is_file():
            found.append(f"{name} is missing")
        elif _digest(file) != digest:
            found.append(f"{name} differs from the manifest")
    return found + [f"{name} is not in the manifest" for name in names_in(folder) if name not in listed]
