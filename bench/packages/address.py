"""Where a package lies on the server: the part of its URI that a request brings, escapes resolved."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import Self

ROOT = "fw"
"""The folder in which every package lies."""


@dataclass(frozen=True, slots=True)
class PackageAddress:
    """Segments of the path below `ROOT`, and arguments of the query (None: whatever it is).

    As CoAP carries them, each segment and each argument is a text of its own with its percent-encoding
    resolved (RFC 7252 section 6.4). HTTP carries them as they were written, and what is equivalent by RFC
    3986 section 6.2.2 means the same package.
    """

    path: tuple[str, ...]
    query: tuple[str, ...] | None = None

    @classmethod
    def of_target(cls, target: str) -> Self:
        """Of the path and query in an HTTP request."""
        path, _, query = target.partition("?")
        segments = tuple(map(urllib.parse.unquote, path.removeprefix(f"/{ROOT}/").split("/")))
        return cls(segments, tuple(map(urllib.parse.unquote, query.split("&"))) if query else ())

    def is_meant_by(self, asked: PackageAddress) -> bool:
        return self.path == asked.path and self.query in (None, asked.query)

    def __str__(self) -> str:
        """For people; what CoAP has resolved is escaped again where it would be ambiguous."""
        path = "/".join(urllib.parse.quote(part, safe="") for part in (ROOT, *self.path))
        query = "&".join(urllib.parse.quote(item, safe="=") for item in self.query or ())
        return f"/{path}" + (f"?{query}" if query else "")
