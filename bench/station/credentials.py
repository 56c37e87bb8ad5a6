"""The keys and certificates of a bench file, as the server wants them."""

from __future__ import annotations

from bench.config import BenchSettings
from bench.lwm2m.dtls.credentials import Certificates, Credentials


def credentials_of(settings: BenchSettings) -> Credentials | None:
    """Those of every board that has some, and the server's; None when there are none."""
    credentials, server = Credentials(), settings.server
    if server.certificate is not None and server.certificate_key is not None:
        credentials.certificates = Certificates(server.certificate, server.certificate_key, server.client_ca)
    for board in settings.boards.values():
        security = board.security
        if security is None:
            continue
        if security.key:
            credentials.add_psk(security.identity, bytes.fromhex(security.key), board.endpoint)
        else:
            credentials.add_certificate(security.identity, board.endpoint)
    return credentials if credentials.keys or credentials.certificates else None
