"""A TOML file as plain tables. What cannot be read is one mistake that says where and why."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from bench.config.finding import Finding, Mistakes
from bench.errors import FileError
from bench.outside_files import DEEPEST, read_bytes, too_large

UTF8 = "save it as UTF-8 without a byte order mark"


def read_toml(path: Path, example: str) -> dict[str, Any]:
    """The tables of a file. `example` says where to see a right one.

    Raises `Mistakes`, with one finding.
    """
    text = _text(path, example)
    if not text.strip():
        raise _wrong(path, "is empty", example)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, text, str(error)) from None
    except RecursionError:
        raise _too_deep(path) from None
    wrong = too_large(tables)
    if wrong:
        raise _wrong(path, wrong, "name the right file")
    return tables


def _text(path: Path, example: str) -> str:
    try:
        data = read_bytes(path, "a file with settings", help=example)
    except FileError as fault:
        cure = fault.help if fault.help == example else f"{fault.help}; {example}"
        raise _wrong(path, fault.reason, cure) from None
    return _decoded(path, data)


def _decoded(path: Path, data: bytes) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise _wrong(path, "begins with a byte order mark (BOM), which is not TOML", UTF8)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        raise _wrong(path, "is not UTF-8 but UTF-16 or UTF-32, or no text at all", UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _wrong(
            path,
            f"is not UTF-8: line {line} has the byte {data[error.start]:#04x}",
            UTF8,
        ) from None


def _not_toml(path: Path, text: str, error: str) -> Mistakes:
    """The line is told by its number and its key: what stands behind it may be a secret."""
    found = re.search(r"line (\d+)", error)
    number = int(found[1]) if found else text.count("\n") + 1
    lines = text.split("\n")
    line = lines[number - 1] if number <= len(lines) else ""
    named = re.match(r"\s*(\[?\[?[\w.\"'-]+\]?\]?)\s*(=|$|#)", line)
    where = f"line {number}" + (f", at {named[1]}" if named else "")
    what = re.sub(r" \(at .*\)$", "", error)
    cure = "correct that line; text stands in quotes, a table begins with [name]"
    if "overwrite" in error or "twice" in error or "Duplicate" in error or "namespace" in error:
        what, cure = "a key or a table stands there for the second time", "remove one of the two"
    elif "\\" in line:
        cure = "write a path with backslashes in single quotes: 'C:\\builds\\app.bin'"
    elif "\r" in text and "\n" not in text:
        cure = "save it with line ends LF or CRLF"
    return _wrong(path, f"is not TOML: {where}: {what}", cure)


def _too_deep(path: Path) -> Mistakes:
    return _wrong(path, f"has tables in tables, more than {DEEPEST} deep", "name the right file")


def _wrong(path: Path, reason: str, cure: str) -> Mistakes:
    return Mistakes(path, [Finding(path, "", "", reason, cure)])
