"""A pytest plugin: virtual devices that call a Package URI without a scheme an unsupported protocol.

Anjay does: what its URL parser finds no protocol in is one that it cannot fetch by (`anjay_fw_update.c`,
`fw_write`). Object 5 says of result 7 "invalid URI" and of 9 "unsupported protocol": both are true of it.
"""

from __future__ import annotations

from bench.virtual.firmware.downloads.schemes import UnsupportedScheme
from bench.virtual.firmware.downloads.source import Source
from bench.virtual.firmware.update import reception

understand = reception.understand


def no_scheme_is_no_protocol(uri: str, has_credentials: bool) -> Source:
    if "://" not in uri:
        raise UnsupportedScheme
    return understand(uri, has_credentials)


reception.understand = no_scheme_is_no_protocol  # type: ignore[attr-defined]
