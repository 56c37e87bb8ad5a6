"""Paths as text: "/3/0/9"."""

from __future__ import annotations

import re

from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.values import Path

MAX_LEVELS = 4
_PATH = re.compile(r"/?(?:0|[1-9][0-9]{0,4})(?:/(?:0|[1-9][0-9]{0,4})){0,3}/?")


def path_of(text: str) -> Path:
    """The numbers of "/3/0/9" or "3/0/9"; () for "/" and "". Raises `CodecError`."""
    if text in ("", "/"):
        return ()
    if _PATH.fullmatch(text) is None:
        raise CodecError(f"{text[:40]!r} is no path")
    path = tuple(int(part) for part in text.strip("/").split("/"))
    if any(number > 0xFFFF for number in path):
        raise CodecError(f"{text[:40]!r} is no path")
    return path


def name_of(path: Path) -> str:
    return "/" + "/".join(map(str, path))


def common_base(names: list[str]) -> str:
    """What all names begin with, up to and with a slash; "" when there is none."""
    if not names:
        return ""
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: first.rfind("/", 0, length) + 1]
