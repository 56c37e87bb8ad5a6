"""CoRE link format (RFC 6690), as far as LwM2M uses it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.lwm2m.codecs.error import CodecError

MAX_LINKS = 4096


@dataclass(frozen=True, slots=True)
class Link:
    """`target` without its angle brackets; attributes without a value are None."""

    target: str
    attributes: dict[str, str | None] = field(default_factory=dict)


def decode(payload: bytes) -> list[Link]:
    """Raises `CodecError` for anything that is no link list."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CodecError(f"link format is not UTF-8: {error.reason}") from None
    links, position = [], 0
    while position < len(text):
        if text[position] != "<":
            raise CodecError(f"link format: '<' expected at character {position}")
        end = text.find(">", position)
        if end < 0:
            raise CodecError(f"link format: no '>' after character {position}")
        target, position = text[position + 1 : end], end + 1
        attributes: dict[str, str | None] = {}
        while position < len(text) and text[position] == ";":
            position = _attribute(text, position + 1, attributes)
        links.append(Link(target, attributes))
        if len(links) > MAX_LINKS:
            raise CodecError(f"more than {MAX_LINKS} links")
        if position < len(text):
            if text[position] != ",":
                raise CodecError(f"link format: ',' expected at character {position}")
            position += 1
            if position == len(text):
                raise CodecError("link format: ends with ','")
    return links


def _attribute(text: str, start: int, into: dict[str, str | None]) -> int:
    position = start
    while position < len(text) and text[position] not in '=;,"':
        position += 1
    name = text[start:position].strip()
    if not name:
        raise CodecError(f"link format: attribute without a name at character {start}")
    if position == len(text) or text[position] in ";,":
        into[name] = None
        return position
    if text[position] != "=":
        raise CodecError(f"link format: '=' expected at character {position}")
    position += 1
    if position < len(text) and text[position] == '"':
        end = text.find('"', position + 1)
        if end < 0:
            raise CodecError(f"link format: quote at character {position} is not closed")
        into[name] = text[position + 1 : end]
        return end + 1
    begin = position
    while position < len(text) and text[position] not in ";,":
        position += 1
    into[name] = text[begin:position]
    return position


def encode(links: Iterable[Link]) -> bytes:
    """Raises `CodecError` for a target or value that the format cannot hold."""
    return ",".join(_written(link) for link in links).encode()


def _written(link: Link) -> str:
    if "<" in link.target or ">" in link.target:
        raise CodecError(f"link format: {link.target[:40]!r} is no target")
    text = f"<{link.target}>"
    for name, value in link.attributes.items():
        if not name or set(name) & set('=;,"<> '):
            raise CodecError(f"link format: {name[:40]!r} is no attribute name")
        if value is None:
            text += f";{name}"
        elif value.isascii() and value.replace(".", "").isalnum():
            text += f";{name}={value}"
        elif '"' in value:
            raise CodecError(f"link format: a quote in {value[:40]!r}")
        else:
            text += f';{name}="{value}"'
    return text
