"""Names and versions of what is installed, from the heads of the metadata alone."""

from __future__ import annotations

from email.parser import HeaderParser
from importlib.metadata import Distribution


def name_and_version(found: Distribution) -> tuple[str, str]:
    """As in its metadata ("None" for what these lack).

    `Distribution.metadata` reads the long description behind the head too, at each access.
    """
    text = found.read_text("METADATA") or found.read_text("PKG-INFO")
    head = HeaderParser().parsestr(text.partition("\n\n")[0]) if text else found.metadata
    return str(head["Name"]), str(head["Version"])
