"""Every seeded defect by its name."""

from __future__ import annotations

from collections.abc import Mapping

from bench.errors import ConfigError
from bench.virtual.defects import (
    afterwards,
    boot,
    certificates,
    coap_layer,
    components,
    departures,
    identity,
    interruptions,
    large_images,
    messages,
    neighbours,
    notifications,
    observing,
    operations,
    package_servers,
    package_uri,
    pull_resume,
    push_blocks,
    push_transfer,
    radio_power,
    registering,
    row_by_row,
    secure_boot,
    state,
    storage,
    updating,
    uri_parts,
    version_rules,
    versions,
)
from bench.virtual.defects.defect import Defect

AREAS = (
    state.STATE,
    push_blocks.PUSH,
    pull_resume.PULL,
    package_uri.URI,
    messages.MESSAGES,
    notifications.NOTIFICATIONS,
    identity.IDENTITY,
    storage.STORAGE,
    boot.BOOT,
    secure_boot.SECURE,
    radio_power.RADIO,
    updating.UPDATING_AND_AFTER,
    versions.VERSIONS,
    push_transfer.TRANSFER,
    observing.OBSERVING,
    operations.OPERATIONS,
    coap_layer.MESSAGES,
    registering.REGISTERING,
    components.COMPONENTS,
    large_images.LARGE,
    neighbours.NEIGHBOURS,
    version_rules.RULES,
    interruptions.INTERRUPTIONS,
    afterwards.AFTERWARDS,
    uri_parts.PARTS,
    package_servers.SERVERS,
    departures.DEPARTURES,
    certificates.CERTIFICATES,
    row_by_row.UPDATE,
    row_by_row.FETCHING,
    row_by_row.MESSAGES,
    row_by_row.PARTS,
)

DEFECTS: Mapping[str, Defect] = {defect.name: defect for area in AREAS for defect in area.defects}


def defect_named(name: str) -> Defect:
    """Raises `ConfigError` for a name that no defect has."""
    if name not in DEFECTS:
        near = [known for known in DEFECTS if name in known]
        raise ConfigError(
            f"no seeded defect is called {name!r}",
            help=f"did you mean {', '.join(near)}?" if near else "`bench mutants --list` names them all",
        )
    return DEFECTS[name]
