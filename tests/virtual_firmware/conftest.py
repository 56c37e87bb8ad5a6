from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from firmware_rig import ENDPOINT, Rig, Server

from bench.virtual.clock import VirtualClock
from bench.virtual.firmware.update.component import ComponentType
from bench.virtual.firmware.update.machine import Stack
from bench.virtual.radio.technology import LTE_M, Technology
from bench.virtual.scheduler import Scheduler

EXACT = replace(LTE_M, noise_of_reports=0.0)


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    random.seed(1)  # aiocoap draws message IDs and retransmission times from it
    made = VirtualClock(Scheduler(1))
    yield made
    made.close()
    gc.collect()  # unfinished exchanges end here, not while pytest renders somebody's traceback


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[Server]:
    made = Server(clock)
    yield made
    made.close()


@pytest.fixture
def start(clock: VirtualClock, server: Server) -> Iterator[Callable[..., Rig]]:
    """Makes a device that is provisioned and registered."""
    rigs: list[Rig] = []

    def make(
        technology: Technology = EXACT,
        lifetime: int = 300,
        stack: Stack | None = None,
        components: tuple[ComponentType, ...] = (),
    ) -> Rig:
        rig = Rig(clock, technology, stack, components)
        rigs.append(rig)
        rig.power_on()
        rig.wait_line("lwm2m: not provisioned")
        rig.type(f"provision server=coap://127.0.0.1:{server.port} endpoint={ENDPOINT} lifetime={lifetime}")
        rig.wait_line("lwm2m: registered at", timeout=600)
        return rig

    yield make
    for rig in rigs:
        rig.power_off()


@pytest.fixture
def rig(start: Callable[..., Rig]) -> Rig:
    return start()
