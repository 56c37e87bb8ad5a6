"""What the server shows and tells devices."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from bench.check.images import unreadable
from bench.config import Bench, BoardSettings, ServerSettings
from bench.config.draft import Draft
from bench.config.finding import Finding
from bench.config.rules.addresses import why_no_host
from bench.errors import ConfigError
from bench.lwm2m.dtls.context import ServerContext
from bench.lwm2m.dtls.credentials import Certificates, Credentials
from bench.network.own_address import EVERYWHERE, address_for_boards
from bench.outside_files import read_bytes
from bench.packages.server import SCHEMES

FILES = ("certificate", "certificate_key", "client_ca")
OF_BOARDS = ("certificate", "certificate_key", "server_ca", "server_ca_key")


def told_to_boards(draft: Draft) -> Iterator[Finding]:
    """A board with wires can reach what it is told; a program on this PC reaches all of it."""
    if draft.has_plant:
        return
    server = draft.table("server")
    host = server.get("host", ServerSettings.model_fields["host"].default)
    if why_no_host(host) is not None:  # another rule says so
        return
    for board in sorted(draft.wanted & draft.boards.keys()):
        if not draft.is_hardware(board):
            continue
        not_advertised = _not_advertised(draft, board)
        if not not_advertised:
            continue
        try:
            address_for_boards(host, server.get("route_to"))
        except ConfigError as error:
            reason = f"{error.message}; not advertised: {', '.join(not_advertised)}"
            if "host" in server:
                yield draft.finding(("server", "host"), host, reason, error.help)
            else:
                yield draft.finding(("server", "host"), None, f"missing; the default {reason}", error.help)
            return


def where_found(bench: Bench) -> str | None:
    """What boards with wires are told to find the server at: an URI, or an address or name of this PC."""
    server = bench.settings.server
    hardware = any(isinstance(board, BoardSettings) for board in bench.settings.boards.values())
    if bench.settings.bench.plant is not None or not hardware:
        return None
    secure = all(board.security is not None for board in bench.settings.boards.values())
    advertised = server.secure_advertise if secure else server.advertise
    if advertised is not None or server.host not in EVERYWHERE:
        return advertised or server.host
    try:
        return address_for_boards(server.host, server.route_to)
    except ConfigError:  # then everything is advertised: the rule above has seen to it
        return None


def _not_advertised(draft: Draft, board: str) -> list[str]:
    """What a board is told an address of this PC for."""
    server, secure = draft.table("server"), "security" in draft.boards[board]
    found = []
    if "network" in draft.boards[board]:
        if "advertise" not in draft.table("boards", board, "network"):
            found.append(f"boards.{board}.network")
    elif (key := "secure_advertise" if secure else "advertise") not in server:
        found.append(f"server.{key}")
    board_type = draft.type_of(board)
    transports = () if board_type is None else board_type.profile.transports
    if secure and "coap" in transports and "advertise" not in server:
        found.append("server.advertise")
    found += [
        f"packages.{scheme}"
        for scheme in SCHEMES
        if scheme in transports and "advertise" not in draft.table("packages", scheme)
    ]
    return found


def certificates(draft: Draft) -> Iterator[Finding]:
    """The files are there, are valid today, and belong together."""
    server = draft.table("server")
    paths = {name: draft.file.parent / server[name] for name in FILES if name in server}
    right = True
    for name, path in paths.items():
        wrong = unreadable(path) or (None if name == "certificate_key" else _not_valid(path))
        if wrong is not None:
            right = False
            yield draft.finding(("server", name), server[name], *wrong)
    if not right or not {"certificate", "certificate_key"} <= paths.keys():
        return
    files = Certificates(paths["certificate"], paths["certificate_key"], paths.get("client_ca"))
    try:
        ServerContext(Credentials(certificates=files))
    except ConfigError as error:
        yield draft.finding(("server", "certificate"), server["certificate"], error.message, error.help)


def certificates_of_boards(draft: Draft) -> Iterator[Finding]:
    """What a board is given, and what it trusts: the files are there, and are valid today."""
    for name in sorted(draft.wanted & draft.boards.keys()):
        security = draft.table("boards", name, "security")
        for key in OF_BOARDS:
            if key not in security:
                continue
            path = draft.file.parent / security[key]
            wrong = unreadable(path) or (None if key.endswith("_key") else _not_valid(path))
            if wrong is not None:
                yield draft.finding(("boards", name, "security", key), security[key], *wrong)


def _not_valid(path: Path) -> tuple[str, str] | None:
    """Why a certificate cannot be used today."""
    try:
        found = x509.load_pem_x509_certificates(read_bytes(path, "a certificate"))
    except ValueError:
        return "holds no certificate in PEM", "give a PEM file: it begins with -----BEGIN CERTIFICATE-----"
    now = datetime.datetime.now(datetime.UTC)
    for certificate in found:
        if certificate.not_valid_after_utc < now:
            end = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
            return f"expired on {end}", "give one that is valid"
        if certificate.not_valid_before_utc > now:
            begin = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
            return f"is not valid before {begin}", "give one that is valid, or correct this PC's clock"
    return None
