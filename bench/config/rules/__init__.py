"""What the tables of a bench file must be to each other: one function for each thing that can be wrong.

These need nothing but the files themselves. What needs the drivers, the images or this PC is in
`bench.check`. A new rule is one function and one entry here or there.
"""

from bench.config.draft import Rule
from bench.config.rules.addresses import (
    advertised_addresses,
    consoles,
    instrument_addresses,
    server_host,
)
from bench.config.rules.limits import absurd_network, absurd_time_outs
from bench.config.rules.patience import time_outs_of_conforming_devices
from bench.config.rules.references import (
    boards_and_their_files,
    certificates_vouched_for,
    instruments_listed,
)
from bench.config.rules.twice import used_twice
from bench.config.rules.virtual import virtual_bootloaders

RULES: tuple[Rule, ...] = (
    boards_and_their_files,
    instruments_listed,
    certificates_vouched_for,
    virtual_bootloaders,
    used_twice,
    server_host,
    advertised_addresses,
    instrument_addresses,
    consoles,
    absurd_time_outs,
    time_outs_of_conforming_devices,
    absurd_network,
)
