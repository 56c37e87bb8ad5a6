"""Finds a secret in whatever form it may have got into a file."""

from __future__ import annotations

import base64
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pypdfium2

BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
DEEP = 4
"""Containers within containers that are opened."""


def forms_of(secret: bytes) -> set[bytes]:
    """The secret as bytes and in hexadecimal digits, with and without separators, and these in base64."""
    digits = secret.hex()
    pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    plain = {secret}
    for text in (digits, " ".join(pairs), ":".join(pairs), ",".join(pairs), "-".join(pairs)):
        plain |= {text.encode(), text.upper().encode()}
    forms = set(plain)
    for one in plain:
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + one)
            inner = coded[4 if shift else 0 :][: (len(one) - 3) // 3 * 4]
            forms |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms


def found_in(folder: Path, secrets: dict[str, bytes]) -> list[str]:
    """Where which secret was found, one line each."""
    forms = {name: forms_of(secret) for name, secret in secrets.items()}
    return [
        f"{name} in {file.relative_to(folder)}{inside}"
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        for inside, content in _contents(file.read_bytes(), DEEP)
        for name, wanted in forms.items()
        if any(form in content for form in wanted)
    ]


def _contents(data: bytes, deep: int) -> Iterator[tuple[str, bytes]]:
    """The bytes of a file, and everything that is packed in it."""
    yield "", data
    if deep == 0:
        return
    for inside, content in _unpacked(data):
        yield from ((inside + further, found) for further, found in _contents(content, deep - 1))


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for name in packed.namelist():
                yield f"!{name}", packed.read(name)
    elif data.startswith(b"\x1f\x8b"):
        yield "!gzip", gzip.decompress(data)
    elif data.startswith(b"%PDF"):
        document = pypdfium2.PdfDocument(data)
        for number, page in enumerate(document, 1):
            yield f"!page {number}", page.get_textpage().get_text_bounded().encode()
    for number, match in enumerate(re.finditer(rb"x[\x01\x5e\x9c\xda]", data)):
        try:
            inflated = zlib.decompressobj().decompress(data[match.start() :])
        except zlib.error:
            continue
        if len(inflated) > 16:
            yield f"!inflated {number}", inflated
    for number, match in enumerate(BASE64.finditer(data)):
        text = match[0].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        yield f"!base64 {number}", base64.b64decode(text[: len(text) // 4 * 4])
