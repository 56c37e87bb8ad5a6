"""The virtual device learns its server from a bootstrap server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from firmware_rig import ENDPOINT, Rig

from bench.lwm2m.interfaces.bootstrap import Account, Plan, Security
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline
from bench.virtual.clock import VirtualClock


@pytest.fixture
def bench_server(clock: VirtualClock) -> Iterator[LwM2mServer]:
    made = LwM2mServer(clock, Timeline(clock), seed=1)
    made.start()
    yield made
    made.close()


@pytest.fixture
def blank(clock: VirtualClock) -> Iterator[Rig]:
    rig = Rig(clock)
    rig.power_on()
    rig.wait_line("lwm2m: not provisioned")
    yield rig
    rig.power_off()


def provision(rig: Rig, server: LwM2mServer) -> None:
    rig.type(f"provision bootstrap={server.uri} endpoint={ENDPOINT}")
    rig.wait_line("provision: ok")


@pytest.mark.parametrize(
    "plan",
    [
        {"delete": ("/",)},
        {"delete": ("/0", "/1")},
        {"delete": (), "discover": True},
    ],
)
def test_it_is_bootstrapped_and_registers(
    blank: Rig, bench_server: LwM2mServer, plan: dict[str, object]
) -> None:
    accounts = (Account(bench_server.uri, lifetime=777),)
    bench_server.plan_bootstrap(ENDPOINT, Plan(accounts, **plan))  # type: ignore[arg-type]
    provision(blank, bench_server)
    assert bench_server.wait_bootstrapped(ENDPOINT, timeout=60).finished
    client = bench_server.wait_registered(ENDPOINT, timeout=60)
    assert client.registration.lifetime == 777
    assert client.read("/1/0/1") == 777


def test_it_keeps_its_account_over_power_cuts(blank: Rig, bench_server: LwM2mServer) -> None:
    bench_server.plan_bootstrap(ENDPOINT, Plan((Account(bench_server.uri, lifetime=777),)))
    provision(blank, bench_server)
    client = bench_server.wait_registered(ENDPOINT, timeout=60)
    client.write("/1/0/1", 555)
    blank.clock.sleep(5, "the setting")
    blank.power_off()
    del bench_server.bootstraps.plans[ENDPOINT]
    before = blank.clock.now()
    blank.power_on()
    again = bench_server.wait_registered(ENDPOINT, timeout=60, after=before)
    assert again.registration.lifetime == 555
    assert sum("bootstrap begins" in line for line in blank.lines) == 1


def test_a_power_cut_half_way_only_delays_it(blank: Rig, bench_server: LwM2mServer) -> None:
    bench_server.plan_bootstrap(ENDPOINT, Plan((Account(bench_server.uri),)))
    provision(blank, bench_server)
    blank.wait_line("bootstrap begins")
    blank.power_off()
    blank.clock.sleep(10, "without supply")
    blank.power_on()
    assert bench_server.wait_registered(ENDPOINT, timeout=120)
    assert sum("bootstrap begins" in line for line in blank.lines) == 2


def test_it_refuses_an_account_that_it_cannot_use(blank: Rig, bench_server: LwM2mServer) -> None:
    account = Account("coaps://192.0.2.1:5684", Security.RAW_PUBLIC_KEY, b"id", b"key")
    bench_server.plan_bootstrap(ENDPOINT, Plan((account,)))
    provision(blank, bench_server)
    outcome = bench_server.wait_bootstrapped(ENDPOINT, timeout=60)
    assert not outcome.finished
    assert outcome.reason == "POST /bs was answered 4.06"
    assert bench_server.registration(ENDPOINT) is None
    # once the plan is right, it needs no more than its own retry
    bench_server.plan_bootstrap(ENDPOINT, Plan((Account(bench_server.uri),)))
    assert bench_server.wait_registered(ENDPOINT, timeout=600)


def test_it_asks_again_until_there_is_a_plan(blank: Rig, bench_server: LwM2mServer) -> None:
    provision(blank, bench_server)
    blank.wait_line("bootstrap failed, again in 15 s")
    blank.wait_line("bootstrap failed, again in 30 s")
    bench_server.plan_bootstrap(ENDPOINT, Plan((Account(bench_server.uri),)))
    assert bench_server.wait_registered(ENDPOINT, timeout=120)


def test_it_may_be_told_a_server_instead(blank: Rig, bench_server: LwM2mServer) -> None:
    provision(blank, bench_server)
    blank.wait_line("bootstrap failed")
    blank.type(f"provision server={bench_server.uri} endpoint={ENDPOINT} lifetime=60")
    assert bench_server.wait_registered(ENDPOINT, timeout=120).registration.lifetime == 60


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("provision bootstrap=http://127.0.0.1:1 endpoint=x", "bootstrap must be coap://"),
        ("provision bootstrap=coap://127.0.0.1 server=coap://127.0.0.1 endpoint=x", "exclude"),
        ("provision bootstrap=coap://127.0.0.1", "endpoint"),
    ],
)
def test_bad_lines_say_why(blank: Rig, line: str, why: str) -> None:
    blank.type(line)
    blank.wait_line("provision: error")
    assert any(why in said for said in blank.lines)


def test_it_asks_again_when_its_server_refuses_it(blank: Rig, bench_server: LwM2mServer) -> None:
    """Five registrations that fail in a row, then its bootstrap server."""
    bench_server.plan_bootstrap(ENDPOINT, Plan((Account(bench_server.uri, lifetime=777),)))
    provision(blank, bench_server)
    assert bench_server.wait_registered(ENDPOINT, timeout=60)
    bench_server.plan_bootstrap(ENDPOINT, Plan((Account(bench_server.uri, lifetime=555),)))
    blank.power_off()
    with bench_server.shutting_out(ENDPOINT):
        since, before = len(blank.lines), blank.clock.now()
        blank.power_on()
        blank.wait_line("bootstrap finished", timeout=600, since=since)
        assert sum("registration failed" in line for line in blank.lines[since:]) == 4
    client = bench_server.wait_registered(ENDPOINT, timeout=600, after=before)
    assert client.registration.lifetime == 555


def test_a_factory_reset_leaves_its_bootstrap_server(blank: Rig, bench_server: LwM2mServer) -> None:
    bench_server.plan_bootstrap(ENDPOINT, Plan((Account(bench_server.uri, lifetime=777),)))
    provision(blank, bench_server)
    client = bench_server.wait_registered(ENDPOINT, timeout=60)
    bench_server.plan_bootstrap(ENDPOINT, Plan((Account(bench_server.uri, lifetime=555),)))
    before = blank.clock.now()
    client.execute("/3/0/5")
    again = bench_server.wait_registered(ENDPOINT, timeout=120, after=before)
    assert again.registration.lifetime == 555
    assert sum("bootstrap finished" in line for line in blank.lines) == 2
